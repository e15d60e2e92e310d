"""The reply is prepared while nobody knows yet whether the caller is done, and leaves no trace if they weren't."""

from typing import Any

import pytest

from domain.ports import ToolRequest, Unavailable
from tests.calls import test_trouble_stories
from tests.calls.test_booking_stories import books
from tests.calls.test_trouble_stories import folded, stored_state, with_tool
from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold


def prompted(*answers: Any) -> Lab:
    """An agent that gives its callers always the same time."""
    lab = test_trouble_stories.prompted(*answers)
    lab.change(listening={"shortest_silence_ms": 600})
    return lab


async def asks(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("what are your opening hours")
    await caller.listens()
    caller.hangs_up()


async def asks_and_goes_on(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("where is my parcel")
    await caller.quiet(300)
    await caller.says("no my letter")
    await caller.listens()
    caller.hangs_up()


def test_the_reply_is_made_while_the_silence_still_runs() -> None:
    lab = prompted(["Hello."], [0.3, "From nine to five."])
    hold(asks, lab)
    fall = lab.turns()[1].waterfall
    # 200 ms until the VAD lets go, 300 for the model, 100 for the voice: done as the turn settles.
    assert (fall.drafted_ms, fall.reply_ready_ms) == (200, 500)
    assert fall.settled_ms == fall.first_audio_sent_ms
    assert fall.settled_ms == 600


def test_the_reply_begins_at_the_first_quiet_if_the_words_are_known() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.word_ms = 200
        await caller.listens()
        await caller.says("what are your opening hours", ms=1600)
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], [0.3, "From nine to five."])
    hold(story, lab)
    fall = lab.turns()[1].waterfall
    assert (fall.drafted_ms, fall.final_ms, fall.reply_ready_ms, fall.first_audio_sent_ms) == (40, 200, 340, 600)
    assert lab.turns()[1].discarded_drafts == 0


def test_without_drafts_the_reply_begins_once_the_turn_has_settled() -> None:
    lab = prompted(["Hello."], [0.3, "From nine to five."])
    lab.change(listening={"shortest_silence_ms": 600, "drafts": 0})
    hold(asks, lab)
    fall = lab.turns()[1].waterfall
    assert fall.drafted_ms is None
    assert fall.settled_ms is not None
    assert fall.first_audio_sent_ms == fall.settled_ms + 400


def test_a_caller_who_goes_on_never_learns_of_the_draft() -> None:
    lab = prompted(["Hello."], ["Your parcel is on its way."], ["Your letter, then."])
    hold(asks_and_goes_on, lab)
    brain: Any = lab.brain
    assert lab.dialogue().splitlines() == [
        "agent: Hello.",
        "caller: where is my parcel no my letter",
        "agent: Your letter, then.",
    ]
    assert [remark.text for remark in brain.prompts[-1].remarks] == ["Hello.", "where is my parcel no my letter"]
    assert lab.turns()[1].discarded_drafts == 1
    assert lab.speech.lines == []


def test_a_draft_under_way_is_stopped_when_the_caller_goes_on() -> None:
    lab = prompted(["Hello."], [5.0, "Your parcel is on its way."], ["Your letter, then."])
    hold(asks_and_goes_on, lab)
    brain: Any = lab.brain
    assert brain.cancelled == 1
    assert lab.turns()[1].agent == "Your letter, then."


def test_a_draft_may_look_things_up_but_not_act() -> None:
    book = ToolRequest("c1", "book_appointment", {"date": "2026-12-01", "time": "10:00"})
    lab = prompted(["Hello."], [book], [book], ["Booked."])
    lab.change(tools=["check_order_status", "book_appointment"], flow=with_tool("book_appointment"))

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my parcel")
        await caller.quiet(300)
        assert lab.appointments() == []
        await caller.says("no my letter")
        assert lab.appointments() == []
        await caller.listens()
        caller.hangs_up()

    hold(story, lab)
    assert len(lab.appointments()) == 1
    assert lab.turns()[1].agent == "Booked."


