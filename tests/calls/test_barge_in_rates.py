"""How often a sound takes the floor that shouldn't, and how often words don't that should: real voices and noises, the
real VAD, in virtual time. `pytest -s` shows the rates."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from adapters.webrtc_vad import WebrtcDetector
from domain import mulaw
from domain.mulaw import BYTES_PER_MS, FRAME
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Expectation, Ports, Sound, Spoken, Transcript, VoiceStyle
from domain.sentences import Sentences
from offhook.carrier import recordings
from tests.calls.test_trouble_stories import prompted
from tests.fakes.caller import Caller
from tests.fakes.espeak_lines import Line, spoken_afresh
from tests.fakes.lab import Lab, hold

TALK = (
    "Our office is at twelve Main Street, next to the library. There is parking behind the house, and the bus stops right"
    " in front of it. Please bring your insurance card, and come ten minutes early the first time."
)
INTO_THE_TALK_MS = (900, 2150, 4300)
LATE_MS = 200
"""How far the recogniser's partial transcripts are behind the sound."""
LINE_NOISE = 25

MURMURS = ("mm-hm",)
SPOKEN_MURMURS = ("uh huh", "okay", "right", "yeah", "I see")
WORDS = (
    "no",
    "no thank you",
    "on friday",
    "next tuesday",
    "tomorrow",
    "can i talk to a person please",
    "say that again please",
    "what is the weather like in paris",
    "i need an appointment next tuesday at half past two",
    "my name is sarah",
)
SPOKEN_WORDS = ("stop", "wait a moment", "sorry, I have a question", "that is the wrong office", "excuse me")


@dataclass(frozen=True)
class Clip:
    """What the caller's line carries while the agent talks."""

    name: str
    words: str
    sound: bytes
    echo: float = 0.0
    """The agent's own voice comes back so loud, of 1."""
    echo_ms: int = 0


@dataclass
class Trial:
    clip: Clip
    interrupted: bool
    silent_after_ms: float | None
    """From the clip's first sound to the agent's silence."""
    longest_pause_ms: float
    whole: bool
    """The caller heard all of the talk."""


MURMURERS = ("en-us+f3", "en-us+m3", "en-gb+f2")
SPEAKERS = ("en-us+f3", "en-us+m3")
QUESTION = ("where are you", "en-us+f4")


def sentences_of_the_talk() -> tuple[str, ...]:
    parts = Sentences()
    return (*parts.feed(TALK), *parts.end())


@cache
def all_spoken() -> dict[Line, bytes]:
    return spoken_afresh(
        [
            *((sentence, "en-us") for sentence in sentences_of_the_talk()),
            *((text, voice) for text in SPOKEN_MURMURS for voice in MURMURERS),
            *((text, voice) for text in SPOKEN_WORDS for voice in SPEAKERS),
            QUESTION,
        ]
    )


def spoken(text: str, voice: str) -> bytes:
    """By espeak."""
    return all_spoken()[text, voice]


def trimmed(sound: bytes) -> bytes:
    """Without the quiet at its ends: onset and end are what they are said to be."""
    frames = [sound[at : at + FRAME] for at in range(0, len(sound) - FRAME + 1, FRAME)]
    loud = [number for number, frame in enumerate(frames) if mulaw.loudness(mulaw.to_pcm(frame)) > 300]
    return b"".join(frames[loud[0] : loud[-1] + 1])


