"""What the processes of a measurement are told, on their standard input."""

from schemas.model import Model
from schemas.settings import Settings


class ServerPlan(Model):
    """For `offhook.bench.server`."""

    settings: Settings
    calls: int
    cores: tuple[int, ...]


class CallersPlan(Model):
    """For `offhook.bench.callers`. Times are in seconds."""

    server: str
    """Where the webhooks are."""
    account_sid: str
    auth_token: str
    number: str
    """The one that they call."""
    calls: int
    per_second: float
    """So many calls begin."""
    warm_up_s: float
    """From the last call's beginning to the first moment that counts."""
    seconds: float
    """How long it counts."""
    seed: int
    cores: tuple[int, ...]
