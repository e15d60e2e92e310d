"""A caller on a line of paper: frames every 20 ms, a playback clock, marks when they are due. Made for virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable

from domain.mulaw import FRAME, SILENCE, milliseconds
from domain.ports import (
    SPEECH_BEGINS,
    SPEECH_ENDS,
    Expectation,
    Key,
    LineEvent,
    Mark,
    Sound,
    Transcript,
    Unavailable,
)

LOUD = b"\x10" * FRAME
QUIET = SILENCE * FRAME


class PaperDetector:
    """Speech is what isn't silence."""

    def is_speech(self, frame: bytes) -> bool:
        return frame != QUIET


class ScriptedSpeech:
    """Understands the lines that the caller was told to say, each at the end of its sound; and a word more each
    `word_ms` of it, if that is set."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failing = 0
        self.word_ms = 0
        self.partials_late_s = 0.0
        self.late_s = 0.0
        self.deaf = False

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        if self.failing:
            self.failing -= 1
            raise Unavailable("deaf")
        turn: list[str] = []
        heard_ms = 0.0
        async for piece in sound:
            if isinstance(piece, Expectation):
                turn = []
            elif piece is SPEECH_BEGINS:
                heard_ms = 0.0
            elif isinstance(piece, bytes) and self.word_ms and self.lines:
                known, heard_ms = heard_ms // self.word_ms, heard_ms + milliseconds(piece)
                if heard_ms // self.word_ms > known:
                    words = self.lines[0].split()[: int(heard_ms // self.word_ms)]
                    await asyncio.sleep(self.partials_late_s)
                    yield Transcript(" ".join([*turn, *words]), final=False)
            elif piece is SPEECH_ENDS:
                if self.deaf:
                    continue
                await asyncio.sleep(self.late_s)
                if self.lines:
                    turn.append(self.lines.pop(0))
                yield Transcript(" ".join(turn), final=True)


class Caller:
    """Both ends of a Line: what the media service sees, and what the story does."""

    def __init__(self, speech: ScriptedSpeech) -> None:
        self._speech = speech
        self._events = asyncio.Queue[LineEvent | None]()
        self._saying = 0  # frames
        self._buffer_ends = 0.0
        self._marks: list[tuple[float, str, asyncio.TimerHandle]] = []
        self.clears = 0
        self.heard_ms = 0.0
        self.longest_gap_ms = 0.0
        """Between a `clear` and the next sound."""
        self._cleared_at: float | None = None
        self._played: list[tuple[float, bytes]] = []  # when each piece begins to be heard
        self.closed = False
        self.late: Callable[[float], None] = lambda ms: None
        self._feed = asyncio.get_running_loop().create_task(self._frames())

    # --- what the story does ---

    async def says(self, text: str, ms: int = 1000) -> None:
        """Speaks for that long; it is understood as the text."""
        self._speech.lines.append(text)
        await self.noise(ms)

    async def noise(self, ms: int) -> None:
        """Makes a sound that nobody understands unless a line was scripted."""
        self._saying = ms // 20
        while self._saying:
            await asyncio.sleep(0.02)

    async def quiet(self, ms: int) -> None:
        """Says nothing for that long."""
        await asyncio.sleep(ms / 1000)

    async def listens(self, quiet_ms: int = 400) -> None:
        """Until the agent has spoken and then been quiet for so long."""
        loop = asyncio.get_running_loop()
        while not (self._buffer_ends and loop.time() > self._buffer_ends + quiet_ms / 1000):
            await asyncio.sleep(0.02)
        self._buffer_ends = 0.0

    async def until_agent_speaks(self, ms: int = 0) -> None:
        """Until so much of the agent's next words was heard."""
        loop = asyncio.get_running_loop()
        while self._buffer_ends <= loop.time():
            await asyncio.sleep(0.02)
        await asyncio.sleep(ms / 1000)

    def presses(self, keys: str) -> None:
        for key in keys:
            self._events.put_nowait(Key(key))

    def sends(self, event: LineEvent) -> None:
        self._events.put_nowait(event)

    def stalls(self) -> None:
        """The line stays open, and no more sound comes."""
        self._feed.cancel()

    def hangs_up(self) -> None:
        self._feed.cancel()
        self._events.put_nowait(None)

    async def _frames(self) -> None:
        while True:
            self._events.put_nowait(LOUD if self._saying else QUIET)
            self._saying = max(0, self._saying - 1)
            await asyncio.sleep(0.02)

    @property
    def sound_heard(self) -> bytes:
        """All that was played."""
        return b"".join(sound for _, sound in self._played)

    # --- the Line ---

    async def carry(self, take: Callable[[LineEvent], None]) -> None:
        while (event := await self._events.get()) is not None:
            take(event)

    async def play(self, sound: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if self._cleared_at is not None:
            self.longest_gap_ms = max(self.longest_gap_ms, (now - self._cleared_at) * 1000)
            self._cleared_at = None
        self._played.append((max(self._buffer_ends, now), sound))
        self._buffer_ends = max(self._buffer_ends, now) + milliseconds(sound) / 1000
        self.heard_ms += milliseconds(sound)

    async def mark(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        due = max(self._buffer_ends, loop.time())
        timer = loop.call_at(due, self._events.put_nowait, Mark(name))
        self._marks.append((due, name, timer))

    async def clear(self) -> None:
        self.clears += 1
        now = asyncio.get_running_loop().time()
        for due, name, timer in self._marks:
            if due > now:
                timer.cancel()
                self._events.put_nowait(Mark(name))
        self._marks.clear()
        self._buffer_ends = 0.0
        self._cleared_at = now
        self._played = [(at, sound[: max(0, round((now - at) * 8000))]) for at, sound in self._played]

    async def close(self) -> None:
        self.closed = True
        self._feed.cancel()
