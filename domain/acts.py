"""What a conversation decides to do. The services at the edge perform these, in order."""

from dataclasses import dataclass
from typing import Literal

from domain.ports import Prompt
from schemas.agent import AgentVersion
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
    """Let the model answer (signals Found, if `search` is given; then Thought, Requested, Spent, and at last ThoughtOut
    or Failed)."""

    reply: int
    prompt: Prompt
    search: str = ""
    """What to look for in the documents first."""


@dataclass(frozen=True, slots=True)
class Search:
    """Look for this in the documents: the model is likely to be asked about it. No signal tells of it."""

    words: str


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run it (signal Returned). An acting one waits for the journal first."""

    call: ToolCall
    acts: bool
    timeout_ms: int
    again: bool = False
    """It was asked before, over a line that was lost: it may have acted."""
    aside: bool = False
    """The conversation goes on meanwhile: whatever becomes of the reply, it isn't stopped but by StopTool."""


@dataclass(frozen=True, slots=True)
class StopTool:
    """Nobody wants the answer of this tool call any more."""

    id: str


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

    what: Literal["reply", "caller", "speech", "transcript", "keys", "doubt", "progress"]
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
    briefing: str = ""
    """What the person is told first; they may decline. Empty to connect them at once."""
    way_on: bool = False
    """Come back once the person has hung up."""


@dataclass(frozen=True, slots=True)
class PressKeys:
    """Press keys of the telephone, and come back."""

    digits: str


@dataclass(frozen=True, slots=True)
class Become:
    """Another agent goes on: this is how it speaks, listens and is patient."""

    version: AgentVersion


Act = (
    Release
    | Discard
    | Pause
    | Resume
    | Say
    | Close
    | Cut
    | Think
    | Search
    | RunTool
    | StopTool
    | Expect
    | Endpoint
    | Watch
    | Unwatch
    | Record
    | HangUp
    | PutThrough
    | PressKeys
    | Become
)
