"""A call as a stereo recording: left what the caller sent, right what the caller heard, when it was heard."""

import wave
from array import array
from collections.abc import Iterable
from pathlib import Path

from domain.mulaw import BYTES_PER_MS, RATE, SILENCE, to_pcm
from offhook.carrier.handset import Handset, Passage


def save(phone: Handset, path: Path) -> None:
    """Writes 16-bit PCM, 8 kHz."""
    with wave.open(str(path), "wb") as tape:
        tape.setnchannels(2)
        tape.setsampwidth(2)
        tape.setframerate(RATE)
        tape.writeframes(stereo(phone))


def stereo(phone: Handset) -> bytes:
    """Interleaved 16-bit little-endian PCM, from the call's first ms to the last thing sent or heard."""
    left, right = _track([phone.sent]), _track(phone.heard)
    length = max(len(left), len(right))
    both = array("h", bytes(4 * length))
    both[0::2] = array("h", to_pcm(left.ljust(length, SILENCE)))
    both[1::2] = array("h", to_pcm(right.ljust(length, SILENCE)))
    return both.tobytes()


def _track(passages: Iterable[Passage]) -> bytes:
    track = bytearray()
    for passage in passages:
        start = round(passage.start_ms * BYTES_PER_MS)
        track.extend(SILENCE * (start - len(track)))
        track[start:] = passage.sound
    return bytes(track)
