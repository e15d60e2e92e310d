"""Speech on Google's Speech-to-Text v2, streaming: mu-law 8 kHz straight through.

**A stream lasts as long as the caller speaks**: from SPEECH_BEGINS, with some sound from before, to SPEECH_ENDS, where
its sending side is closed. Google then makes all it has final at once and ends the stream, so a transcript is final
when the stream has ended: no guessing which of Google's own finals covers what, no waiting for its endpointing (half a
second or more), and an answer also when there was nothing to understand. Silence and the agent's speech are neither
sent nor billed, a project's quota of streams goes to those who speak, and every stream knows what this turn is
expected to hold, in its language. The price is a stream's opening, on a connection that is open already and while the
caller speaks. Opening it in advance would save nothing that anybody waits for, and Google ends a stream that stays
without sound for ten seconds.

**A stream is one attempt at the turn's sound.** When the caller resumes, when the stream breaks, when it nears
Google's limit of five minutes or when a new turn begins amidst speech, another one hears the turn again: all of it
while that is short, so that "five five five … one two three four" stays one number; else only what Google hasn't made
final yet, whose end it tells to the millisecond. Only one stream's words count at a time. So none is lost or doubled.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from adapters.google_refusal import explain
from adapters.grpc_channels import GrpcChannels
from domain.mulaw import BYTES_PER_MS, RATE, silence
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Sound, SpeechBegins, SpeechEnds, Transcript, Unavailable
from schemas.variable import Expectation, Variable

if TYPE_CHECKING:  # at run time only if it is chosen: importing them takes a second
    from google.auth.credentials import Credentials
    from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
    from google.cloud.speech_v2.types import StreamingRecognitionConfig, StreamingRecognizeRequest
    from grpc.aio import AioRpcError  # type: ignore[import-untyped]

PRE_ROLL = 500 * BYTES_PER_MS
"""Sound from before the VAD was sure, which by default takes up to 360 ms. What is older may be the agent's echo."""
REQUEST = 100 * BYTES_PER_MS
MOST_IN_REQUEST = 1600 * BYTES_PER_MS
"""Of sound that is sent again. Google takes 15 KB."""
SHORT = 5_000 * BYTES_PER_MS
"""A turn up to this long is heard again whole. The longer, the better its words fit together, the later they come."""
BACKOFF_S = (0.0, 0.2, 0.6)
"""Before another stream is tried after the first, second … failure in a row; after that it's given up."""
TRANSIENT = {"ABORTED", "UNAVAILABLE", "OUT_OF_RANGE", "INTERNAL", "CANCELLED", "UNKNOWN"}
"""gRPC's names of failures that another stream may not meet; the last three are how a connection may break."""
BACKLOG = 16

ASKED_BOOST, WELCOME_BOOST = 10.0, 5.0
MOST_PHRASES, LONGEST_PHRASE = 1000, 100
CLASSES = {
    "date": ("$MONTH $DAY", "$MONTH", "$DAY"),
    "time": ("$TIME",),
    "number": ("$OPERAND",),
    "digits": ("$OOV_CLASS_DIGIT_SEQUENCE",),
    "phone": ("$FULLPHONENUM", "$OOV_CLASS_DIGIT_SEQUENCE"),
}
"""Google's ready-made classes of words. Where a language lacks one, Google ignores it."""
UNSPACED = {"ja", "zh", "cmn", "yue", "th", "lo", "km", "my"}
"""Languages written without spaces between words."""


