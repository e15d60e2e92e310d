"""The phone's own audio: mu-law, 8 kHz, mono, one byte a sample. Lengths are counted in bytes or in ms of audio."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

RATE = 8000
BYTES_PER_MS = RATE // 1000
FRAME_MS = 20
FRAME = FRAME_MS * BYTES_PER_MS
SILENCE = b"\xff"
"""One sample of silence."""


def to_pcm(sound: bytes) -> bytes:
    """mu-law → signed 16-bit little-endian PCM at the same rate: two bytes a sample."""
    return audioop.ulaw2lin(sound, 2)


def from_pcm(pcm: bytes) -> bytes:
    """Signed 16-bit little-endian PCM at 8 kHz → mu-law."""
    return audioop.lin2ulaw(pcm, 2)


def loudness(pcm: bytes) -> int:
    """Root mean square of 16-bit PCM: 0 (silence) to 32767."""
    return audioop.rms(pcm, 2)


def milliseconds(sound: bytes) -> float:
    """How long it plays."""
    return len(sound) / BYTES_PER_MS


def silence(ms: int) -> bytes:
    """That much quiet."""
    return SILENCE * (ms * BYTES_PER_MS)
