"""Voice on Google's Text-to-Speech: streamed where the voice can, sentence by sentence where it can't.

Each sentence has a streaming session of its own, opened when the sentence comes and closed behind it, while the one
before is still being spoken. Google tells nowhere which text its sound belongs to, so only the end of a session is an
exact end of a sentence, and hearing exactly how far the agent got is worth more than its melody across full stops.
Nor is any session open while a model thinks or a tool works: a session that gets no text for 5 s is aborted, and
only 100 may be open in a project. The price is that the quota of requests per minute counts sentences."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from adapters.google_refusal import explain
from adapters.grpc_channels import GrpcChannels
from domain import mulaw
from domain.ports import Spoken, Unavailable, VoiceStyle

if TYPE_CHECKING:  # at run time only if this voice is chosen: importing it takes a second
    import grpc.aio  # type: ignore[import-untyped]
    from google.auth.credentials import Credentials
    from google.cloud.texttospeech import TextToSpeechAsyncClient

HOST = "texttospeech.googleapis.com"
SERVICE = "Google Text-to-Speech"
STREAMING = "-Chirp3-HD-"
"""In the names of the voices that stream; all others answer only as a whole."""
SPEAKER = "Kore"
"""Of those voices the default. It speaks every language that they do."""
MOST_BYTES = 1000
"""Of text in one request: a minute's speech. Google takes 5000, but of some voices no long sentence."""
AHEAD = 2
"""Sentences under way at once: the one being heard and the next."""
FIRST_SOUND_S = 3.0
NEXT_SOUND_S = 3.0
LISTED_FOR_S = 3600.0
PLAIN_FOR_S = 600.0
"""How long a voice that refused to stream isn't asked to again."""


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """A voice that can be had."""

    name: str
    languages: Sequence[str]
    """BCP 47, as Google spells them."""
    gender: str
    """female, male, neutral or empty."""
    streams: bool
    """Whether its sound begins before the sentence is finished."""


