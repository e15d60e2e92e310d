"""What all callers of a measurement saw, in the seconds that count."""

from array import array
from math import inf

from offhook.bench.figures import Spread, spread
from schemas.model import Model


class Heard(Model):
    """What the callers report in the end. Times are in ms."""

    gap: Spread
    """From an utterance's last frame, sent, to the reply's first audio."""
    clear: Spread
    """From an interruption's first frame, sent, to `clear`."""
    turns: int
    """Utterances, interruptions among them."""
    interruptions: int
    unheard_interruptions: int
    """The agent went on to the utterance's end."""
    unanswered: int
    """Turns without a reply within 3 s."""
    cut_ins: int
    """Replies that began while the caller spoke."""
    late_audio: Spread
    """Pieces of a reply that came after all before them was played, and how late."""
    frames_late: Spread
    """The callers' own frames: sent so long after their time."""
    frames_dropped: int
    """The server took them too slowly."""
    cpu_s: float
    """The callers' own process."""
    seconds: float
    """How long was measured."""


class Tally:
    """Counts what begins between `open` and `close`. Moments are in seconds of `time.monotonic`, durations in ms."""

    def __init__(self) -> None:
        self._from, self._until = inf, inf
        self.gaps, self.clears, self.late_audio = list[float](), list[float](), list[float]()
        self._frames_late = array("f")  # fifty a second and call
        self.turns = self.interruptions = self.unheard_interruptions = 0
        self.unanswered = self.cut_ins = self.frames_dropped = 0

    def open(self, now: float) -> None:
        """What begins from now on counts."""
        self._from = now

    def close(self, now: float) -> None:
        """What begins from now on doesn't; what began before may still end."""
        self._until = now

    def counts(self, moment: float) -> bool:
        """Whether something that began then counts."""
        return self._from <= moment < self._until

    def frame(self, due: float, sent: float) -> None:
        """A frame of a caller's."""
        if self._from <= due < self._until:
            self._frames_late.append((sent - due) * 1000)

    def heard(self, cpu_s: float) -> Heard:
        """All of it."""
        return Heard(
            gap=spread(self.gaps),
            clear=spread(self.clears),
            turns=self.turns,
            interruptions=self.interruptions,
            unheard_interruptions=self.unheard_interruptions,
            unanswered=self.unanswered,
            cut_ins=self.cut_ins,
            late_audio=spread(self.late_audio),
            frames_late=spread(self._frames_late),
            frames_dropped=self.frames_dropped,
            cpu_s=round(cpu_s, 3),
            seconds=round(self._until - self._from, 3),
        )
