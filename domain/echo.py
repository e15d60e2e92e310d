"""Whether what comes in is what went out: the far end's microphone hears its own loudspeaker."""

import numpy as np

from domain import mulaw

LATEST_MS = 700
"""An echo comes back within this time: two ways through the network, and the room."""
LONG_ENOUGH_MS = 300
"""Of what is heard, to tell whether it is one."""
ALIKE = 0.52
"""From here on it is an echo. Other voices reach 0.33 of 1 in 99 of 100 cases, 0.47 at most; an echo at a twentieth of
its loudness, with noise, 0.65."""
EMPHASIS = 0.95

Samples = np.ndarray[tuple[int], np.dtype[np.float32]]


def is_echo(heard: bytes, played: bytes) -> bool:
    """Whether `heard` is somewhere in `played`; mu-law, both up to now."""
    return likeness(heard, played) >= ALIKE


def likeness(heard: bytes, played: bytes) -> float:
    """The highest correlation of `heard` with a stretch of `played` as long as itself: 0 (nothing alike) to 1."""
    if len(heard) < 4 or len(played) < len(heard):
        return 0.0
    y = _sharpened(played)
    size = 1 << (len(y) - 1).bit_length()  # where x would run over y's end, the products mean nothing and aren't used
    spectrum = np.fft.rfft(y, size)
    sums = np.concatenate(([0.0], np.cumsum(y * y, dtype=np.float64)))
    best = 0.0
    for x in (_sharpened(heard), _sharpened(heard[1:])):  # at half the rate an echo may lie between two samples
        products = np.fft.irfft(spectrum * np.conj(np.fft.rfft(x, size)), size)[: len(y) - len(x) + 1]
        energies = (sums[len(x) :] - sums[: len(sums) - len(x)]) * float(x @ x)
        loud = energies > energies.max() * 1e-4  # silence correlates with anything
        if loud.any():
            best = max(best, float(np.abs(products[loud] / np.sqrt(energies[loud])).max()))
    return best


def _sharpened(sound: bytes) -> Samples:
    """As PCM at half the rate, with the low frequencies, which are alike in all voices, made weaker."""
    pcm = np.frombuffer(mulaw.to_pcm(sound[: len(sound) // 2 * 2]), dtype="<i2").astype(np.float32)
    half = pcm[::2] + pcm[1::2]
    half[1:] -= EMPHASIS * half[:-1]
    return half
