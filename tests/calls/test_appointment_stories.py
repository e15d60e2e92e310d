"""Calls that don't simply end with a booking: days that are closed, times that are taken, appointments that are given up."""

from typing import Any

from offhook.seed import CALENDAR
from schemas.organisation import Organisation
from schemas.tool import ToolCall, ToolResult
from tests.calls.test_booking_stories import books, books_until_confirmation
from tests.fakes.caller import Caller
from tests.fakes.lab import ORGANISATION, ROOT, Lab, hold
from tests.fakes.ports import StoppedClock, paper_ports

SARAH = "+15005550100"


class Known:
    """The real tools, told who calls."""

    def __init__(self, lab: Lab) -> None:
        self._tools = paper_ports(clock=StoppedClock(), documents=lab.documents).tools
        self.offered = self._tools.offered

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        return await self._tools.run(organisation, call.model_copy(update={"caller": SARAH}))


def practice(**changes: Any) -> Lab:
    """With one chair."""
    lab = Lab()
    lab.tools_of_its_own = Known(lab)
    calendar = CALENDAR.model_copy(update={"capacity": 1, **changes})
    lab.documents.kept[f"{ROOT}/calendars/main"] = calendar.model_dump(mode="json")
    return lab


def says(*lines: str) -> Any:
    async def story(lab: Lab, caller: Caller) -> None:
        for line in lines:
            await caller.listens()
            await caller.says(line)

    return story


def call_again(lab: Lab, *lines: str) -> Lab:
    """Another call, on another day of the same week."""
    lab.id = f"{lab.id}_again"
    return hold(says(*lines), lab)


def booked(lab: Lab) -> list[tuple[str, str]]:
    return sorted((each["date"], each["time"]) for each in lab.appointments() if each["state"] == "booked")


def outcome(lab: Lab) -> str:
    act = lab.outcomes[-1].act
    assert act is not None
    return act.outcome


def test_a_sunday_is_refused_at_once_and_another_day_offered() -> None:
    lab = hold(says("on sunday", "on monday", "at ten o'clock", "yes"), practice())
    assert lab.dialogue().splitlines()[1:6] == [
        "caller: on sunday",
        "agent: We're closed on Sundays. We could offer Monday the 23rd of November at 9 AM, 1 PM or 4:45 PM. "
        "Which day would suit you?",
        "caller: on monday",
        "agent: What time would suit you?",
        "caller: at ten o'clock",
    ]
    assert booked(lab) == [("2026-11-23", "10:00")]


def test_an_offered_time_can_be_taken_in_one_sentence() -> None:
    lab = hold(says("on sunday", "on monday at four thirty", "yes"), practice())
    assert "What time" not in lab.dialogue()
    assert booked(lab) == [("2026-11-23", "16:30")]


def test_what_was_said_of_the_time_stands_for_another_day_unless_it_is_said_anew() -> None:
    lab = hold(says("on sunday at ten o'clock", "on monday", "yes"), practice())
    assert booked(lab) == [("2026-11-23", "10:00")]
    lab = hold(says("on sunday at ten o'clock", "on monday at half past two", "yes"), practice())
    assert booked(lab) == [("2026-11-23", "14:30")]


def test_another_day_and_time_are_taken_together_where_only_the_time_was_asked() -> None:
    lab = hold(says("on friday", "on monday at half past two", "yes"), practice())
    assert booked(lab) == [("2026-11-23", "14:30")]
    lab = practice()
    hold(books, lab)
    call_again(
        lab, "next tuesday", "half past two", "on friday at half past two", "no", "the day", "on monday at ten", "yes"
    )
    assert booked(lab) == [("2026-11-23", "10:00"), ("2026-11-24", "14:30")]


def test_a_taken_time_is_refused_before_it_is_confirmed() -> None:
    lab = practice()
    hold(books, lab)
    call_again(lab, "next tuesday", "half past two", "a quarter to four", "yes")
    assert (
        "agent: That time is taken. We could offer Tuesday the 24th of November at 2 PM, 2:15 PM or 2:45 PM. "
        "What time would suit you?"
    ) in lab.dialogue()
    assert booked(lab) == [("2026-11-24", "14:30"), ("2026-11-24", "15:45")]


def test_a_time_taken_by_another_during_the_call_is_not_booked_twice() -> None:
    lab = practice()
    other = paper_ports(clock=StoppedClock(), documents=lab.documents)

    async def story(_: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        booking = {"date": "2026-11-24", "time": "14:30"}
        call = ToolCall(id="1", tool="book_appointment", arguments=booking, key="cnv_other:1", caller="+15005550101")
        assert (await other.tools.run(ORGANISATION, call)).error is None
        await caller.says("yes")
        await caller.listens()
        await caller.says("a quarter to three")
        await caller.listens()
        await caller.says("yes")

    hold(story, lab)
    assert (
        "agent: One moment, please. I'm sorry, I can't book that time. That time is taken. We could offer Tuesday"
    ) in lab.dialogue()
    assert booked(lab) == [("2026-11-24", "14:30"), ("2026-11-24", "14:45")]


def test_a_correction_to_a_closed_day_is_refused_too() -> None:
    lab = hold(says("next tuesday", "half past two", "no on sunday", "on friday", "yes"), practice())
    assert "agent: We're closed on Sundays." in lab.dialogue()
    assert booked(lab) == [("2026-11-27", "14:30")]


def test_a_caller_cancels() -> None:
    lab = practice()
    hold(books, lab)
    call_again(lab, "i need to cancel my appointment", "yes")
    assert lab.dialogue().splitlines()[-3:] == [
        "agent: You have an appointment on Tuesday the 24th of November at 2:30 PM. Shall I cancel it?",
        "caller: yes",
        "agent: One moment, please. Your appointment on Tuesday the 24th of November at 2:30 PM is cancelled. "
        "Thank you for calling, and goodbye.",
    ]
    assert booked(lab) == []
    assert outcome(lab) == "cancelled"


def test_a_caller_who_is_not_sure_keeps_it() -> None:
    lab = practice()
    hold(books, lab)
    call_again(lab, "cancel my appointment", "no")
    assert booked(lab) == [("2026-11-24", "14:30")]
    assert outcome(lab) == "kept"


def test_a_caller_moves_an_appointment() -> None:
    lab = practice()
    hold(books, lab)
    call_again(lab, "move my appointment", "on friday", "eleven thirty", "yes")
    assert (
        "agent: You have an appointment on Tuesday the 24th of November at 2:30 PM. Which day would be better?"
    ) in lab.dialogue()
    assert booked(lab) == [("2026-11-27", "11:30")]
    assert sorted(each["state"] for each in lab.appointments()) == ["booked", "cancelled"]


def test_who_has_no_appointment_may_book_one() -> None:
    lab = hold(says("i need to cancel my appointment", "on friday", "eleven thirty", "yes"), practice())
    assert "agent: I can't find an appointment under your number. I can book one for you. What day" in lab.dialogue()
    assert booked(lab) == [("2026-11-27", "11:30")]


def test_what_cannot_be_looked_up_is_asked_on_all_the_same() -> None:
    """The time is checked once more when it is booked."""
    lab = practice()
    lab.documents.kept[f"{ROOT}/calendars/main"] = {}  # can't be read

    async def story(_: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("next tuesday")
        await caller.listens()
        lab.documents.kept[f"{ROOT}/calendars/main"] = CALENDAR.model_dump(mode="json")
        await caller.says("half past two")
        await caller.listens()
        await caller.says("yes")

    hold(story, lab)
    assert booked(lab) == [("2026-11-24", "14:30")]
