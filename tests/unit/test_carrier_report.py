"""What is said of a call that is over."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from offhook.carrier.call import ANYBODY, Call, Forgery, Note
from offhook.carrier.carrier import Carrier
from offhook.carrier.handset import Passage, Utterance
from offhook.carrier.person import Human
from offhook.carrier.report import Report
from offhook.carrier.script import parse
from offhook.carrier.violation import Violation
from schemas.conversation import FullConversation, Message, Turn, Waterfall


def over(**changes: Any) -> Call:
    """A call in which "next tuesday" was said from 4 to 5 s, and answered at 5.6 s."""

    async def make() -> Call:
        return Call(
            Carrier("http://h").account,
            "+15005550001",
            "+1",
            {ANYBODY: Human()},
            Forgery(),
            None,
            lambda call, note: None,
        )

    call = asyncio.run(make())
    call.phone.said.append(Utterance("next tuesday", 4000, 5000))
    call.phone.heard.append(Passage(5600, bytearray(b"\x10" * 800)))
    call.log.append(Note(4000, "caller", "next tuesday"))
    for name, value in changes.items():
        setattr(call, name, value)
    return call


CONVERSATION = FullConversation(
    id="cnv_1",
    organisation="org_1",
    agent="agt_1",
    version=1,
    channel="phone",
    started_at=datetime(2026, 11, 21, tzinfo=UTC),
    state="ended",
    outcome="booked",
    turns=(
        Turn(number=0, at_ms=0, node="start", agent="What day?", waterfall=Waterfall(first_audio_sent_ms=0)),
        Turn(
            number=1,
            at_ms=4000,
            node="ask",
            caller="Next Tuesday",
            agent="What time?",
            waterfall=Waterfall(speech_end_ms=5050, final_ms=160, first_audio_sent_ms=500),
        ),
    ),
)
MESSAGES = [
    Message(role="agent", text="What day?", at_ms=20, turn=0),
    Message(role="caller", text="Next Tuesday", at_ms=4000, turn=1),
    Message(role="agent", text="What", at_ms=5550, turn=1, interrupted=True),
]


def report(expect: str = "{}", call: Call | None = None, **how: Any) -> Report:
    script = parse(f'to: "+15005550001"\nexpect: {expect}', "mine")
    known: dict[str, Any] = {"conversation": CONVERSATION, "messages": MESSAGES, "booked": 1, **how}
    return Report(script, "slt", None, call or over(), known.pop("missed", ""), **known)


def test_what_was_expected_and_came_is_met() -> None:
    everything = "{ended: agent, outcome: booked, says: [day, what], caller: [tuesday], appointments: 1}"
    assert report(everything).differences == []
    assert report().met


def test_each_difference_is_named() -> None:
    assert report("{ended: caller}").differences == ["the call was ended by agent, not by caller"]
    assert report("{outcome: silence}").differences == ["the outcome is 'booked', not 'silence'"]
    assert report("{dialled: '+2'}").differences == ["+2 was not dialled; nobody was"]
    assert report("{says: [goodbye]}").differences == ["the agent didn't say 'goodbye'"]
    assert report("{says: [what time, what day]}").differences == ["the agent didn't say 'what time'"]
    assert report("{says: ['^What$', day]}").differences == ["the agent didn't say '^What$'"]
    assert report("{says: ['^What$']}").differences == ["the agent didn't say '^What$'"]
    assert report("{caller: [friday]}").differences == ["the agent didn't hear 'friday'"]
    assert report("{appointments: 2}").differences == ["1 appointments were booked, not 2"]


def test_messages_are_searched_in_order() -> None:
    assert report("{says: [what, what]}").met
    assert report("{says: [day, day]}").differences == ["the agent didn't say 'day'"]


def test_a_violation_and_a_script_cut_short_are_differences_whatever_was_expected() -> None:
    call = over(violations=[Violation(100, 31951, "not JSON")])
    found = report(call=call, missed="the call ended at step 2 of 4").differences
    assert found == ["protocol violation 31951: not JSON", "the call ended at step 2 of 4"]


def test_what_can_t_be_checked_is_not_taken_for_met() -> None:
    unread: dict[str, Any] = {"conversation": None, "messages": [], "booked": None, "unread": "no key"}
    assert report("{ended: agent}", **unread).met
    assert report("{says: [day]}", **unread).differences == [
        "what the platform wrote down could not be checked: no key"
    ]


def test_the_transcript_has_both_sides_in_order() -> None:
    assert report().transcript().splitlines() == [
        "    0.0 s  agent    What day?",
        "    4.0 s  caller   next tuesday",
        "    5.5 s  agent    What —",
    ]


def test_the_platform_s_times_stand_beside_the_carrier_s() -> None:
    table = report().table()
    cells = {column.header: list(column.cells) for column in table.columns}
    assert cells["the caller said"] == ["next tuesday"]
    assert (cells["understood"], cells["final"], cells["heard"]) == (["Next Tuesday"], ["160"], ["600"])


def test_everything_goes_into_one_json_object() -> None:
    found = json.loads(json.dumps(report("{ended: agent}").json()))
    assert found["met"]
    assert found["exchanges"] == [
        {"text": "next tuesday", "start_ms": 4000, "end_ms": 5000, "gap_ms": 600, "cut_ms": None}
    ]
    assert found["turns"][1]["waterfall"]["final_ms"] == 160
    assert found["understood"] == ["Next Tuesday"]
