"""A sound while the agent speaks: a word that is meant for it, or a murmur, a noise, an echo."""

import pytest

from domain.ports import Mark, ToolRequest
from tests.calls.test_trouble_stories import folded, prompted, stored_state, with_tool
from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold

GREETING = "Thank you for calling Willow Dental. What day would you like to come in?"


def during_the_greeting(text: str, ms: int, word_ms: int = 0) -> Lab:
    """The caller makes a sound a second and a half into the greeting, and listens to the rest."""

    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.word_ms = word_ms
        await caller.until_agent_speaks(ms=1500)
        await caller.says(text, ms=ms)
        await caller.listens()
        caller.hangs_up()

    return hold(story)


def test_a_murmur_pauses_the_agent_for_a_moment_and_is_no_turn() -> None:
    lab = during_the_greeting("mm-hm", ms=400)
    [greeting] = lab.turns()
    assert greeting.agent == GREETING
    assert not greeting.interrupted
    assert len(greeting.replies) == 1
    assert lab.callers[0].clears == 1
    assert 0 < lab.callers[0].longest_gap_ms <= 700


def test_a_noise_that_is_no_word_pauses_it_too() -> None:
    lab = during_the_greeting("", ms=500)
    [greeting] = lab.turns()
    assert greeting.agent == GREETING
    assert not greeting.interrupted
    assert 0 < lab.callers[0].longest_gap_ms <= 700


def test_a_sound_that_nobody_transcribes_pauses_it_no_longer() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.deaf = True
        await caller.until_agent_speaks(ms=1500)
        await caller.noise(400)
        await caller.listens()
        assert caller.longest_gap_ms <= 700
        caller.hangs_up()

    [greeting] = hold(story).turns()
    assert greeting.agent == GREETING
    assert not greeting.interrupted


def test_what_was_paused_goes_on_where_it_stopped() -> None:
    """Not a millisecond is lost or said twice."""
    plain, paused = during_the_greeting("", ms=100), during_the_greeting("uh huh", ms=400)
    assert plain.callers[0].clears == 0
    assert paused.callers[0].clears == 1
    assert paused.callers[0].sound_heard == plain.callers[0].sound_heard


def test_words_interrupt_as_soon_as_they_are_understood() -> None:
    lab = during_the_greeting("next tuesday at noon please", ms=1500, word_ms=300)
    greeting, answer, *_ = lab.turns()
    assert greeting.interrupted
    assert answer.caller == "next tuesday at noon please"


def test_a_long_sound_interrupts_before_anything_is_understood() -> None:
    lab = during_the_greeting("on friday the fourth of december", ms=2000)
    greeting, answer, *_ = lab.turns()
    assert greeting.interrupted
    assert answer.caller == "on friday the fourth of december"


def test_a_short_answer_into_the_agent_s_words_is_one() -> None:
    lab = during_the_greeting("thursday", ms=400)
    greeting, answer, *_ = lab.turns()
    assert greeting.interrupted
    assert answer.caller == "thursday"
    assert answer.agent == "What time would suit you?"


def test_words_that_are_understood_late_interrupt_late() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.late_s = 0.9
        await caller.until_agent_speaks(ms=1000)
        await caller.says("tomorrow", ms=400)
        await caller.listens()
        caller.hangs_up()

    greeting, answer, *_ = hold(story).turns()
    assert greeting.interrupted
    assert answer.caller == "tomorrow"


def test_the_agent_s_own_words_come_back_as_an_echo() -> None:
    lab = during_the_greeting("thank you for calling", ms=600)
    [greeting] = lab.turns()
    assert greeting.agent == GREETING
    assert not greeting.interrupted


def test_a_murmur_is_forgotten_before_the_answer() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.says("mm-hm", ms=400)
        await caller.listens()
        await caller.says("tomorrow")
        await caller.listens()
        caller.hangs_up()

    greeting, answer, *_ = hold(story).turns()
    assert greeting.agent == GREETING
    assert answer.caller == "tomorrow"


