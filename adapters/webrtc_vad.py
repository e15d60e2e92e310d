"""Voice activity detection with WebRTC's detector, kept from taking a steady noise for speech."""

from math import inf

import webrtcvad

from domain import mulaw

QUIETEST = 20
"""Root mean square below which nothing on a phone line is told apart: some -64 dB of full scale."""
ABOVE_FLOOR = 1.8
"""How many times louder than the noise floor a frame must be to count as more than noise (5 dB)."""
HOLD = 3
"""Frames of quiet inside speech that don't end it at once; what they miss, `Hearing` bridges."""
WINDOW = 25
"""Frames of which the quietest is remembered; the floor is the quietest of the last five such windows (2.5 s)."""
FIRST_FLOOR = 500
"""The floor is at most this until those windows are filled: a caller may be speaking from the first frame on."""


class WebrtcDetector:
    """Its model is a voice's spectrum, and a loud hum fits it. But speech always pauses for breath, and noise
    doesn't: whatever stays near the quietest frame of the last seconds is noise. Some 2 µs a frame."""

    def __init__(self, aggressiveness: int = 2) -> None:
        """From 0, which lets much pass for speech, to 3, which misses the soft parts of words."""
        self._vad = webrtcvad.Vad(aggressiveness)
        self._floors: list[float] = [FIRST_FLOOR] * 4
        self._lowest_floor: float = FIRST_FLOOR
        self._quietest = inf
        self._frames = 0
        self._quiet_for = HOLD

    def is_speech(self, frame: bytes) -> bool:
        """Whether 20 ms of mu-law (160 bytes) sound like speech."""
        pcm = mulaw.to_pcm(frame)
        loudness = max(mulaw.loudness(pcm), QUIETEST)
        if loudness < self._quietest:
            self._quietest = loudness
        if loudness > min(self._quietest, self._lowest_floor) * ABOVE_FLOOR:
            self._quiet_for = 0
        else:
            self._quiet_for += 1
        self._frames += 1
        if self._frames == WINDOW:
            self._next_window()
        # The model learns from every frame, so it hears also those whose answer is known.
        sounds_like_a_voice: bool = self._vad.is_speech(pcm, mulaw.RATE)
        return sounds_like_a_voice and self._quiet_for < HOLD

    def _next_window(self) -> None:
        self._floors = [*self._floors[1:], self._quietest]
        self._lowest_floor = min(self._floors)
        self._quietest = inf
        self._frames = 0
