"""Every door to the outside. Streams in, streams out, our own types only; an adapter conforms by its shape.

An adapter that can fail by itself also offers `async check()`, which raises Unavailable; `/health/{port}` asks it. One
that may be allowed to read but not to write offers `async check_writing()` too, which tries to, without effect: that
costs more, and only the doctor asks it.

Stopping a stream means cancelling the task that iterates it (and closing the iterator, see `contextlib.aclosing`):
an adapter frees what it holds then, and lets CancelledError pass.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Protocol, TypeVar

from schemas.appointment import Appointment, Booking
from schemas.knowledge_document import FileKind
from schemas.message_template import Channel
from schemas.organisation import Organisation
from schemas.passage import Passage
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


ANY_VOICE = VoiceStyle()


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

    def connect(
        self, stream_url: str, ticket: str, next_url: str, status_url: str, pause_s: int = 0, keys: str = ""
    ) -> str:
        """Instructions that open a media stream, after a pause of that many seconds, or after pressing these keys:
        0-9, * and #, and w for half a second's wait."""
        ...

    def dial(
        self,
        number: str,
        next_url: str,
        caller_id: str | None = None,
        briefing_url: str = "",
        say: str = "",
        style: VoiceStyle = ANY_VOICE,
    ) -> str:
        """Instructions that put the caller through to a phone number (E.164), once they were told `say`. With a
        `briefing_url`, what is to happen with the person who answers is asked there first."""
        ...

    def brief(self, text: str, accept_url: str, style: VoiceStyle = ANY_VOICE) -> str:
        """Instructions for a person who is put through to: tell them this, and ask `accept_url` once they press a key;
        hang up if they press none."""
        ...

    def bridge(self) -> str:
        """Instructions that connect a person who was told what it is about with the caller."""
        ...

    def ask_again(self, url: str, pause_s: int) -> str:
        """Instructions that ask this URL for others, after a pause of that many seconds."""
        ...

    def say_goodbye(self, text: str, style: VoiceStyle = ANY_VOICE) -> str:
        """Instructions that speak a sentence with the carrier's own voice, as like the style as it can, and hang up."""
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
    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        """The tools that this organisation's agents may use, by name. Raises Unavailable."""
        ...

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        """Runs it within the tool's own time. Failing is a result, not an exception. Cancelling abandons it; an
        acting tool may still have acted."""
        ...


# --- Blobs, Pages, Reader: where a document's words come from ---


class Blobs(Protocol):
    """Files by path: segments of letters, digits and `._-`, with slashes between. Each at most 20 MB.

    A write that was cancelled may or may not have happened, but never in part; one that returned is durable. Raises
    Unavailable when the store can't be reached, ValueError for a malformed path or a file that is too large."""

    async def put(self, path: str, content: bytes) -> None:
        """Replaces it whole, or creates it."""
        ...

    async def get(self, path: str) -> bytes | None: ...

    async def delete(self, path: str) -> None:
        """Nothing happens if it doesn't exist."""
        ...

    async def exists(self, path: str) -> bool: ...


class Unreadable(Exception):
    """A file or page that no passages can be made of. The message says why, in a sentence for whoever gave it."""


Fetch = Callable[[str], Awaitable[tuple[str, str, bytes]]]
"""From a web page's address to where it was found in the end, its content type (may be empty), and what it holds.
Asks no address of a private network. Raises Unreadable for an address that may not or can't be asked, Unavailable."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says."""

    title: str
    """What it calls itself; empty if it doesn't."""
    passages: Sequence[str]
    """In order, each understandable alone: the headings that it stands under come first."""


class Reader(Protocol):
    async def read(self, kind: FileKind, content: bytes) -> Reading:
        """Raises Unreadable, also for what takes too long or holds too much. Cancelling stops it."""
        ...


# --- Secrets, Web: what tools need of the outside ---


class Secrets(Protocol):
    """An organisation's own secrets, by name (`schemas.variable.Name`). Values reach no log, document or error.

    All raise Unavailable, and ValueError for a name or a value that can't be one. A write that was cancelled may or may
    not have happened."""

    async def get(self, organisation: str, name: str) -> str | None:
        """Its value, which may be a minute old elsewhere than where it was put; None if it isn't set."""
        ...

    async def put(self, organisation: str, name: str, value: str) -> None:
        """Sets or replaces it. A value is 1 to 10,000 printable characters of ASCII: it goes into headers."""
        ...

    async def forget(self, organisation: str, name: str) -> None:
        """Nothing happens if it isn't set."""
        ...

    async def names(self, organisation: str) -> Sequence[str]:
        """Those that are set, in order."""
        ...


class NotSent(Unavailable):
    """Nothing reached the far end: it may not be asked, or nobody could be reached there."""