class GoogleSpeech:
    """See `domain.ports.Speech`. `async with` it: leaving ends every stream and closes the connections."""

    def __init__(
        self,
        project: str,
        location: str = "global",
        model: str = "telephony",
        endpoint: str = "",
        credentials: "Credentials | None" = None,
        insecure: bool = False,
        answer_s: float = 2.5,
        rotate_s: float = 240,
        longest_s: float = 290,
    ) -> None:
        """`endpoint` (host:port) is the location's own by default; for `credentials` and `insecure` see GrpcChannels.
        A final transcript must come within `answer_s` of the speech's end. A stream that has heard `rotate_s` of
        sound gives way to another at the next pause, at `longest_s` at once.
        Raises Unavailable without the `google` extra."""
        try:
            from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
        except ImportError as missing:
            raise Unavailable(f"Speech-to-Text needs the `google` extra: {missing.name} is not installed") from missing
        host = "speech.googleapis.com" if location == "global" else f"{location}-speech.googleapis.com"
        self.project, self.location, self.model = project, location, model
        self.endpoint = endpoint or f"{host}:443"
        self.answer_s = answer_s
        self.rotate_at = round(rotate_s * RATE)
        self.longest = round(longest_s * RATE)
        self.channels: GrpcChannels[SpeechGrpcAsyncIOTransport] = GrpcChannels(
            self.endpoint, lambda channel: SpeechGrpcAsyncIOTransport(channel=channel), credentials, insecure
        )

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self.channels.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channels.__aexit__()

    async def check(self, language: str = "en-US") -> None:
        """Has a tenth of a second of silence recognised, which Google bills as a second: this alone tells that
        credentials, API, location, model and language go together. Raises Unavailable."""

        async def moment() -> AsyncIterator[Sound]:
            yield SPEECH_BEGINS
            yield silence(100)
            yield SPEECH_ENDS

        heard = self.transcribe(moment(), Expectation(language=language))
        async with aclosing(heard) as transcripts:  # type: ignore[type-var]
            async for _ in transcripts:
                pass

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        """Partial transcripts as Google has them. A turn that begins amidst speech begins with that speech.
        Raises Unavailable; what may pass by itself is tried again a few times before. Cancelling cancels the
        stream at once."""
        news: asyncio.Queue[_News] = asyncio.Queue(BACKLOG)
        listening = _Listening(self, expectation, news)
        pouring = asyncio.create_task(_pour(sound, news))
        try:
            while not listening.over:
                try:
                    async with asyncio.timeout_at(listening.owed_by):
                        item = await news.get()
                except TimeoutError:
                    raise Unavailable(f"Speech-to-Text gave no final transcript within {self.answer_s:g} s") from None
                if transcript := listening.take(item):
                    yield transcript
        finally:
            listening.stop()
            pouring.cancel()
            await asyncio.wait([pouring, *listening.tasks])

    def explain(self, error: "AioRpcError", language: str) -> Unavailable:
        """What went wrong, and what to do about it."""
        from google.api_core.exceptions import from_grpc_error

        code = error.code().name
        if code in ("INVALID_ARGUMENT", "NOT_FOUND"):  # Google's message is about the configuration, which is ours
            said = " ".join((error.details() or "").split())[:200]
            return Unavailable(
                f"Speech-to-Text refused model {self.model} for {language} in {self.location} of project "
                f"{self.project}: choose what Google offers together, by OFFHOOK_SPEECH_MODEL, OFFHOOK_SPEECH_LOCATION "
                f"and the agent's language ({code}: {said})"
            )
        if code == "UNAVAILABLE" and self.location != "global" and "resol" in (error.details() or ""):
            # gRPC's words for an address that nobody has: "DNS resolution failed", "errors resolving".
            return Unavailable(
                f"Speech-to-Text could not be reached: nobody knows {self.endpoint}; correct OFFHOOK_SPEECH_LOCATION"
            )
        refusal = from_grpc_error(error)  # type: ignore[no-untyped-call]
        return explain(refusal, "Speech-to-Text", "speech.googleapis.com")


# --- What comes in -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """Google's response, as its plain message: reading it through the wrapper costs several times as much."""

    stream: "_Stream"
    response: Any


@dataclass(frozen=True, slots=True)
class _Ended:
    stream: "_Stream"
    error: "AioRpcError | Unavailable | None"


@dataclass(frozen=True, slots=True)
class _SoundOver:
    error: Exception | None = None


_News = Sound | _Said | _Ended | _SoundOver


async def _pour(sound: AsyncIterator[Sound], news: "asyncio.Queue[_News]") -> None:
    try:
        async for piece in sound:
            await news.put(piece)
    except Exception as error:
        await news.put(_SoundOver(error))
    else:
        await news.put(_SoundOver())


# --- One caller ----------------------------------------------------------------------------------------------------


