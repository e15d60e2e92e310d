"""Which times a calendar has, which of them are free, and why one isn't.

Times are aware; those that come out are in the organisation's time zone. A day's times are counted from its opening in
time that really passes, so that no hour that a clock skips in spring is offered. Of an hour that comes twice in autumn
only the first can be asked for by its name."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from domain.moment import Moment
from domain.saying import say
from schemas.calendar import STEP_MINUTES, Calendar

STEP = timedelta(minutes=STEP_MINUTES)
DAY = timedelta(days=1)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: `ends` isn't part of it. In UTC, where the difference of two times is what passes between."""

    begins: datetime
    ends: datetime

    def overlaps(self, other: "Span") -> bool:
        return self.begins < other.ends and other.begins < self.ends

    def within(self, other: "Span") -> "Span":
        """What of it lies in the other."""
        return Span(max(self.begins, other.begins), min(self.ends, other.ends))


def span(begins: datetime, minutes: int) -> Span:
    begins = begins.astimezone(UTC)
    return Span(begins, begins + timedelta(minutes=minutes))


def steps(of: Span) -> list[datetime]:
    """The beginnings of all its steps, each of which has room for as many appointments as the calendar's capacity."""
    first = of.begins - (of.begins - datetime.min.replace(tzinfo=UTC)) % STEP
    return [first + n * STEP for n in range(-((first - of.ends) // STEP))]


@dataclass(frozen=True, slots=True)
class Hours:
    """One day's."""

    stretches: tuple[tuple[str, str], ...]
    """When it opens and closes: ("09:00", "17:00")."""
    occasion: str = ""
    """What makes the day special, if anything does."""
    usual: bool = True
    """Whether every such weekday is so."""


def hours(calendar: Calendar, day: date) -> Hours:
    """Raises ValueError for holidays of a country or region that isn't known."""
    for special in calendar.special_days:
        if special.date == day:
            stretches = ((special.opens, special.closes),) if special.opens and special.closes else ()
            return Hours(stretches, special.name, usual=False)
    if calendar.holidays and (holiday := _holidays(calendar.holidays.country, calendar.holidays.region, day)):
        return Hours((), holiday, usual=False)
    weekday = _DAYS[day.weekday()]
    return Hours(tuple(sorted((each.opens, each.closes) for each in calendar.hours if each.day == weekday)))


@lru_cache(maxsize=4096)
def _holidays(country: str, region: str, day: date) -> str:
    import holidays  # takes a moment

    try:
        return str(holidays.country_holidays(country, subdiv=region or None, years=day.year).get(day) or "")
    except NotImplementedError:
        raise ValueError(f"the holidays of {' '.join(filter(None, (country, region)))} aren't known") from None


def times(calendar: Calendar, day: date, zone: ZoneInfo, minutes: int) -> list[datetime]:
    """When an appointment of that length can begin on a day, by the calendar's hours alone."""
    found = []
    for opens, closes in hours(calendar, day).stretches:
        begins, closed = _at(day, opens, zone), _at(day, closes, zone)
        while begins + timedelta(minutes=minutes) <= closed:
            local = begins.astimezone(zone)
            if not local.fold:  # the second time round it has no name of its own
                found.append(local)
            begins += timedelta(minutes=calendar.slot_minutes)
    return found


def named(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """The time that somebody means by a day and a time of day ("14:30")."""
    return _at(day, clock, zone).astimezone(zone)


def _at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    hour, minute = (int(part) for part in clock.split(":"))
    after = timedelta(hours=hour, minutes=minute)
    return (datetime.combine(day, time()) + after).replace(tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is in the way."""

    ours: Counter[datetime]
    """By step: how many appointments there are."""
    others: Sequence[Span] = ()
    """When nothing can be booked, whatever the capacity."""

    def leaves(self, wanted: Span, capacity: int) -> bool:
        """Whether there is room."""
        if any(wanted.overlaps(other) for other in self.others):
            return False
        return all(self.ours[step] < capacity for step in steps(wanted))


def taken(ours: Iterable[Span], others: Sequence[Span] = ()) -> Taken:
    return Taken(Counter(step for each in ours for step in steps(each)), others)


def free(
    calendar: Calendar, first: date, last: date, zone: ZoneInfo, minutes: int, now: datetime, in_the_way: Taken
) -> list[datetime]:
    """When an appointment can still begin from one day to another, in order."""
    found = []
    for n in range((last - first).days + 1):
        day = first + n * DAY
        if day > _last_day(calendar, zone, now):
            break
        for begins in times(calendar, day, zone, minutes):
            if begins.astimezone(UTC) >= _earliest(calendar, now) and in_the_way.leaves(
                span(begins, minutes), calendar.capacity
            ):
                found.append(begins)
    return found


def _earliest(calendar: Calendar, now: datetime) -> datetime:
    return now.astimezone(UTC) + timedelta(minutes=calendar.lead_minutes)


def _last_day(calendar: Calendar, zone: ZoneInfo, now: datetime) -> date:
    return now.astimezone(zone).date() + calendar.days_ahead * DAY


# --- In words -------------------------------------------------------------------------------------------------------

TAKEN = "That time is taken."


def objection(calendar: Calendar, day: date, clock: str, zone: ZoneInfo, minutes: int, moment: Moment) -> str:
    """Why the calendar has no such time, however empty it is; empty if it has. A sentence for the caller. Without a
    time of day: why it has none on that day."""
    now = moment.now
    if day < now.astimezone(zone).date():
        return "That day has passed."
    if day > _last_day(calendar, zone, now):
        return f"We take appointments up to {calendar.days_ahead} days ahead."
    at = hours(calendar, day)
    date_said = say("date", day.isoformat(), moment)
    if not at.stretches:
        if at.usual:
            return f"We're closed on {_DAY_NAMES[day.weekday()]}s."
        return f"We're closed {_on(date_said)}{f', for {at.occasion}' if at.occasion else ''}."
    if not clock:
        return ""
    begins = named(day, clock, zone).astimezone(UTC)
    if begins <= now:
        return "That time has passed."
    possible = [each.astimezone(UTC) for each in times(calendar, day, zone, minutes)]
    if begins not in possible or not _is_there(day, clock, zone):
        open_at = _listed([f"from {_clock(opens)} to {_clock(closes)}" for opens, closes in at.stretches])
        when = f"on {_DAY_NAMES[day.weekday()]}s" if at.usual else _on(date_said)
        if not any(opens <= clock < closes for opens, closes in at.stretches):
            return f"We're open {open_at} {when}."
        if not possible or begins > possible[-1]:
            return f"We're open {open_at} {when}, and an appointment takes {_duration(minutes)}."
        return f"We have no appointments at {_clock(clock)}."
    if begins < _earliest(calendar, now):
        return f"That's too soon: we need {_duration(calendar.lead_minutes)} notice."
    return ""


def _is_there(day: date, clock: str, zone: ZoneInfo) -> bool:
    """Whether clocks show that time on that day."""
    local = named(day, clock, zone)
    return (local.date(), f"{local:%H:%M}") == (day, clock)


def spoken(offered: Sequence[datetime], moment: Moment) -> str:
    """Times to choose from: "tomorrow at 9 AM, 11:30 AM or 3 PM, or Friday the 27th of November at 9 AM"."""
    days = []
    for day, group in groupby(offered, lambda each: each.date()):
        clocks = [_clock(f"{each:%H:%M}") for each in group]
        days.append(f"{say('date', day.isoformat(), moment)} at {_listed(clocks, 'or')}")
    return ", or ".join(days)


def a_few(offered: Sequence[datetime], most: int = 3) -> list[datetime]:
    """Some of them, from early to late."""
    if len(offered) <= most:
        return list(offered)
    return [offered[round(n * (len(offered) - 1) / (most - 1))] for n in range(most)]


def nearest(offered: Sequence[datetime], wanted: datetime, most: int = 3) -> list[datetime]:
    """Those closest to what was wanted, in order."""
    return sorted(sorted(offered, key=lambda each: abs(each.astimezone(UTC) - wanted.astimezone(UTC)))[:most])


PARTS_OF_DAY: Mapping[str, tuple[str, str]] = {
    "morning": ("00:00", "12:00"),
    "afternoon": ("12:00", "18:00"),
    "evening": ("18:00", "24:00"),
}


def within(offered: Sequence[datetime], part_of_day: str) -> list[datetime]:
    """Those that begin in that part of a day; all for any other word."""
    begins, ends = PARTS_OF_DAY.get(part_of_day, ("00:00", "24:00"))
    return [each for each in offered if begins <= f"{each:%H:%M}" < ends]


def _clock(clock: str) -> str:
    return say("time", "00:00" if clock == "24:00" else clock, _ANY)


_ANY = Moment(datetime(2000, 1, 1, tzinfo=UTC))


def _on(said: str) -> str:
    return said if said in ("today", "tomorrow") else f"on {said}"


def _listed(words: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def _duration(minutes: int) -> str:
    hours_, rest = divmod(minutes, 60)
    parts = [f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in ((hours_, "hour"), (rest, "minute")) if n]
    return " and ".join(parts)
