"""Whether what comes in is what went out: the far end's microphone hears its own loudspeaker."""

import numpy as np

from domain import mulaw

LATEST_MS = 1000
"""An echo comes back within this time: two ways through the network, and the room."""
LONG_ENOUGH_MS = 300
"""Of what is heard, to tell whether it is one."""
ALIKE = 0.35
"""From here on it is an echo. Another voice reaches 0.26 of 1, an echo at a tenth of its loudness, with noise, 0.54."""
EMPHASIS = 0.95

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]


def is_echo(heard: bytes, played: bytes) -> bool:
    """Whether `heard` is somewhere in `played`; mu-law, both up to now. Half a millisecond of work."""
    return likeness(heard, played) >= ALIKE


def likeness(heard: bytes, played: bytes) -> float:
    """The highest correlation of `heard` with a stretch of `played` as long as itself: 0 (nothing alike) to 1."""
    if not heard or len(played) < len(heard):
        return 0.0
    x, y = _sharpened(heard), _sharpened(played)
    size = 1 << (len(x) + len(y) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size)[: len(y) - len(x) + 1]
    sums = np.concatenate(([0.0], np.cumsum(y * y)))
    energies = (sums[len(x) :] - sums[: len(sums) - len(x)]) * float(x @ x)
    loud = energies > energies.max() * 1e-4  # silence correlates with anything
    return float(np.abs(products[loud] / np.sqrt(energies[loud])).max()) if loud.any() else 0.0


def _sharpened(sound: bytes) -> Samples:
    """As PCM with the low frequencies, which are alike in all voices, made weaker."""
    pcm = np.frombuffer(mulaw.to_pcm(sound), dtype="<i2").astype(np.float64)
    pcm[1:] -= EMPHASIS * pcm[:-1]
    return pcm
