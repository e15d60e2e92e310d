"""When appointments begin, and how long before is when."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def begins(day: str, clock: str, time_zone: str) -> datetime:
    """`("2026-11-27", "14:30", "America/New_York")` in UTC. An hour that comes twice is the first; of one that the
    clocks skip, it is as much later. Raises ValueError."""
    local = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), ZoneInfo(time_zone))
    return local.astimezone(UTC)


def earlier(start: datetime, before: str, time_zone: str) -> datetime:
    """In UTC. Minutes and hours before (`90m`, `24h`) are as they pass; a day before (`1d`) is the same time of day,
    whatever the clocks did in between."""
    number = int(before[:-1])
    match before[-1]:
        case "d":
            return (start.astimezone(ZoneInfo(time_zone)) - timedelta(days=number)).astimezone(UTC)
        case "h":
            return start - timedelta(hours=number)
    return start - timedelta(minutes=number)
