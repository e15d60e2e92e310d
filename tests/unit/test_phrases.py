"""Fixed phrases are spoken from memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from domain.fallback import FallbackVoice, Provider
from domain.mulaw import silence
from domain.phrases import DOWN_S, PATIENCE_S, PAUSE_MS, PhraseBook, RememberingVoice
from domain.ports import Spoken, Unavailable, VoiceStyle
from tests.fakes import virtual_time

STYLE = VoiceStyle()


class CountingVoice:
    """Says each sentence as its own letters, and counts the streams that it opened."""

    def __init__(self) -> None:
        self.streams: list[list[str]] = []

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        self.streams.append([])
        async for sentence in text:
            self.streams[-1].append(sentence)
            yield sentence.encode()
            yield Spoken(sentence)


async def sentences(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


def speak(voice: RememberingVoice, *texts: str, style: VoiceStyle = STYLE) -> list[bytes | Spoken]:
    async def all_of_it() -> list[bytes | Spoken]:
        return [piece async for piece in voice.speak(sentences(*texts), style)]

    return asyncio.run(all_of_it())


def test_a_fixed_phrase_is_synthesised_once() -> None:
    inner = CountingVoice()
    voice = RememberingVoice(inner, PhraseBook(), {"Hello."})
    assert speak(voice, "Hello.") == [b"Hello.", Spoken("Hello.")]
    assert speak(voice, "Hello.") == [b"Hello.", Spoken("Hello.")]
    assert inner.streams == [["Hello."]]


def test_another_voice_sounds_otherwise() -> None:
    inner = CountingVoice()
    voice = RememberingVoice(inner, PhraseBook(), {"Hello."})
    speak(voice, "Hello.")
    speak(voice, "Hello.", style=VoiceStyle(voice="other"))
    assert len(inner.streams) == 2


def test_all_from_the_first_other_sentence_on_is_one_stream() -> None:
    inner = CountingVoice()
    voice = RememberingVoice(inner, PhraseBook(), {"Hello.", "Bye."})
    speak(voice, "Hello.")
    assert speak(voice, "Hello.", "It is four.", "Bye.") == [
        b"Hello.",
        Spoken("Hello."),
        silence(PAUSE_MS),
        b"It is four.",
        Spoken("It is four."),
        b"Bye.",
        Spoken("Bye."),
    ]
    assert inner.streams == [["Hello."], ["It is four.", "Bye."]]


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    inner = CountingVoice()
    voice = RememberingVoice(inner, PhraseBook(most_bytes=6), {"One", "Two", "Six"})
    for text in ("One", "Two", "One", "Six", "One", "Two"):
        speak(voice, text)
    assert [stream[0] for stream in inner.streams] == ["One", "Two", "Six", "Two"]


def test_phrases_can_be_learnt_before_they_are_needed() -> None:
    inner = CountingVoice()
    voice = RememberingVoice(inner, PhraseBook(), {"One", "Two"})
    for _ in range(2):
        asyncio.run(voice.learn(["One", "Two"], STYLE))
    speak(voice, "One")
    assert inner.streams == [["One"], ["Two"]]


class LateVoice(CountingVoice):
    """The same, some seconds late; with `broken`, it breaks off after its first sound."""

    def __init__(self, late_s: float = 0.0, broken: bool = False) -> None:
        super().__init__()
        self.late_s, self.broken = late_s, broken

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        async for piece in super().speak(text, style):
            if isinstance(piece, bytes):
                await asyncio.sleep(self.late_s)
            yield piece
            if self.broken:
                raise Unavailable("broken")


def in_virtual_time(voice: RememberingVoice, *texts: str) -> list[tuple[float, bytes | Spoken]]:
    async def timed() -> list[tuple[float, bytes | Spoken]]:
        loop = asyncio.get_running_loop()
        return [(loop.time(), piece) async for piece in voice.speak(sentences(*texts), STYLE)]

    return virtual_time.run(timed())


def remembering(inner: CountingVoice | FallbackVoice) -> RememberingVoice:
    """It knows how its filler sounds."""
    book = PhraseBook()
    book.keep("Wait.", STYLE, b"Wait.")
    return RememberingVoice(inner, book, {"Hello.", "Wait."}, filler="Wait.")


@pytest.mark.parametrize("text", ["Hello.", "It is four."])
def test_while_the_voice_is_late_the_filler_is_heard(text: str) -> None:
    voice = remembering(LateVoice(1.5))
    assert in_virtual_time(voice, text) == [
        (PATIENCE_S, b"Wait."),
        (PATIENCE_S, Spoken("Wait.")),
        (1.5, text.encode()),
        (1.5, Spoken(text)),
    ]


def test_the_filler_is_no_part_of_what_is_remembered() -> None:
    voice = remembering(LateVoice(1.5))
    in_virtual_time(voice, "Hello.")
    assert in_virtual_time(voice, "Hello.") == [(0, b"Hello."), (0, Spoken("Hello."))]


def test_a_voice_in_time_needs_no_filler() -> None:
    assert in_virtual_time(remembering(LateVoice(0.9)), "It is four.")[0] == (0.9, b"It is four.")


def test_what_another_voice_said_is_not_remembered() -> None:
    first, second = LateVoice(broken=True), CountingVoice()
    voice = remembering(FallbackVoice([Provider("first", first), Provider("second", second)]))
    for _ in range(2):
        in_virtual_time(voice, "Hello.")
    assert second.streams == [["Hello."], ["Hello."]]


def test_a_voice_that_has_just_failed_is_not_tried_with_a_phrase_that_nobody_remembers() -> None:
    inner = LateVoice(broken=True)
    voice = remembering(inner)

    async def story() -> None:
        for _ in range(2):
            with pytest.raises(Unavailable):
                async for _ in voice.speak(sentences("Hello."), STYLE):
                    pass
        assert len(inner.streams) == 1
        inner.broken = False
        await asyncio.sleep(DOWN_S)
        assert [piece async for piece in voice.speak(sentences("Hello."), STYLE)] == [b"Hello.", Spoken("Hello.")]

    virtual_time.run(story())


class SlowToClose(LateVoice):
    """Its stream takes a moment to be closed, as a vendor's does."""

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        try:
            async for piece in super().speak(text, style):
                yield piece
        finally:
            await asyncio.sleep(0.01)