def test_a_murmur_while_the_agent_thinks_lets_it_think_on() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my parcel")
        await caller.quiet(900)
        await caller.says("mm-hm", ms=400)
        await caller.listens(quiet_ms=2000)
        caller.hangs_up()

    lab = prompted(["Hello."], [2.5, "On its way."], [1.0, "It is on its way."])
    hold(story, lab)
    assert [turn.caller for turn in lab.turns()] == ["", "where is my parcel"]
    assert lab.turns()[1].agent.endswith("It is on its way.")


def test_a_key_decides_at_once() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.says("mm-hm", ms=300)
        caller.presses("1")
        await caller.listens()
        caller.hangs_up()

    greeting, answer, *_ = hold(story).turns()
    assert greeting.interrupted
    assert answer.keys == "1"


def test_a_murmur_at_the_very_end_of_what_is_said_delays_nothing() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=4100)
        await caller.says("mm-hm", ms=400)
        await caller.listens()
        await caller.says("tomorrow")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story)
    assert lab.turns()[0].agent == GREETING
    assert any("tomorrow" in turn.caller for turn in lab.turns())


def test_a_mark_from_before_the_pause_proves_nothing() -> None:
    """A `clear` returns all marks; what they stood behind was not played."""

    class Hasty(Caller):
        async def clear(self) -> None:
            await super().clear()
            self.sends(Mark("1.0.0"))

    lab = Lab()
    lab.caller = Hasty

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.says("next tuesday", ms=1200)
        await caller.listens()
        caller.hangs_up()

    hold(story, lab)
    assert lab.turns()[0].agent == "Thank you for calling Willow"


def test_a_conversation_with_pauses_can_be_folded() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.says("mm-hm", ms=400)
        await caller.listens()
        await caller.says("tomorrow")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story)
    assert folded(lab) == stored_state(lab)


def test_a_murmur_just_before_the_end_of_what_is_said_is_no_turn() -> None:
    for before_the_end_ms in (60, 140, 220):

        async def story(lab: Lab, caller: Caller, ms: int = before_the_end_ms) -> None:
            await caller.until_agent_speaks(ms=4200 - ms)
            await caller.says("mm-hm", ms=400)
            await caller.quiet(1500)
            await caller.says("tomorrow")
            await caller.quiet(2500)
            caller.hangs_up()

        lab = hold(story)
        assert [turn.caller for turn in lab.turns()] == ["", "tomorrow"], before_the_end_ms


def test_a_murmur_that_is_understood_after_the_end_of_what_is_said_is_forgotten() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        lab.speech.late_s = 1.2
        await caller.until_agent_speaks(ms=3000)
        await caller.says("mm-hm", ms=400)
        await caller.listens(quiet_ms=1500)
        lab.speech.late_s = 0.0
        await caller.says("tomorrow")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story)
    assert [turn.caller for turn in lab.turns()] == ["", "tomorrow"]


@pytest.mark.parametrize("words", ["no wait stop", "mm-hm"])
def test_nothing_that_acts_is_begun_while_the_agent_hesitates(words: str) -> None:
    """What the caller means by the sound may be: don't."""

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("please book ten on the first of december")
        await caller.until_agent_speaks(ms=300)
        await caller.says(words, ms=500)
        await caller.listens(quiet_ms=2500)
        caller.hangs_up()

    book = ToolRequest("c1", "book_appointment", {"date": "2026-12-01", "time": "10:00"})
    lab = prompted(
        ["Hello."], ["Let me book that for you right away, it takes a second. ", 1.2, book], ["Yes."], ["Yes."]
    )
    lab.change(tools=["check_order_status", "book_appointment"], flow=with_tool("book_appointment"))
    hold(story, lab)
    assert len(lab.appointments()) == (0 if words == "no wait stop" else 1)