class TooBig(Unavailable):
    """The answer came and was too long to be read."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server of somebody's answered. Untrusted."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    """Unpacked."""
    url: str
    """Where it came from, after redirects."""
    redirected: bool = False
    """Another server, or another page, had taken the request before and led on to this one."""


class Web(Protocol):
    """Everything that goes out to addresses which organisations name."""

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        within_s: float = 10.0,
        most_bytes: int = 1_000_000,
    ) -> Answer:
        """The answer, whatever its status. Only http and https to public addresses, redirects included.

        Raises NotSent, TooBig, and Unavailable for anything else that happened once the request was on its way; none
        of them tells more of the address than its host. Cancelling closes the connection; the request may have had
        its effect."""
        ...


# --- Knowledge: what documents say ---


class Knowledge(Protocol):
    """Passages of an organisation's documents, found by what they say."""

    async def keep(self, organisation: str, document: str, title: str, passages: Sequence[str]) -> None:
        """Makes a document's passages findable, in place of those that it had. Raises Unavailable. Cancelling may leave
        some of the new ones beside some of the old."""
        ...

    async def forget(self, organisation: str, document: str) -> None:
        """Removes a document's passages. Raises Unavailable."""
        ...

    async def search(
        self, organisation: str, query: str, documents: Sequence[str] = ("*",), most: int = 4
    ) -> Sequence[Passage]:
        """The passages that answer a question best, the best first, of these documents (ids; "*" for all). None if
        nothing is like it. Raises Unavailable."""
        ...


# --- Messages: text messages, e-mails ---


class Refused(Exception):
    """A provider won't ever send this message: no such address, a sender that may not, a recipient who wants none. The
    message is one sentence, safe to log."""

    def __init__(self, why: str, *, opted_out: bool = False) -> None:
        super().__init__(why)
        self.opted_out = opted_out
        """The recipient told the provider to send no more."""


class Uncertain(Exception):
    """A provider's answer was lost: the message was sent, or it wasn't. The message is one sentence, safe to log."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A text message or an e-mail."""

    id: str
    """Ours: the same at every attempt."""
    to: str
    """E.164, or an e-mail address."""
    text: str
    sender: str = ""
    """SMS: the number that it comes from; e-mail: a name beside the deployment's address."""
    subject: str = ""
    reply_to: str = ""
    unsubscribe_url: str = ""
    """For e-mail: where one ends them, with one click (RFC 8058)."""
    status_url: str = ""
    """For SMS: where to tell what becomes of it; empty for nowhere."""


class Messages(Protocol):
    """One channel's provider."""

    async def send(self, message: Outgoing) -> str:
        """Hands it to the provider, once; the provider's name for it. Raises Unavailable if it surely wasn't sent and
        may be another time, Refused if it never will be, Uncertain if nobody knows. Cancelling: the same as
        Uncertain."""
        ...


# --- Calendars: appointments ---


class Declined(Exception):
    """An appointment that can't be booked or cancelled. The message says why, in sentences for the caller."""

    def __init__(self, why: str, instead: Sequence[datetime] = ()) -> None:
        super().__init__(why)
        self.instead = instead
        """Times that are free, in the organisation's time zone."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a calendar has to offer."""

    times: Sequence[datetime]
    """When an appointment can begin, in order, in the organisation's time zone."""
    why: str = ""
    """Why the one that was asked for isn't among them, or there are none: a sentence for the caller. Else empty."""
    instead: Sequence[datetime] = ()
    """With that: some free times that come closest."""


class Calendars(Protocol):
    """Organisations' appointments. All raise Unavailable. A `calendar` is its id; days and times of day are in the
    organisation's time zone."""

    async def offer(
        self, organisation: Organisation, calendar: str, first: date, last: date, time: str = "", minutes: int = 0
    ) -> Offer:
        """What is free from one day to another, for an appointment of that length (0: one slot). `time` ("14:30") asks
        for that time of the first day. Raises Declined if there is no such calendar."""
        ...

    async def book(self, organisation: Organisation, booking: Booking, key: str) -> Appointment:
        """Once per key: another time, the same appointment comes back. Raises Declined. Cancelled, or Unavailable, it
        may have been booked: ask again with the same key."""
        ...

    async def cancel(self, organisation: Organisation, appointment: str, key: str = "") -> Appointment:
        """By its id. One that was cancelled already comes back as it is. Raises Declined if there is none or it has
        begun. Cancelled, or Unavailable, it may have happened."""
        ...

    async def upcoming(self, organisation: Organisation, phone: str = "", conversation: str = "") -> list[Appointment]:
        """Those of a phone number and those that were booked in a conversation which haven't begun, in order; cancelled
        ones among them."""
        ...

    async def get(self, organisation: Organisation, appointment: str) -> Appointment | None:
        """By its id."""
        ...

    async def settle(self, organisation: str, appointment: str) -> None:
        """Lets everybody know of an appointment's state who doesn't yet. Harmless at any time."""
        ...


class Diary(Protocol):
    """A calendar elsewhere, into which appointments are entered. Its other entries keep their times taken."""

    async def busy(self, calendar: str, begins: datetime, ends: datetime) -> list[tuple[datetime, datetime]]:
        """When it has entries, ours among them, in UTC. Raises Unavailable."""
        ...

    async def enter(self, organisation: Organisation, appointment: Appointment) -> bool:
        """Once per appointment, however often it is asked to. False: it wasn't, for another entry got there first.
        Raises Unavailable; it may have been entered then, or if this is cancelled."""
        ...

    async def strike(self, appointment: Appointment) -> None:
        """Takes an appointment out again, if it is there. Raises Unavailable."""
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
    calendars: Calendars
    knowledge: Knowledge
    blobs: Blobs
    reader: Reader
    fetch: Fetch
    secrets: Secrets
    web: Web
    messages: Mapping[Channel, Messages]
    """Without a channel that the deployment doesn't send by."""
    detector: Callable[[], Detector]
    """A new one for each call."""
    adapters: Mapping[str, str]
    """By port: the name of its adapter, for people."""