class GoogleVoice:
    """A voice's name is Google's ("en-US-Chirp3-HD-Kore", "de-DE-Neural2-C") and settles the language; without one
    the style's language has a Chirp 3 voice or, if there is none, whatever Google thinks best.

    `async with` it, in the event loop that uses it. `endpoint` is host:port; without credentials the environment's
    are used; `insecure` is for a local server. A sentence's first sound comes within `first_sound_s` of the sentence
    and the rest without longer gaps than `next_sound_s`, or it is Unavailable."""

    def __init__(
        self,
        endpoint: str = f"{HOST}:443",
        credentials: "Credentials | None" = None,
        *,
        insecure: bool = False,
        first_sound_s: float = FIRST_SOUND_S,
        next_sound_s: float = NEXT_SOUND_S,
        listed_for_s: float = LISTED_FOR_S,
    ) -> None:
        self._channels = GrpcChannels["TextToSpeechAsyncClient"](endpoint, _client, credentials, insecure)
        self._first_sound_s, self._next_sound_s = first_sound_s, next_sound_s
        self._listed_for_s = listed_for_s
        self._listed: dict[str, tuple[float, Sequence[ListedVoice]]] = {}
        self._plain_until: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self._channels.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channels.__aexit__(*error)

    async def check(self) -> None:
        """Raises Unavailable unless the service answers."""
        await self._list(VoiceStyle().language)

    async def check_style(self, style: VoiceStyle) -> None:
        """Raises Unavailable unless there is a voice for it."""
        in_language = [voice.name for voice in await self.voices(style.language)]
        if style.voice and style.voice not in {voice.name for voice in await self.voices()}:
            some = f"; for {style.language} it has {', '.join(in_language[:3])}…" if in_language else ""
            raise Unavailable(f"{SERVICE} has no voice {style.voice!r}{some}")
        if not style.voice and not in_language:
            raise Unavailable(f"{SERVICE} has no voice for {style.language!r}")

    async def voices(self, language: str = "") -> Sequence[ListedVoice]:
        """Those that speak a language, or all. Remembered for an hour. Raises Unavailable."""
        now = asyncio.get_running_loop().time()
        expires, listed = self._listed.get(language, (now, ()))
        if expires <= now:
            listed = await self._list(language)
            self._listed[language] = now + self._listed_for_s, listed
        return listed

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        """Spoken at the end of each sentence, exactly. Text without a letter or digit is passed over. Raises
        Unavailable, also within a sentence. Cancelling it, or closing the iterator, cancels what is under way."""
        coming: asyncio.Queue[_Sentence | None] = asyncio.Queue()  # AHEAD at most
        room = asyncio.Semaphore(AHEAD)
        under_way: set[asyncio.Task[None]] = set()

        async def take_in() -> None:
            try:
                async for words in text:
                    await room.acquire()
                    sentence = _Sentence(words, style)
                    sentence.synthesis = asyncio.create_task(self._synthesise(sentence))
                    under_way.add(sentence.synthesis)
                    coming.put_nowait(sentence)
            finally:
                coming.put_nowait(None)

        under_way.add(taking_in := asyncio.create_task(take_in()))
        try:
            while (sentence := await coming.get()) is not None:
                while (piece := await sentence.sound.get()) is not None:
                    yield piece
                if sentence.synthesis:
                    await sentence.synthesis  # raises what went wrong
                    under_way.remove(sentence.synthesis)
                room.release()
                yield Spoken(sentence.text)
            await taking_in  # raises what the sender of the sentences raised
        finally:
            taking_in.cancel()  # before the others, or it would begin another
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _synthesise(self, sentence: "_Sentence") -> None:
        """Raises Unavailable."""
        from google.api_core.exceptions import GoogleAPICallError, InvalidArgument, NotFound

        style = sentence.style
        try:
            if texts := list(split(sentence.text, MOST_BYTES)):
                await self._stream_or_ask(texts, sentence)
        except (InvalidArgument, NotFound):
            named = f"voice {style.voice!r}" if style.voice else f"a voice for {style.language!r}"
            raise Unavailable(f"{SERVICE} refused {named}: choose one that it lists") from None
        except GoogleAPICallError as error:
            raise explain(error, SERVICE, HOST) from None
        except TimeoutError:
            raise Unavailable(f"{SERVICE} took too long to send {'more' if sentence.begun else 'any'} sound") from None
        finally:
            sentence.sound.put_nowait(None)

    async def _stream_or_ask(self, texts: Sequence[str], sentence: "_Sentence") -> None:
        """The same voice, plainly, if it can't stream or if too many do just now."""
        from google.api_core.exceptions import InternalServerError, InvalidArgument, ResourceExhausted

        style = sentence.style
        name = style.voice or f"{_googles(style.language)}{STREAMING}{SPEAKER}"
        now = asyncio.get_running_loop().time()
        refused = False
        if STREAMING in name and self._plain_until.get(name, now) <= now:
            try:
                return await self._stream(list(_streaming_requests(texts, name, style)), sentence)
            except (InvalidArgument, ResourceExhausted, InternalServerError) as refusal:
                # gRPC says INTERNAL also for any refusal so quick that the text was still being sent; a plain request
                # then tells the true one.
                if sentence.begun:
                    raise
                refused = isinstance(refusal, InvalidArgument)
        await self._ask(texts, sentence)
        if refused:
            self._plain_until[name] = now + PLAIN_FOR_S

    async def _stream(self, requests: Sequence[Any], sentence: "_Sentence") -> None:
        """All of a sentence in one session. Raises GoogleAPICallError, TimeoutError."""
        from google.api_core.exceptions import Aborted, ServiceUnavailable

        async with asyncio.timeout(self._first_sound_s) as limit:
            try:
                return await self._run_session(requests, sentence, limit)
            except (ServiceUnavailable, Aborted):
                # That a connection died while nobody used it shows only now: another session, in the same time.
                if sentence.begun:
                    raise
            await self._run_session(requests, sentence, limit)

    async def _run_session(self, requests: Sequence[Any], sentence: "_Sentence", limit: asyncio.Timeout) -> None:
        from google.api_core.exceptions import from_grpc_error
        from grpc import RpcError

        loop = asyncio.get_running_loop()
        with self._channels.stream() as client:
            # The client's own method returns the call only once it is connected: cancelled before that, it would
            # leave the call running.
            transport: Any = client.transport
            call = transport.streaming_synthesize(requests)
            try:
                async for response in call:
                    limit.reschedule(loop.time() + self._next_sound_s)
                    sentence.hear(response.audio_content)
            except RpcError as error:
                raise from_grpc_error(error) from error  # type: ignore[no-untyped-call]
            except asyncio.CancelledError:
                raise _own_or_closed() from None
            finally:
                call.cancel()
        if not sentence.begun:
            raise Unavailable(f"{SERVICE} sent no sound")

    async def _ask(self, texts: Sequence[str], sentence: "_Sentence") -> None:
        """Each text as a whole. Raises GoogleAPICallError, TimeoutError."""
        from google.cloud import texttospeech as tts

        style = sentence.style
        voice = tts.VoiceSelectionParams(name=style.voice, language_code=_language(style.voice, style))
        audio = tts.AudioConfig(
            audio_encoding=tts.AudioEncoding.MULAW, sample_rate_hertz=mulaw.RATE, speaking_rate=_rate(style)
        )
        for text in texts:
            with self._channels.stream() as client:
                async with asyncio.timeout(self._first_sound_s):
                    try:
                        answer = await client.synthesize_speech(
                            input=tts.SynthesisInput(text=text), voice=voice, audio_config=audio
                        )
                    except asyncio.CancelledError:
                        raise _own_or_closed() from None
            sentence.hear(answer.audio_content)
        if not sentence.begun:
            raise Unavailable(f"{SERVICE} sent no sound")

    async def _list(self, language: str) -> Sequence[ListedVoice]:
        from google.api_core.exceptions import GoogleAPICallError

        try:
            with self._channels.stream() as client:
                async with asyncio.timeout(self._first_sound_s):
                    answer = await client.list_voices(language_code=_googles(language))
        except TimeoutError:
            raise Unavailable(f"{SERVICE} took too long to list its voices") from None
        except GoogleAPICallError as error:
            raise explain(error, SERVICE, HOST) from None
        return [
            ListedVoice(
                voice.name,
                list(voice.language_codes),
                voice.ssml_gender.name.lower() if voice.ssml_gender else "",
                STREAMING in voice.name,
            )
            for voice in answer.voices
        ]


