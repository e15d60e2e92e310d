"""Calls with the booking agent, told as stories, in virtual time."""

from itertools import pairwise

from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold


async def books(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("next tuesday")
    await caller.listens()
    await caller.says("half past two")
    await caller.listens()
    await caller.says("yes please")


def test_books_an_appointment() -> None:
    lab = hold(books)
    assert lab.dialogue().splitlines() == [
        "agent: Thank you for calling Willow Dental. What day would you like to come in?",
        "caller: next tuesday",
        "agent: What time would suit you?",
        "caller: half past two",
        "agent: That is Tuesday the 24th of November at 2:30 PM. Shall I book it?",
        "caller: yes please",
        "agent: One moment, please. You are booked for Tuesday the 24th of November at 2:30 PM. "
        "Thank you for calling, and goodbye.",
    ]
    [appointment] = lab.appointments()
    assert (appointment["date"], appointment["time"], appointment["phone"]) == ("2026-11-24", "14:30", "+15005550100")
    [outcome] = lab.outcomes
    assert outcome.act is not None
    assert outcome.act.outcome == "booked"


def test_every_turn_tells_where_its_time_went() -> None:
    lab = hold(books)
    answered = [turn for turn in lab.turns() if turn.caller]
    assert len(answered) == 3
    for turn in answered:
        fall = turn.waterfall
        stages = [fall.drafted_ms, fall.settled_ms, fall.first_audio_sent_ms, fall.first_audio_played_ms]
        assert all(stage is not None for stage in stages), fall
        assert all(earlier <= later for earlier, later in pairwise(stages)), fall  # type: ignore[operator]
        # A whole answer settles after 0.6 of the agent's 600 ms of silence.
        assert fall.settled_ms == 360
    # The voice takes 100 ms, while the silence still runs.
    assert [turn.waterfall.first_audio_sent_ms for turn in answered] == [360, 360, 360]


def test_one_answer_may_fill_everything() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("i need an appointment next tuesday at half past two")
        await caller.listens()
        await caller.says("yes")

    lab = hold(story)
    assert "What time" not in lab.dialogue()
    assert [appointment["time"] for appointment in lab.appointments()] == ["14:30"]


def test_a_wrong_date_is_corrected_at_the_confirmation() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        await caller.says("no on thursday")
        await caller.listens()
        await caller.says("yes")

    lab = hold(story)
    assert "agent: That is Thursday the 26th of November at 2:30 PM. Shall I book it?" in lab.dialogue()
    assert [appointment["date"] for appointment in lab.appointments()] == ["2026-11-26"]


def test_a_no_asks_what_to_change() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await books_until_confirmation(caller)
        await caller.says("no")
        await caller.listens()
        await caller.says("the time")
        await caller.listens()
        await caller.says("eleven thirty")
        await caller.listens()
        await caller.says("yes")

    lab = hold(story)
    assert [(a["date"], a["time"]) for a in lab.appointments()] == [("2026-11-24", "11:30")]


async def books_until_confirmation(caller: Caller) -> None:
    await caller.listens()
    await caller.says("next tuesday")
    await caller.listens()
    await caller.says("half past two")
    await caller.listens()


def test_an_interrupted_sentence_is_kept_as_far_as_it_was_heard() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.says("next tuesday")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story)
    greeting, answer, *_ = lab.turns()
    assert greeting.interrupted
    # Five words a second and a half at 300 ms a word, and the time the VAD needs to be sure.
    assert greeting.agent == "Thank you for calling Willow"
    assert answer.caller == "next tuesday"
    assert answer.agent == "What time would suit you?"


def test_a_noise_that_interrupts_makes_no_turn_and_the_agent_goes_on() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.noise(400)
        await caller.listens()
        caller.hangs_up()

    lab = hold(story)
    [greeting] = lab.turns()
    assert greeting.agent == "Thank you for calling Willow Dental. What day would you like to come in?"


def test_a_cough_is_too_short_to_interrupt() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=1500)
        await caller.noise(120)
        await caller.listens()
        assert caller.clears == 0
        caller.hangs_up()

    lab = hold(story)
    assert not lab.turns()[0].interrupted


def test_an_agent_that_may_not_be_interrupted_is_not() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=500)
        await caller.says("wait")
        await caller.listens()
        assert caller.clears == 0
        caller.hangs_up()

    lab = Lab()
    lab.change(listening={"interruptions": False})
    hold(story, lab)
    assert not lab.turns()[0].interrupted


def test_what_is_not_understood_is_asked_again_and_then_a_person_takes_over() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        for _ in range(3):
            await caller.listens()
            await caller.says("what is the weather like in paris")

    lab = hold(story)
    said = lab.dialogue()
    assert "which day was that?" in said
    assert "I didn't catch the day." in said
    act = lab.outcomes[0].act
    assert act is not None
    assert (act.outcome, getattr(act, "number", "")) == ("transferred", "+15005550199")


def test_a_caller_may_ask_for_a_person_at_any_time() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("can i talk to a person please")

    lab = hold(story)
    assert lab.dialogue().endswith("agent: I'll put you through to a colleague.")


def test_a_silent_caller_is_asked_twice_and_then_left() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        pass

    lab = hold(story)
    assert lab.dialogue().count("Are you still there?") == 2
    assert lab.dialogue().endswith("Goodbye.")
    assert lab.outcomes[0].act is not None
    assert lab.outcomes[0].act.outcome == "silence"


def test_a_caller_who_hangs_up_mid_sentence_loses_nothing_said_so_far() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("next tuesday")
        await caller.until_agent_speaks(ms=650)
        caller.hangs_up()

    lab = hold(story)
    assert lab.outcomes[0].act is None
    assert lab.turns()[-1].caller == "next tuesday"
    assert lab.turns()[-1].agent == "What time"


def test_another_line_goes_on_where_the_last_one_was_lost() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("next tuesday")
        await caller.listens()
        caller.hangs_up()

    async def second(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("half past two")
        await caller.listens()
        await caller.says("yes")

    lab = hold(first)
    hold(second, lab)
    assert "Sorry about that, where were we? What time would suit you?" in lab.dialogue()
    assert [(a["date"], a["time"]) for a in lab.appointments()] == [("2026-11-24", "14:30")]
