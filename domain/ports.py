"""Every door to the outside. Streams in, streams out, our own types only; an adapter conforms by its shape.

An adapter that can fail by itself also offers `async check()`, which raises Unavailable; `/health/{port}` asks it.

Stopping a stream means cancelling the task that iterates it (and closing the iterator, see `contextlib.aclosing`):
an adapter frees what it holds then, and lets CancelledError pass.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

from schemas.organisation import Organisation
from schemas.remark import Remark
from schemas.settings import Settings
from schemas.tool import Tool, ToolCall, ToolResult
from schemas.variable import Expectation

T = TypeVar("T")


class Unavailable(Exception):
    """A provider refused, failed or took too long. The message is one sentence, safe to log."""


# --- Speech: sound → words ---


class SpeechBegins:
    """In a stream of sound: the VAD hears speech from here on (some sound before it was sent already)."""


class SpeechEnds:
    """In a stream of sound: the VAD let go here."""


SPEECH_BEGINS = SpeechBegins()
SPEECH_ENDS = SpeechEnds()

Sound = bytes | SpeechBegins | SpeechEnds | Expectation
"""What a recogniser is fed, in order: mu-law 8 kHz in pieces of any size, and what the VAD thinks of it. An Expectation
says that the caller's turn so far is over, a new one begins, and what it is expected to hold."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words recognised in the caller's turn, which lasts from one Expectation to the next."""

    text: str
    """All of the turn's words so far, earlier pieces included; empty in a final one when nothing was understood."""
    final: bool
    """True if it covers all sound up to the last SPEECH_ENDS and only further speech can change it."""


class Speech(Protocol):
    def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        """Words as they come, until the sound ends. After each SPEECH_ENDS comes a final transcript of the whole turn,
        unless speech resumed or the next Expectation came first: a caller who pauses ("next Tuesday … at half past
        two") makes two finals, and the second holds all the words.
        Raises Unavailable. Cancelling drops whatever was being recognised."""
        ...


# --- Voice: words → sound ---


@dataclass(frozen=True, slots=True)
class VoiceStyle:
    """How to speak."""

    voice: str = ""
    """The provider's name for it; empty for its default."""
    language: str = "en-US"
    """BCP 47."""
    speed: float = 1.0
    """1.0 is the voice's natural pace; 0.25 to 2."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """In a stream of sound from a voice: all of it up to here, since the one before, speaks this text."""

    text: str


class Voice(Protocol):
    def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        """Sentences in, as they come; mu-law 8 kHz out, in pieces of any size. A voice that knows where a sentence
        ends yields Spoken there; one that doesn't yields Spoken once at the end with the whole text.
        Raises Unavailable. Cancelling stops the synthesis."""
        ...


# --- Brain: prompt → words and tool requests ---


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that a model needs for one reply."""

    system: str
    remarks: Sequence[Remark]
    tools: Sequence[Tool] = ()
    """What it may ask to run, and nothing else."""
    model: str = ""
    """The provider's name for it; empty for its default."""
    temperature: float = 0.3
    next_question: str = ""
    """What the agent would ask without a model: the offline brain says this."""


@dataclass(frozen=True, slots=True)
class Words:
    """Part of a reply, white space included."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """The model wants a tool run. Untrusted: the name may be one it was not offered."""

    id: str
    tool: str
    arguments: Mapping[str, Any]
    opaque: str = ""
    """See Remark."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the answer has cost since the Usage before it, in tokens: told amidst the words, as soon and as often as
    more of it is known. All of them together are what it cost, also if it failed or was given up."""

    prompt: int = 0
    reply: int = 0
    cached: int = 0
    """How many of the prompt's were cached."""


Thought = Words | ToolRequest | Usage


class Brain(Protocol):
    def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        """Words and tool requests as they come. Raises Unavailable, also for an empty or blocked answer: silence
        is never an answer. Cancelling the iterating task closes the request at once; what was spent on it and not told
        by then, nobody will know."""
        ...


# --- Line: live media ---


@dataclass(frozen=True, slots=True)
class Mark:
    """The sound sent before this mark has been played, or was flushed by a `clear`."""

    name: str


@dataclass(frozen=True, slots=True)
class Key:
    """The caller pressed a key: 0-9, *, # or A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class Junk:
    """Something that the protocol does not allow. It was ignored."""

    why: str


LineEvent = bytes | Mark | Key | Junk
"""bytes: the caller's sound, mu-law 8 kHz, in the order of sending."""


class Line(Protocol):
    late: Callable[[float], None]
    """Told, of a sample of the caller's sound, how many ms later it came than the promptest of late. Set it before
    `carry` to know."""

    async def carry(self, take: Callable[[LineEvent], None]) -> None:
        """Hands over what comes in, in order and as it comes, until the line ends. What `take` raises ends it, too,
        and is raised here. Cancelling: nothing is handed over any more."""
        ...

    async def play(self, sound: bytes) -> None:
        """Queue mu-law 8 kHz for the caller; the far end buffers and plays in order."""
        ...

    async def mark(self, name: str) -> None:
        """Ask to be told, by a Mark of this name, when all queued before it has played."""
        ...

    async def clear(self) -> None:
        """Drop what is queued and not yet played. Outstanding marks then come back at once."""
        ...

    async def close(self) -> None:
        """End the line; the carrier asks what to do next."""
        ...


