"""The paced recogniser keeps its pace by the sound that it is fed, and by no clock."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from adapters.paced_speech import PacedSpeech
from domain import mulaw
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Sound, Transcript
from schemas.variable import Expectation


async def fed(sounds: Iterable[Sound]) -> AsyncIterator[Sound]:
    for sound in sounds:
        yield sound


def heard(speech: PacedSpeech, *sounds: Sound) -> list[tuple[str, bool]]:
    async def story() -> list[Transcript]:
        return [transcript async for transcript in speech.transcribe(fed(sounds), Expectation())]

    return [(transcript.text, transcript.final) for transcript in asyncio.run(story())]


def frames(ms: int) -> list[Sound]:
    return [mulaw.silence(20)] * (ms // 20)


def test_words_grow_while_speech_is_heard_and_are_final_when_it_ends() -> None:
    speech = PacedSpeech("book me in please", partial_every_ms=200)
    assert heard(speech, SPEECH_BEGINS, *frames(600), SPEECH_ENDS) == [
        ("book", False),
        ("book me", False),
        ("book me in", False),
        ("book me in please", True),
    ]


def test_the_pace_is_the_same_however_the_sound_is_cut() -> None:
    speech = PacedSpeech()
    whole = heard(speech, SPEECH_BEGINS, mulaw.silence(1000), SPEECH_ENDS)
    assert whole == heard(speech, SPEECH_BEGINS, *frames(1000), SPEECH_ENDS)
    assert whole == heard(speech, SPEECH_BEGINS, *[mulaw.silence(1)] * 1000, SPEECH_ENDS)
    assert len(whole) == 6


def test_sound_outside_of_speech_is_not_heard() -> None:
    speech = PacedSpeech("yes please")
    assert heard(speech, *frames(1000), SPEECH_BEGINS, *frames(100), SPEECH_ENDS, *frames(1000)) == [
        ("yes please", True)
    ]


def test_once_all_words_are_known_nothing_is_repeated() -> None:
    assert heard(PacedSpeech("yes please"), SPEECH_BEGINS, *frames(5000)) == [("yes", False), ("yes please", False)]


def test_each_utterance_begins_anew() -> None:
    utterance = [SPEECH_BEGINS, *frames(200), SPEECH_ENDS]
    assert heard(PacedSpeech("yes please"), *utterance, *utterance) == [("yes", False), ("yes please", True)] * 2


def test_the_final_comes_before_any_more_sound() -> None:
    async def story() -> None:
        async def line() -> AsyncIterator[Sound]:
            yield SPEECH_BEGINS
            yield SPEECH_ENDS
            await asyncio.Event().wait()

        transcripts = PacedSpeech("yes").transcribe(line(), Expectation())
        assert await anext(transcripts) == Transcript("yes", final=True)

    asyncio.run(story())
