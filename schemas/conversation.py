"""A conversation: everything said between one caller and our agents, over one or several connections."""

from datetime import datetime
from typing import Literal

from schemas.model import Model


class Waterfall(Model):
    """Where the time of one turn went."""

    speech_end_ms: int | None = None
    """When the caller's last speech was heard, in ms since the conversation began. The others count from here."""
    final_ms: int | None = None
    """Final transcript."""
    settled_ms: int | None = None
    """The turn was taken as ended."""
    drafted_ms: int | None = None
    """The reply was begun before that, as a draft."""
    reply_ready_ms: int | None = None
    """First sentence of the reply."""
    first_audio_sent_ms: int | None = None
    first_audio_played_ms: int | None = None
    """As the carrier's first mark tells."""


class Reply(Model):
    """What was heard of one reply; a silent caller may get several in a turn."""

    text: str
    at_ms: int
    """When its first audio was sent, in ms since the conversation began."""
    interrupted: bool = False


class Turn(Model):
    """The caller's words and what the agent made of them.
    Stored at organisations/{org}/conversations/{id}/turns/{number, 6 digits}."""

    number: int
    """0 is the greeting."""
    at_ms: int
    """When it began, in ms since the conversation did."""
    node: str
    """The flow's node when the caller spoke."""
    held_by: str = ""
    """The agent that answered last in it."""
    caller: str = ""
    keys: str = ""
    """What the caller pressed."""
    agent: str = ""
    """What was heard of the agent, all replies together."""
    replies: tuple[Reply, ...] = ()
    agent_at_ms: int | None = None
    """When its first audio was sent."""
    interrupted: bool = False
    """The caller cut the reply."""
    discarded_drafts: int = 0
    """Replies that were prepared and thrown away, because the caller went on. Their tokens, as far as the model told of
    them, are in the turn's."""
    unconfirmed: bool = False
    """The reply began before the caller's words were stored."""
    tools: tuple[str, ...] = ()
    """Tools that ran."""
    sources: tuple[str, ...] = ()
    """Titles of the documents that the model was told of."""
    guarded: tuple[str, ...] = ()
    """Why sentences of the model's were not spoken."""
    fell_back: tuple[str, ...] = ()
    """Providers that let us down, and who was asked instead: "voice: espeak instead of google"."""
    prompt_tokens: int = 0
    reply_tokens: int = 0
    """What the models told of, failed and discarded replies included. They tell with their first words, or later: a
    request that was stopped before isn't in it, though its prompt may have to be paid."""
    waterfall: Waterfall = Waterfall()


class Report(Model):
    """What followed from a conversation's end."""

    seconds: float
    turns: int
    interruptions: int
    discarded_drafts: int = 0
    gap_p50_ms: int | None = None
    """Median time from the caller's last speech to our first audio."""
    gap_p95_ms: int | None = None


class Conversation(Model):
    """Stored at organisations/{org}/conversations/{id}."""

    id: str
    organisation: str
    agent: str
    version: int
    """Pinned for its whole life."""
    team: dict[str, int] = {}
    """The agents that it may be handed to, by id: their versions, pinned as well."""
    channel: Literal["phone", "browser", "chat"]
    call_sid: str = ""
    number: str = ""
    caller: str = ""
    state: Literal["active", "ended"] = "active"
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    """completed, transferred, referred (told a number, in a chat), caller_left, silence, failed, or what the flow's end
    names."""
    held_by: str = ""
    """The agent that has it, if that is known: `agent`, or the one that it was handed to last."""
    node: str = ""
    """Where it stands in that one's flow."""
    variables: dict[str, bool | int | float | str] = {}
    """What was collected so far."""
    report: Report | None = None


class FullConversation(Conversation):
    """A conversation with its turns, each with its waterfall: what the API tells of one."""

    turns: tuple[Turn, ...] = ()


class Message(Model):
    """One side's words, for reading."""

    role: Literal["caller", "agent"]
    text: str
    at_ms: int
    """In ms since the conversation began."""
    turn: int
    interrupted: bool = False
    """For the agent: the caller cut it; the text is what was heard."""