class _Listening:
    """Takes what comes in, one by one, never waiting."""

    def __init__(self, speech: GoogleSpeech, expectation: Expectation, news: "asyncio.Queue[_News]") -> None:
        self.over = False
        self.owed_by: float | None = None
        """When a final transcript is due, by the loop's clock; None if none is."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._speech = speech
        self._news = news
        self._turn = _Turn(expectation)
        self._opening = opening(speech.project, speech.location, speech.model, expectation)
        self._stream: _Stream | None = None
        """There is one as long as there is speech or a final transcript is owed."""
        self._running: asyncio.Task[None] | None = None
        self._speaking = self._sound_over = False
        self._pre_roll = bytearray()
        self._failures = 0

    def take(self, item: _News) -> Transcript | None:
        """Raises Unavailable, and whatever the sound itself raised."""
        match item:
            case bytes():
                self._hear(item)
            case SpeechBegins():
                self._begin()
            case SpeechEnds():
                self._end()
            case Expectation():
                self._expect(item)
            case _Said(stream=stream, response=response) if stream is self._stream:
                return self._understand(stream, response)
            case _Ended(stream=stream, error=error) if stream is self._stream:
                return self._close(stream, error)
            case _SoundOver(error=error):
                if error:
                    raise error
                self._sound_over, self.over = True, self.owed_by is None
        return None

    def _hear(self, piece: bytes) -> None:
        if not self._speaking:
            self._pre_roll += piece
            del self._pre_roll[:-PRE_ROLL]
            return
        self._turn.sound += piece
        stream = self._stream
        if stream and not stream.ended:
            stream.send(piece)
            if stream.sent >= self._speech.longest:
                self._rotate(stream)

    def _begin(self) -> None:
        if self._speaking:
            return
        self._speaking, self.owed_by = True, None
        self._turn.resume(self._pre_roll)
        self._pre_roll.clear()
        self._open()

    def _end(self) -> None:
        self._begin()  # if that was missed
        self._speaking = False
        self.owed_by = asyncio.get_running_loop().time() + self._speech.answer_s
        if self._stream:
            self._stream.end()

    def _expect(self, expectation: Expectation) -> None:
        self._turn = self._turn.next(expectation, self._speaking)
        speech = self._speech
        self._opening = opening(speech.project, speech.location, speech.model, expectation)
        self.owed_by = None
        if self._speaking:
            self._open()
        else:
            self.stop()

    def _understand(self, stream: "_Stream", response: Any) -> Transcript | None:
        text = self._turn.understand(response.results)
        pause = response.speech_event_type == ACTIVITY_END or any(result.is_final for result in response.results)
        if pause and not stream.ended and stream.sent >= self._speech.rotate_at:
            self._rotate(stream)
        return None if text is None else Transcript(text, final=False)

    def _rotate(self, stream: "_Stream") -> None:
        """The stream gives way to another, which hears again what isn't final. If that is too much, because Google
        lags or has heard no pause, the stream is ended like that of a whole turn, and the other one goes on from there
        (a word that is being spoken right then is cut in two)."""
        if self._turn.unsettled(stream.sent) > self._speech.longest // 2:
            stream.end()
        else:
            self._open()

    def _close(self, stream: "_Stream", error: "AioRpcError | Unavailable | None") -> Transcript | None:
        """The stream has ended."""
        if error is None and stream.said_all:
            self._failures = 0
            text = self._turn.finish(stream.sent)
            if self.owed_by is not None and stream.sent == len(self._turn.sound):
                self.stop()
                self.owed_by, self.over = None, self._sound_over
                return Transcript(text, final=True)
        else:
            self._fail(error)
        self._open()
        return None

    def _fail(self, error: "AioRpcError | Unavailable | None") -> None:
        """The stream ended as it shouldn't. Raises Unavailable unless another may do better."""
        if isinstance(error, Unavailable):
            raise error
        if error and (error.code().name not in TRANSIENT or self._failures == len(BACKOFF_S)):
            raise self._speech.explain(error, self._turn.expectation.language) from error
        if self._failures == len(BACKOFF_S):
            raise Unavailable("Speech-to-Text ended its streams before the speech did")
        self._failures += 1

    def _open(self) -> None:
        """A new stream for the turn, in place of the one there is."""
        self.stop()
        stream = self._stream = _Stream(self._opening)
        stream.send(self._turn.again())
        if self.owed_by is not None:
            stream.end()
        wait_s = BACKOFF_S[self._failures - 1] * random.uniform(0.5, 1.5) if self._failures else 0
        self._running = asyncio.create_task(stream.run(self._speech.channels, self._news, wait_s))
        self.tasks.add(self._running)
        self._running.add_done_callback(self.tasks.discard)

    def stop(self) -> None:
        """Cancels the stream, if there is one; its task is among `tasks` until it has ended."""
        if self._running:
            self._running.cancel()
        self._stream = self._running = None


