"""A stand-in for a recogniser, for measuring: it always hears the same sentence, at a fixed pace, at no cost."""

from collections.abc import AsyncIterator

from domain import mulaw
from domain.ports import Sound, SpeechBegins, SpeechEnds, Transcript
from schemas.variable import Expectation


class PacedSpeech:
    """While the VAD hears speech a word more each `partial_every_ms` of sound; all of them, final, when it lets go."""

    def __init__(self, words: str = "I would like to book an appointment please", partial_every_ms: int = 200) -> None:
        self._words = words.split()
        self._partial_every = partial_every_ms * mulaw.BYTES_PER_MS

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        """The pace is that of the sound, not of a clock. Cancelling drops the utterance that is under way."""
        heard: int | None = None
        """Bytes of the utterance; None between utterances."""
        async for piece in sound:
            if isinstance(piece, SpeechBegins):
                heard = 0
            elif isinstance(piece, SpeechEnds) and heard is not None:
                heard = None
                yield Transcript(" ".join(self._words), final=True)
            elif isinstance(piece, bytes) and heard is not None:
                known, heard = heard // self._partial_every, heard + len(piece)
                for count in range(known + 1, min(heard // self._partial_every, len(self._words)) + 1):
                    yield Transcript(" ".join(self._words[:count]), final=False)
