"""Values said aloud, and read back as the same values."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.moment import Moment
from domain.reading import read
from domain.saying import say
from schemas.variable import Kind, Value, Variable

NEW_YORK = ZoneInfo("America/New_York")
MOMENT = Moment(datetime(2026, 11, 21, 9, tzinfo=NEW_YORK))


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("date", "2026-11-27", "Friday the 27th of November"),
        ("date", "2026-11-21", "today"),
        ("date", "2026-11-22", "tomorrow"),
        ("date", "2026-11-23", "Monday the 23rd of November"),
        ("date", "2026-12-01", "Tuesday the 1st of December"),
        ("date", "2026-12-02", "Wednesday the 2nd of December"),
        ("date", "2026-12-11", "Friday the 11th of December"),
        ("date", "2027-11-20", "Saturday the 20th of November 2027"),
        ("date", "2026-11-18", "Wednesday the 18th of November"),
        ("date", "2020-02-29", "Saturday the 29th of February 2020"),
        ("date", "soon", "soon"),
        ("time", "14:30", "2:30 PM"),
        ("time", "09:05", "9:05 AM"),
        ("time", "14:00", "2 PM"),
        ("time", "00:30", "12:30 AM"),
        ("time", "12:15", "12:15 PM"),
        ("time", "12:00", "noon"),
        ("time", "00:00", "midnight"),
        ("time", "25:00", "25:00"),
        ("time", "later", "later"),
        ("digits", "47129", "4 7 1 2 9"),
        ("phone", "+15550123456", "5 5 5, 0 1 2, 3 4 5 6"),
        ("phone", "+442079460958", "plus 4 4, 2 0, 7 9 4 6, 0 9 5 8"),
        ("phone", "anonymous", "anonymous"),
        ("yes_no", True, "yes"),
        ("yes_no", False, "no"),
        ("number", 22, "22"),
        ("number", 3.5, "3.5"),
        ("number", 3.0, "3"),
        ("number", -5, "minus 5"),
        ("choice", "blue kettle", "blue kettle"),
        ("name", "Sarah Jones", "Sarah Jones"),
        ("text", "as it is", "as it is"),
    ],
)
def test_says_a_value(kind: Kind, value: Value, said: str) -> None:
    assert say(kind, value, MOMENT) == said


def test_says_a_variables_value() -> None:
    assert say(Variable(name="at", kind="time"), "16:00", MOMENT) == "4 PM"


def test_a_number_is_said_as_its_country_writes_it() -> None:
    london = Moment(MOMENT.now, "GB")
    assert say("phone", "+442079460958", london) == "0 2 0, 7 9 4 6, 0 9 5 8"
    assert say("phone", "+15550123456", london) == "plus 1, 5 5 5, 0 1 2, 3 4 5 6"


def _read_back(kind: Kind, value: Value, moment: Moment) -> Value | None:
    return read(Variable(name="value", kind=kind), say(kind, value, moment), moment)


@settings(deadline=None)
@given(
    today=st.dates(date(2024, 1, 1), date(2060, 1, 1)),
    ahead=st.one_of(st.integers(0, 400), st.integers(0, 365 * 20)),
)
def test_a_day_is_read_back(today: date, ahead: int) -> None:
    moment = Moment(datetime.combine(today, time(9), NEW_YORK))
    day = (today + timedelta(days=ahead)).isoformat()
    assert _read_back("date", day, moment) == day


@settings(deadline=None)
@given(st.times())
def test_a_time_is_read_back(clock: time) -> None:
    assert _read_back("time", f"{clock:%H:%M}", MOMENT) == f"{clock:%H:%M}"


@settings(deadline=None)
@given(st.from_regex(r"[0-9]{1,32}", fullmatch=True))
def test_digits_are_read_back(digits: str) -> None:
    assert _read_back("digits", digits, MOMENT) == digits


@settings(deadline=None)
@given(st.one_of(st.integers(-(10**12), 10**12), st.decimals(-(10**6), 10**6, places=2).map(float)))
def test_a_number_is_read_back(number: int | float) -> None:
    assert _read_back("number", number, MOMENT) == number


@settings(deadline=None)
@given(st.from_regex(r"\+1[2-9][0-9]{9}", fullmatch=True))
def test_a_phone_number_is_read_back(number: str) -> None:
    assert _read_back("phone", number, MOMENT) == number


@settings(deadline=None)
@given(st.booleans())
def test_yes_and_no_are_read_back(answer: bool) -> None:
    assert _read_back("yes_no", answer, MOMENT) is answer
