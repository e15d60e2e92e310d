"""A call: one phone connection inside a conversation."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from schemas.model import Model

CallStatus = Literal["queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"]

OVER: frozenset[str] = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""The statuses after which nothing more can happen."""


KEPT = timedelta(days=30)
"""How long what is known of a call by its SID stays: it is looked up only while the carrier may still ask."""


class CallEntry(Model):
    """What the webhooks and the media service must agree on. Stored at calls/{CallSid}."""

    organisation: str
    conversation: str
    agent: str
    """The one that has the call; at first the number's."""
    number: str
    """Ours."""
    caller: str
    """As the carrier gave it: E.164, a SIP address, "anonymous", or empty."""
    stage: Literal["streaming", "transfer", "dialled", "keys", "over"] = "streaming"
    """streaming: we talk. transfer: the stream is to end and `dial` to be called. dialled: it was. keys: they are to be
    pressed, and the talk goes on. over: hang up."""
    stream: int = 1
    """The number of the stream that Twilio was told to open last."""
    claimed: int = 0
    """The number of the last stream that really began: a ticket is good for one claim."""
    tries: int = 0
    """Streams opened in a row without a turn in between."""
    dial: str = ""
    """The number to transfer to, or the one dialled; or the keys to press."""
    briefing: str = ""
    """What the person is told before the caller is connected."""
    accepted: bool = False
    """They have heard it, and took the call."""
    way_back: bool = False
    """Whether the flow goes on when nobody answers the transfer."""
    way_on: bool = False
    """Whether it goes on with the caller once the person has hung up."""
    dial_status: str = ""
    """How the transfer went, if the flow goes on after it: "completed" if the two have talked."""
    outcome: str = ""
    """What it came to, as far as we know; the first one told stays."""
    answered: dict[str, str] = {}
    """The answer to the webhook request under this idempotency token: a retry gets the same one."""
    created_at: datetime
    expires_at: datetime = Field(default_factory=lambda known: known["created_at"] + KEPT)
    """When the store may forget it: see `domain.ports.Documents`."""
    stream_error: str = ""
    """What the carrier last said about a stream that failed."""
