"""A reply on a line that takes its time: paused and resumed, nothing is heard twice and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from domain.mulaw import BYTES_PER_MS, milliseconds
from domain.phrases import PhraseBook, RememberingVoice
from domain.ports import LineEvent, Spoken, VoiceStyle
from media_service.mouth import Mouth
from schemas.signals import Audible, Cut, Finished, Signal
from tests.fakes import virtual_time

FIRST, SECOND = "First sentence of four seconds.", "aa bb cc dd ee ff gg hh"
SENTENCE_MS = 4000


class CountingVoice:
    """Four seconds a sentence; each ms of it sounds like no other nearby."""

    def __init__(self) -> None:
        self.spoken = b""

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        async for sentence in text:
            begins = milliseconds(self.spoken)
            sound = b"".join(
                bytes([ms % 251]) * BYTES_PER_MS for ms in range(round(begins), round(begins) + SENTENCE_MS)
            )
            self.spoken += sound
            yield sound
            yield Spoken(sentence)


class FarEnd:
    """A Line whose other end is `way_ms` away: what is sent arrives so much later, and so does each mark."""

    def __init__(self, way_ms: int) -> None:
        self._way_s = way_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._head = 0.0
        self._pieces: list[tuple[float, bytes]] = []  # when each begins to be heard
        self._marks: list[tuple[float, str, asyncio.TimerHandle]] = []  # when each is reached
        self.marked: Callable[[str], None] = lambda name: None
        self.late: Callable[[float], None] = lambda ms: None

    @property
    def heard(self) -> bytes:
        return b"".join(sound for _, sound in self._pieces)

    @property
    def _arrives(self) -> float:
        return self._loop.time() + self._way_s

    async def carry(self, take: Callable[[LineEvent], None]) -> None:
        await asyncio.Event().wait()

    async def play(self, sound: bytes) -> None:
        starts = max(self._head, self._arrives)
        self._pieces.append((starts, sound))
        self._head = starts + milliseconds(sound) / 1000

    async def mark(self, name: str) -> None:
        due = max(self._head, self._arrives)
        self._marks.append((due, name, self._loop.call_at(due + self._way_s, self.marked, name)))

    async def clear(self) -> None:
        now = self._arrives
        for due, name, timer in self._marks:
            if due > now:
                timer.cancel()
                self._loop.call_at(now + self._way_s, self.marked, name)
        self._marks = [mark for mark in self._marks if mark[0] <= now]
        self._pieces = [
            (starts, sound[: max(0, round((now - starts) * 1000) * BYTES_PER_MS)]) for starts, sound in self._pieces
        ]
        self._head = now

    async def close(self) -> None:
        pass


class Scene:
    """A mouth that says both sentences on a line of this length."""

    def __init__(self, way_ms: int) -> None:
        self.line, self.voice = FarEnd(way_ms), CountingVoice()
        self.signals: list[tuple[int, Signal]] = []
        remembering = RememberingVoice(self.voice, PhraseBook(), ())
        self.tasks: list[asyncio.Task[None]] = []
        self.mouth = Mouth(self.line, remembering, VoiceStyle(), self._start, self._emit, self._gate)
        self.line.marked = self.mouth.marked
        self.mouth.release(1)
        for sentence in (FIRST, SECOND):
            self.mouth.say(1, sentence)
        self.mouth.close(1)

    def _start(self, work: object) -> asyncio.Task[None]:
        self.tasks.append(asyncio.ensure_future(work))  # type: ignore[call-overload]
        return self.tasks[-1]

    def _emit(self, signal: Signal) -> None:
        self.signals.append((round(asyncio.get_running_loop().time() * 1000) + signal.at, signal))

    @staticmethod
    async def _gate(released_at: float) -> bool:
        return True

    async def pauses(self, *moments_s: float, for_s: float = 0.5) -> None:
        """At these moments, for so long each."""
        for moment in moments_s:
            await asyncio.sleep(moment - asyncio.get_running_loop().time())
            await self.mouth.pause(1)
            await asyncio.sleep(for_s)
            await self.mouth.resume(1)

    def told(self, kind: type) -> list[int]:
        """When such signals came, in ms."""
        return [at for at, signal in self.signals if isinstance(signal, kind)]


def on_a_line(way_ms: int, story: Callable[[Scene], Awaitable[None]]) -> Scene:
    async def whole() -> Scene:
        scene = Scene(way_ms)
        await story(scene)
        await asyncio.wait(scene.tasks, timeout=0)
        return scene

    return virtual_time.run(whole())


@pytest.mark.parametrize("way_ms", [0, 75, 300])
@pytest.mark.parametrize(
    "moments_s",
    [(2.0,), (6.0,), (6.0, 7.5), (2.0, 6.0), (0.1, 1.0), (0.01, 4.51), (4.05, 5.5), (7.98,)],
    ids=str,
)
def test_each_millisecond_is_heard_once_however_often_it_pauses(way_ms: int, moments_s: tuple[float, ...]) -> None:
    async def story(scene: Scene) -> None:
        await scene.pauses(*moments_s)
        await scene.tasks[0]

    scene = on_a_line(way_ms, story)
    assert scene.line.heard == scene.voice.spoken
    assert milliseconds(scene.line.heard) == 2 * SENTENCE_MS
    assert len(scene.told(Audible)) == 1
    [finished] = scene.told(Finished)
    assert finished == 2 * SENTENCE_MS + 500 * len(moments_s) + 2 * way_ms


@pytest.mark.parametrize("way_ms", [0, 75])
def test_what_was_heard_is_told_rightly_after_two_pauses(way_ms: int) -> None:
    async def story(scene: Scene) -> None:
        await scene.pauses(6.0, 7.0)
        await asyncio.sleep(0.5)  # 7 of 8 seconds were heard
        await scene.mouth.cut(1)

    scene = on_a_line(way_ms, story)
    assert milliseconds(scene.line.heard) == 7000
    [cut] = [signal for _, signal in scene.signals if isinstance(signal, Cut)]
    assert (cut.heard, cut.unheard) == (f"{FIRST} aa bb cc dd ee ff", "gg hh")


def test_a_pause_after_the_last_sound_but_before_its_mark_ends_the_reply() -> None:
    async def story(scene: Scene) -> None:
        await scene.pauses(8.02, for_s=0.2)
        await scene.tasks[0]

    scene = on_a_line(75, story)
    assert scene.line.heard == scene.voice.spoken
    assert scene.told(Finished) == [8220]
