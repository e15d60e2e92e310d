"""Somebody who wants no more messages."""

from datetime import datetime
from typing import Literal

from schemas.message_template import Channel
from schemas.model import Model


class OptOut(Model):
    """Stored at organisations/{org}/optouts/{SHA-256 of channel:address, hex}; at optouts/… for the number that a
    deployment's organisations share."""

    id: str
    channel: Channel
    address: str
    """E.164, or an e-mail address in lower case."""
    source: Literal["reply", "link", "provider", "api"]
    """How we know: an answer such as STOP, an e-mail's link, the provider's refusal, or somebody who entered it."""
    created_at: datetime
