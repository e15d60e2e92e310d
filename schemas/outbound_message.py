"""A message to one person: due, under way, or done with."""

from datetime import datetime
from typing import Literal

from schemas.message_template import Channel
from schemas.model import Model

MessageState = Literal["queued", "sending", "unknown", "sent", "delivered", "failed", "suppressed", "cancelled"]


class OutboundMessage(Model):
    """Stored at organisations/{org}/messages/{id}.

    queued: it waits for `due_at`. sending: it is being handed to the provider. sent: the provider took it. delivered:
    the recipient's carrier did, as far as it tells. unknown: the provider's answer was lost, so it was sent or it
    wasn't, and isn't sent again. failed: it won't arrive. suppressed: the recipient wants no messages. cancelled: it
    had become pointless before it was due."""

    id: str
    """From what it is about, so that the same message scheduled twice is one."""
    channel: Channel
    to: str
    """E.164, or an e-mail address."""
    sender: str = ""
    """SMS: the number it comes from, E.164 or the deployment's; e-mail: the name it comes from."""
    reply_to: str = ""
    subject: str = ""
    text: str
    """As it is sent."""
    segments: int = 0
    """How many text messages it is billed as; 0 for e-mail."""
    template: str = ""
    conversation: str = ""
    """The one that it follows from."""
    appointment: str = ""
    """The one that it speaks of."""
    appointment_at: str = ""
    """When that was to be, as the text says: 2026-11-27T14:30. If it is moved or gone, the message isn't sent."""
    state: MessageState = "queued"
    attempts: int = 0
    """How often it was handed to the provider, or tried to be."""
    why: str = ""
    """What the provider or we said of the last attempt that failed, or why it wasn't sent."""
    provider_id: str = ""
    """The provider's name for it."""
    due_at: datetime
    """When it is sent, or tried again."""
    created_at: datetime
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    """When it reached a state that it won't leave."""
