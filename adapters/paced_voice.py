"""A stand-in for a voice, for measuring: a soft tone of the right length, at a fixed pace, at no cost."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Iterator

from domain import mulaw
from domain.ports import Spoken, VoiceStyle

PIECE_MS = 400
TONE_HZ = 200
"""A whole number of waves fits a piece: pieces join without a click."""
TONE_PEAK = 2000
"""Of 32767: soft."""


class PacedVoice:
    """A sentence's sound `first_ms` after the sentence came, all of it at once."""

    def __init__(self, first_ms: int = 100, ms_per_word: int = 300) -> None:
        self._first_s = first_ms / 1000
        self._ms_per_word = ms_per_word
        self._piece = _tone(PIECE_MS)

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        """In pieces of at most 400 ms. Cancelling ends the wait for more sentences too."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()  # one reply's sentences at most

        async def take_in() -> None:
            try:
                async for sentence in text:
                    coming.put_nowait((loop.time() + self._first_s, sentence))
            finally:
                coming.put_nowait(None)

        # Sentences are taken in while an earlier one is delayed: each is ready `first_ms` after it came.
        taking_in = asyncio.create_task(take_in())
        try:
            while (arrival := await coming.get()) is not None:
                due, sentence = arrival
                await asyncio.sleep(due - loop.time())
                for piece in self._sound(sentence, style.speed):
                    yield piece
                yield Spoken(sentence)
            await taking_in  # raises what the sender of the sentences raised
        finally:
            taking_in.cancel()
            await asyncio.gather(taking_in, return_exceptions=True)

    def _sound(self, sentence: str, speed: float) -> Iterator[bytes]:
        ms = round(len(sentence.split()) * self._ms_per_word / speed)
        for start in range(0, ms, PIECE_MS):
            yield self._piece[: (ms - start) * mulaw.BYTES_PER_MS]


def _tone(ms: int) -> bytes:
    samples = range(ms * mulaw.BYTES_PER_MS)
    wave = [round(TONE_PEAK * math.sin(math.tau * TONE_HZ * n / mulaw.RATE)) for n in samples]
    return mulaw.from_pcm(struct.pack(f"<{len(wave)}h", *wave))
