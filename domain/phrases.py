"""A voice that remembers how fixed phrases sound: greeting, fillers, apologies. Itself a Voice."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from typing import Any

from domain.mulaw import silence
from domain.ports import Spoken, Unavailable, Voice, VoiceStyle

PAUSE_MS = 150
"""Between a remembered sentence and the next."""
PATIENCE_S = 1.0
"""How long a sentence's first sound may take before the filler is heard instead."""
DOWN_S = 5.0
"""After the voice failed: for how long a phrase that the book doesn't have is not even tried."""
MOST_BYTES = 32 * 1024 * 1024
"""Some 70 minutes of phrases."""


class PhraseBook:
    """The sound of phrases, shared by a process's calls; those not used for longest are forgotten."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._sounds = OrderedDict[tuple[str, VoiceStyle], bytes]()

    def find(self, text: str, style: VoiceStyle) -> bytes | None:
        """Its sound, if it is remembered."""
        if (sound := self._sounds.get((text, style))) is not None:
            self._sounds.move_to_end((text, style))
        return sound

    def keep(self, text: str, style: VoiceStyle, sound: bytes) -> None:
        """Remembers it."""
        self._bytes += len(sound) - len(self._sounds.pop((text, style), b""))
        self._sounds[text, style] = sound
        while self._bytes > self._most_bytes:
            _, forgotten = self._sounds.popitem(last=False)
            self._bytes -= len(forgotten)


class RememberingVoice:
    """Speaks `fixed` texts from the book, and everything from the first other sentence on with the voice itself. While
    that keeps the caller waiting, `filler` is heard, if the book has it.

    `awaited`, below, is set while what is spoken may be heard: nobody waits for a reply that is held back."""

    def __init__(self, voice: Voice, book: PhraseBook, fixed: Collection[str], filler: str = "") -> None:
        self._voice, self._book, self._fixed, self._filler = voice, book, fixed, filler
        self._down_until = 0.0

    async def speak(
        self, text: AsyncIterator[str], style: VoiceStyle, awaited: asyncio.Event | None = None
    ) -> AsyncIterator[bytes | Spoken]:
        """See `domain.ports.Voice`. Without `awaited`, somebody always waits."""
        first = True
        async for sentence in text:
            if not first:
                yield silence(PAUSE_MS)
            first = False
            if sentence not in self._fixed:
                async with aclosing(self._patiently(_with_first(sentence, text), style, awaited)) as spoken:  # type: ignore[type-var]
                    async for piece in spoken:
                        yield piece
                return
            if (sound := self._book.find(sentence, style)) is not None:
                yield sound
                yield Spoken(sentence)
            elif asyncio.get_running_loop().time() < self._down_until:
                raise Unavailable(f"the voice is down, and nobody remembers {sentence!r}")
            else:
                pieces: list[bytes] = []
                filler, falls = self._book.find(self._filler, style), self._falls
                async with aclosing(self._patiently(_only(sentence), style, awaited)) as spoken:  # type: ignore[type-var]
                    async for piece in spoken:
                        yield piece
                        if isinstance(piece, bytes) and piece is not filler:
                            pieces.append(piece)
                if falls == self._falls:  # else it is in another voice, or in two
                    self._book.keep(sentence, style, b"".join(pieces))

    async def _patiently(
        self, text: AsyncIterator[str], style: VoiceStyle, awaited: asyncio.Event | None
    ) -> AsyncIterator[bytes | Spoken]:
        """The voice, and the filler before it if it is late."""
        async with aclosing(self._voice.speak(text, style)) as spoken:  # type: ignore[type-var]
            first = asyncio.ensure_future(anext(spoken, None))
            patience = asyncio.ensure_future(_patience(awaited))
            try:
                await asyncio.wait([first, patience], return_when=asyncio.FIRST_COMPLETED)
                if not first.done() and (filler := self._book.find(self._filler, style)) is not None:
                    yield filler
                    yield Spoken(self._filler)
                piece = await first
                while piece is not None:
                    yield piece
                    piece = await anext(spoken, None)
            except Unavailable:
                self._down_until = asyncio.get_running_loop().time() + DOWN_S
                raise
            finally:
                await _end(first, patience)

    @property
    def _falls(self) -> int:
        """How often another voice than its own spoke; see FallbackVoice."""
        return getattr(self._voice, "falls", 0)

    async def learn(self, texts: Collection[str], style: VoiceStyle) -> None:
        """Remembers those of the fixed texts that it doesn't yet. Raises Unavailable. Cancelling keeps what was
        learnt."""
        for text in texts:
            if self._book.find(text, style) is None:
                async with aclosing(self.speak(_only(text), style)) as spoken:  # type: ignore[type-var]
                    async for _ in spoken:
                        pass


async def _patience(awaited: asyncio.Event | None) -> None:
    """Ends once somebody has waited for so long, and still does."""
    if awaited:
        await awaited.wait()
    await asyncio.sleep(PATIENCE_S)
    if awaited:
        await awaited.wait()


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancels them. Cancelling this doesn't leave before they are over: what they run can't be closed until then."""
    for task in tasks:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as again:
            cancelled = again
    await asyncio.gather(*tasks, return_exceptions=True)  # an error that came too late is nobody's any more
    if cancelled:
        raise cancelled


async def _only(sentence: str) -> AsyncIterator[str]:
    yield sentence


async def _with_first(sentence: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield sentence
    async for following in rest:
        yield following
