"""Lines spoken by espeak-ng, the same in every run: how it says one depends on what its process said before, so a fresh
process says all of them, in order. `python -m tests.fakes.espeak_lines` reads pairs of text and voice as JSON."""

import asyncio
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from adapters.espeak_voice import EspeakVoice
from domain.ports import Spoken, VoiceStyle

Line = tuple[str, str]
"""Text and voice."""


def spoken_afresh(lines: Sequence[Line]) -> dict[Line, bytes]:
    """Each line's sound, mu-law 8 kHz."""
    command = [sys.executable, "-m", "tests.fakes.espeak_lines"]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, input=json.dumps(lines).encode(), capture_output=True, check=True)
    return {line: b64decode(sound) for line, sound in zip(lines, json.loads(done.stdout), strict=True)}


async def _speak(lines: Sequence[Sequence[str]]) -> list[bytes]:
    engine = EspeakVoice()

    async def sound(text: str, voice: str) -> bytes:
        async def once() -> AsyncIterator[str]:
            yield text

        pieces = [piece async for piece in engine.speak(once(), VoiceStyle(voice=voice))]
        return b"".join(piece for piece in pieces if not isinstance(piece, Spoken))

    return [await sound(text, voice) for text, voice in lines]


if __name__ == "__main__":
    sounds = asyncio.run(_speak(json.load(sys.stdin)))
    json.dump([b64encode(sound).decode() for sound in sounds], sys.stdout)
