"""Business hours: weekdays, midnight, clocks that change, special days, holidays, and when it opens next."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain import flow_check
from domain.hours import is_open, next_opening, opens_aloud, problems, zone_of
from domain.moment import Moment
from schemas.agent import AgentVersion, Opening, SpecialDay
from schemas.organisation import Organisation

NEW_YORK = "America/New_York"
WEEK = [{"day": day, "opens": "09:00", "closes": "17:00"} for day in ("mon", "tue", "wed", "thu", "fri")]
NIGHT = [{"day": day, "opens": "22:00", "closes": "02:00"} for day in ("fri", "sat")]


def version(**fields: Any) -> AgentVersion:
    flow = {"start": "a", "nodes": [{"id": "a", "type": "start"}]}
    return AgentVersion(**{"agent": "a", "number": 1, "published_at": datetime.now(UTC), "flow": flow, **fields})


def at(text: str, zone: str = NEW_YORK, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


# --- open or not -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "is_it"),
    [
        ("2026-11-23T08:59:59", False),
        ("2026-11-23T09:00", True),
        ("2026-11-23T16:59:59", True),
        ("2026-11-23T17:00", False),
        ("2026-11-21T12:00", False),  # a Saturday
    ],
)
def test_a_working_week(when: str, is_it: bool) -> None:
    assert is_open(version(hours=WEEK), at(when)) is is_it


def test_without_hours_it_is_always_open() -> None:
    assert is_open(version(), at("2026-11-22T03:33"))


@pytest.mark.parametrize(
    ("when", "is_it"),
    [
        ("2026-11-20T21:59", False),  # Friday
        ("2026-11-20T22:00", True),
        ("2026-11-21T01:59", True),  # of Friday's
        ("2026-11-21T02:00", False),
        ("2026-11-22T01:00", True),  # of Saturday's
        ("2026-11-23T01:00", False),  # Sunday has none
    ],
)
def test_a_night_that_ends_on_the_next_day(when: str, is_it: bool) -> None:
    assert is_open(version(hours=NIGHT), at(when)) is is_it


def test_a_whole_day_and_one_that_ends_at_midnight() -> None:
    day = version(hours=[{"day": "sat", "opens": "00:00", "closes": "24:00"}])
    assert [is_open(day, at(f"2026-11-{when}")) for when in ("20T23:59", "21T00:00", "21T23:59", "22T00:00")] == [
        False,
        True,
        True,
        False,
    ]
    evening = version(hours=[{"day": "sat", "opens": "18:00", "closes": "00:00"}])
    assert is_open(evening, at("2026-11-21T23:59"))
    assert not is_open(evening, at("2026-11-22T00:00"))


def test_the_agent_s_own_zone_comes_before_the_organisation_s() -> None:
    here = Organisation(id="o", name="O", slug="o", time_zone=NEW_YORK, created_at=datetime.now(UTC))
    now = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)  # half past three in New York, half past nine in Berlin
    for agent, is_it in ((version(hours=WEEK), False), (version(hours=WEEK, time_zone="Europe/Berlin"), True)):
        assert is_open(agent, now.astimezone(zone_of(agent, here))) is is_it


# --- clocks that change ----------------------------------------------------------------------------------------------


def test_a_night_lasts_an_hour_less_or_more_when_the_clocks_change() -> None:
    night = version(hours=[{"day": "sat", "opens": "22:00", "closes": "04:00"}])
    for opens, hours in ((datetime(2026, 3, 8, 3, tzinfo=UTC), 5), (datetime(2026, 11, 1, 2, tzinfo=UTC), 7)):
        for minutes, is_it in ((-1, False), (0, True), (hours * 60 - 1, True), (hours * 60, False)):
            assert is_open(night, (opens + timedelta(minutes=minutes)).astimezone(ZoneInfo(NEW_YORK))) is is_it


def test_an_hour_that_comes_twice_opens_and_closes_the_first_time() -> None:
    night = version(hours=[{"day": "sat", "opens": "22:00", "closes": "01:30"}])
    assert is_open(night, at("2026-11-01T01:15"))
    assert not is_open(night, at("2026-11-01T01:45"))
    assert not is_open(night, at("2026-11-01T01:15", fold=1))
    early = version(hours=[{"day": "sun", "opens": "01:30", "closes": "03:00"}])
    assert is_open(early, at("2026-11-01T01:45"))
    assert is_open(early, at("2026-11-01T01:15", fold=1))


def test_a_time_that_is_skipped_is_read_with_the_offset_from_before() -> None:
    early = version(hours=[{"day": "sun", "opens": "02:30", "closes": "05:00"}])
    opens = next_opening(early, at("2026-03-08T00:00"))
    assert opens == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)


def test_the_next_opening_is_on_the_other_side_of_the_change() -> None:
    opens = next_opening(version(hours=WEEK), at("2026-10-30T18:00"))
    assert opens is not None
    assert (opens.isoformat(), opens.astimezone(UTC).hour) == ("2026-11-02T09:00:00-05:00", 14)


# --- special days and holidays ---------------------------------------------------------------------------------------


def test_special_days_come_before_weekdays_and_holidays() -> None:
    agent = version(
        hours=WEEK,
        holidays={"country": "US"},
        special_days=[
            {"date": "2026-11-24", "name": "inventory"},
            {"date": "2026-11-26", "opens": "10:00", "closes": "12:00"},
            {"date": "2026-11-26", "opens": "14:00", "closes": "15:00"},
        ],
    )
    for when, is_it in (
        ("2026-11-23T10:30", True),
        ("2026-11-24T10:30", False),
        ("2026-11-26T09:30", False),  # Thanksgiving, and open all the same
        ("2026-11-26T10:30", True),
        ("2026-11-26T13:00", False),
        ("2026-11-26T14:30", True),
        ("2026-12-25T10:30", False),
    ):
        assert is_open(agent, at(when)) is is_it, when


def test_a_holiday_s_day_off_is_one_and_so_is_a_region_s() -> None:
    assert not is_open(version(hours=WEEK, holidays={"country": "US"}), at("2027-07-05T10:00"))  # the 4th is a Sunday
    epiphany = at("2026-01-06T10:00", "Europe/Berlin")
    assert is_open(version(hours=WEEK, holidays={"country": "DE"}), epiphany)
    assert not is_open(version(hours=WEEK, holidays={"country": "DE", "region": "BY"}), epiphany)


def test_a_night_belongs_to_the_day_on_which_it_began() -> None:
    agent = version(hours=[{"day": "thu", "opens": "20:00", "closes": "03:00"}], special_days=[{"date": "2027-01-01"}])
    assert is_open(agent, at("2027-01-01T02:00"))


def test_unknown_holidays_are_none_and_are_told() -> None:
    for holidays, word in (
        ({"country": "XX"}, "'XX'"),
        ({"country": "DE", "region": "CA"}, "it has BB, BE, BW, BY"),
        ({"country": "SG", "region": "1"}, "it has none"),
    ):
        agent = version(holidays=holidays)
        assert is_open(agent, at("2026-12-25T10:00"))
        [problem] = problems(agent)
        assert word in problem
        [finding] = [each for each in flow_check.check(agent.flow, (), agent) if each.code == "unknown-holidays"]
        assert (finding.level, finding.sentence) == ("error", problem)
    assert list(problems(version(holidays={"country": "DE", "region": "BY"}))) == []


def test_holidays_are_loaded_only_for_those_who_keep_them() -> None:
    """Importing the package takes longer than a webhook."""
    program = (
        "import sys, functions.webhooks, media_service.app; from tests.unit.test_hours import *; import domain.hours;"
        "is_open(version(hours=WEEK), at('2026-11-23T10:00')); assert 'holidays' not in sys.modules;"
        "is_open(version(holidays={'country': 'US'}), at('2026-11-23T10:00')); assert 'holidays' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- when it opens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "opens", "said"),
    [
        ("2026-11-23T08:00", "2026-11-23T09:00", "today at 9 AM"),
        ("2026-11-23T17:00", "2026-11-24T09:00", "tomorrow at 9 AM"),
        ("2026-11-20T17:00", "2026-11-23T09:00", "Monday the 23rd of November at 9 AM"),
        ("2026-11-25T18:00", "2026-11-27T09:00", "Friday the 27th of November at 9 AM"),  # after Thanksgiving
    ],
)
def test_when_it_opens_next(now: str, opens: str, said: str) -> None:
    agent = version(hours=WEEK, holidays={"country": "US"})
    assert next_opening(agent, at(now)) == at(opens)
    assert opens_aloud(agent, Moment(at(now))) == said


def test_what_is_open_opens_now_and_what_never_opens_never() -> None:
    assert next_opening(version(hours=WEEK), at("2026-11-23T10:00")) == at("2026-11-23T10:00")
    closed = version(
        hours=WEEK[:1], special_days=[{"date": date(2026, 11, 23) + timedelta(weeks=n)} for n in range(60)]
    )
    assert next_opening(closed, at("2026-11-20T10:00")) is None
    assert opens_aloud(closed, Moment(at("2026-11-20T10:00"))) == "during our opening hours"


HOURS = st.lists(
    st.builds(
        lambda day, opens, closes: {"day": day, "opens": opens, "closes": closes},
        st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
        *[st.sampled_from(["00:00", "01:30", "02:30", "09:00", "17:15", "23:59"])] * 2,
    ).filter(lambda opening: opening["opens"] != opening["closes"]),
    min_size=1,
    max_size=4,
)


@given(HOURS, st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)), st.sampled_from([NEW_YORK, "Europe/London"]))
def test_it_is_open_when_it_is_said_to_open_and_not_before(hours: Any, now: datetime, zone: str) -> None:
    agent, local = version(hours=hours), now.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    opens = next_opening(agent, local)
    assert opens is not None
    assert is_open(agent, opens)
    if opens != local:
        begins, ends = local.astimezone(UTC), opens.astimezone(UTC)
        just_before = (ends - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
        halfway = (begins + (ends - begins) / 2).astimezone(ZoneInfo(zone))
        assert not is_open(agent, just_before)
        assert not is_open(agent, halfway)


# --- what can't be meant ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"time_zone": "Europe/Munich"}, "there is no time zone 'Europe/Munich'"),
        ({"time_zone": "America"}, "there is no time zone 'America'"),
        ({"time_zone": "../etc"}, "there is no time zone"),
        ({"hours": [{"day": "mon", "opens": "09:00", "closes": "09:00"}]}, "a whole day is 00:00 to 24:00"),
        ({"hours": [{"day": "mon", "opens": "24:00", "closes": "09:00"}]}, "opens on the next day"),
        ({"hours": [{"day": "mon", "opens": "09:00", "closes": "24:30"}]}, "closes"),
        ({"special_days": [{"date": "2026-12-24", "opens": "09:00", "closes": "09:00"}]}, "whole day"),
        ({"special_days": [{"date": "2026-12-24", "opens": "09:00"}]}, "both opens and closes"),
        (
            {"special_days": [{"date": "2026-12-24"}, {"date": "2026-12-24", "opens": "09:00", "closes": "10:00"}]},
            "2026-12-24 is given both as closed and with hours",
        ),
        ({"out_of_hours": {"do": "transfer"}}, "needs a number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + why.replace("(", r"\(")):
        version(**fields)


def test_an_organisation_s_zone_is_one() -> None:
    with pytest.raises(ValidationError, match="there is no time zone 'Mars/Olympus'"):
        Organisation(id="o", name="O", slug="o", time_zone="Mars/Olympus", created_at=datetime.now(UTC))


def test_any_other_stretch_is_one() -> None:
    assert Opening(day="mon", opens="17:00", closes="09:00")
    assert SpecialDay(date=date(2026, 12, 24), opens="20:00", closes="00:00")
