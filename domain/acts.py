"""What a conversation decides to do. The services at the edge perform these, in order."""

from dataclasses import dataclass
from typing import Literal

from domain.ports import Prompt
from schemas.conversation import Turn
from schemas.tool import ToolCall
from schemas.variable import Expectation


@dataclass(frozen=True, slots=True)
class Release:
    """The reply may be heard. One that isn't released yet is a draft: it is prepared up to its first sound."""

    reply: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Throw a draft away, and stop all work for it; nothing of it was heard."""

    reply: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Fall silent in the middle of the reply, for a moment."""

    reply: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on where the reply was paused."""

    reply: int


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a sentence, after those of the same reply before it."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """No more sentences come in this reply; tell when all was played (signal Finished)."""

    reply: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Stop the reply and all work for it; tell what was heard (signal Cut)."""

    reply: int


@dataclass(frozen=True, slots=True)
class Think:
    """Let the model answer (signals Thought, Requested, Spent, and at last ThoughtOut or Failed)."""

    reply: int
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run it (signal Returned). An acting one waits for the journal first."""

    call: ToolCall
    acts: bool
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Expect:
    """A new turn of the caller's begins; this is what they may say."""

    expectation: Expectation


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The turn settles after this much silence, in ms of audio since the last speech (signal Settled)."""

    silence_ms: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell (signal Overdue) when nothing was audible for this long, counted from now or from the end of what is
    playing, whichever is later. Replaces the watch before it."""

    what: Literal["reply", "caller", "speech", "transcript", "keys", "doubt"]
    after_ms: int


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Forget the watch."""


@dataclass(frozen=True, slots=True)
class Record:
    """Keep this turn, replacing what was kept of it."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""

    outcome: str


@dataclass(frozen=True, slots=True)
class PutThrough:
    """Transfer the call to a number (E.164). `way_back`: come back if nobody answers."""

    number: str
    way_back: bool
    outcome: str


Act = (
    Release
    | Discard
    | Pause
    | Resume
    | Say
    | Close
    | Cut
    | Think
    | RunTool
    | Expect
    | Endpoint
    | Watch
    | Unwatch
    | Record
    | HangUp
    | PutThrough
)