class _Stream:
    """One `StreamingRecognize`."""

    def __init__(self, opening: "StreamingRecognizeRequest") -> None:
        self.sent = 0
        """Bytes of sound, those included that wait to be sent."""
        self.said_all = False
        """Whether all sound was handed over and the sending side closed."""
        self.ended = False
        self._opening = opening
        self._waiting = bytearray()
        self._more = asyncio.Event()

    def send(self, sound: bytes) -> None:
        self._waiting += sound
        self.sent += len(sound)
        if len(self._waiting) >= REQUEST:
            self._more.set()

    def end(self) -> None:
        """No more sound: whatever Google has is final now."""
        self.ended = True
        self._more.set()

    async def run(
        self, channels: "GrpcChannels[SpeechGrpcAsyncIOTransport]", news: "asyncio.Queue[_News]", wait_s: float
    ) -> None:
        """Puts every response into `news`, and how it ended. Cancelling ends it at once."""
        from grpc.aio import AioRpcError

        await asyncio.sleep(wait_s)
        error: AioRpcError | Unavailable | None = None
        call: Any = None
        try:
            with channels.stream() as transport:
                # The client's own method hands out the call only once it is connected: it couldn't be cancelled before.
                recognise: Any = transport.streaming_recognize
                call = recognise(self._requests())
                async for response in call:
                    await news.put(_Said(self, type(response).pb(response)))
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            error = Unavailable("the connection to Speech-to-Text was closed")  # by us: the call says it like this
        except AioRpcError as problem:
            error = problem
        except Exception as problem:  # the caller must not wait for a stream that is no more
            error = Unavailable(f"Speech-to-Text could not be used ({type(problem).__name__})")
        finally:
            if call:
                call.cancel()
        await news.put(_Ended(self, error))

    async def _requests(self) -> "AsyncIterator[StreamingRecognizeRequest]":
        from google.cloud.speech_v2.types import StreamingRecognizeRequest

        yield self._opening
        while True:
            await self._more.wait()
            self._more.clear()
            while len(self._waiting) >= REQUEST or (self.ended and self._waiting):
                piece = bytes(self._waiting[:MOST_IN_REQUEST])
                del self._waiting[: len(piece)]
                yield StreamingRecognizeRequest(audio=piece)
            if self.ended:
                self.said_all = True
                return


