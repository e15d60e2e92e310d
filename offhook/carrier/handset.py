"""The caller's telephone: sound out in frames, sound in as it is heard, keys.

It belongs to the call, not to a media stream: the caller talks on while streams come and go, and what is said while
nobody listens is lost. All times are in ms since the call began, fractions included.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from domain.mulaw import BYTES_PER_MS, FRAME, FRAME_MS, SILENCE, loudness, to_pcm
from offhook.carrier.noise import LineNoise

QUIET_MS = 700
"""So long a pause, and the agent is taken to have finished."""
WITHIN_S = 15.0
"""So long the caller waits for the agent to speak."""
KEY_MS = 120
"""A key's tone and the pause after it."""
AUDIBLE = 100
"""Root mean square of 20 ms, of 32767, from which on one hears something."""


class Silent(Exception):
    """The agent was expected to speak, and didn't."""


class HungUp(Exception):
    """Raised by `hang_up` through the caller's coroutine, which is over with that."""


class FarEnd(Protocol):
    """Whoever is listening to this telephone just now."""

    async def frame(self, sound: bytes) -> None:
        """20 ms of the caller's sound."""
        ...

    async def key(self, digit: str) -> None:
        """The caller pressed a key."""
        ...


@dataclass(slots=True)
class Utterance:
    """Something the caller says, or presses."""

    text: str
    """Keys are in brackets."""
    start_ms: float | None = None
    """When its first frame was sent; None while it is to come."""
    end_ms: float | None = None
    """When the last frame with something to hear in it was sent."""


@dataclass(slots=True)
class Passage:
    """Sound without a gap."""

    start_ms: float
    sound: bytearray = field(default_factory=bytearray, repr=False)
    cut: bool = False
    """The rest was thrown away."""

    @property
    def end_ms(self) -> float:
        return self.start_ms + len(self.sound) / BYTES_PER_MS

    @property
    def audible_ms(self) -> float:
        """When there is first something to hear; its beginning if there never is."""
        for at, frame in enumerate(_frames(self.sound)):
            if _is_audible(frame):
                return self.start_ms + at * FRAME_MS
        return self.start_ms


