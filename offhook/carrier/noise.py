"""A telephone line's hiss."""

import random
import struct
import warnings

from domain import mulaw

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

LOUDNESS = 60
"""Root mean square, of 32767: some 30 dB below speech."""
LOOP_MS = 2000


class LineNoise:
    """The same seed hisses the same."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        samples = [round(dice.gauss(0, LOUDNESS)) for _ in range(LOOP_MS * mulaw.BYTES_PER_MS)]
        self._pcm = struct.pack(f"<{len(samples)}h", *samples)
        hiss = mulaw.from_pcm(self._pcm)
        self.frames = tuple(hiss[at : at + mulaw.FRAME] for at in range(0, len(hiss), mulaw.FRAME))
        """Nothing but noise, two seconds of it, in frames of 20 ms."""

    def under(self, sound: bytes) -> bytes:
        """The sound, with noise."""
        pcm = mulaw.to_pcm(sound)
        noise = self._pcm * (len(pcm) // len(self._pcm) + 1)
        return mulaw.from_pcm(audioop.add(pcm, noise[: len(pcm)], 2))
