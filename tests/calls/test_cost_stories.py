"""What a model cost is in the turns, whatever became of its words."""

from typing import Any

import pytest

from domain.acts import Record
from domain.conversation import Conversation
from domain.fallback import FallbackBrain, Provider
from domain.ports import Brain, Unavailable, Usage
from schemas import signals as s
from tests.calls.test_draft_stories import asks, asks_and_goes_on, prompted
from tests.calls.test_trouble_stories import folded, stored_state
from tests.fakes.caller import Caller
from tests.fakes.lab import ORGANISATION, Lab, hold
from tests.fakes.scripted_brain import ScriptedBrain

BEGUN = Usage(prompt=40, reply=3)
"""What a reply has cost by its first words."""


def costs(lab: Lab) -> list[tuple[int, int]]:
    """Of each turn: the prompt's tokens and the reply's."""
    return [(turn.prompt_tokens, turn.reply_tokens) for turn in lab.turns()]


def test_a_draft_that_is_thrown_away_amidst_its_words_costs_what_was_told_by_then() -> None:
    lab = prompted(["Hello."], [BEGUN, "Your parcel ", 5.0, "is on its way."], ["Your letter, then."])
    hold(asks_and_goes_on, lab)
    brain: Any = lab.brain
    assert brain.cancelled == 1
    assert lab.turns()[1].discarded_drafts == 1
    assert costs(lab) == [(100, 10), (140, 13)]
    assert folded(lab) == stored_state(lab)


def test_each_of_several_drafts_counts_once() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        for words in ("where is my parcel", "no my letter", "and my newspaper"):
            await caller.says(words)
            await caller.quiet(300)
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], [BEGUN, 5.0, "Your parcel."], ["Your letter."], [Usage(prompt=60), "Both."])
    hold(story, lab)
    assert lab.turns()[1].discarded_drafts == 2
    assert costs(lab) == [(100, 10), (40 + 100 + 60, 3 + 10)]


def test_a_draft_that_fails_costs_too() -> None:
    lab = prompted(["Hello."], [BEGUN, 0.1, Unavailable("down")], ["From nine to five."])
    hold(asks, lab)
    assert costs(lab) == [(100, 10), (140, 13)]


def test_a_draft_that_nobody_waited_for_is_in_the_last_turn() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("forget it")
        await caller.quiet(300)
        caller.hangs_up()

    lab = prompted(["Hello."], [BEGUN, 5.0, "As you like."])
    hold(story, lab)
    [greeting] = lab.turns()
    assert (greeting.discarded_drafts, greeting.prompt_tokens, greeting.reply_tokens) == (1, 140, 13)
    assert folded(lab) == stored_state(lab)
    *signals, lost = journal(lab)
    assert isinstance(lost, s.Lost)
    deaf = [s.Deaf(at=lost.at, why="down"), s.Finished(at=lost.at, reply=3)]  # the same when we have to give up
    assert spent(lab, [*signals, *deaf]) == (140, 13)


def test_a_reply_that_is_interrupted_costs_what_was_told_by_then() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=800)
        await caller.says("stop")
        await caller.listens()
        caller.hangs_up()

    lab = prompted([BEGUN, "One two three four five six. ", 30.0, "Never said."], ["Yes?"])
    hold(story, lab)
    assert costs(lab) == [(40, 3), (100, 10)]


def test_so_does_one_that_is_interrupted_before_its_first_word() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my parcel")
        await caller.quiet(1200)
        await caller.says("and my newspaper")
        await caller.listens()
        caller.hangs_up()

    lab = prompted(["Hello."], [BEGUN, 5.0, "Never said."], ["Both."])
    lab.change(listening={"shortest_silence_ms": 600, "drafts": 0})
    hold(story, lab)
    assert costs(lab) == [(100, 10), (40, 3), (100, 10)]


@pytest.mark.parametrize("words", ["", "We are open from ", "We are open. From "])
def test_a_model_that_failed_costs_too(words: str) -> None:
    lab = prompted(["Hello."], [words, BEGUN, Unavailable("down")])
    lab.change(listening={"shortest_silence_ms": 600, "drafts": 0})
    hold(asks, lab)
    assert costs(lab)[1] == (40, 3)


def test_one_that_was_spoken_for_costs_besides_the_one_that_spoke() -> None:
    first = ScriptedBrain(["Hello."], ["We are open from ", BEGUN, Unavailable("down")])
    second = ScriptedBrain(["From nine to five."])
    lab = prompted()
    lab.brain = FallbackBrain([Provider[Brain]("first", first), Provider[Brain]("second", second)])
    hold(asks, lab)
    assert lab.turns()[1].agent == "From nine to five."
    assert costs(lab) == [(100, 10), (140, 13)]


def test_it_counts_once_whenever_it_is_told() -> None:
    lab = prompted(["Hello."], [BEGUN, "Your parcel ", 5.0, "is on its way."], ["Your letter, then."])
    hold(asks_and_goes_on, lab)
    signals = journal(lab)
    known = spent(lab, signals)
    assert known == (240, 23)
    for reply in range(1, 4):
        for place in range(1, len(signals)):
            late = s.Spent(at=signals[place].at, reply=reply, prompt_tokens=7, reply_tokens=1)
            assert spent(lab, [*signals[:place], late, *signals[place:]]) == (247, 24), (late, signals[place])


def journal(lab: Lab) -> list[s.Signal]:
    kept = sorted(path for path in lab.documents.kept if "/journal/" in path)
    return [signal for path in kept for signal in s.SIGNALS.validate_json(lab.documents.kept[path]["signals"])]


def spent(lab: Lab, signals: list[s.Signal]) -> tuple[int, int]:
    """In all turns that are kept of a call with these signals: the prompts' tokens and the replies'."""
    conversation = Conversation(lab.id, ORGANISATION, lab.version, lab.tools())
    turns = {
        act.turn.number: act.turn for signal in signals for act in conversation.step(signal) if isinstance(act, Record)
    }
    return sum(turn.prompt_tokens for turn in turns.values()), sum(turn.reply_tokens for turn in turns.values())