class Detector(Protocol):
    """A voice activity detector for one call."""

    def is_speech(self, frame: bytes) -> bool:
        """Whether 20 ms of mu-law (160 bytes) sound like speech."""
        ...


# --- Telephony: the carrier's webhooks ---


class Telephony(Protocol):
    def verify(self, url: str, form: Mapping[str, str], signature: str) -> bool:
        """Whether the carrier itself asked for this URL with this form (empty for a WebSocket handshake)."""
        ...

    def connect(self, stream_url: str, ticket: str, next_url: str, status_url: str, pause_s: int = 0) -> str:
        """Instructions that open a media stream, after a pause of that many seconds."""
        ...

    def dial(self, number: str, next_url: str, caller_id: str | None = None) -> str:
        """Instructions that put the caller through to a phone number (E.164)."""
        ...

    def ask_again(self, url: str, pause_s: int) -> str:
        """Instructions that ask this URL for others, after a pause of that many seconds."""
        ...

    def say_goodbye(self, text: str, language: str = "en-US") -> str:
        """Instructions that speak a sentence with the carrier's own voice and hang up."""
        ...

    def hang_up(self) -> str:
        """Instructions that end the call."""
        ...


# --- Documents, Bus, Queue: what is kept, told and postponed ---

Document = dict[str, Any]
"""JSON values only."""


class Taken(Exception):
    """A document to be created exists already. The message is its path."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a top-level field of a document."""

    field: str
    op: Literal["==", "<", "<=", ">", ">="]
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Found:
    """A document that a query found."""

    path: str
    document: Document


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a query's answer."""

    found: Sequence[Found]
    next_cursor: str | None
    """Give it to the same query for what follows; None at the end. Opaque, safe in a URL."""


class Transaction(Protocol):
    """Reads first, then writes; nothing is written unless the body returns."""

    async def get(self, path: str) -> Document | None: ...

    def create(self, path: str, document: Document) -> None:
        """Taken is raised by `transact` if it exists by then."""
        ...

    def put(self, path: str, document: Document) -> None: ...

    def delete(self, path: str) -> None: ...


class Documents(Protocol):
    """Documents by path: `collection/id/collection/id…`, an even number of segments without slashes inside.

    A write that was cancelled may or may not have happened; one that returned is durable. A document with the top-level
    field `expires_at` (a time with its offset, see `domain.expiry`) is deleted some time later; one without, never.
    Raises Unavailable when the store can't be reached, ValueError for a malformed path or `expires_at`."""

    async def get(self, path: str) -> Document | None: ...

    async def create(self, path: str, document: Document) -> None:
        """Raises Taken if it exists."""
        ...

    async def put(self, path: str, document: Document) -> None:
        """Replaces it whole, or creates it."""
        ...

    async def delete(self, path: str) -> None:
        """Nothing happens if it doesn't exist."""
        ...

    async def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Documents directly in a collection (an odd number of segments) that meet all conditions. `order` is a
        field, descending with a leading "-", ties by id; empty for by id. A document without that field isn't
        found. Raises ValueError for a cursor that isn't one of its own."""
        ...

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs the body so that what it read was still so when its writes happened, all or none. It may run
        several times: keep it free of other effects. An exception from it writes nothing and passes through."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, told to whoever subscribes to its topic."""

    id: str
    """The same at every delivery: a subscriber recognises a repetition by it."""
    topic: str
    body: Document


class Bus(Protocol):
    """At least once, in no order. A subscriber that raises gets the event again, later."""

    async def publish(self, event: Event) -> None:
        """Returns once the event will be delivered even if this process dies. Publishing an id twice is harmless."""
        ...

    def subscribe(self, topic: str, name: str, receive: Callable[[Event], Awaitable[None]]) -> None:
        """`name` identifies the subscription across restarts."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """Work to be done later."""

    name: str
    """A second task of the same name is dropped while the first is known: an optimisation, not a guarantee."""
    kind: str
    """Which worker does it."""
    body: Document = field(default_factory=dict)


class Queue(Protocol):
    """At least once, not before its time. A worker that raises gets the task again, later."""

    async def enqueue(self, task: Task, at: datetime) -> None:
        """`at` is aware. Returns once the task will be done even if this process dies."""
        ...

    def serve(self, kind: str, work: Callable[[Task], Awaitable[None]]) -> None: ...


# --- Tools, Clock ---


class Tools(Protocol):
    def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        """The tools that this organisation's agents may use, by name."""
        ...

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        """Runs it within the tool's own time. Failing is a result, not an exception. Cancelling abandons it; an
        acting tool may still have acted."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """A media stream that has begun: its line, and what the carrier said of it."""

    call_sid: str
    ticket: str
    line: Line


class BadStart(Exception):
    """A media stream that didn't begin as the carrier's do. The message says how."""


class Streams(Protocol):
    async def begin(self, socket: Any) -> Stream:
        """Reads the greeting of an accepted WebSocket (Starlette's). Raises BadStart."""
        ...


@dataclass(frozen=True)
class Ports:
    """Every adapter that this process uses; wiring makes one."""

    settings: Settings
    clock: Clock
    documents: Documents
    bus: Bus
    queue: Queue
    telephony: Telephony
    streams: Streams
    speech: Speech
    brain: Brain
    voice: Voice
    tools: Tools
    detector: Callable[[], Detector]
    """A new one for each call."""
    adapters: Mapping[str, str]
    """By port: the name of its adapter, for people."""
