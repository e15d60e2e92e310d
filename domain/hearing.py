"""Frames that sound like speech or don't → speech began, speech ended. Counts audio, never a clock."""

from enum import Enum, auto

from domain.mulaw import FRAME_MS


class Heard(Enum):
    """What a frame changed."""

    BEGAN = auto()
    PAUSED = auto()
    ENDED = auto()


class Hearing:
    """Needs `minimum_ms` of speech within a window half as long again before it calls it that (a cough is shorter),
    and `release_ms` without any before it lets go (a stop consonant is shorter). After `pause_ms` it says already that
    there may be no more, and once again after three times that."""

    def __init__(self, minimum_ms: int, release_ms: int = 200, pause_ms: int = 40) -> None:
        self._needed = max(1, minimum_ms // FRAME_MS)
        window = self._needed + self._needed // 2
        self.window_ms = window * FRAME_MS
        self._whole_window = (1 << window) - 1
        # Older than these, a frame of speech brings no beginning nearer than the next frame would by itself.
        self._fresh = (1 << (window - self._needed + 1)) - 1
        self._release = max(1, release_ms // FRAME_MS)
        self._pauses = (pause_ms // FRAME_MS, 3 * pause_ms // FRAME_MS)
        self._recent = 0  # a bit a frame, the newest lowest: was it speech?
        self._quiet = 0
        self.speaking = False

    @property
    def silence_ms(self) -> int:
        """Audio since the last frame of speech."""
        return self._quiet * FRAME_MS

    @property
    def stirring(self) -> bool:
        """Something like speech was heard just now that may yet become some."""
        return not self.speaking and bool(self._recent & self._fresh)

    def hear(self, is_speech: bool) -> Heard | None:
        """Takes one frame of 20 ms."""
        if is_speech:
            self._quiet = 0
        else:
            self._quiet += 1
        if self.speaking:
            if self._quiet >= self._release:
                self.speaking = False
                self._recent = 0
                return Heard.ENDED
            return Heard.PAUSED if self._quiet in self._pauses else None
        if not is_speech and not self._recent:  # silence goes on
            return None
        self._recent = ((self._recent << 1) | is_speech) & self._whole_window
        if is_speech and self._recent.bit_count() >= self._needed:
            self.speaking = True
            return Heard.BEGAN
        return None