def test_a_look_up_is_done_by_the_time_the_turn_settles() -> None:
    look_up = ToolRequest("c1", "check_order_status", {"order_number": "47129"})
    lab = prompted(["Hello."], [look_up], ["It arrives tomorrow."])
    hold(asks, lab)
    fall = lab.turns()[1].waterfall
    assert fall.settled_ms == fall.first_audio_sent_ms
    assert lab.turns()[1].tools == ("check_order_status",)


@pytest.mark.parametrize("problem", [[Unavailable("down")], [0.1, Unavailable("down")]])
def test_a_draft_that_fails_is_tried_again_once_the_turn_has_settled(problem: list[Any]) -> None:
    lab = prompted(["Hello."], problem, ["From nine to five."])
    hold(asks, lab)
    turn = lab.turns()[1]
    assert turn.agent == "From nine to five."
    assert turn.discarded_drafts == 1


def test_words_that_the_final_transcript_adds_make_another_draft() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.word_ms = 200
        await caller.listens()
        await caller.says("where is my parcel please", ms=900)  # its last word is heard only in the end
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], ["It is on its way."], ["It is on its way, still."])
    hold(story, lab)
    brain: Any = lab.brain
    assert brain.prompts[-1].remarks[-1].text == "where is my parcel please"
    [_, turn] = lab.turns()
    assert turn.caller == "where is my parcel please"
    assert turn.discarded_drafts == 1
    assert len(turn.replies) == 1


def test_an_unfinished_sentence_makes_no_draft() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("my number is")
        await caller.quiet(400)
        brain: Any = lab.brain
        assert len(brain.prompts) == 1
        await caller.says("four seven one")
        await caller.listens()
        caller.hangs_up()

    hold(story, prompted(["Hello."], ["Thank you."]))


def test_a_key_throws_the_draft_away() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("next tuesday")
        await caller.quiet(300)
        caller.presses("1")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story)
    assert lab.turns()[1].keys == "1"
    assert lab.turns()[1].discarded_drafts == 1


def test_a_line_lost_during_a_draft_goes_on_over_another() -> None:
    async def lost(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("what are your opening hours")
        await caller.quiet(300)
        caller.hangs_up()

    async def goes_on(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("hello")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], ["Never heard."], ["What can I do for you?"], ["Hello again."])
    hold(lost, lab)
    hold(goes_on, lab)
    assert "Never heard." not in lab.dialogue()
    assert lab.dialogue().endswith("caller: hello\nagent: Hello again.")


def test_a_conversation_with_drafts_can_be_folded() -> None:
    lab = hold(books)
    assert any(turn.waterfall.drafted_ms for turn in lab.turns())
    assert folded(lab) == stored_state(lab)


def test_a_caller_who_is_silent_after_a_drafted_reply_is_asked_for() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.word_ms = 200
        await caller.listens()
        await caller.says("what are your opening hours", ms=1600)
        await caller.listens()
        await caller.quiet(12_000)
        caller.hangs_up()

    lab = prompted(["Hello."], ["From nine to five."])
    hold(story, lab)
    assert lab.turns()[1].waterfall.drafted_ms == 40
    assert lab.turns()[1].agent == "From nine to five. Are you still there?"


def test_words_that_come_after_the_silence_may_ask_for_more_of_it() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.late_s = 0.5  # later than the turn would settle
        await caller.listens()
        await caller.says("my number is")
        await caller.quiet(500)
        await caller.says("four seven one two nine")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], ["Thank you."], ["Thank you."])
    hold(story, lab)
    assert [turn.caller for turn in lab.turns()][1] == "my number is four seven one two nine"


def test_words_that_come_a_little_after_the_pause_are_drafted_before_the_end_of_speech() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.word_ms, lab.speech.partials_late_s = 150, 0.06
        await caller.listens()
        await caller.says("what are your opening hours", ms=960)
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], ["From nine to five."], ["From nine to five."])
    hold(story, lab)
    assert lab.turns()[1].waterfall.drafted_ms == 120


def test_what_a_discarded_draft_cost_is_in_the_turn() -> None:
    lab = prompted(["Hello."], ["Your parcel is on its way."], ["Your letter, then."])
    hold(asks_and_goes_on, lab)
    turn = lab.turns()[1]
    assert (turn.discarded_drafts, turn.prompt_tokens) == (1, 200)
