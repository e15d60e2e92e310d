"""Frames → what was heard: VAD, endpointing, and the sound that the recogniser gets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from domain.echo import LATEST_MS, LONG_ENOUGH_MS, is_echo
from domain.hearing import Heard, Hearing
from domain.mulaw import FRAME, FRAME_MS
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Detector, Sound
from schemas.agent import Listening
from schemas.signals import Paused, Settled, SpeechBegan, SpeechEnded
from schemas.variable import Expectation

HeardSignal = SpeechBegan | Paused | SpeechEnded | Settled

PIECE = 5 * FRAME
"""While the caller speaks, the recogniser gets sound in pieces of 100 ms; in a silence it is left alone."""
PRE_ROLL = 35 * FRAME
"""Sound before the beginning of speech that it gets too: what the VAD needed to be sure, and 300 ms or more before."""
LONGEST_SPEECH_MS = 30_000
"""Whoever speaks on for so long is taken to have said something."""
ECHO_AGAIN_MS = 100
"""How often an echo is asked again whether it still is one."""
BACKLOG = 3000
"""Items kept for a recogniser that stalls: the oldest sound is dropped after some five minutes."""


class Ear:
    """One call's ear. It counts audio, not clocks; its signals' time is left at 0.

    `played` tells what the far end has played in the last so many ms: what comes back of it is not the caller."""

    def __init__(
        self, listening: Listening, detector: Detector, language: str, played: Callable[[int], bytes] = lambda ms: b""
    ) -> None:
        self.expectation = Expectation(language=language)
        self._hearing = Hearing(listening.minimum_speech_ms)
        self._detector = detector
        self._played = played
        self._lately = deque[bytes](maxlen=LONG_ENOUGH_MS // FRAME_MS)
        self._echoing = False
        self._told = False  # the recogniser that takes the sound was told of speech, and not yet of its end
        self._rest = b""
        self._piece = bytearray()
        self._spoken = 0
        self._cut_short = False
        self._settle_after: int | None = None
        self._silent = 0
        self._sound: deque[Sound] = deque(maxlen=BACKLOG)
        self._more = asyncio.Event()

    def hear(self, sound: bytes) -> Sequence[HeardSignal]:
        """Takes the caller's sound in pieces of any size."""
        if len(sound) == FRAME and not self._rest:  # the usual case
            return self._frame(sound)
        sound = self._rest + sound
        whole = len(sound) // FRAME * FRAME
        self._rest = sound[whole:]
        return [signal for at in range(0, whole, FRAME) for signal in self._frame(sound[at : at + FRAME])]

    def _frame(self, frame: bytes) -> Sequence[HeardSignal]:
        hearing, piece = self._hearing, self._piece
        piece += frame
        if hearing.speaking and not self._echoing and not self._cut_short:
            if len(piece) >= PIECE:
                self._pass_on()
        elif len(piece) >= 2 * PRE_ROLL:
            del piece[:-PRE_ROLL]
        self._lately.append(frame)
        changed = hearing.hear(self._detector.is_speech(frame))
        if changed is Heard.BEGAN or self._echoing:
            changed = self._unless_echo(changed)
        if changed is Heard.BEGAN:
            self._spoken, self._settle_after = 0, None
            del piece[:-PRE_ROLL]
            self._pass_on(SPEECH_BEGINS)
            return [SpeechBegan(at=0)]
        if changed is Heard.PAUSED and not self._cut_short:
            self._pass_on()
            self._spoken += FRAME_MS
            return [Paused(at=0, silence=hearing.silence_ms)]
        if changed is Heard.ENDED and self._cut_short:
            self._cut_short = False  # its end was told before
        elif changed is Heard.ENDED:
            self._silent = hearing.silence_ms
            self._pass_on(SPEECH_ENDS)
            return [SpeechEnded(at=0, silence=hearing.silence_ms)]
        if hearing.speaking and not self._cut_short and not self._echoing:
            self._spoken += FRAME_MS
            return self._enough() if self._spoken > LONGEST_SPEECH_MS else ()
        self._silent += FRAME_MS
        if self._settle_after is not None and self._silent >= self._settle_after and not self._may_go_on():
            self._settle_after = None
            return [Settled(at=0)]
        return ()

    def _unless_echo(self, changed: Heard | None) -> Heard | None:
        """What of this is the caller's own: nothing, while it is the agent that comes back; whoever speaks over the
        echo is heard as soon as they are louder."""
        if changed is Heard.ENDED:
            self._echoing = False
            return None
        self._spoken += FRAME_MS
        if changed is Heard.BEGAN or self._spoken >= ECHO_AGAIN_MS:
            self._spoken = 0
            self._echoing = is_echo(b"".join(self._lately), self._played(LATEST_MS + LONG_ENOUGH_MS))
            return None if self._echoing else Heard.BEGAN
        return None

    def _may_go_on(self) -> bool:
        """Whether the caller may be speaking again. What stirs for longer than speech takes to begin is a noise."""
        assert self._settle_after is not None
        return self._hearing.stirring and self._silent < self._settle_after + self._hearing.window_ms

    def _enough(self) -> Sequence[HeardSignal]:
        """Whatever goes on sounding, voice or noise: this turn of it is over, and no other begins before it stops."""
        self._cut_short, self._silent = True, 0
        self._pass_on(SPEECH_ENDS)
        return [SpeechEnded(at=0, silence=0)]

    def listen_as(self, listening: Listening) -> None:
        """Another agent goes on, which takes other sounds for speech. Speech that is heard goes on as it began."""
        if not self._hearing.speaking:
            self._hearing = Hearing(listening.minimum_speech_ms)

    def settle_after(self, silence_ms: int) -> None:
        """Tell, once, when the caller has been silent for so long since the last speech, and isn't beginning anew."""
        self._settle_after = silence_ms

    def expect(self, expectation: Expectation) -> None:
        """A new turn of the caller's begins."""
        self.expectation = expectation
        self._settle_after = None
        self._pass_on(expectation)

    def _pass_on(self, *marks: Sound) -> None:
        if self._piece:
            self._sound.append(bytes(self._piece))
            self._piece.clear()
        self._sound.extend(marks)
        self._more.set()

    async def sound(self) -> AsyncIterator[Sound]:
        """What the recogniser is to hear, as it comes; a new one is told if it begins amidst speech. Cancelling loses
        nothing that wasn't handed out."""
        if self._told:
            yield SPEECH_BEGINS
        while True:
            while self._sound:
                sound = self._sound.popleft()
                if sound is SPEECH_BEGINS or sound is SPEECH_ENDS:
                    self._told = sound is SPEECH_BEGINS
                yield sound
            self._more.clear()
            await self._more.wait()
