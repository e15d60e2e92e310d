"""What every voice does, told over each of them; then what is espeak's own.

A further voice joins by one line in VOICES."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from itertools import combinations

import pytest

from adapters.espeak_voice import EspeakVoice
from adapters.google_voice import GoogleVoice
from adapters.paced_voice import PacedVoice
from domain import mulaw
from domain.fallback import FallbackVoice, Provider
from domain.ports import Spoken, Unavailable, Voice, VoiceStyle
from tests.fakes.voice_server import VoiceServer


class GoogleNextDoor:
    """Google's voice, and for each speech a server that it speaks to."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(VoiceServer())
            voice = await stack.enter_async_context(GoogleVoice(server.endpoint, insecure=True))
            speech = voice.speak(text, replace(style, voice=self._name))
            async for piece in await stack.enter_async_context(aclosing(speech)):  # type: ignore[type-var]
                yield piece


def late_then_espeak() -> Voice:
    return FallbackVoice([Provider[Voice]("late", PacedVoice(first_ms=1500)), Provider[Voice]("espeak", EspeakVoice())])


VOICES: dict[str, Callable[[], Voice]] = {
    "espeak": EspeakVoice,
    "paced": lambda: PacedVoice(first_ms=1),
    "google, streamed": lambda: GoogleNextDoor("en-US-Chirp3-HD-Kore"),
    "google, plain": lambda: GoogleNextDoor("en-US-Neural2-C"),
    "a fallback": late_then_espeak,
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fallback doesn't wait long for one that is late anyway."""
    monkeypatch.setattr("domain.fallback.VOICE_S", 0.1)


every_voice = pytest.mark.parametrize("make", VOICES.values(), ids=VOICES.keys())

GREETING = "Hello, this is the booking line."
QUESTION = "Which day would suit you best?"
PLAIN = VoiceStyle()


async def sentences(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def performance(voice: Voice, *texts: str, style: VoiceStyle = PLAIN) -> list[bytes | Spoken]:
    return [piece async for piece in voice.speak(sentences(*texts), style)]


def sound(voice: Voice, *texts: str, style: VoiceStyle = PLAIN) -> bytes:
    pieces = asyncio.run(performance(voice, *texts, style=style))
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def loudness(sound: bytes) -> int:
    return mulaw.loudness(mulaw.to_pcm(sound))


# --- Every voice ---------------------------------------------------------------------------------------------------


@every_voice
def test_each_sentence_is_heard_and_then_said_to_have_been_spoken(make: Callable[[], Voice]) -> None:
    pieces = asyncio.run(performance(make(), GREETING, QUESTION))
    heard, spoken = bytearray(), []
    for piece in pieces:
        if isinstance(piece, bytes):
            assert piece
            heard += piece
        else:
            words = len(piece.text.split())
            assert 100 * words < mulaw.milliseconds(bytes(heard)) < 800 * words
            assert 300 < loudness(bytes(heard)) < 12000
            spoken.append(piece.text)
            heard.clear()
    assert " ".join(spoken) == f"{GREETING} {QUESTION}"
    assert not heard, "sound that no Spoken covers"


@every_voice
def test_a_sentence_is_spoken_before_the_next_is_known(make: Callable[[], Voice]) -> None:
    async def story() -> None:
        async def hesitating() -> AsyncIterator[str]:
            yield GREETING
            await asyncio.Event().wait()

        async with aclosing(make().speak(hesitating(), PLAIN)) as speech:  # type: ignore[type-var]
            while not isinstance(await anext(speech), Spoken):
                pass

    asyncio.run(story())


@every_voice
def test_more_words_take_longer_and_a_faster_pace_less_long(make: Callable[[], Voice]) -> None:
    voice = make()
    assert len(sound(voice, "Yes.")) < len(sound(voice, GREETING)) < len(sound(voice, GREETING, QUESTION))
    assert (
        len(sound(voice, GREETING, style=VoiceStyle(speed=2.0)))
        < len(sound(voice, GREETING))
        < len(sound(voice, GREETING, style=VoiceStyle(speed=0.5)))
    )


@every_voice
def test_nothing_to_say_is_silence(make: Callable[[], Voice]) -> None:
    assert asyncio.run(performance(make())) == []


@every_voice
def test_cancelled_in_the_middle_it_falls_silent_and_speaks_again(make: Callable[[], Voice]) -> None:
    async def story() -> None:
        voice, begun = make(), asyncio.Event()

        async def speak() -> None:
            async for _ in voice.speak(sentences(GREETING, QUESTION), PLAIN):
                begun.set()
                await asyncio.Event().wait()

        speaking = asyncio.create_task(speak())
        await begun.wait()
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        assert (await performance(voice, QUESTION))[-1] == Spoken(QUESTION)

    asyncio.run(story())


@every_voice
def test_cancelled_between_sentences_it_waits_no_longer_and_speaks_again(make: Callable[[], Voice]) -> None:
    async def story() -> None:
        voice, waiting, dropped = make(), asyncio.Event(), asyncio.Event()

        async def hesitating() -> AsyncIterator[str]:
            yield GREETING
            try:
                waiting.set()
                await asyncio.Event().wait()
            finally:
                dropped.set()

        async def speak() -> None:
            async for _ in voice.speak(hesitating(), PLAIN):
                pass

        speaking = asyncio.create_task(speak())
        await waiting.wait()
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        await asyncio.wait_for(dropped.wait(), 10)
        assert (await performance(voice, QUESTION))[-1] == Spoken(QUESTION)

    asyncio.run(story())


@every_voice
def test_two_speeches_at_once_are_each_whole(make: Callable[[], Voice]) -> None:
    async def story() -> None:
        voice = make()
        both = await asyncio.gather(performance(voice, GREETING, QUESTION), performance(voice, QUESTION, GREETING))
        spoken = [[piece.text for piece in pieces if isinstance(piece, Spoken)] for pieces in both]
        assert spoken == [[GREETING, QUESTION], [QUESTION, GREETING]]

    asyncio.run(story())


@every_voice
def test_what_goes_wrong_where_the_sentences_come_from_is_not_swallowed(make: Callable[[], Voice]) -> None:
    async def story() -> None:
        async def failing() -> AsyncIterator[str]:
            yield GREETING
            raise Unavailable("the brain broke off")

        with pytest.raises(Unavailable, match="the brain broke off"):
            _ = [piece async for piece in make().speak(failing(), PLAIN)]

    asyncio.run(story())


# --- espeak --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["klingon", "en-us+nobody", "../../etc/passwd", "en-us+../../x", "+"])
def test_a_voice_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(Unavailable) as refusal:
        sound(EspeakVoice(), GREETING, style=VoiceStyle(voice=name))
    assert name in str(refusal.value)


def test_a_language_that_it_does_not_speak_is_named() -> None:
    with pytest.raises(Unavailable, match="tlh-KX"):
        sound(EspeakVoice(), GREETING, style=VoiceStyle(language="tlh-KX"))


@pytest.mark.parametrize("name", ["en-us", "en-gb", "en-gb-x-rp", "de", "en-us+f3"])
def test_voices_go_by_espeaks_names(name: str) -> None:
    assert loudness(sound(EspeakVoice(), GREETING, style=VoiceStyle(voice=name))) > 300


def test_each_voice_takes_its_own_time() -> None:
    """espeak never says a sentence twice in quite the same way: but a voice varies less than voices differ."""
    voice = EspeakVoice()
    names = ["en-us", "en-gb", "en-us+f3"]
    once, again = ([len(sound(voice, GREETING, style=VoiceStyle(voice=name))) for name in names] for _ in range(2))
    assert all(abs(first - second) < 160 for first, second in zip(once, again, strict=True))
    assert all(abs(first - second) > 160 for first, second in combinations(once, 2))


@pytest.mark.parametrize("language", ["en-US", "en-AU", "de-DE", "pt-BR", "es-MX", "zh-CN"])
def test_without_a_name_the_language_decides_its_region_permitting(language: str) -> None:
    assert loudness(sound(EspeakVoice(), "1, 2, 3", style=VoiceStyle(language=language))) > 300


def test_a_sentence_begins_and_ends_with_its_first_and_last_sound() -> None:
    for text in [GREETING, "[Pardon?]", "Six."]:
        whole = sound(EspeakVoice(), text)
        edge = 40 * mulaw.BYTES_PER_MS
        assert loudness(whole[:edge]) > 50
        assert loudness(whole[-edge:]) > 50


def test_sentences_do_not_run_into_each_other() -> None:
    first, spoken, second, _ = asyncio.run(performance(EspeakVoice(), GREETING, QUESTION))
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert spoken == Spoken(GREETING)
    assert loudness(first[: 100 * mulaw.BYTES_PER_MS]) > 300
    assert loudness(second[: 100 * mulaw.BYTES_PER_MS]) < 50


@pytest.mark.parametrize("text", ["", " ", "…", "\x00", "\n\t"])
def test_what_cannot_be_pronounced_is_passed_over(text: str) -> None:
    assert asyncio.run(performance(EspeakVoice(), text)) == [Spoken(text)]


def test_text_gives_no_commands() -> None:
    """Neither markup nor espeak's own control sequences (which set the speed, here) nor a NUL that cuts it short."""
    voice = EspeakVoice()
    plain = len(sound(voice, "one two three four 300S five six"))
    assert len(sound(voice, "one two three four \x01300S five six")) > 0.9 * plain
    assert len(sound(voice, "one two three four 300S five\x00 six")) > 0.9 * plain
    paused = sound(voice, "one <break time='20s'/> two")
    assert mulaw.milliseconds(paused) < 10_000


@pytest.mark.parametrize(
    "text", ["😀 Zażółć, naïve; 東京 — \u2028 done.", "lone \ud800 surrogate", "a" * 500, "&amp;<>%s{}"]
)
def test_odd_text_is_spoken_somehow(text: str) -> None:
    assert loudness(sound(EspeakVoice(), text)) > 300


def test_cancelling_stops_the_synthesis_under_way() -> None:
    async def story() -> None:
        voice = EspeakVoice()
        ranting = asyncio.create_task(performance(voice, "and then " * 60_000))  # a minute of work
        await asyncio.wait([ranting], timeout=0.2)
        ranting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ranting
        answer = await asyncio.wait_for(performance(voice, "Sorry."), 20)
        assert answer[-1] == Spoken("Sorry.")

    asyncio.run(story())


def test_without_its_packages_it_says_which_extra_to_install() -> None:
    program = """
import sys
sys.modules["espeakng_loader"] = None  # as if it weren't installed
from adapters.espeak_voice import EspeakVoice
from adapters.google_voice import GoogleVoice
EspeakVoice()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Unavailable: espeak-ng needs the `embedded` extra: espeakng_loader is not installed" in run.stderr
