"""What can happen in a conversation: the journal's alphabet.

Signals carry everything that isn't determined, so that folding them rebuilds the conversation. `at` is in ms since
the conversation began. `reply` is the number of the reply that a signal belongs to; one of an abandoned reply changes
nothing, but for what it cost.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from schemas.model import Model
from schemas.passage import Passage


class _Signal(Model):
    at: int


class Opened(_Signal):
    """A line is open: the first one, or another after the last was lost."""

    kind: Literal["opened"] = "opened"
    now: datetime
    """Aware, UTC: what time it was."""
    caller: str = ""
    """The caller's number, E.164, or empty when withheld."""
    dial_status: str = ""
    """We are back because a transfer came to this."""


class SpeechBegan(_Signal):
    """The VAD heard enough speech to call it that."""

    kind: Literal["speech_began"] = "speech_began"


class Paused(_Signal):
    """The caller is quiet for the moment; their speech may go on at once, or end here."""

    kind: Literal["paused"] = "paused"
    silence: int
    """How long they had been quiet by then, in ms of audio."""


class SpeechEnded(_Signal):
    """The VAD let go."""

    kind: Literal["speech_ended"] = "speech_ended"
    silence: int
    """How long the caller had been silent by then, in ms of audio."""


class Heard(_Signal):
    """A transcript of the caller's turn so far."""

    kind: Literal["heard"] = "heard"
    text: str
    final: bool


class Settled(_Signal):
    """The silence after the caller's speech lasted as long as was asked for."""

    kind: Literal["settled"] = "settled"


class Pressed(_Signal):
    """The caller pressed a key."""

    kind: Literal["pressed"] = "pressed"
    digit: str


class Typed(_Signal):
    """The caller wrote a line: a whole turn at once."""

    kind: Literal["typed"] = "typed"
    text: str


class Found(_Signal):
    """What the documents say about what the caller asked; told to the model before it answers."""

    kind: Literal["found"] = "found"
    reply: int
    query: str
    passages: tuple[Passage, ...]


class Thought(_Signal):
    """The model's next sentence."""

    kind: Literal["thought"] = "thought"
    reply: int
    text: str


class Requested(_Signal):
    """The model asks to run something. Untrusted."""

    kind: Literal["requested"] = "requested"
    reply: int
    id: str
    tool: str
    arguments: dict[str, Any]
    opaque: str = ""


class ThoughtOut(_Signal):
    """The model's answer is complete."""

    kind: Literal["thought_out"] = "thought_out"
    reply: int


class Spent(_Signal):
    """The model has cost so many more tokens. They count whatever becomes of the reply, also once it is abandoned."""

    kind: Literal["spent"] = "spent"
    reply: int
    prompt_tokens: int
    reply_tokens: int


class Returned(_Signal):
    """A tool came back."""

    kind: Literal["returned"] = "returned"
    id: str
    output: dict[str, Any] | None = None
    error: str | None = None
    unknown: bool = False
    """With an error: whether it acted can't be told."""


class Failed(_Signal):
    """A provider let us down in this reply."""

    kind: Literal["failed"] = "failed"
    reply: int
    what: Literal["brain", "voice"]
    why: str


class FellBack(_Signal):
    """A provider let us down, or is known to; another was asked, unless there is none."""

    kind: Literal["fell_back"] = "fell_back"
    port: Literal["speech", "brain", "voice"]
    provider: str
    to: str = ""
    why: str


class Deaf(_Signal):
    """The recogniser failed: nothing is understood until it works again."""

    kind: Literal["deaf"] = "deaf"
    why: str


class Sent(_Signal):
    """The reply's first audio was sent."""

    kind: Literal["sent"] = "sent"
    reply: int
    confirmed: bool = True
    """Whether the caller's words were stored by then."""


class Audible(_Signal):
    """The reply's first audio was played, as a mark tells; `at` is when."""

    kind: Literal["audible"] = "audible"
    reply: int


class Finished(_Signal):
    """All of the reply was played."""

    kind: Literal["finished"] = "finished"
    reply: int


class Cut(_Signal):
    """The reply was stopped."""

    kind: Literal["cut"] = "cut"
    reply: int
    heard: str
    """What the caller heard of it."""
    unheard: str
    """What was to come, as far as it was known."""


class Overdue(_Signal):
    """A watched time ran out."""

    kind: Literal["overdue"] = "overdue"
    what: Literal["reply", "caller", "speech", "transcript", "keys", "doubt", "progress"]


class Garbled(_Signal):
    """The line keeps sending what its protocol doesn't allow."""

    kind: Literal["garbled"] = "garbled"
    why: str


class Lost(_Signal):
    """The line ended; the conversation may go on over another."""

    kind: Literal["lost"] = "lost"
    why: str


Signal = Annotated[
    Opened
    | SpeechBegan
    | Paused
    | SpeechEnded
    | Heard
    | Settled
    | Pressed
    | Typed
    | Found
    | Thought
    | Requested
    | ThoughtOut
    | Spent
    | Returned
    | Failed
    | FellBack
    | Deaf
    | Sent
    | Audible
    | Finished
    | Cut
    | Overdue
    | Garbled
    | Lost,
    Field(discriminator="kind"),
]

SIGNALS: TypeAdapter[list[Signal]] = TypeAdapter(list[Signal])
"""Reads and writes a batch of the journal."""