def test_it_may_be_cancelled_again_while_it_closes_the_voice() -> None:
    async def story() -> None:
        async def all_of_it() -> None:
            async with aclosing(remembering(SlowToClose(1.0)).speak(sentences("It is four."), STYLE)) as spoken:  # type: ignore[type-var]
                async for _ in spoken:
                    pass

        speaking = asyncio.create_task(all_of_it())
        await asyncio.sleep(0.5)
        for _ in range(3):
            speaking.cancel()
            await asyncio.sleep(0.001)
        with pytest.raises(asyncio.CancelledError):
            await speaking

    virtual_time.run(story())


def awaited_from(seconds: float, voice: RememberingVoice) -> list[tuple[float, bytes | Spoken]]:
    """What is spoken, and when, if nobody waits for it before."""

    async def timed() -> list[tuple[float, bytes | Spoken]]:
        loop, awaited = asyncio.get_running_loop(), asyncio.Event()
        loop.call_later(seconds, awaited.set)
        return [(loop.time(), piece) async for piece in voice.speak(sentences("It is four."), STYLE, awaited)]

    return virtual_time.run(timed())


def test_while_nobody_waits_the_voice_may_take_its_time() -> None:
    assert awaited_from(3.0, remembering(LateVoice(2.5)))[0] == (2.5, b"It is four.")


def test_patience_is_counted_from_when_somebody_waits() -> None:
    assert [at for at, _ in awaited_from(2.0, remembering(LateVoice(3.5)))] == [3.0, 3.0, 3.5, 3.5]
