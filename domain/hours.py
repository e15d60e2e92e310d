"""Business hours."""

from collections.abc import Sequence
from datetime import datetime

from schemas.agent import Opening

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_open(hours: Sequence[Opening], now: datetime) -> bool:
    """Whether calls are taken at this time, in the zone of the hours. No hours at all means always."""
    time = f"{now:%H:%M}"
    day = _DAYS[now.weekday()]
    return not hours or any(opening.day == day and opening.opens <= time < opening.closes for opening in hours)
