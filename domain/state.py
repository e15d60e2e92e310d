"""All that a conversation knows, and what a snapshot holds."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from domain.turn import Phase
from schemas.conversation import Turn
from schemas.flow import FlowState
from schemas.remark import Remark
from schemas.signals import Returned, Signal
from schemas.tool import Tool


class Ending(BaseModel):
    """What happens once the agent's last words are said."""

    do: Literal["hang_up", "put_through", "hand_over", "press_keys"]
    outcome: str = ""
    number: str = ""
    """To put through to; or the keys to press."""
    way_back: bool = False
    way_on: bool = False
    briefing: str = ""


class State(BaseModel):
    """Everything a conversation knows. `format` tells a later release how to read it."""

    format: int = 1
    phase: Phase = Phase.GONE
    began: datetime | None = None
    agent: str = ""
    """The one that has the conversation, if it was handed over."""
    handoffs: int = 0
    reason: str = ""
    """Why it was handed over."""
    caller: str = ""
    """Their number, E.164, or empty."""
    flow: FlowState | None = None
    remarks: list[Remark] = []
    turn: Turn | None = None
    draft: "State | None" = None
    """Where we are if the caller is done, which isn't settled yet."""

    # the caller's side
    words: str = ""
    final: bool = False
    fresh: bool = False
    """Words came since the caller last began to speak."""
    settled: bool = False
    speech_end: int | None = None
    final_at: int | None = None
    keys: str = ""
    speaking: bool = False
    partials: bool = False
    """The recogniser tells words as they come: a sound without any may be none."""
    silences: int = 0
    drafts: int = 0
    """How many drafts were made in the caller's turn."""
    discarded: int = 0
    """How many were thrown away since the last turn."""
    spent_prompt: int = 0
    spent_reply: int = 0
    """Tokens that those cost, as far as the model told of them."""
    overlapping: bool = False
    """The caller began to speak while the agent still spoke, as it turned out: it may be a murmur."""

    fell_back: list[str] = []
    """Providers that let us down since the last turn."""

    # the agent's side
    reply: int = 0
    """The number of the reply under way, or of the last one."""
    numbered: int = 0
    """The last number that was given to a reply, or to a draft of one."""
    alive: bool = False
    """A reply is being prepared or spoken."""
    said: list[str] = []
    """The reply's sentences."""
    sent_at: int | None = None
    """When its first audio was sent."""
    unheard: str = ""
    """What a cut reply still had to say."""
    delays: int = 0
    """How often the agent has asked for patience in this reply."""
    thoughts: int = 0
    thinking: bool = False
    """The model is at work on this reply, or was when it was cut."""
    fallback: str = ""
    """What to say if the model says nothing."""
    requests: list[Remark] = []
    """What the model asked for and isn't all answered yet, in its order."""
    results: list[Remark] = []
    """What came back of it so far."""
    granted: bool = False
    """Those tools are running."""
    fillers: int = 0
    """How many of the reply's sentences only ask for patience."""
    doubted: bool = False
    """It was paused for a sound, at least once."""
    postponed: list[Signal] = []
    """What would have led on, while it was paused."""
    finished_at: int | None = None
    """When the last reply was played to its end."""
    guarded: bool = False
    """The model said what it must not; nothing more of the reply is taken."""
    found: list[str] = []
    """What the model was told of the documents lately."""
    closed: bool = False
    """No more sentences come in this reply."""
    cutting: bool = False
    """The reply is being cut; what was heard of it isn't known yet."""
    running: str = ""
    """The node's tool call that is under way."""
    errand: Tool | None = None
    """Its tool, if it is a long one: the conversation goes on meanwhile."""
    done: Returned | None = None
    """What came of the errand, while somebody still speaks."""
    ending: Ending | None = None
    failing: str = ""
    """Why we give up, while the reply under way is being cut for it."""