class _Turn:
    """A caller's turn: its words so far, and its sound as far as it may have to be heard again.
    A stream always begins with the first of that sound."""

    def __init__(self, expectation: Expectation) -> None:
        self.expectation = expectation
        self.sound = bytearray()
        self._resumed_at = 0
        """Where in `sound` the latest speech begins."""
        self._settled: list[str] = []
        """Words whose sound is let go."""
        self._final: list[str] = []
        self._final_to = 0
        """Where in `sound` the words end that the stream has made final."""
        self._interim: list[str] = []
        self._told = ""
        self._told_to = 0

    def next(self, expectation: Expectation, speaking: bool) -> "_Turn":
        """The turn after this one: speech that is going on belongs to it."""
        turn = _Turn(expectation)
        if speaking:
            turn.sound += self.sound[self._resumed_at :]
        return turn

    def resume(self, sound: bytes | bytearray) -> None:
        """Speech begins, with this sound."""
        self._resumed_at = len(self.sound)
        self.sound += sound

    def unsettled(self, sent: int) -> int:
        """How many of the bytes that the stream was sent it has made no final words of."""
        return sent - self._final_to

    def again(self) -> bytes:
        """What a new stream has to hear first."""
        if len(self.sound) > SHORT and self._final_to:
            self._settled += self._final
            del self.sound[: self._final_to]
            self._resumed_at = max(0, self._resumed_at - self._final_to)
            self._told_to = max(0, self._told_to - self._final_to)
        self._final, self._final_to, self._interim = [], 0, []
        return bytes(self.sound)

    def understand(self, results: Any) -> str | None:
        """All words of the turn, from the stream's latest results; None if that tells nothing new."""
        if not results:
            return None
        to = 0
        self._interim = []
        for result in results:
            text = result.alternatives[0].transcript if result.alternatives else ""
            end = result.result_end_offset
            to = end.seconds * RATE + end.nanos * RATE // 10**9
            if result.is_final:
                self._final.append(text)
                self._final_to = max(to, self._final_to)
            else:
                self._interim.append(text)
        words = self._words()
        if words == self._told or 0 < to < self._told_to:  # it hasn't caught up yet with what was heard before
            return None
        self._told, self._told_to = words, to
        return words

    def finish(self, sent: int) -> str:
        """All words of the turn: the stream has ended, and made final all that it was sent."""
        self._final += self._interim
        self._interim = []
        self._final_to = self._told_to = sent
        self._told = self._words()
        return self._told

    def _words(self) -> str:
        glue = "" if self.expectation.language.split("-")[0] in UNSPACED else " "
        pieces = (piece.strip() for piece in (*self._settled, *self._final, *self._interim))
        return glue.join(piece for piece in pieces if piece)


# --- What Google is told -------------------------------------------------------------------------------------------

ACTIVITY_END = 3
"""Google's own voice activity detection hears speech no more."""


def opening(project: str, location: str, model: str, expectation: Expectation) -> "StreamingRecognizeRequest":
    """The first request of every stream."""
    from google.cloud.speech_v2.types import StreamingRecognizeRequest

    return StreamingRecognizeRequest(
        recognizer=f"projects/{project}/locations/{location}/recognizers/_",
        streaming_config=_config(model, expectation),
    )


def _config(model: str, expectation: Expectation) -> "StreamingRecognitionConfig":
    from google.cloud.speech_v2 import types as t

    phrases: list[Any] = []
    for value, boost in _phrases(expectation).items():
        if not model.startswith("chirp"):
            phrases.append(t.PhraseSet.Phrase(value=value, boost=boost))
        elif "$" not in value:  # the newer models take neither boosts nor classes
            phrases.append(t.PhraseSet.Phrase(value=value))
    sets = [t.SpeechAdaptation.AdaptationPhraseSet(inline_phrase_set=t.PhraseSet(phrases=phrases))] if phrases else []
    return t.StreamingRecognitionConfig(
        config=t.RecognitionConfig(
            explicit_decoding_config=t.ExplicitDecodingConfig(
                encoding=t.ExplicitDecodingConfig.AudioEncoding.MULAW, sample_rate_hertz=RATE, audio_channel_count=1
            ),
            model=model,
            language_codes=[expectation.language],
            adaptation=t.SpeechAdaptation(phrase_sets=sets) if sets else None,
        ),
        streaming_features=t.StreamingRecognitionFeatures(interim_results=True, enable_voice_activity_events=True),
    )


def _phrases(expectation: Expectation) -> dict[str, float]:
    """What is likely to be said, and how much. The first of a phrase's boosts counts: what was asked comes first."""
    boosts: dict[str, float] = {}
    for variables, boost in ((expectation.asked, ASKED_BOOST), (expectation.welcome, WELCOME_BOOST)):
        for phrase in (phrase for variable in variables for phrase in _says(variable)):
            if phrase and len(phrase) <= LONGEST_PHRASE and len(boosts) < MOST_PHRASES:
                boosts.setdefault(phrase, boost)
    return boosts


def _says(variable: Variable) -> list[str]:
    # A dollar sign would call a class.
    own = [phrase.replace("$", "").strip() for choice in variable.choices for phrase in (choice.value, *choice.says)]
    return [*own, *CLASSES.get(variable.kind, ())]