class Handset:
    """One caller's end of a call.

    `now` tells the ms since the call began; `log` is told what the caller does. It is also written down in `said`,
    what comes out of the receiver in `heard`, and all that went into it in `sent`.
    """

    def __init__(self, now: Callable[[], float], log: Callable[[str], None], noise: LineNoise | None = None) -> None:
        self.now = now
        self.said: list[Utterance] = []
        self.heard: list[Passage] = []
        self.sent = Passage(0.0)
        self.late_ms = array("f")
        """By how much each frame was sent too late."""
        self.far: FarEnd | None = None
        self._log = log
        self._noise = noise
        self._silence = noise.frames if noise else (SILENCE * FRAME,)
        self._speech: deque[tuple[bytes, Utterance, bool]] = (
            deque()
        )  # frame, whose it is, whether it or a later one is audible
        self._acted_ms = 0.0  # when the caller last finished doing something
        self._something_heard = asyncio.Event()
        self._spoken = asyncio.Event()

    # --- the caller's side ------------------------------------------------------------------------------------

    async def say(self, sound: bytes, text: str = "") -> None:
        """Speaks mu-law 8 kHz; returns when its last frame was sent. Cancelling falls silent."""
        utterance = Utterance(text)
        self.said.append(utterance)
        self._log(text or "(a recording)")
        frames = _frames(sound)
        last = max((at for at, frame in enumerate(frames) if _is_audible(frame)), default=len(frames) - 1)
        if self._noise:
            frames = _frames(self._noise.under(sound))
        for at, frame in enumerate(frames):
            self._speech.append((frame.ljust(FRAME, SILENCE), utterance, at <= last))
        try:
            while self._speech:
                self._spoken.clear()
                await self._spoken.wait()
        finally:
            self._speech.clear()
            self._acted_ms = self.now()

    async def listen(self, quiet_ms: float = QUIET_MS, within_s: float = WITHIN_S) -> None:
        """Returns when the agent has spoken since the caller last did (or listened to) anything, and has been quiet
        for so long. Raises Silent if it doesn't begin in time."""
        await self._until(lambda: self._is_heard_after(self._acted_ms), within_s)
        while (left := self.heard[-1].end_ms + quiet_ms - self.now()) > 0:  # noqa: ASYNC110 — more may come meanwhile
            await asyncio.sleep(left / 1000)
        self._acted_ms = self.now()

    async def hears(self, after_s: float = 0.0, within_s: float = WITHIN_S) -> None:
        """Returns so many seconds after the agent began to speak; it may be speaking still. Raises Silent."""
        acted_ms = self._acted_ms
        await self._until(lambda: any(passage.start_ms >= acted_ms for passage in self.heard), within_s)
        began_ms = next(passage.start_ms for passage in self.heard if passage.start_ms >= acted_ms)
        await asyncio.sleep((began_ms - self.now()) / 1000 + after_s)

    async def press(self, keys: str) -> None:
        """Presses keys, one after the other."""
        pressed = Utterance(f"[{keys}]", start_ms=self.now())
        self.said.append(pressed)
        self._log(pressed.text)
        for digit in keys:
            if self.far:
                await self.far.key(digit)
            pressed.end_ms = self.now()
            await asyncio.sleep(KEY_MS / 1000)
        self._acted_ms = self.now()

    def hang_up(self) -> NoReturn:
        """Puts the receiver down. Never returns."""
        self._log("(hangs up)")
        raise HungUp

    async def _until(self, heard: Callable[[], bool], within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not heard():
                    self._something_heard.clear()
                    await self._something_heard.wait()
        except TimeoutError:
            raise Silent(f"the agent said nothing for {within_s:g} s") from None

    def _is_heard_after(self, ms: float) -> bool:
        """A reply that the caller interrupted doesn't count, however long its end takes."""
        return bool(self.heard) and not self.heard[-1].cut and self.heard[-1].end_ms > ms

    # --- the carrier's side -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """The telephone's clock: a frame every 20 ms, against an absolute schedule, until cancelled."""
        zero = self.sent.start_ms = self.now()
        count = 0
        while True:
            count += 1
            late = self.now() - (zero + count * FRAME_MS)
            if late < 0:
                await asyncio.sleep(-late / 1000)
                late = self.now() - (zero + count * FRAME_MS)
            self.late_ms.append(late)
            frame = self._next_frame(count)
            self.sent.sound += frame
            if self.far:
                await self.far.frame(frame)

    def _next_frame(self, count: int) -> bytes:
        if not self._speech:
            return self._silence[count % len(self._silence)]
        frame, utterance, audible = self._speech.popleft()
        if utterance.start_ms is None:
            utterance.start_ms = self.now()
        if audible:
            utterance.end_ms = self.now()
        if not self._speech:
            self._spoken.set()
        return frame

    @property
    def heard_until_ms(self) -> float:
        """When all that was queued so far will have been heard; the present if it was."""
        return max(self.heard[-1].end_ms, self.now()) if self.heard else self.now()

    def hear(self, sound: bytes) -> None:
        """Plays sound after all that is queued already, at 8 bytes a ms."""
        last = self.heard[-1] if self.heard else None
        if last is None or last.cut or last.end_ms < self.now():
            last = Passage(self.now())
            self.heard.append(last)
        last.sound += sound
        self._something_heard.set()

    def flush(self) -> float:
        """Throws away what wasn't played yet; returns how many ms that were."""
        last = self.heard[-1] if self.heard else None
        unplayed = last.end_ms - self.now() if last else 0.0
        if last is None or unplayed <= 0:
            return 0.0
        del last.sound[max(len(last.sound) - round(unplayed * BYTES_PER_MS), 0) :]
        last.cut = True
        return unplayed


Caller = Callable[[Handset], Awaitable[None]]
"""What a caller does with the telephone. When it returns, the caller waits for the agent to end the call."""


async def stay(phone: Handset) -> None:
    """A caller who says nothing."""


def _frames(sound: bytes | bytearray) -> list[bytes]:
    return [bytes(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)]


def _is_audible(frame: bytes) -> bool:
    return loudness(to_pcm(frame)) >= AUDIBLE
