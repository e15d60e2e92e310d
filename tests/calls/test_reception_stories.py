"""Calls with the reception: where callers are brought to, by words or keys, and what a person is told of them."""

from datetime import timedelta

import pytest

from domain import acts as a
from offhook.seed import demo_version
from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold
from tests.fakes.ports import NOW

HOURS = "The front desk is open Monday to Friday"
TOPIC = "What is it about: a delivery, a bill, or something else?"


def reception() -> Lab:
    """With the two agents that it hands over to."""
    lab = Lab("reception")
    lab.team = {f"agt_demo_{name}": demo_version(f"agt_demo_{name}", name, NOW) for name in ("booking", "orders")}
    return lab


def call(*lines: str, lab: Lab | None = None, dial_status: str = "") -> Lab:
    """A caller who says or presses these, one after the other, and then waits."""

    async def story(lab: Lab, caller: Caller) -> None:
        for line in lines:
            await caller.listens()
            if line.startswith("#"):
                caller.presses(line[1:])
            else:
                await caller.says(line)

    return hold(story, lab or reception(), dial_status)


def agents_words(lab: Lab) -> list[str]:
    return [turn.agent for turn in lab.turns() if turn.agent]


def put_through(lab: Lab) -> a.PutThrough:
    act = lab.outcomes[-1].act
    assert isinstance(act, a.PutThrough)
    return act


@pytest.mark.parametrize("wish", ["#1", "appointments", "i need an appointment"])
def test_the_booking_agent_takes_over(wish: str) -> None:
    lab = call(wish, "on tuesday", "#9")
    assert lab.turns()[1].agent.startswith("I'll hand you over to Willow Dental.")
    assert lab.turns()[1].held_by == "agt_demo_booking"
    assert "What time would suit you?" in lab.turns()[2].agent


@pytest.mark.parametrize("wish", ["#2", "orders"])
def test_the_order_desk_takes_over(wish: str) -> None:
    lab = call(wish, "my order")
    assert "Kettle and Lamp, good day." in lab.turns()[1].agent
    assert "What is your order number?" in lab.turns()[2].agent


@pytest.mark.parametrize("wish", ["#3", "the front desk", "can i talk to a person please"])
def test_a_person_is_told_what_it_is_about(wish: str) -> None:
    lab = call(wish, "a bill")
    assert agents_words(lab)[1:] == [TOPIC, "I'll put you through to the front desk."]
    assert put_through(lab).briefing == "A caller for the front desk, about a bill."
    assert (put_through(lab).number, put_through(lab).way_back) == ("+15005550199", True)


@pytest.mark.parametrize("wish", ["#4", "opening hours"])
def test_the_opening_hours_lead_back_to_the_menu(wish: str) -> None:
    lab = call(wish, "#3")
    assert lab.turns()[1].agent.startswith(HOURS)
    assert "For appointments, press one" in lab.turns()[1].agent
    assert lab.turns()[2].agent.startswith(TOPIC)


@pytest.mark.parametrize("question", ["#4", "when are you open"])
def test_asked_in_between_they_lead_back_to_where_the_caller_was(question: str) -> None:
    lab = call("the front desk", question, "a delivery")
    assert lab.turns()[2].agent.startswith(HOURS)
    assert lab.turns()[2].agent.endswith(TOPIC)
    assert put_through(lab).briefing == "A caller for the front desk, about a delivery."


def test_who_is_never_understood_is_put_through_and_the_person_is_told_that() -> None:
    lab = call("mumble", "mumble", "mumble")
    assert put_through(lab).briefing == "A caller for the front desk. I couldn't find out what it is about."


@pytest.mark.parametrize(
    ("how", "words"), [("declined", "can't take your call just now"), ("no-answer", "nobody answers there")]
)
def test_nobody_at_the_front_desk_leads_back_to_the_menu(how: str, words: str) -> None:
    lab = call("the front desk", "a bill")
    call("appointments", lab=lab, dial_status=how)
    assert any(words in said and "For appointments, press one" in said for said in agents_words(lab))
    assert lab.turns()[-1].held_by == "agt_demo_booking"


@pytest.mark.parametrize(("days", "is_it"), [(0, True), (1, False)])
def test_on_a_sunday_the_caller_is_told_that_the_desk_is_closed(days: int, is_it: bool) -> None:
    lab = reception()
    lab.begins = NOW + timedelta(days=days)
    call(lab=lab)
    assert ("The front desk is closed just now" not in lab.turns()[0].agent) is is_it