def noises() -> Iterator[tuple[str, bytes]]:
    """A cough, a door, a hum, a rattle; none of them a voice."""
    random = np.random.default_rng(7)

    def burst(ms: int, level: int, fade_ms: float) -> np.ndarray:
        samples = random.normal(0, level, ms * BYTES_PER_MS)
        return samples * np.exp(-np.arange(len(samples)) / (fade_ms * BYTES_PER_MS))

    def sound(pcm: np.ndarray) -> bytes:
        return mulaw.from_pcm(np.clip(pcm, -32000, 32000).astype("<i2").tobytes())

    cough = np.concatenate([burst(180, 6000, 60), np.zeros(60 * BYTES_PER_MS), burst(220, 4000, 80)])
    yield "cough", sound(np.convolve(cough, np.ones(4) / 4, "same"))
    yield "door", sound(burst(350, 9000, 70))
    yield "hum", sound(2500 * np.sin(2 * np.pi * 120 * np.arange(900 * BYTES_PER_MS) / mulaw.RATE))
    yield "rattle", sound(np.concatenate([burst(40, 5000, 12) for _ in range(20)]))
    yield "breath", sound(np.convolve(burst(600, 1200, 500), np.ones(3) / 3, "same"))


def murmurs() -> list[Clip]:
    recorded = [Clip(text, text, trimmed(recordings.line(text, v))) for text in MURMURS for v in recordings.VOICES]
    return recorded + [Clip(text, text, trimmed(spoken(text, v))) for text in SPOKEN_MURMURS for v in MURMURERS]


def words() -> list[Clip]:
    recorded = [Clip(text, text, trimmed(recordings.line(text, v))) for text in WORDS for v in recordings.VOICES]
    return recorded + [Clip(text, text, trimmed(spoken(text, v))) for text in SPOKEN_WORDS for v in SPEAKERS]


def echoes() -> list[Clip]:
    return [
        Clip(f"echo {gain} after {ms} ms", TALK, b"", gain, ms) for gain in (0.05, 0.15, 0.4) for ms in (60, 180, 420)
    ]


class Room(Caller):
    """A caller whose line carries noise, a clip, and what comes back of the agent's own voice."""

    echo = 0.0
    echo_ms = 0
    words: tuple[str, ...] = ()
    began = 0.0
    length_ms = 1.0
    cleared = 0.0

    def plays(self, clip: Clip) -> None:
        """From now on."""
        self.began = asyncio.get_running_loop().time()
        self.words, self.length_ms = tuple(clip.words.split()), len(clip.sound) / BYTES_PER_MS or 5000
        self.echo, self.echo_ms, self.cleared = clip.echo, clip.echo_ms, 0.0
        self._clip = np.frombuffer(mulaw.to_pcm(clip.sound), dtype="<i2").astype(float)

    async def _frames(self) -> None:
        random = np.random.default_rng(3)
        loop = asyncio.get_running_loop()
        self._clip = np.zeros(0)
        while True:
            now = loop.time()
            pcm = random.normal(0, LINE_NOISE, FRAME)
            at = round((now - self.began) * 1000) * BYTES_PER_MS
            piece = self._clip[at : at + FRAME]
            pcm[: len(piece)] += piece
            if self.echo:
                pcm += self.echo * self._playing(now - self.echo_ms / 1000)
            self._events.put_nowait(mulaw.from_pcm(np.clip(pcm, -32000, 32000).astype("<i2").tobytes()))
            await asyncio.sleep(0.02)

    def _playing(self, since: float) -> np.ndarray:
        """What was played in the 20 ms from then on."""
        out = np.zeros(FRAME)
        for begins, sound in reversed(self._played):
            at = round((since - begins) * mulaw.RATE)
            if at >= len(sound):
                break
            piece = np.frombuffer(mulaw.to_pcm(sound[max(0, at) : max(0, at + FRAME)]), dtype="<i2")
            out[max(0, -at) : max(0, -at) + len(piece)] += piece
        return out

    async def clear(self) -> None:
        self.cleared = self.cleared or asyncio.get_running_loop().time()
        await super().clear()


