"""When and where something is said: what "tomorrow" and a number without country code mean."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    now: datetime
    """Aware, in the organisation's time zone."""
    country: str = "US"
    """ISO 3166 two letters."""
