"""Callers who are put through, over real sockets: webhooks, media stream and carrier, with a person at the other end."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters import twilio_telephony
from offhook.carrier.call import Call
from offhook.carrier.handset import Caller, Handset
from offhook.carrier.person import Human
from schemas.conversation import Turn
from tests.fakes.desk import desk
from tests.fakes.memory_documents import MemoryDocuments

NUMBER = "+15005550001"
ROOT = "organisations/org_demo"
VERSION = f"{ROOT}/agents/agt_demo_booking/versions/1"

MENU: Mapping[str, Any] = {
    "id": "menu",
    "type": "menu",
    "say": "Press one.",
    "edges": [{"to": "through", "when": "event", "condition": "key:1"}],
}
DECLINED = {"id": "declined", "type": "end", "say": "Nobody wants to.", "outcome": "declined"}
BUSY = {"id": "busy", "type": "end", "say": "They are busy.", "outcome": "busy"}


def flow(*more: Mapping[str, Any], **transfer: Any) -> dict[str, Any]:
    """A menu whose key 1 leads to a transfer."""
    start = {"id": "start", "type": "start", "edges": [{"to": "menu"}]}
    through = {"id": "through", "type": "transfer", "say": "One moment.", "number": "+15005550199", **transfer}
    return {"start": "start", "nodes": [start, MENU, through, *more]}


def briefed(**ways: str) -> dict[str, Any]:
    """A flow with a warm transfer. By kind of failure: the node that it leads to."""
    names = {"any": "failed"} | {how: f"failed:{how}" for how in ("busy", "declined")}
    edges = [{"to": node, "when": "event", "condition": names[how]} for how, node in ways.items()]
    return flow(DECLINED, BUSY, briefing="A call about an invoice.", edges=edges)


async def presses_one(phone: Handset) -> None:
    await phone.hears(0.2)
    await phone.press("1")


class Story:
    """A call, and what was kept of it."""

    def __init__(self, call: Call, kept: Mapping[str, Any]) -> None:
        self.call = call
        self.entry = kept[f"calls/{call.sid}"]
        path = f"{ROOT}/conversations/{self.entry['conversation']}"
        self.conversation = kept[path]
        turns = [Turn.model_validate(kept[key]) for key in sorted(kept) if key.startswith(f"{path}/turns/")]
        self.agent = " ".join(turn.agent for turn in turns)

    @property
    def carrier(self) -> list[str]:
        """What the carrier's own voice said to the caller."""
        return [note.text.removeprefix("says: ") for note in self.call.log if note.text.startswith("says: ")]


def held(agent_s: Mapping[str, Any], caller: Caller = presses_one, *, agent: Any = None, **how: Any) -> Story:
    """One call to an agent with this flow, from its beginning to its end."""

    async def hold() -> Story:
        documents = MemoryDocuments()
        kept = documents.kept
        async with desk(documents) as here:
            kept[VERSION] = {**kept[VERSION], "tools": ["press_keys"], "flow": agent_s, **(agent or {})}
            call = await here.carrier.call(NUMBER, caller=caller, **how)
            while (story := Story(call, kept)).conversation["state"] != "ended":
                await asyncio.sleep(0.02)
            return story

    story = asyncio.run(hold())
    assert story.call.violations == []
    return story


def test_a_person_hears_what_it_is_about_takes_the_call_and_talks() -> None:
    story = held(briefed(declined="declined"), human=Human(seconds=0.3))
    assert story.call.dialled == ["+15005550199"]
    assert story.call.briefings == ["A call about an invoice. Press any key to take the call, or hang up."]
    assert (story.call.ended, len(story.call.streams)) == ("transfer", 1)
    assert story.entry["accepted"]
    assert story.conversation["outcome"] == "transferred"


@pytest.mark.parametrize("does", ["hangs_up", "waits"])
def test_a_person_who_declines_leaves_the_caller_with_the_flow(does: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_telephony, "DECIDE_S", 1)
    story = held(briefed(declined="declined", any="busy"), human=Human(briefed=does))
    assert "Nobody wants to." in story.agent
    assert (story.call.ended, len(story.call.streams)) == ("agent", 2)
    assert story.conversation["outcome"] == "declined"


@pytest.mark.parametrize(("result", "outcome"), [("busy", "busy"), ("no-answer", "declined")])
def test_each_failure_may_have_a_way_back_of_its_own(result: Any, outcome: str) -> None:
    story = held(briefed(busy="busy", any="declined"), human=Human(result))
    assert story.conversation["outcome"] == outcome
    assert story.agent.endswith("They are busy." if outcome == "busy" else "Nobody wants to.")


@pytest.mark.parametrize("person", [Human("busy"), Human("canceled"), Human(briefed="hangs_up")])
def test_without_a_way_back_the_carrier_says_that_nobody_is_free(person: Human) -> None:
    story = held(briefed(), human=person)
    assert story.carrier == ["I'm sorry, nobody could take your call just now. Goodbye."]
    assert (story.call.ended, len(story.call.streams)) == ("agent", 1)
    assert story.conversation["outcome"].startswith("failed: transfer")


def test_the_fallback_number_is_tried_before_that() -> None:
    fallback = {"fallback_number": "+15005550188"}
    people = {"+15005550188": Human(seconds=0.2)}
    story = held(briefed(), agent=fallback, human=Human("no-answer"), others=people)
    assert story.carrier == ["Nobody answers there. I'll try someone else."]
    assert story.call.dialled == ["+15005550199", "+15005550188"]
    assert story.call.briefings == []
    assert (story.call.ended, story.conversation["outcome"]) == ("transfer", "transferred")


def test_keys_are_pressed_at_the_other_end_and_the_talk_goes_on() -> None:
    nodes = [
        {"id": "start", "type": "start", "say": "Hello.", "edges": [{"to": "keys"}]},
        {
            "id": "keys",
            "type": "function",
            "tool": "press_keys",
            "arguments": {"digits": "1w2#"},
            "edges": [{"to": "end"}],
        },
        {"id": "end", "type": "end", "say": "That was it.", "outcome": "pressed"},
    ]

    async def listens(phone: Handset) -> None:
        await phone.hears()

    story = held({"start": "start", "nodes": nodes}, listens)
    assert story.call.keys == ["1w2#"]
    assert story.agent == "Hello. That was it."
    assert (len(story.call.streams), story.conversation["outcome"]) == (2, "pressed")


def test_out_of_hours_another_number_takes_the_call_without_any_stream() -> None:
    in_three_days = (datetime.now(UTC) + timedelta(days=3)).strftime("%a").lower()
    hours = [{"day": in_three_days, "opens": "09:00", "closes": "17:00"}]

    async def listens(phone: Handset) -> None:
        await asyncio.sleep(5)

    transfer = {"hours": hours, "out_of_hours": {"do": "transfer", "number": "+15005550177"}}
    story = held(briefed(), listens, agent=transfer, human=Human(seconds=0.2))
    assert (story.call.dialled, story.call.streams, story.call.ended) == (["+15005550177"], [], "transfer")
    assert story.conversation["outcome"] == "transferred"