class Oracle:
    """Understands every word of what the caller plays, some time after it was said."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        loop = asyncio.get_running_loop()
        told, hearing = 0, False
        async for piece in sound:
            room: Any = self._lab.callers[-1]
            passed = (loop.time() - room.began) * 1000
            if piece is SPEECH_BEGINS:
                hearing, told = True, 0
            elif piece is SPEECH_ENDS and hearing:
                hearing = False
                await asyncio.sleep(0.1)
                yield Transcript(" ".join(room.words[: round(passed / room.length_ms * len(room.words))]), final=True)
            elif hearing and (known := int((passed - LATE_MS) / room.length_ms * len(room.words))) > told:
                told = min(known, len(room.words))
                yield Transcript(" ".join(room.words[:told]), final=False)


class Recorded:
    """A voice that says the talk as espeak does, and everything else with a silence."""

    def __init__(self) -> None:
        self._sounds = {sentence: spoken(sentence, "en-us") for sentence in sentences_of_the_talk()}

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        async for sentence in text:
            sound = self._sounds.get(sentence) or mulaw.silence(500)
            for at in range(0, len(sound), 400 * BYTES_PER_MS):
                yield sound[at : at + 400 * BYTES_PER_MS]
            yield Spoken(sentence)


def trial(clip: Clip, begins_ms: int) -> Trial:
    question = Clip("question", "where are you", trimmed(spoken(*QUESTION)))

    async def story(lab: Lab, caller: Caller) -> None:
        assert isinstance(caller, Room)
        await caller.listens()
        caller.plays(question)
        await asyncio.sleep(1.5)
        await caller.until_agent_speaks(ms=begins_ms)
        caller.plays(clip)
        await asyncio.sleep(len(clip.sound) / BYTES_PER_MS / 1000)
        await caller.listens(quiet_ms=1500)
        caller.hangs_up()

    lab = prompted(["Hello."], [TALK], ["I see."], ["I see."])
    lab.voice, lab.caller = Recorded(), Room
    lab.speech = Oracle(lab)  # type: ignore[assignment]
    paper = lab.ports

    def ports() -> Ports:
        return dataclasses.replace(paper(), detector=WebrtcDetector)

    lab.ports = ports  # type: ignore[method-assign]
    hold(story, lab)
    room = lab.callers[0]
    assert isinstance(room, Room)
    talk = lab.turns()[1]
    silent = (room.cleared - room.began) * 1000 if room.cleared else None
    return Trial(clip, talk.interrupted, silent, room.longest_gap_ms, talk.agent == TALK)


def trials(clips: list[Clip]) -> list[Trial]:
    return [trial(clip, begins_ms) for clip in clips for begins_ms in INTO_THE_TALK_MS]


def told(what: str, done: list[Trial], wrong: list[Trial]) -> None:
    paused = [t for t in done if t.silent_after_ms is not None]
    silences = sorted(t.silent_after_ms or 0 for t in paused)
    pauses = sorted(t.longest_pause_ms for t in paused if not t.interrupted)
    print(
        f"\n{what}: {len(wrong)} of {len(done)} wrong; paused {len(paused)}",
        f"silent after p50 {silences[len(silences) // 2]:.0f} ms, p95 {silences[len(silences) * 95 // 100]:.0f} ms"
        if silences
        else "",
        f"paused for p50 {pauses[len(pauses) // 2]:.0f} ms, at most {pauses[-1]:.0f} ms" if pauses else "",
        *sorted(f"{t.clip.name} ({len(t.clip.sound) // BYTES_PER_MS} ms)" for t in wrong),
        sep="; ",
    )


@pytest.mark.parametrize(("kind", "allowed"), [("murmurs", 0.03), ("noises", 0.0), ("echoes", 0.04)])
def test_what_is_no_turn_doesn_t_take_the_floor(kind: str, allowed: float) -> None:
    clips = {
        "murmurs": murmurs,
        "noises": lambda: [Clip(name, "", sound) for name, sound in noises()],
        "echoes": echoes,
    }[kind]()
    done = trials(clips)
    wrong = [t for t in done if t.interrupted or not t.whole]
    told(kind, done, wrong)
    assert len(wrong) <= allowed * len(done)
    assert all(t.longest_pause_ms <= 700 for t in done if not t.interrupted)


def test_words_take_the_floor() -> None:
    done = trials(words())
    wrong = [t for t in done if not t.interrupted]
    told("words", done, wrong)
    assert len(wrong) <= 0.03 * len(done)
