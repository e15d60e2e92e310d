"""An organisation: the isolated unit that owns agents, numbers and calls."""

from datetime import datetime

from schemas.model import Model
from schemas.time_zone import TimeZone


class Organisation(Model):
    """Stored at organisations/{id}."""

    id: str
    name: str
    slug: str
    time_zone: TimeZone = "UTC"
    """What "tomorrow" and "at four" mean to its agents."""
    country: str = "US"
    """ISO 3166 two letters: how a phone number without a country code is read."""
    created_at: datetime
