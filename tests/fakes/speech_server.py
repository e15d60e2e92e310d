"""Speech-to-Text v2's streaming protocol on a local port: as strict about requests as the real one, and failing as told.

It hears exactly the sound that it gets: `say("on friday")` is sound that holds its words, so a word that was lost, heard
twice or cut in two shows in the transcript. Sound that isn't such (nor silence) is heard as `otherwise`. Nothing in it
runs at the pace of speech, only at that of the requests."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.speech_v2 import types as t
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from domain.mulaw import BYTES_PER_MS, RATE

WORD = 200 * BYTES_PER_MS
"""How long each word of `say` lasts."""
PAUSE = 600 * BYTES_PER_MS
"""Silence after which the server makes final what it heard, by itself."""
STEP = 100 * BYTES_PER_MS
MOST_AUDIO = 15_000
MODELS = {"telephony", "long", "chirp_2", "chirp_3"}
LANGUAGES = {"en-US", "de-DE", "ja-JP"}


def say(text: str) -> bytes:
    """The sound of these words, one after the other."""
    return b"".join(b"\x02" + word.encode().ljust(WORD - 2, b"\x01") + b"\x03" for word in text.split())


_Event = t.StreamingRecognizeResponse.SpeechEventType
_SOUNDS = re.compile(rb"(?P<quiet>\xff+)|\x02(?P<word>[!-~]*)\x01*(?P<end>\x03?)|(?P<rest>[\x01\x03]+)|.", re.DOTALL)


@dataclass(frozen=True)
class Heard:
    """A word, and the byte at which it ends. One that was heard in part has dots for the rest."""

    word: str
    end: int


def hear(sound: bytes, otherwise: str = "") -> tuple[list[Heard], int]:
    """The words in it, and how many bytes of silence there are at its end."""
    words: list[Heard] = []
    quiet, noise = 0, False
    for found in _SOUNDS.finditer(sound):
        silent = found.end() - found.start() if found["quiet"] else 0
        if not silent:
            quiet = 0
        elif silent >= 80 or not noise:
            quiet = silent
            if noise:
                words += [Heard(word, found.start()) for word in otherwise.split()]
            noise = False
        if silent or noise:
            continue
        if found["word"] is not None:
            whole = found["end"] and found.end() - found.start() == WORD
            words.append(Heard(found["word"].decode() + ("" if whole else "..."), found.end()))
        elif found["rest"]:
            words.append(Heard("...", found.end()))
        else:
            noise = True
    if noise:
        words += [Heard(word, len(sound)) for word in otherwise.split()]
    return words, quiet


class Recogniser:
    """Sound, a little at a time → Google's responses. It makes final what comes before a pause, or what has gone on
    for a `segment` (bytes)."""

    def __init__(self, otherwise: str, segment: int) -> None:
        self._otherwise = otherwise
        self._segment = segment
        self._sound = bytearray()
        """What isn't final yet."""
        self._final_to = 0
        self._told: list[str] = []
        self._talking = False

    def hear(self, sound: bytes) -> Iterator[Any]:
        self._sound += sound
        words, quiet = hear(bytes(self._sound), self._otherwise)
        if words and words[-1].end == len(self._sound) and words[-1].word.endswith("..."):
            words.pop()  # it isn't over yet
        if not words:
            return
        if not self._talking:
            self._talking = True
            yield self._event(_Event.SPEECH_ACTIVITY_BEGIN)
        if quiet >= PAUSE:
            self._talking = False
            yield self._event(_Event.SPEECH_ACTIVITY_END)
        said = [word.word for word in words]
        if quiet >= PAUSE or len(self._sound) >= self._segment:
            yield self._result(said, words[-1].end, final=True)
        elif said != self._told:
            self._told = said
            yield self._result(said, words[-1].end, final=False)

    def finish(self) -> Iterator[Any]:
        words, _ = hear(bytes(self._sound), self._otherwise)
        if words:
            yield self._result([word.word for word in words], len(self._sound), final=True)

    def _result(self, words: list[str], end: int, final: bool) -> Any:
        text = ("" if self._final_to == 0 else " ") + " ".join(words)
        result = t.StreamingRecognitionResult(
            alternatives=[t.SpeechRecognitionAlternative(transcript=text)],
            is_final=final,
            stability=0 if final else 0.5,
            result_end_offset=_offset(self._final_to + end),
            language_code="en-us",
        )
        if final:
            del self._sound[:end]
            self._final_to, self._told = self._final_to + end, []
        return t.StreamingRecognizeResponse(results=[result])

    def _event(self, kind: Any) -> Any:
        at = _offset(self._final_to + len(self._sound))
        return t.StreamingRecognizeResponse(speech_event_type=kind, speech_event_offset=at)


