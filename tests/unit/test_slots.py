"""Which times a calendar has and which of them are free."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from domain import slots
from domain.moment import Moment
from domain.slots import Span
from schemas.agent import Opening, SpecialDay
from schemas.calendar import Calendar

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 21, 14, tzinfo=UTC)

ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")]
)
DAY = st.dates(date(2026, 1, 1), date(2027, 12, 31))
MINUTES = st.integers(1, 24).map(lambda n: 5 * n)


def clock(step: int) -> str:
    return f"{step // 12:02}:{step % 12 * 5:02}"


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    hours = []
    for day in DAYS:
        ends = sorted(draw(st.lists(st.integers(0, 288), max_size=4, unique=True)))
        pairs = zip(ends[::2], ends[1::2], strict=False)
        hours += [Opening(day=day, opens=clock(a), closes=clock(b)) for a, b in pairs]  # type: ignore[arg-type]
    return Calendar(id="c", hours=tuple(hours), slot_minutes=draw(MINUTES), capacity=draw(st.integers(1, 3)))


def always(**more: object) -> Calendar:
    hours = [Opening(day=day, opens="00:00", closes="24:00") for day in DAYS]  # type: ignore[arg-type]
    return Calendar.model_validate({"id": "c", "hours": hours, **more})


@settings(deadline=None)
@given(calendars(), DAY, ZONES, MINUTES)
def test_times_lie_within_the_hours_and_have_names_of_their_own(
    calendar: Calendar, day: date, zone: ZoneInfo, minutes: int
) -> None:
    found = slots.times(calendar, day, zone, minutes)
    assert found == sorted(found, key=lambda each: each.astimezone(UTC))
    names = [f"{each:%H:%M}" for each in found]
    assert len({*names}) == len(names)
    stretches = slots.hours(calendar, day).stretches
    for at, name in zip(found, names, strict=True):
        assert at.date() == day
        assert slots.named(day, name, zone) == at
        span = slots.span(at, minutes)
        assert any(
            slots.named(day, opens, zone).astimezone(UTC) <= span.begins
            and span.ends <= slots.named(day, closes, zone).astimezone(UTC)
            for opens, closes in stretches
        )


@settings(deadline=None)
@given(calendars(), DAY, ZONES, MINUTES)
def test_nobody_objects_to_a_time_exactly_if_the_calendar_has_it(
    calendar: Calendar, day: date, zone: ZoneInfo, minutes: int
) -> None:
    moment = Moment(datetime.combine(day - timedelta(days=2), datetime.min.time(), UTC).astimezone(zone))
    names = {f"{each:%H:%M}" for each in slots.times(calendar, day, zone, minutes)}
    for step in range(0, 288, 7):
        assert (slots.objection(calendar, day, clock(step), zone, minutes, moment) == "") == (clock(step) in names)


SPANS = st.lists(
    st.builds(
        lambda start, steps: slots.span(datetime(2026, 11, 24, tzinfo=UTC) + timedelta(minutes=5 * start), 5 * steps),
        st.integers(0, 280),
        st.integers(1, 30),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(calendars(), SPANS, SPANS, MINUTES)
def test_what_is_free_never_goes_beyond_the_capacity(
    calendar: Calendar, ours: list[Span], others: list[Span], minutes: int
) -> None:
    day, zone = date(2026, 11, 24), ZoneInfo("UTC")
    now = datetime(2026, 11, 24, 8, tzinfo=UTC)
    free = slots.free(calendar, day, day, zone, minutes, now, slots.taken(ours, others))
    for at in slots.times(calendar, day, zone, minutes):
        wanted = slots.span(at, minutes)
        minute = (wanted.begins + timedelta(minutes=n) for n in range(minutes))
        fullest = max(sum(each.begins <= m < each.ends for each in ours) for m in minute)
        has_room = fullest < calendar.capacity and not any(wanted.overlaps(each) for each in others)
        assert (at in free) == (has_room and at >= now)


@settings(deadline=None)
@given(DAY, ZONES, st.integers(1, 96))
def test_steps_cover_a_span_and_nothing_else(day: date, zone: ZoneInfo, length: int) -> None:
    span = slots.span(slots.named(day, "10:20", zone), 5 * length)
    steps = slots.steps(span)
    assert (steps[0], steps[-1] + slots.STEP, len(steps)) == (span.begins, span.ends, length)


def test_the_hour_that_clocks_skip_is_not_offered() -> None:
    found = slots.times(always(slot_minutes=30), date(2027, 3, 14), NEW_YORK, 30)
    assert [f"{each:%H:%M}" for each in found][:6] == ["00:00", "00:30", "01:00", "01:30", "03:00", "03:30"]
    assert len(found) == 46
    moment = Moment(NOW)
    calendar = always(slot_minutes=30, days_ahead=365)
    said = slots.objection(calendar, date(2027, 3, 14), "02:30", NEW_YORK, 30, moment)
    assert said == "We have no appointments at 2:30 AM."


def test_the_hour_that_comes_twice_is_offered_once_and_passes_twice() -> None:
    found = slots.times(always(slot_minutes=30), date(2026, 11, 1), NEW_YORK, 30)
    assert [f"{each:%H:%M}" for each in found][:5] == ["00:00", "00:30", "01:00", "01:30", "02:00"]
    assert slots.span(found[4], 30).begins - slots.span(found[3], 30).begins == timedelta(minutes=90)


def test_a_special_day_comes_before_hours() -> None:
    day = date(2026, 11, 24)
    calendar = always(special_days=[SpecialDay(date=day, name="Party", opens="10:00", closes="11:00")])
    assert [f"{each:%H:%M}" for each in slots.times(calendar, day, NEW_YORK, 30)] == ["10:00", "10:30"]
    said = slots.objection(calendar, day, "12:00", NEW_YORK, 30, Moment(NOW.astimezone(NEW_YORK)))
    assert said == "We're open from 10 AM to 11 AM on Tuesday the 24th of November."


def test_times_are_said_day_by_day() -> None:
    at = [datetime(2026, 11, day, hour, tzinfo=NEW_YORK) for day, hour in ((22, 9), (22, 14), (24, 12))]
    said = slots.spoken(at, Moment(NOW.astimezone(NEW_YORK)))
    assert said == "tomorrow at 9 AM or 2 PM, or Tuesday the 24th of November at noon"


def test_a_few_are_the_first_the_last_and_some_between() -> None:
    at = [NOW + timedelta(hours=n) for n in range(9)]
    assert slots.a_few(at) == [at[0], at[4], at[8]]
    assert slots.a_few(at[:2]) == at[:2]
    assert slots.nearest(at, at[1]) == at[:3]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hours": [{"day": "mon", "opens": "17:00", "closes": "09:00"}]}, "can't open at 17:00"),
        ({"hours": [{"day": "mon", "opens": "09:00", "closes": "24:30"}]}, "hours.0.closes"),
        ({"hours": [{"day": "mon", "opens": "09:02", "closes": "17:00"}]}, "multiples of 5 minutes"),
        (
            {
                "hours": [
                    {"day": "mon", "opens": "09:00", "closes": "13:00"},
                    {"day": "mon", "opens": "12:00", "closes": "17:00"},
                ]
            },
            "overlap at 12:00",
        ),
        ({"kind": "google"}, "needs google_calendar"),
        ({"kind": "google", "google_calendar": "x", "capacity": 2}, "one appointment at a time"),
        ({"slot_minutes": 7}, "multiple of 5"),
        ({"id": "a/b"}, "pattern"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Calendar.model_validate({"id": "c", "hours": [], **fields})


def test_holidays_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="the holidays of XX aren't known"):
        slots.hours(always(holidays={"country": "XX"}), date(2026, 11, 24))
