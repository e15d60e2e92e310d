"""Calls in which something goes wrong: the caller is never left in silence, and nothing said is lost."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.builtin_tools import BuiltinTools
from adapters.paced_voice import PacedVoice
from domain.conversation import Conversation
from domain.past import path_of
from domain.ports import Junk, Spoken, ToolRequest, Unavailable, VoiceStyle
from domain.state import State
from schemas.organisation import Organisation
from schemas.signals import SIGNALS
from schemas.tool import ToolCall, ToolResult
from tests.calls.test_booking_stories import books, books_until_confirmation
from tests.fakes.caller import Caller
from tests.fakes.lab import ORGANISATION, Lab, hold
from tests.fakes.scripted_brain import ScriptedBrain

PROMPTED = {
    "start": "start",
    "variables": [{"name": "order_number", "kind": "digits", "digits": [5, 5]}],
    "nodes": [
        {"id": "start", "type": "start", "edges": [{"to": "talk"}]},
        {
            "id": "talk",
            "type": "conversation",
            "prompt": "Help with orders.",
            "tools": ["check_order_status"],
            "edges": [
                {"to": "bye", "when": "prompt", "condition": "the caller is done"},
                {"to": "talk", "when": "always"},
            ],
            "welcome": ["order_number"],
        },
        {"id": "human", "type": "transfer", "anywhere": [{"when": "event", "condition": "human"}]},
        {"id": "bye", "type": "end", "say": "Goodbye then."},
    ],
}


def prompted(*answers: Any) -> Lab:
    """A lab whose agent's only node is the model's."""
    lab = Lab("orders", brain=ScriptedBrain(*answers))
    lab.change(flow=PROMPTED)
    return lab


def test_the_model_speaks_acts_and_speaks_again() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is four seven one two nine and hurry")
        await caller.listens()
        await caller.says("that is all")

    look_up = ToolRequest("c1", "check_order_status", {"order_number": "47129"}, opaque="c2ln")
    lab = prompted(
        ["How can I ", "help?"],
        ["Let me see. ", look_up],
        ["It arrives tomorrow. ", "Anything else?"],
        [ToolRequest("c2", "go_on", {"which": "0"})],
    )
    hold(story, lab)
    assert lab.dialogue().splitlines() == [
        "agent: How can I help?",
        "caller: where is four seven one two nine and hurry",
        "agent: Let me see. It arrives tomorrow. Anything else?",
        "caller: that is all",
        "agent: Goodbye then.",
    ]
    brain: Any = lab.brain
    asked_again = brain.prompts[2].remarks
    assert [remark.role for remark in asked_again] == ["agent", "caller", "request", "result"]
    assert asked_again[2].opaque == "c2ln"
    assert asked_again[3].result.output == {"status": "left our warehouse this morning and arrives tomorrow"}
    assert lab.turns()[1].prompt_tokens == 200


def test_the_model_can_only_call_what_the_node_offers() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("book me something")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], [ToolRequest("c1", "book_appointment", {"date": "2026-12-01"})], ["I can't do that."])
    hold(story, lab)
    assert lab.appointments() == []
    assert lab.dialogue().endswith("agent: I can't do that.")


def test_a_slow_model_is_covered_by_a_filler() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("hello")
        await caller.listens(quiet_ms=4000)
        caller.hangs_up()

    lab = prompted(["Hello."], [5.0, "Here I am."])
    hold(story, lab)
    assert lab.turns()[1].agent == "One moment, please. Here I am."


def test_a_model_that_never_answers_ends_in_a_transfer_not_in_silence() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("hello")

    lab = prompted(["Hello."], [600.0])
    hold(story, lab)
    said = lab.turns()[1].agent
    assert said.startswith("One moment, please. I'm sorry, this is taking longer than it should.")
    assert "something went wrong" in said
    act: Any = lab.outcomes[0].act
    assert act.number == "+15005550199"
    assert act.outcome.startswith("failed")


@pytest.mark.parametrize("answer", [[Unavailable("down")], []])
def test_a_model_that_fails_or_says_nothing_is_spoken_for(answer: list[Any]) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("hello")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], answer)
    hold(story, lab)
    assert lab.turns()[1].agent


def test_interrupting_the_model_stops_it_and_keeps_what_was_heard() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=800)
        await caller.says("stop")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["One two three four five six. ", 30.0, "Never said."], ["Yes?"])
    hold(story, lab)
    brain: Any = lab.brain
    assert brain.cancelled == 1
    assert [(remark.role, remark.text) for remark in brain.prompts[1].remarks] == [
        ("agent", "One two three"),
        ("caller", "stop"),
    ]


def test_words_typed_in_the_store_s_absence_are_answered_but_nothing_is_booked() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        lab.documents.frozen = True
        await caller.says("yes please")
        await caller.listens()
        lab.documents.frozen = False
        await caller.listens()
        await caller.says("half past two")
        await caller.listens()
        await caller.says("yes")

    lab = hold(story)
    assert "I'm sorry, I can't book that time." in lab.dialogue()
    assert len(lab.appointments()) == 1
    assert [turn.unconfirmed for turn in lab.turns() if turn.caller == "yes please"] == [True]


def test_the_store_is_waited_for_while_the_voice_begins_and_not_after() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        lab.documents.frozen = True
        await caller.says("no")
        await caller.listens()
        lab.documents.frozen = False

    lab = hold(story, voice=PacedVoice(first_ms=400))
    [turn] = [turn for turn in lab.turns() if turn.caller == "no"]
    waterfall = turn.waterfall
    assert turn.unconfirmed
    assert waterfall.settled_ms is not None
    assert waterfall.first_audio_sent_ms == waterfall.settled_ms + 500


def test_the_journal_survives_a_store_that_fails_for_a_while() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        lab.documents.failing = True
        await caller.says("next tuesday")
        await caller.listens()
        lab.documents.failing = False
        await caller.says("half past two")
        await caller.listens()
        await caller.says("yes")

    lab = hold(story)
    assert len(lab.appointments()) == 1
    assert folded(lab) == stored_state(lab)


class _Broken:
    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        async for _ in text:
            raise Unavailable("no voice")
        yield b""


def test_without_a_voice_the_call_is_handed_on_at_once() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        pass

    lab = hold(story, voice=_Broken())
    act: Any = lab.outcomes[0].act
    assert act.outcome.startswith("failed")


def test_a_recogniser_that_fails_is_asked_again() -> None:
    lab = Lab()
    lab.speech.failing = 2
    hold(books, lab)
    assert len(lab.appointments()) == 1


def test_a_recogniser_that_stays_broken_ends_in_a_transfer() -> None:
    lab = Lab()
    lab.speech.failing = 99

    async def story(lab: Lab, caller: Caller) -> None:
        pass

    hold(story, lab)
    assert "something went wrong" in lab.dialogue()
    act: Any = lab.outcomes[0].act
    assert act.number == "+15005550199"


def test_a_line_full_of_junk_is_ended_politely_and_the_reason_kept() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        for _ in range(60):
            caller.sends(Junk("it is not JSON"))
            await asyncio.sleep(0.01)

    lab = hold(story)
    act: Any = lab.outcomes[0].act
    assert act.outcome == "failed: garbled_line"
    assert "something went wrong" in lab.dialogue()


def test_a_little_junk_is_ignored() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        for _ in range(20):
            caller.sends(Junk("it is not JSON"))
        await books(lab, caller)

    assert len(hold(story).appointments()) == 1


def test_another_process_that_took_the_conversation_silences_this_one() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        journal = f"{path_of(ORGANISATION.id, lab.id)}/journal/"
        taken = len([path for path in lab.documents.kept if path.startswith(journal)])
        for number in range(taken, taken + 3):
            lab.documents.kept[f"{journal}{number:08d}"] = {"number": number, "signals": "[]", "snapshot": ""}
        await caller.says("next tuesday")

    lab = hold(story)
    assert lab.outcomes[0].why == "fenced"
    assert "next tuesday" not in lab.dialogue()


def test_a_lost_line_repeats_only_what_was_not_heard() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("next tuesday")
        await caller.until_agent_speaks(ms=650)
        caller.hangs_up()

    async def second(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.hangs_up()

    lab = hold(first)
    hold(second, lab)
    assert lab.turns()[-1].agent == "What time Sorry about that, where were we? would suit you?"


def test_a_farewell_that_was_cut_off_is_said_again_and_the_call_ends() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        await caller.says("yes")
        await caller.until_agent_speaks(ms=2500)
        caller.hangs_up()

    async def second(lab: Lab, caller: Caller) -> None:
        pass

    lab = hold(first)
    assert lab.outcomes[0].act is None
    hold(second, lab)
    act: Any = lab.outcomes[1].act
    assert act.outcome == "booked"
    assert len(lab.appointments()) == 1


def test_nobody_answers_the_transfer_and_the_flow_goes_on() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("speak to a human")

    async def second(lab: Lab, caller: Caller) -> None:
        pass

    lab = hold(first)
    act: Any = lab.outcomes[0].act
    assert act.way_back
    hold(second, lab, dial_status="busy")
    assert lab.dialogue().endswith("I'm sorry, nobody is free right now. Please call again later. Goodbye.")


def test_a_noise_without_end_does_not_silence_the_agent() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.noise(300_000)

    lab = hold(story)
    assert "which day was that?" in lab.dialogue()
    assert lab.outcomes[0].act is not None


def test_sound_that_stops_in_the_middle_of_speech_does_not_silence_the_agent() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.noise(500)
        caller.stalls()
        await asyncio.sleep(200)

    lab = hold(story)
    assert "which day was that?" in lab.dialogue()


def test_a_booked_call_stays_booked_whatever_happens_during_its_goodbye() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        await caller.says("yes please")
        await caller.until_agent_speaks(ms=3000)
        for _ in range(60):
            caller.sends(Junk("it is not JSON"))

    lab = hold(story)
    act: Any = lab.outcomes[0].act
    assert act.outcome == "booked"


def test_a_tool_that_the_model_started_is_told_about_before_the_caller_is_heard() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("book ten on the first of december")
        await caller.says("actually eleven", ms=600)
        await caller.listens()
        caller.hangs_up()

    book = ToolRequest("c1", "book_appointment", {"date": "2026-12-01", "time": "10:00"})
    lab = prompted(["Hello."], [book], ["Booked for ten."])
    slow_tools(lab, 2.0)
    lab.change(tools=["check_order_status", "book_appointment"], flow=with_tool("book_appointment"))
    hold(story, lab)
    brain: Any = lab.brain
    assert [remark.role for remark in brain.prompts[2].remarks][-2:] == ["request", "result"]
    assert "Booked for ten." in lab.dialogue()
    assert [a["time"] for a in lab.appointments()] == ["10:00"]


def test_a_booking_that_comes_with_a_move_is_done_before_the_move() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("book ten on the first of december and that is all")

    book = ToolRequest("c1", "book_appointment", {"date": "2026-12-01", "time": "10:00"})
    move = ToolRequest("c2", "go_on", {"which": "0"})
    lab = prompted(["Hello."], [book, move], [move])
    lab.change(tools=["check_order_status", "book_appointment"], flow=with_tool("book_appointment"))
    hold(story, lab)
    assert len(lab.appointments()) == 1
    assert lab.dialogue().endswith("agent: Goodbye then.")


def test_arguments_that_cannot_be_kept_are_refused_not_fatal() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my order")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], [ToolRequest("c1", "check_order_status", {"order_number": 2**70})], ["I can't find it."])
    hold(story, lab)
    assert lab.dialogue().endswith("agent: I can't find it.")


def test_a_burst_of_keys_keeps_what_was_heard() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        caller.presses("12")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story, agent="orders")
    assert lab.turns()[0].agent == "Kettle and Lamp, good day."


def test_a_write_that_happened_though_it_seemed_to_fail_loses_nothing() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        real = lab.documents.transact
        failures = iter([True, False, True])

        async def deceptive(body: Any) -> Any:
            result = await real(body)
            if next(failures, False):
                raise Unavailable("the answer was lost")
            return result

        lab.documents.transact = deceptive  # type: ignore[method-assign]
        await books(lab, caller)

    lab = hold(story)
    assert lab.outcomes[0].why == ""
    assert len(lab.appointments()) == 1
    assert folded(lab) == stored_state(lab)


def with_tool(name: str) -> dict[str, Any]:
    """The prompted flow, its node offering one more tool."""
    nodes = [
        {**node, "tools": ["check_order_status", name]} if node["id"] == "talk" else node for node in PROMPTED["nodes"]
    ]  # type: ignore[attr-defined, index]
    return {**PROMPTED, "nodes": nodes}


def slow_tools(lab: Lab, seconds: float) -> None:
    """Every tool takes so long."""
    lab.tool_delay_s = seconds


# --- the journal is the truth ---


def folded(lab: Lab) -> dict[str, Any]:
    """The state that all signals of the journal lead to, from nothing."""
    conversation = Conversation(lab.id, ORGANISATION, lab.version, lab.tools())
    journal = f"{path_of(ORGANISATION.id, lab.id)}/journal/"
    for path in sorted(lab.documents.kept):
        if path.startswith(journal):
            conversation.fold(SIGNALS.validate_json(lab.documents.kept[path]["signals"]))
    return conversation.state.model_dump(mode="json")


def stored_state(lab: Lab) -> dict[str, Any]:
    """The last snapshot and the signals after it."""
    conversation = Conversation(lab.id, ORGANISATION, lab.version, lab.tools())
    journal = f"{path_of(ORGANISATION.id, lab.id)}/journal/"
    for path in sorted(lab.documents.kept):
        if path.startswith(journal):
            batch = lab.documents.kept[path]
            conversation.fold(SIGNALS.validate_json(batch["signals"]))
            if batch["snapshot"]:
                conversation.state = State.model_validate_json(batch["snapshot"])
    return conversation.state.model_dump(mode="json")


def test_folding_the_journal_rebuilds_the_conversation() -> None:
    lab = hold(books)
    assert folded(lab) == stored_state(lab)
    assert folded(lab)["ending"]["outcome"] == "booked"


def test_a_voice_without_marks_still_finishes() -> None:
    """Marks that never return cost two seconds, not the call."""

    class Forgetful(Caller):
        async def mark(self, name: str) -> None:
            pass

    lab = Lab()
    lab.caller = Forgetful
    hold(books, lab)
    assert len(lab.appointments()) == 1


def test_a_booking_of_which_nobody_can_tell_is_not_called_impossible() -> None:
    """It may stand: a person sorts it out."""

    class Forgetful(BuiltinTools):
        async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
            await super().run(organisation, call)
            raise Unavailable("the answer was lost")

    lab = Lab()
    ports = lab.ports
    known = ports()
    forgetful = Forgetful(lab.documents, known.clock, known.calendars)
    lab.ports = lambda: dataclasses.replace(ports(), tools=forgetful)  # type: ignore[method-assign]
    hold(books, lab)
    assert len(lab.appointments()) == 1
    assert "can't book" not in lab.dialogue()
    act: Any = lab.outcomes[0].act
    assert act.number == "+15005550199"
    assert "unknown" in act.outcome
