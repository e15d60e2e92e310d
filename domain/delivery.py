"""What becomes of a message: states only ever move on, whatever comes late, twice or out of order."""

from datetime import datetime, timedelta
from typing import Any

from schemas.outbound_message import MessageState, OutboundMessage

ATTEMPTS = 8
"""How often a message is handed to its provider before it has failed."""
FIRST_PAUSE = timedelta(seconds=30)
"""Between the first attempt and the second; three times as long with each further one."""
LONGEST_PAUSE = timedelta(hours=1)

_RANK: dict[MessageState, int] = {
    "queued": 0,
    "sending": 1,
    "unknown": 2,
    "sent": 3,
    "delivered": 4,
    "failed": 4,
    "suppressed": 4,
    "cancelled": 4,
}
"""A state gives way to those of a higher rank alone."""


def advance(message: OutboundMessage, state: MessageState, now: datetime, **changes: Any) -> OutboundMessage:
    """The message in that state; as it is, if it is past that."""
    if _RANK[state] <= _RANK[message.state]:
        return message
    times: dict[str, datetime] = {}
    if state in ("sent", "delivered") and message.sent_at is None:
        times["sent_at"] = now
    if _RANK[state] == 4:
        times["settled_at"] = now
    return message.model_copy(update={"state": state, **times, **changes})


def drop(message: OutboundMessage, state: MessageState, why: str, now: datetime) -> OutboundMessage:
    """In that state if nobody has begun to send it."""
    return advance(message, state, now, why=why) if message.state == "queued" else message


def taken(message: OutboundMessage, provider_id: str, now: datetime) -> OutboundMessage:
    """The provider has it. What was told of it meanwhile stays."""
    if message.state not in ("sending", "unknown"):
        return message
    return advance(message, "sent", now, provider_id=provider_id, why="")


def put_off(message: OutboundMessage, why: str, now: datetime) -> OutboundMessage:
    """After an attempt that surely came to nothing: queued again, or failed if it was the last."""
    if message.state not in ("sending", "unknown"):
        return message
    if message.attempts >= ATTEMPTS:
        return advance(message, "failed", now, why=why)
    pause = min(FIRST_PAUSE * 3 ** (message.attempts - 1), LONGEST_PAUSE)
    return message.model_copy(update={"state": "queued", "why": why, "due_at": now + pause})
