"""Google's Text-to-Speech on a local port: its gRPC protocol over its own message classes, as strict as the real one.

Its voices spell: each byte of a text is 60 ms of sound that can be read back (`heard`), so that a test sees which words
were spoken, lost or doubled."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.cloud import texttospeech as tts
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from domain import mulaw

SERVICE = "google.cloud.texttospeech.v1.TextToSpeech"
STREAMING_ENCODINGS = (
    tts.AudioEncoding.PCM,
    tts.AudioEncoding.ALAW,
    tts.AudioEncoding.MULAW,
    tts.AudioEncoding.OGG_OPUS,
)
RATES = (8000, 16000, 22050, 24000, 44100, 48000)
MOST_BYTES = 5000
SPEAKERS = ("Aoede", "Charon", "Kore", "Puck")
VOICES = {
    **{f"{lang}-Chirp3-HD-{who}": lang for lang in ("en-US", "en-GB", "de-DE", "cmn-CN") for who in SPEAKERS},
    **{f"{lang}-{kind}": lang for lang in ("en-US", "de-DE") for kind in ("Neural2-C", "Wavenet-A", "Standard-B")},
    "is-IS-Standard-A": "is-IS",
}

# --- How it answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refusal:
    """The call ends with a gRPC status, described as Google does."""

    code: grpc.StatusCode
    message: str = "no"
    reason: str = ""
    """Of an ErrorInfo among the details."""
    metadata: tuple[tuple[str, str], ...] = ()


class Hang:
    """Nothing more comes, and no end either."""


class Disconnect:
    """All connections break."""


class CutShort:
    """The answer ends as if it were complete."""


@dataclass(frozen=True)
class Answer:
    """How a request is answered: well, after a while, or well up to a fault."""

    first_s: float = 0.0
    """Before the first sound."""
    piece_s: float = 0.0
    """Between its pieces."""
    pieces: int | None = None
    """So many, and then the fault."""
    fault: Refusal | Hang | Disconnect | CutShort | None = None
    sound: bytes | None = None
    """Instead of what was asked for."""


PIECE = 1600
"""200 ms."""


@dataclass
class Session:
    """A streaming session as it went."""

    voice: str
    text: str = ""
    cancelled: bool = False


class VoiceServer:
    """`async with VoiceServer() as server:` listens at `server.endpoint`. The answers of `will_answer` are given in
    turn, to streaming sessions and plain requests alike, and good ones after them."""

    def __init__(self, *, idle_s: float = 5.0, most_sessions: int = 100, most_streams: int = 100) -> None:
        self.sessions: list[Session] = []
        self.plain: list[Any] = []
        """Requests that were not streamed."""
        self.listings = 0
        self.configs: list[Any] = []
        self.most_open = 0
        """Streaming sessions at once, at most."""
        self.peers: set[str] = set()
        """The other ends of the connections that streaming sessions came by."""
        self.asked = asyncio.Event()
        """Set once text came."""
        self._idle_s, self._most_sessions, self._most_streams = idle_s, most_sessions, most_streams
        self._answers: list[Answer] = []
        self._open = 0
        self._breaking: set[asyncio.Task[None]] = set()

    @property
    def open_sessions(self) -> int:
        return self._open

    def will_answer(self, *answers: Answer) -> None:
        self._answers = list(answers)

    async def __aenter__(self) -> "VoiceServer":
        self._server, port = await self._serve("127.0.0.1:0")
        self.endpoint = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._breaking)
        await self._server.stop(None)

    async def disconnect(self) -> None:
        """Breaks all connections; new ones are welcome."""
        broken = self._server
        self._server, _ = await self._serve(self.endpoint)
        await broken.stop(None)

    async def _serve(self, address: str) -> tuple[Any, int]:
        options = [("grpc.so_reuseport", 1), ("grpc.max_concurrent_streams", self._most_streams)]
        server = grpc.aio.server(options=options)
        rpcs = {
            "StreamingSynthesize": grpc.stream_stream_rpc_method_handler(
                self._stream,
                tts.StreamingSynthesizeRequest.deserialize,
                tts.StreamingSynthesizeResponse.serialize,
            ),
            "SynthesizeSpeech": grpc.unary_unary_rpc_method_handler(
                self._synthesise, tts.SynthesizeSpeechRequest.deserialize, tts.SynthesizeSpeechResponse.serialize
            ),
            "ListVoices": grpc.unary_unary_rpc_method_handler(
                self._list, tts.ListVoicesRequest.deserialize, tts.ListVoicesResponse.serialize
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, rpcs),))
        port = server.add_insecure_port(address)
        await server.start()
        return server, port

    # --- Its methods ---

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        if self._open >= self._most_sessions:
            limit = ("quota_limit", "ConcurrentStreamingSessionsPerProject")
            message = "Quota exceeded for quota metric 'Concurrent streaming sessions'"
            await abort(context, Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, message, "RATE_LIMIT_EXCEEDED", (limit,)))
        self.peers.add(context.peer())
        session = Session("")
        self.sessions.append(session)
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            async for sound in self._spoken(requests, session, context):
                yield tts.StreamingSynthesizeResponse(audio_content=sound)
        except asyncio.CancelledError:
            session.cancelled = True
            raise
        finally:
            self._open -= 1

    async def _spoken(self, requests: AsyncIterator[Any], session: Session, context: Any) -> AsyncIterator[bytes]:
        first = await self._next(requests, context)
        if first is None or "streaming_config" not in first:
            await invalid(context, "The first message must contain the streaming config.")
        config = first.streaming_config
        self.configs.append(config)
        session.voice = config.voice.name
        audio = config.streaming_audio_config
        if wrong := self._complaint(config.voice, audio.sample_rate_hertz, audio.speaking_rate):
            await invalid(context, wrong)
        if "-Chirp3-HD-" not in config.voice.name:
            await invalid(context, "Currently, only Chirp 3: HD voices are supported for streaming synthesis.")
        if audio.audio_encoding not in STREAMING_ENCODINGS:
            await invalid(context, f"Unsupported audio encoding for streaming: {audio.audio_encoding!r}")
        answer = self._answers.pop(0) if self._answers else Answer()
        while (request := await self._next(requests, context)) is not None:
            if "input" not in request:
                await invalid(context, "All messages but the first must contain only input.")
            text = request.input.text
            if wrong := _complaint_about(text):
                await invalid(context, wrong)
            session.text += text
            self.asked.set()
            sound = spelled(text, audio.speaking_rate or 1.0) if answer.sound is None else answer.sound
            async for piece in self._pieces(sound, answer, context):
                yield piece
            if isinstance(answer.fault, CutShort):
                return

    async def _next(self, requests: AsyncIterator[Any], context: Any) -> Any:
        try:
            async with asyncio.timeout(self._idle_s):
                return await anext(requests, None)
        except TimeoutError:
            message = "Stream aborted due to long duration elapsed without input sent."
            await abort(context, Refusal(grpc.StatusCode.ABORTED, message))

    async def _synthesise(self, request: Any, context: Any) -> Any:
        self.plain.append(request)
        self.asked.set()
        audio = request.audio_config
        if wrong := (
            self._complaint(request.voice, audio.sample_rate_hertz, audio.speaking_rate)
            or _complaint_about(request.input.text)
        ):
            await invalid(context, wrong)
        answer = self._answers.pop(0) if self._answers else Answer()
        sound = spelled(request.input.text, audio.speaking_rate or 1.0)
        if audio.audio_encoding in (tts.AudioEncoding.MULAW, tts.AudioEncoding.LINEAR16):
            sound = wrapped(sound) if audio.audio_encoding == tts.AudioEncoding.MULAW else wrapped(sound, pcm=True)
        if answer.sound is not None:
            sound = answer.sound
        whole = b"".join([piece async for piece in self._pieces(sound, answer, context)])
        return tts.SynthesizeSpeechResponse(audio_content=whole)

    async def _list(self, request: Any, context: Any) -> Any:
        self.listings += 1
        answer = self._answers.pop(0) if self._answers else Answer()
        async for _ in self._pieces(b"", answer, context):
            pass
        voices = [
            tts.Voice(name=name, language_codes=[language], ssml_gender="FEMALE", natural_sample_rate_hertz=24000)
            for name, language in VOICES.items()
            if language.startswith(request.language_code)
        ]
        return tts.ListVoicesResponse(voices=voices)

    async def _pieces(self, sound: bytes, answer: Answer, context: Any) -> AsyncIterator[bytes]:
        if answer.first_s:
            await asyncio.sleep(answer.first_s)
        pieces = [sound[at : at + PIECE] for at in range(0, len(sound), PIECE)]
        for place, piece in enumerate(pieces[: answer.pieces if answer.fault else None]):
            if place and answer.piece_s:
                await asyncio.sleep(answer.piece_s)
            yield piece
        match answer.fault:
            case Refusal():
                await abort(context, answer.fault)
            case Hang():
                await asyncio.Event().wait()
            case Disconnect():
                self._breaking.add(asyncio.create_task(self.disconnect()))
                await asyncio.Event().wait()

    def _complaint(self, voice: Any, rate: int, speed: float) -> str:
        if voice.name and voice.name not in VOICES:
            return f"Voice '{voice.name}' does not exist. Is it misspelled?"
        if voice.name and VOICES[voice.name].lower() != voice.language_code.lower():
            return f"Requested language code '{voice.language_code}' doesn't match the voice '{voice.name}'."
        if not voice.name and voice.language_code not in VOICES.values():
            return f"No voice was found for the language code '{voice.language_code}'."
        if rate not in RATES:
            return f"Unsupported sample rate: {rate}"
        if speed and not 0.25 <= speed <= 2.0:
            return f"Invalid speaking_rate {speed}: must be in [0.25, 2.0]"
        return ""


def _complaint_about(text: str) -> str:
    if not text.strip():
        return "Either `input.text` or `input.ssml` must be set."
    if len(text.encode()) > MOST_BYTES:
        return f"Either `input.text` or `input.ssml` is longer than the limit of {MOST_BYTES} bytes."
    return ""


async def invalid(context: Any, message: str) -> None:
    await abort(context, Refusal(grpc.StatusCode.INVALID_ARGUMENT, message))


async def abort(context: Any, refusal: Refusal) -> None:
    await asyncio.sleep(0.02)  # no refusal over a network overtakes what is being sent; here it would
    details: Sequence[AnyMessage] = []
    if refusal.reason:
        info = error_details_pb2.ErrorInfo(
            reason=refusal.reason, domain="googleapis.com", metadata=dict(refusal.metadata)
        )
        packed = AnyMessage()
        packed.Pack(info)
        details = [packed]
    status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message, details=details)
    await context.abort_with_status(rpc_status.to_status(status))


# --- What it says --------------------------------------------------------------------------------------------------

SLOT = 480
"""60 ms: how long a byte of text takes at natural speed."""


def _code(level: int) -> bytes:
    return mulaw.from_pcm(struct.pack("<h", level))


BEGIN, ONE, ZERO = _code(8000) * 4, _code(4000), _code(-4000)
_TONE = (_code(2000) * 20 + _code(-2000) * 20) * 50


def spelled(text: str, speed: float = 1.0) -> bytes:
    """The text's sound, mu-law 8 kHz."""
    slot = round(SLOT / speed)
    sounds = (BEGIN + b"".join(ONE if byte >> bit & 1 else ZERO for bit in range(8)) for byte in text.encode())
    return b"".join((sound + _TONE)[:slot] for sound in sounds)


def heard(sound: bytes) -> str:
    """The text that it speaks."""
    slots = re.findall(re.escape(BEGIN) + b"([" + re.escape(ONE) + re.escape(ZERO) + b"]{8})", sound)
    return bytes(sum((bit == ONE[0]) << place for place, bit in enumerate(slot)) for slot in slots).decode()


def wrapped(sound: bytes, *, pcm: bool = False, rate: int = 8000) -> bytes:
    """In a WAV file, with a part that nobody asked for in front of the sound."""
    form = (
        struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
        if pcm
        else struct.pack("<HHIIHHH", 7, 1, rate, rate, 1, 8, 0)
    )
    data = mulaw.to_pcm(sound) if pcm else sound
    parts = b"".join(_part(name, body) for name, body in ((b"fmt ", form), (b"LIST", b"odd"), (b"data", data)))
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts


def _part(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
