"""Voice on espeak-ng: no account, no model to download, a hundred languages. It sounds like a machine."""

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from domain import mulaw
from domain.ports import Spoken, Unavailable, VoiceStyle

NATURAL_WPM = 175
PAUSE_MS = 150
"""Between two sentences; before the first and after the last there is none."""
AUDIBLE = 150
"""Samples below it, of 32767, at either end are silence."""
EDGE_MS = 15
"""Kept around what is audible."""

# From espeak-ng's speak_lib.h.
SYNCHRONOUS = 2
DONT_EXIT = 0x8000
RATE_PARAMETER = 1
UTF8_PLAIN_TEXT = 1
GO_ON, STOP = 0, 1
_Receive = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakVoice:
    """A voice's name is espeak's: a language ("en-us", "de") or a voice ("en-gb-x-rp"), then perhaps "+" and a
    variant ("en-us+f3"). Without a name the style's language decides."""

    def __init__(self) -> None:
        """Raises Unavailable if the `embedded` extra is not installed."""
        self._engine = _engine()

    async def check(self) -> None:
        """Raises Unavailable unless it can say a word."""
        if not await self._engine.say("Yes.", self._engine.find(VoiceStyle()), NATURAL_WPM):
            raise Unavailable("espeak-ng says nothing")

    async def check_style(self, style: VoiceStyle) -> None:
        """Raises Unavailable unless there is a voice for it."""
        self._engine.find(style)

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        """A sentence's sound in one piece, some ms after the sentence came. Raises Unavailable for a voice that it
        doesn't have. Cancelling stops the synthesis under way."""
        voice = self._engine.find(style)
        speed = round(NATURAL_WPM * style.speed)
        spoken = False
        async for sentence in text:
            if sound := await self._engine.say(sentence, voice, speed):
                yield mulaw.silence(PAUSE_MS) + sound if spoken else sound
                spoken = True
            yield Spoken(sentence)


class _Engine:
    """libespeak-ng keeps its state in globals and is not thread-safe: one engine in a process, with one thread."""

    def __init__(self, loader: ModuleType, numpy: ModuleType, soxr: ModuleType) -> None:
        self._numpy, self._soxr = numpy, soxr
        data = Path(loader.get_data_path())
        self._voices = _voices(data / "lang")
        self._variants = {file.name for file in (data / "voices" / "!v").iterdir()}
        self._library = ctypes.CDLL(loader.get_library_path())
        self._rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), DONT_EXIT)
        if self._rate <= 0:
            raise Unavailable("espeak-ng could not read its voices")
        self._receive = _Receive(self._take)  # the library keeps the address, so the object must live
        self._library.espeak_SetSynthCallback(self._receive)
        self._pcm = bytearray()
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="espeak")

    def find(self, style: VoiceStyle) -> str:
        """espeak's own identifier of a voice."""
        name, plus, variant = style.voice.partition("+")
        language, _, _ = style.language.partition("-")
        choices = [name] if name else [style.language, language]
        known = [self._voices[choice.lower()] for choice in choices if choice.lower() in self._voices]
        if not known or (plus and variant not in self._variants):
            raise Unavailable(f"espeak-ng has no voice {style.voice or style.language!r}")
        return known[0] + plus + variant

    async def say(self, sentence: str, voice: str, wpm: int) -> bytes:
        """mu-law, without silence around it; nothing if there is nothing to pronounce."""
        stopped = threading.Event()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._synthesise, sentence, voice, wpm, stopped)
        finally:
            stopped.set()

    def _synthesise(self, sentence: str, voice: str, wpm: int, stopped: threading.Event) -> bytes:
        self._pcm.clear()
        self._stopped = stopped
        # Control characters are commands to the synthesiser (and NUL ends the text); markup it takes as it is.
        plain = "".join(c if c.isprintable() else " " for c in sentence).encode(errors="replace")
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(RATE_PARAMETER, wpm, 0)
        size = ctypes.c_size_t(len(plain) + 1)
        failed = self._library.espeak_Synth(plain, size, 0, 0, 0, UTF8_PLAIN_TEXT, None, None)
        if failed:
            raise Unavailable(f"espeak-ng failed to speak (error {failed})")
        return self._for_the_phone(bytes(self._pcm))

    def _take(self, samples: Any, count: int, events: Any) -> int:
        """Called by the library with some 60 ms of sound at a time."""
        if count > 0:
            self._pcm += ctypes.string_at(samples, 2 * count)
        return STOP if self._stopped.is_set() else GO_ON

    def _for_the_phone(self, pcm: bytes) -> bytes:
        np = self._numpy
        full = np.frombuffer(pcm, np.int16).astype(np.float32)
        narrow = self._soxr.resample(full, self._rate, mulaw.RATE).clip(-32768, 32767).astype("<i2")
        audible = np.flatnonzero(abs(narrow) > AUDIBLE)
        if not audible.size:
            return b""
        edge = EDGE_MS * mulaw.BYTES_PER_MS
        return mulaw.from_pcm(narrow[max(0, audible[0] - edge) : audible[-1] + edge].tobytes())


@cache
def _engine() -> _Engine:
    try:
        import espeakng_loader
        import numpy
        import soxr
    except ImportError as missing:
        raise Unavailable(f"espeak-ng needs the `embedded` extra: {missing.name} is not installed") from missing
    return _Engine(espeakng_loader, numpy, soxr)


def _voices(folder: Path) -> dict[str, str]:
    """Languages ("en-gb") and voices ("en-gb-x-rp"), lower case, with the identifier of the voice that speaks
    them. A voice's file says `language en-gb 2`; the lowest number speaks it best, 5 if there is none."""
    best: dict[str, tuple[int, str]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            identifier = file.relative_to(folder).as_posix()
            for tag, rank in [(file.name.lower(), 5), *_languages(file)]:
                best[tag] = min(best.get(tag, (99, "")), (rank, identifier))
    return {tag: identifier for tag, (_, identifier) in best.items()}


def _languages(file: Path) -> Iterator[tuple[str, int]]:
    for line in file.read_text("utf-8", errors="replace").splitlines():
        match line.split():
            case ["language", tag]:
                yield tag.lower(), 5
            case ["language", tag, rank]:
                yield tag.lower(), int(rank)
