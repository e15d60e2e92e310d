"""Fixed phrases are spoken from memory."""

import asyncio
from collections.abc import AsyncIterator

from domain.mulaw import silence
from domain.phrases import PAUSE_MS, PhraseBook, RememberingVoice
from domain.ports import Spoken, VoiceStyle

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
