"""One simulated caller's side of a call, frame by frame: when they speak, listen, and interrupt. Counts audio only."""

from collections.abc import Sequence
from enum import Enum, auto
from random import Random

from domain.mulaw import FRAME_MS
from offhook.bench.voices import Frames

LISTENS_MS = 3000
JITTER_MS = 200
"""Listening is longer or shorter by up to so much."""
GREETING_MS = (1000, 4000)
"""How long a caller waits after the call began, at least and at most."""
PATIENCE_MS = 3000
"""No reply for so long after the caller's last word: there is none."""
INTERRUPTS_EVERY = 3
INTERRUPTS_AFTER_MS = 500
"""Of the reply."""


class Change(Enum):
    """What a frame is the first or the last of."""

    BEGAN = auto()
    """The first of an utterance, said into silence."""
    INTERRUPTED = auto()
    """The first of an utterance, said into the agent's reply."""
    ENDED = auto()
    """The last of an utterance."""
    UNANSWERED = auto()
    """The last that the caller waited for a reply."""


class Talk:
    """Speaks some 2.3 s, listens some 3 s and until the reply is over, and every third time interrupts instead."""

    def __init__(self, utterances: Sequence[Frames], hiss: Frames, dice: Random) -> None:
        self.owed = True
        """A reply is awaited; at first the greeting."""
        self.speaking = False
        self._utterances, self._hiss, self._dice = utterances, hiss, dice
        self._utterance: Frames = ()
        self._place = dice.randrange(len(hiss))
        self._turn = 0
        self._quiet = 0  # frames since the caller's last word
        self._heard = 0  # frames since the reply began
        self._pause = dice.randint(*GREETING_MS) // FRAME_MS

    def replied(self) -> None:
        """The reply that was owed begins."""
        self.owed, self._heard = False, 0

    def frame(self, hears: bool) -> tuple[bytes, Change | None]:
        """The caller's next 20 ms; `hears` tells whether the agent is audible just now."""
        if self.speaking:
            return self._speak()
        self._quiet += 1
        self._heard += 1
        if self.owed:
            if self._quiet * FRAME_MS > PATIENCE_MS:
                self.owed, self._heard = False, 0
                return self._listen(), Change.UNANSWERED
            return self._listen(), None
        if self._begins(hears):
            self._turn += 1
            self.speaking, self._place = True, 0
            self._utterance = self._dice.choice(self._utterances)
            return self._speak()[0], Change.INTERRUPTED if hears else Change.BEGAN
        return self._listen(), None

    def _begins(self, hears: bool) -> bool:
        if not hears:
            return self._quiet >= self._pause
        return self._turn % INTERRUPTS_EVERY == INTERRUPTS_EVERY - 1 and self._heard * FRAME_MS > INTERRUPTS_AFTER_MS

    def _speak(self) -> tuple[bytes, Change | None]:
        sound = self._utterance[self._place]
        self._place += 1
        if self._place < len(self._utterance):
            return sound, None
        self.speaking, self.owed, self._quiet = False, True, 0
        self._pause = (LISTENS_MS + self._dice.randint(-JITTER_MS, JITTER_MS)) // FRAME_MS
        return sound, Change.ENDED

    def _listen(self) -> bytes:
        self._place = (self._place + 1) % len(self._hiss)
        return self._hiss[self._place]
