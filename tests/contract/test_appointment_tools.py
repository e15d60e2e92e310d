"""What agents do with appointments, and what they can say when it can't be done."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from domain.ports import Ports
from offhook.seed import CALENDAR
from schemas.organisation import Organisation
from schemas.tool import ToolCall, ToolResult
from tests.fakes.ports import NOW, StoppedClock, paper_ports

SARAH, TOM = "+12125550100", "+12125550101"
TUESDAY, SUNDAY = "2026-11-24", "2026-11-29"


class Desk:
    """An organisation with one chair; whoever is on the phone."""

    def __init__(self) -> None:
        self.clock = StoppedClock()
        self.ports: Ports = paper_ports(clock=self.clock)
        self.organisation = Organisation(
            id="org_1", name="Test", slug="test", time_zone="America/New_York", created_at=NOW
        )
        calendar = CALENDAR.model_copy(update={"capacity": 1, "slot_minutes": 30})
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        self.kept["organisations/org_1/calendars/main"] = calendar.model_dump(mode="json")
        self.numbered = 0

    def ask(
        self, tool: str, caller: str = SARAH, key: str = "", conversation: str = "", **arguments: Any
    ) -> ToolResult:
        self.numbered += 1
        key = key or f"{conversation or f'cnv_{self.numbered}'}:book:{self.numbered}"
        call = ToolCall(id="1", tool=tool, arguments=arguments, key=key, caller=caller, agent="agt_1")
        return asyncio.run(self.ports.tools.run(self.organisation, call))

    def does(self, tool: str, **how: Any) -> dict[str, Any]:
        result = self.ask(tool, **how)
        assert result.output is not None, result.error
        return result.output

    def refuses(self, tool: str, **how: Any) -> str:
        result = self.ask(tool, **how)
        assert result.error is not None, result.output
        return result.error


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_books_for_the_number_that_calls(desk: Desk) -> None:
    output = desk.does("book_appointment", date=TUESDAY, time="14:30", name="Sarah", conversation="cnv_1")
    assert output["says"] == "You are booked for Tuesday the 24th of November at 2:30 PM."
    kept = desk.kept[f"organisations/org_1/appointments/{output['id']}"]
    expected = {"phone": SARAH, "conversation": "cnv_1", "agent": "agt_1", "name": "Sarah", "minutes": 30}
    assert {name: kept[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "kept"),
    [("(212) 555-0199", "+12125550199"), ("+44 20 7946 0958", "+442079460958"), (None, SARAH), ("", SARAH)],
)
def test_another_number_may_be_given_as_it_is_said(desk: Desk, given: str | None, kept: str) -> None:
    output = desk.does("book_appointment", date=TUESDAY, time="14:30", phone=given)
    assert desk.kept[f"organisations/org_1/appointments/{output['id']}"]["phone"] == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"date": SUNDAY}, "We're closed on Sundays. We could offer Monday the 30th of November at 9 AM, 1 PM or 4:30 PM."),
        ({"time": "18:00"}, "We're open from 9 AM to 5 PM on Tuesdays. We could offer Tuesday the 24th of November at 3:30 PM, 4 PM or 4:30 PM."),
        ({"date": "2026-11-20"}, "That day has passed. We could offer tomorrow"),
        ({"phone": "12"}, "That is no phone number."),
        ({"email": "nobody"}, "email: "),
        ({"date": "someday"}, "date: "),
        ({"calendar": "other"}, "There is no such calendar."),
        ({"instead_of": "apt_other"}, "I can't find such an appointment under your number."),
    ],
)  # fmt: skip
def test_a_refusal_is_a_sentence_with_other_times(desk: Desk, arguments: dict[str, Any], words: str) -> None:
    desk.clock.time = datetime.fromisoformat("2026-11-22T12:00:00-05:00")
    error = desk.refuses("book_appointment", **{"date": TUESDAY, "time": "14:30", **arguments})
    assert error.startswith(words)


def test_a_taken_time_comes_with_the_nearest_ones(desk: Desk) -> None:
    desk.does("book_appointment", date=TUESDAY, time="14:30", caller=TOM)
    assert desk.refuses("book_appointment", date=TUESDAY, time="14:30") == (
        "That time is taken. We could offer Tuesday the 24th of November at 1:30 PM, 2 PM or 3 PM."
    )


def test_free_times_are_few_and_said(desk: Desk) -> None:
    output = desk.does("free_times", date=TUESDAY)
    assert output["says"] == "We could offer Tuesday the 24th of November at 9 AM, 1 PM or 4:30 PM."
    assert output["fits"]
    assert len(output["times"]) == 16
    assert output["times"][0] == "2026-11-24 09:00"
    morning = desk.does("free_times", date=TUESDAY, to_date="2026-11-26", part_of_day="morning")
    assert morning["says"] == "We could offer Tuesday the 24th of November at 9 AM, 10 AM or 11:30 AM."
    evening = desk.does("free_times", date=TUESDAY, part_of_day="evening")
    assert not evening["fits"]
    assert evening["says"].startswith("We have nothing free in the evening then. We could offer Tuesday")


def test_free_times_tell_whether_one_fits(desk: Desk) -> None:
    desk.does("book_appointment", date=TUESDAY, time="14:30", caller=TOM)
    taken = desk.does("free_times", date=TUESDAY, time="14:30")
    assert (taken["fits"], taken["times"]) == (False, ["2026-11-24 13:30", "2026-11-24 14:00", "2026-11-24 15:00"])
    assert taken["says"].startswith("That time is taken. We could offer")
    free = desk.does("free_times", date=TUESDAY, time="15:00")
    assert (free["fits"], free["says"]) == (True, "Tuesday the 24th of November at 3 PM is free.")
    sunday = desk.does("free_times", date=SUNDAY)
    assert (sunday["fits"], sunday["says"].partition(".")[0]) == (False, "We're closed on Sundays")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    ("day", "words"),
    [("0001-01-01", "That day has passed."), ("9999-12-31", "We take appointments up to 365 days ahead.")],
)
def test_days_at_the_ends_of_the_calendar_are_refused_like_others(desk: Desk, zone: str, day: str, words: str) -> None:
    desk.organisation = desk.organisation.model_copy(update={"time_zone": zone})
    for time in ({}, {"time": "10:00"}, {"time": "23:59"}):
        output = desk.does("free_times", date=day, **time)
        assert output["says"].startswith(f"{words} We could offer ")
        desk.does("free_times", date="0001-01-01", to_date=day, **time)
    assert desk.refuses("book_appointment", date=day, time="10:00").startswith((words, "That is no day"))


def test_a_caller_s_appointments_are_found(desk: Desk) -> None:
    assert desk.does("list_appointments")["count"] == 0
    first = desk.does("book_appointment", date=TUESDAY, time="14:30")
    desk.does("book_appointment", date="2026-11-25", time="09:00")
    desk.does("book_appointment", date=TUESDAY, time="10:00", caller=TOM)
    found = desk.does("list_appointments")
    assert (found["count"], found["id"], found["date"], found["time"]) == (2, first["id"], TUESDAY, "14:30")
    assert found["says"] == "Your next appointment is on Tuesday the 24th of November at 2:30 PM."


def test_a_caller_who_withholds_the_number_sees_what_this_conversation_booked(desk: Desk) -> None:
    desk.does("book_appointment", caller="", conversation="cnv_a", date=TUESDAY, time="14:30")
    assert desk.does("list_appointments", caller="", conversation="cnv_a")["count"] == 1
    assert desk.does("list_appointments", caller="", conversation="cnv_b")["count"] == 0


@pytest.mark.parametrize("how", [{}, {"date": TUESDAY}, {"date": TUESDAY, "time": "14:30"}, {"time": "14:30"}])
def test_cancels_the_one_that_is_meant_and_once_per_key(desk: Desk, how: dict[str, Any]) -> None:
    booked = desk.does("book_appointment", date=TUESDAY, time="14:30")
    for _ in range(2):
        output = desk.does("cancel_appointment", key="cnv_9:cancel:1", **how)
        assert output["id"] == booked["id"]
        assert output["says"] == "Your appointment on Tuesday the 24th of November at 2:30 PM is cancelled."
    assert desk.refuses("cancel_appointment", **how) == "I can't find such an appointment under your number."
    assert desk.refuses("cancel_appointment", id=booked["id"]) == "That appointment has been cancelled already."


@pytest.mark.parametrize("caller", ["anonymous", "Restricted", "+266696687", "+7378742833", "sip:anybody@example.com"])
def test_those_who_withhold_their_number_are_not_one_and_the_same(desk: Desk, caller: str) -> None:
    booked = desk.does(
        "book_appointment", caller=caller, phone=caller, date=TUESDAY, time="14:30", conversation="cnv_a"
    )
    assert desk.kept[f"organisations/org_1/appointments/{booked['id']}"]["phone"] == ""
    assert desk.does("list_appointments", caller=caller)["count"] == 0
    assert "can't find" in desk.refuses("cancel_appointment", caller=caller, id=booked["id"])
    assert desk.does("cancel_appointment", caller=caller, conversation="cnv_a")["id"] == booked["id"]


def test_cancelling_asks_which_one_when_there_are_several(desk: Desk) -> None:
    desk.does("book_appointment", date=TUESDAY, time="14:30")
    desk.does("book_appointment", date=TUESDAY, time="16:00")
    assert desk.refuses("cancel_appointment", date=TUESDAY).startswith("You have more than one appointment: on Tuesday")
    assert desk.does("cancel_appointment", date=TUESDAY, time="16:00")["time"] == "16:00"


def test_nobody_cancels_or_moves_somebody_else_s(desk: Desk) -> None:
    booked = desk.does("book_appointment", date=TUESDAY, time="14:30")
    for caller in (TOM, ""):
        none = "I can't find such an appointment under your number."
        assert desk.refuses("cancel_appointment", caller=caller, id=booked["id"]) == none
        assert desk.refuses("cancel_appointment", caller=caller, date=TUESDAY, time="14:30") == none
        moved = {"date": TUESDAY, "time": "16:00", "instead_of": booked["id"]}
        assert desk.refuses("book_appointment", caller=caller, **moved) == none
    assert desk.does("list_appointments")["count"] == 1


def test_moves_an_appointment(desk: Desk) -> None:
    booked = desk.does("book_appointment", date=TUESDAY, time="14:30")
    moved = desk.does("book_appointment", date=TUESDAY, time="16:00", instead_of=booked["id"])
    assert desk.does("list_appointments")["appointments"] == [{name: moved[name] for name in ("id", "date", "time")}]


def test_only_what_acts_waits(desk: Desk) -> None:
    tools = asyncio.run(desk.ports.tools.offered(desk.organisation))
    assert {name for name, tool in tools.items() if tool.acts} == {"book_appointment", "cancel_appointment"}