class _Sentence:
    """A sentence whose sound is under way."""

    def __init__(self, text: str, style: VoiceStyle) -> None:
        self.text, self.style = text, style
        self.sound: asyncio.Queue[bytes | None] = asyncio.Queue()  # None behind the last; a minute is half a megabyte
        self.begun = False
        self.synthesis: asyncio.Task[None] | None = None

    def hear(self, piece: bytes) -> None:
        if sound := unwrapped(piece):
            self.begun = True
            self.sound.put_nowait(sound)


def _client(channel: "grpc.aio.Channel") -> "TextToSpeechAsyncClient":
    from google.cloud.texttospeech import TextToSpeechAsyncClient
    from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechGrpcAsyncIOTransport

    return TextToSpeechAsyncClient(transport=TextToSpeechGrpcAsyncIOTransport(channel=channel))


def _own_or_closed() -> BaseException:
    """A call says CancelledError also when its connection is closed, which nobody asked this task about."""
    task = asyncio.current_task()
    return asyncio.CancelledError() if task and task.cancelling() else Unavailable(f"{SERVICE} is being closed")


# --- What Google is asked ------------------------------------------------------------------------------------------


def _streaming_requests(texts: Sequence[str], name: str, style: VoiceStyle) -> Iterator[Any]:
    from google.cloud import texttospeech as tts

    audio = tts.StreamingAudioConfig(
        audio_encoding=tts.AudioEncoding.MULAW, sample_rate_hertz=mulaw.RATE, speaking_rate=_rate(style)
    )
    voice = tts.VoiceSelectionParams(name=name, language_code=_language(name, style))
    yield tts.StreamingSynthesizeRequest(
        streaming_config=tts.StreamingSynthesizeConfig(voice=voice, streaming_audio_config=audio)
    )
    for text in texts:
        yield tts.StreamingSynthesizeRequest(input=tts.StreamingSynthesisInput(text=text))


def _rate(style: VoiceStyle) -> float:
    """0, which is unset, for the natural one: some voices refuse any other."""
    return 0.0 if style.speed == 1.0 else style.speed


def _language(name: str, style: VoiceStyle) -> str:
    """A voice is refused in any language but its own, which its name begins with."""
    own = re.match(r"[a-z]{2,3}-(?:[A-Za-z]{2}|\d{3})(?=-)", name)
    return own[0] if own else _googles(style.language)


def _googles(language: str) -> str:
    """A language as Google spells it in the names of its voices."""
    first, *rest = language.split("-")
    first = {"zh": "cmn", "no": "nb", "iw": "he"}.get(first.lower(), first.lower())
    return "-".join([first, *(part.upper() if len(part) == 2 else part for part in rest)])


_SENTENCE_ENDS = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？।]+\s*|\n+")
_PHRASE_ENDS = re.compile(r"[,;:،、，；：–—]\s*")
_WORD_ENDS = re.compile(r"\s+")
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of characters, which no request may hold."""


def split(text: str, most_bytes: int) -> Iterator[str]:
    """The text in parts of at most so many bytes in UTF-8, whole sentences if possible, else whole phrases, else
    whole words. Nothing if there is nothing to pronounce."""
    rest = _UNSPEAKABLE.sub(" ", text).strip()
    if not any(c.isalnum() for c in rest):
        return
    while len(rest.encode()) > most_bytes:
        head = rest.encode()[:most_bytes].decode(errors="ignore")
        ends = (list(mark.finditer(head)) for mark in (_SENTENCE_ENDS, _PHRASE_ENDS, _WORD_ENDS))
        cut = next((found[-1].end() for found in ends if found), len(head))
        yield rest[:cut].strip()
        rest = rest[cut:].strip()
    yield rest


# --- What Google answers -------------------------------------------------------------------------------------------

MULAW, PCM = 7, 1
"""Formats of a WAV file."""


def unwrapped(sound: bytes) -> bytes:
    """mu-law 8 kHz, taken out of a WAV file if it is one. Raises Unavailable for a file of something else."""
    if sound[:4] != b"RIFF":
        return sound
    form = (MULAW, 1, mulaw.RATE)
    data = b""
    at = 12
    while at + 8 <= len(sound):
        name, size = struct.unpack_from("<4sI", sound, at)
        body = sound[at + 8 : at + 8 + size]  # a streamed file's size may be 4 GB
        if name == b"fmt " and len(body) >= 16:
            form = struct.unpack_from("<HHI", body)
        elif name == b"data":
            data = body
            break
        at += 8 + size + size % 2
    if form == (PCM, 1, mulaw.RATE):
        return mulaw.from_pcm(data[: len(data) // 2 * 2])
    if form != (MULAW, 1, mulaw.RATE):
        raise Unavailable(f"{SERVICE} sent sound of another kind than it was asked for")
    return data
