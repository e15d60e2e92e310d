"""Business hours: special days first, then public holidays, then the weekday's hours."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from domain import public_holidays
from domain.moment import Moment
from domain.saying import say
from schemas.agent import AgentVersion
from schemas.organisation import Organisation

FARTHEST = 400
"""Days ahead in which the next opening is looked for."""
SOME_TIME = "during our opening hours"

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONE = timedelta(days=1)

Stretch = tuple[datetime, datetime]
"""From, and until just before, in UTC: two times of one zone compare by what the clock shows, whenever it was."""


def zone_of(version: AgentVersion, organisation: Organisation) -> ZoneInfo:
    """The zone that an agent's hours, and what it says of times, are in."""
    return ZoneInfo(version.time_zone or organisation.time_zone)


def is_open(version: AgentVersion, now: datetime) -> bool:
    """Whether calls are taken now; `now` is in the agent's zone. Without any hours they always are."""
    today, instant = now.date(), now.astimezone(UTC)
    days = (today - _ONE, today)
    return any(opens <= instant < closes for day in days for opens, closes in _stretches(version, day, now.tzinfo))


def next_opening(version: AgentVersion, now: datetime) -> datetime | None:
    """When calls are taken next: `now` if they are, None if they aren't in a year; in the agent's zone, as `now`."""
    if is_open(version, now):
        return now
    for ahead in range(FARTHEST):
        stretches = _stretches(version, now.date() + _ONE * ahead, now.tzinfo)
        if later := [opens for opens, closes in stretches if now.astimezone(UTC) < opens < closes]:
            return min(later).astimezone(now.tzinfo)
    return None


def opens_aloud(version: AgentVersion, moment: Moment) -> str:
    """The next opening as it is said: "tomorrow at 9 AM"."""
    opens = next_opening(version, moment.now)
    if opens is None:
        return SOME_TIME
    return f"{say('date', opens.date().isoformat(), moment)} at {say('time', f'{opens:%H:%M}', moment)}"


def make_ready(versions: Iterable[AgentVersion], now: datetime) -> None:
    """Loads what these agents' hours need, which may take a second the first time: in a thread, where others wait."""
    for version in versions:
        if version.holidays:
            public_holidays.make_ready(version.holidays, now.year)


def problems(version: AgentVersion) -> Iterator[str]:
    """What is wrong with an agent's hours, a sentence each. May take as long as `make_ready`."""
    if version.holidays:
        try:
            public_holidays.check(version.holidays)
        except public_holidays.UnknownHolidays as problem:
            yield str(problem)


def _stretches(version: AgentVersion, day: date, zone: tzinfo | None) -> list[Stretch]:
    """Those that begin on a day."""
    return [
        (_at(day, opens, zone), _at(day + _ONE if closes <= opens else day, closes, zone))
        for opens, closes in _hours(version, day)
    ]


def _hours(version: AgentVersion, day: date) -> list[tuple[str, str]]:
    if special := [special for special in version.special_days if special.date == day]:
        return [(each.opens, each.closes) for each in special if each.opens and each.closes]
    if version.holidays and public_holidays.is_holiday(version.holidays, day):
        return []
    if not version.hours:
        return [("00:00", "24:00")]
    return [(each.opens, each.closes) for each in version.hours if each.day == _DAYS[day.weekday()]]


def _at(day: date, clock: str, zone: tzinfo | None) -> datetime:
    """A time of day, 24:00 included. One that the clocks skip or show twice is read as RFC 5545 says: the offset is the
    one from before the change."""
    hour, minute = (int(part) for part in clock.split(":"))
    days, hour = divmod(hour, 24)
    at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    return (at + _ONE * days).astimezone(UTC)