def _offset(sound: int) -> dict[str, int]:
    return {"seconds": sound // RATE, "nanos": sound % RATE * 10**9 // RATE}


@dataclass
class Plan:
    """How one stream goes. By default it goes well."""

    fails: tuple[grpc.StatusCode, str] | None = None
    """With this status and these details …"""
    reason: str = ""
    """… and this reason (`SERVICE_DISABLED` …)"""
    after: int = -1
    """… once it has had so many bytes of sound; -1 for at the half-close."""
    latency_s: float = 0
    """Before every response."""
    jitter_s: float = 0
    hangs_after: int | None = None
    """It falls silent for good once it has had so many bytes."""
    hears_nothing: bool = False
    ends_early_at: int | None = None
    """It ends, with status OK, though the client hasn't."""


@dataclass
class Seen:
    """A stream as it came."""

    config: Any = None
    recognizer: str = ""
    sound: bytearray = field(default_factory=bytearray)
    requests: int = 0
    largest: int = 0
    half_closed: bool = False
    cancelled: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def phrases(self) -> dict[str, float]:
        """What it was told to expect, and the boosts."""
        sets = self.config.config.adaptation.phrase_sets
        return {phrase.value: phrase.boost for each in sets for phrase in each.inline_phrase_set.phrases}

    @property
    def language(self) -> str:
        return str(self.config.config.language_codes[0])


class SpeechServer:
    """`async with SpeechServer() as server:` listens at `server.endpoint`. Streams follow the plans of `will` in turn,
    and go well after that. What Google would refuse ends with INVALID_ARGUMENT and the reason."""

    def __init__(
        self,
        project: str = "offhook",
        location: str = "global",
        limit_s: float = 300,
        most_ahead_s: float | None = None,
        most_streams: int = 100,
        segment_s: float = 30,
        otherwise: str = "yes please",
    ) -> None:
        """A stream that gets more than `limit_s` of sound is aborted, as is one that gets it `most_ahead_s` faster than
        it was spoken. A connection takes `most_streams` at a time. Speech without a pause is made final every
        `segment_s`."""
        self.streams: list[Seen] = []
        self.open = self.most_open = 0
        self.connections: set[str] = set()
        self._parent = f"projects/{project}/locations/{location}"
        self._limit = limit_s * RATE
        self._most_ahead_s = most_ahead_s
        self._most_streams = most_streams
        self._segment = round(segment_s * RATE)
        self._otherwise = otherwise
        self._plans: list[Plan] = []
        self._port = 0
        self._random = random.Random(1)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def requests(self) -> int:
        return sum(stream.requests for stream in self.streams)

    @property
    def sound_s(self) -> float:
        """All sound that was sent: what Google bills."""
        return sum(len(stream.sound) for stream in self.streams) / RATE

    def will(self, *plans: Plan) -> None:
        self._plans = list(plans)

    async def __aenter__(self) -> "SpeechServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens, on the same port as before if there was one."""
        options = [("grpc.max_concurrent_streams", self._most_streams), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        recognise = grpc.stream_stream_rpc_method_handler(
            self._recognise, t.StreamingRecognizeRequest.deserialize, t.StreamingRecognizeResponse.serialize
        )
        service = grpc.method_handlers_generic_handler(
            "google.cloud.speech.v2.Speech", {"StreamingRecognize": recognise}
        )
        self._server.add_generic_rpc_handlers((service,))
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def stop(self) -> None:
        """Every connection breaks."""
        await self._server.stop(grace=None)

    async def _recognise(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        stream = Seen()
        plan = self._plans.pop(0) if self._plans else Plan()
        self.streams.append(stream)
        self.connections.add(context.peer())
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            async for response in self._play(stream, plan, requests, context):
                if plan.latency_s or plan.jitter_s:
                    await asyncio.sleep(plan.latency_s + self._random.uniform(0, plan.jitter_s))
                yield response
        except (asyncio.CancelledError, GeneratorExit):
            stream.cancelled = True
            raise
        finally:
            self.open -= 1
            stream.over.set()

    async def _play(self, stream: Seen, plan: Plan, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        began = asyncio.get_running_loop().time()
        recogniser = Recogniser("" if plan.hears_nothing else self._otherwise, self._segment)
        async for request in requests:
            stream.requests += 1
            if wrong := "; ".join(self._complaints(stream, request)):
                await _fail(context, grpc.StatusCode.INVALID_ARGUMENT, wrong)
            if stream.config is None:
                stream.recognizer, stream.config = request.recognizer, request.streaming_config
            stream.sound += request.audio
            stream.largest = max(stream.largest, len(request.audio))
            had = len(stream.sound)
            if plan.fails and 0 <= plan.after <= had:
                await _fail(context, *plan.fails, plan.reason)
            if plan.hangs_after is not None and had >= plan.hangs_after:
                await asyncio.Event().wait()
            if plan.ends_early_at is not None and had >= plan.ends_early_at:
                return
            if had > self._limit:
                await _fail(context, grpc.StatusCode.ABORTED, "Max duration of 5 minutes reached for stream")
            ahead = had / RATE - (asyncio.get_running_loop().time() - began)
            if self._most_ahead_s is not None and ahead > self._most_ahead_s:
                await _fail(context, grpc.StatusCode.OUT_OF_RANGE, "Audio data is being streamed too fast.")
            for at in range(0, len(request.audio), STEP):
                for response in recogniser.hear(request.audio[at : at + STEP]):
                    if not plan.hears_nothing:
                        yield response
        stream.half_closed = True
        if plan.fails and plan.after < 0:
            await _fail(context, *plan.fails, plan.reason)
        if plan.hangs_after is not None:
            await asyncio.Event().wait()
        for response in recogniser.finish():
            if not plan.hears_nothing:
                yield response

    def _complaints(self, stream: Seen, request: Any) -> Iterator[str]:
        """What Google would say to the request."""
        if stream.config is None:
            if "streaming_config" in request:
                yield from self._opening_complaints(request)
            else:
                yield "the first request must hold the configuration"
        elif "streaming_config" in request or request.recognizer:
            yield "only the first request may hold a configuration"
        elif not 0 < len(request.audio) <= MOST_AUDIO:
            yield f"Invalid audio content: {len(request.audio)} bytes"

    def _opening_complaints(self, request: Any) -> Iterator[str]:
        if request.recognizer != f"{self._parent}/recognizers/_":
            yield f"Expected resource location to be {self._parent}, but got {request.recognizer}"
        config = request.streaming_config.config
        decoding = config.explicit_decoding_config
        if (int(decoding.encoding), decoding.sample_rate_hertz, decoding.audio_channel_count) != (2, RATE, 1):
            yield "Audio can't be decoded"
        if config.model not in MODELS:
            yield f'The model "{config.model}" does not exist in the location named "global".'
        for language in config.language_codes:
            if language not in LANGUAGES:
                yield f'The language "{language}" is not supported by the model "{config.model}"'
        if len(config.language_codes) != 1:
            yield "exactly one language"
        for phrase_set in config.adaptation.phrase_sets:
            phrases = phrase_set.inline_phrase_set.phrases
            if not 0 < len(phrases) <= 1200:
                yield f"{len(phrases)} phrases"
            for phrase in phrases:
                if not 0 < len(phrase.value) <= 100 or not 0 <= phrase.boost <= 20:
                    yield f"phrase {phrase.value!r}"


async def _fail(context: Any, code: grpc.StatusCode, details: str, reason: str = "") -> None:
    """Raises."""
    metadata: tuple[tuple[str, bytes], ...] = ()
    if reason:
        info = AnyMessage()
        info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com"))
        status = status_pb2.Status(code=code.value[0], message=details, details=[info])
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await asyncio.sleep(0.02)  # no refusal over a network overtakes what is being sent; here it would
    await context.abort(code, details, metadata)
