"""The ear: audio in pieces of any size, counted by its frames."""

import asyncio
import contextlib
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.webrtc_vad import WebrtcDetector
from domain.mulaw import FRAME
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Sound
from media_service.ear import LONGEST_SPEECH_MS, Ear
from offhook.carrier import recordings
from schemas.agent import Listening
from schemas.signals import Paused, Settled, SpeechBegan, SpeechEnded
from schemas.variable import Expectation
from tests.fakes import virtual_time
from tests.fakes.caller import LOUD, QUIET, PaperDetector

LISTENING = Listening(minimum_speech_ms=100)


def ear() -> Ear:
    return Ear(LISTENING, PaperDetector(), "en-US")


async def taken(mine: Ear) -> list[Sound]:
    """What a recogniser that begins now gets at once."""
    got: list[Sound] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1), aclosing(mine.sound()) as sound:  # type: ignore[type-var]
            async for item in sound:
                got.append(item)
    return got


def kinds(signals: list[Any]) -> list[type]:
    """But for pauses, which have a test of their own."""
    return [type(signal) for signal in signals if not isinstance(signal, Paused)]


def test_speech_begins_ends_and_settles() -> None:
    mine = ear()
    assert kinds(mine.hear(LOUD * 10)) == [SpeechBegan]
    assert kinds(mine.hear(QUIET * 9)) == []
    [ended] = mine.hear(QUIET)
    assert isinstance(ended, SpeechEnded)
    assert ended.silence == 200
    mine.settle_after(300)
    assert kinds(mine.hear(QUIET * 4)) == []
    assert kinds(mine.hear(QUIET)) == [Settled]
    assert kinds(mine.hear(QUIET * 100)) == []


def test_a_pause_is_told_before_it_is_known_to_be_the_end() -> None:
    mine = ear()
    signals = mine.hear(LOUD * 10 + QUIET * 3 + LOUD * 3 + QUIET * 10)
    assert [(type(signal), getattr(signal, "silence", 0)) for signal in signals] == [
        (SpeechBegan, 0),
        (Paused, 40),
        (Paused, 40),
        (Paused, 120),
        (SpeechEnded, 200),
    ]


def test_a_silence_leaves_the_recogniser_alone() -> None:
    mine = ear()
    mine.hear(QUIET * 500)
    assert list(mine._sound) == []
    mine.hear(LOUD * 5)
    before, begins = mine._sound
    assert begins is SPEECH_BEGINS
    assert before == QUIET * 30 + LOUD * 5  # 700 ms
    mine.hear(LOUD * 10 + QUIET * 10)
    assert mine._sound[-1] is SPEECH_ENDS
    heard = len(mine._sound)
    mine.hear(QUIET * 500)
    assert len(mine._sound) == heard


def test_a_recogniser_that_begins_amidst_speech_is_told() -> None:
    async def story() -> None:
        mine = ear()
        mine.hear(LOUD * 20)
        assert SPEECH_BEGINS in await taken(mine)
        assert await taken(mine) == [SPEECH_BEGINS]
        mine.hear(LOUD * 5 + QUIET * 10)
        begins, *_, ends = await taken(mine)
        assert (begins, ends) == (SPEECH_BEGINS, SPEECH_ENDS)
        assert await taken(mine) == []

    virtual_time.run(story())


def test_a_recogniser_that_begins_amidst_an_echo_is_told_of_no_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_service.ear.is_echo", lambda heard, played: True)
    mine = ear()
    mine.hear(LOUD * 30)
    assert virtual_time.run(taken(mine)) == []


def test_a_noise_without_end_is_kept_from_the_recogniser_once_its_turn_is_over() -> None:
    async def story() -> None:
        mine = ear()
        mine.hear(LOUD * (LONGEST_SPEECH_MS // 20 + 10))
        assert (await taken(mine))[-1] is SPEECH_ENDS
        mine.hear(LOUD * 500)
        assert await taken(mine) == []

    virtual_time.run(story())


def test_an_echo_is_not_the_caller_and_whoever_speaks_over_it_is() -> None:
    agent, caller = (recordings.line("half past two", voice) for voice in ("slt", "rms"))
    played, at = agent * 4, 0

    def heard(sound: bytes) -> list[Any]:
        """With the agent's voice 100 ms late behind it."""
        nonlocal at
        signals: list[Any] = []
        for place in range(0, len(sound) - FRAME + 1, FRAME):
            at += FRAME
            signals += mine.hear(sound[place : place + FRAME])
        return signals

    mine = Ear(LISTENING, WebrtcDetector(), "en-US", lambda ms: played[max(0, at + 800 - 8 * ms) : at + 800])
    assert kinds(heard(played[: len(agent)])) == []
    assert kinds(heard(caller)) == [SpeechBegan]


def test_speech_that_resumes_does_not_settle() -> None:
    mine = ear()
    mine.hear(LOUD * 10 + QUIET * 10)
    mine.settle_after(300)
    assert kinds(mine.hear(LOUD * 10 + QUIET * 9)) == [SpeechBegan]


def fell_silent() -> Ear:
    """300 ms ago, 100 ms before the turn settles."""
    mine = ear()
    assert kinds(mine.hear(LOUD * 10 + QUIET * 10)) == [SpeechBegan, SpeechEnded]
    mine.settle_after(400)
    assert kinds(mine.hear(QUIET * 5)) == []
    return mine


def test_a_turn_does_not_settle_while_speech_is_beginning() -> None:
    mine = fell_silent()
    assert kinds(mine.hear(QUIET * 3 + LOUD * 5 + QUIET * 12)) == [SpeechBegan, SpeechEnded]


def test_a_sound_that_does_not_become_speech_delays_a_turn_until_it_is_over() -> None:
    mine = fell_silent()
    assert kinds(mine.hear(QUIET * 3 + LOUD * 3 + QUIET * 2)) == []
    assert kinds(mine.hear(QUIET)) == [Settled]


def test_a_sound_that_is_over_in_time_delays_nothing() -> None:
    mine = fell_silent()
    assert kinds(mine.hear(LOUD + QUIET * 3)) == []
    assert kinds(mine.hear(QUIET)) == [Settled]


def test_a_noise_that_never_becomes_speech_does_not_delay_a_turn_for_ever() -> None:
    mine = fell_silent()
    assert kinds(mine.hear((LOUD + QUIET * 2) * 10)) == [Settled]


def test_whoever_talks_for_ever_is_taken_to_have_said_something() -> None:
    mine = ear()
    assert kinds(mine.hear(LOUD * (LONGEST_SPEECH_MS // 20 + 10)))[:2] == [SpeechBegan, SpeechEnded]


@given(st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_the_size_of_the_pieces_does_not_matter(sizes: list[int]) -> None:
    sound = (QUIET * 5 + LOUD * 12 + QUIET * 20) * 3
    whole, pieces = ear(), ear()
    expected = whole.hear(sound)
    heard: list[Any] = []
    at = 0
    while at < len(sound):
        size = sizes[at % len(sizes)]
        heard += pieces.hear(sound[at : at + size])
        at += size
    assert heard == expected


def test_the_recogniser_gets_all_sound_in_order_and_what_the_vad_thinks() -> None:
    mine = ear()
    mine.hear(QUIET * 5 + LOUD * 10 + QUIET * 10)
    mine.expect(Expectation())
    items = list(mine._sound)
    marks = [item for item in items if not isinstance(item, bytes)]
    assert marks == [SPEECH_BEGINS, SPEECH_ENDS, Expectation()]
    assert b"".join(item for item in items if isinstance(item, bytes)) == QUIET * 5 + LOUD * 10 + QUIET * 10
