"""Tickets for media streams: signed, short-lived, bound to one call and one stream of it."""

from datetime import datetime, timedelta

import jwt
from pydantic import ValidationError

from schemas.model import Model

GOOD_FOR = timedelta(seconds=60)
"""From the webhook's answer to the stream's start."""


class Ticket(Model):
    """What a ticket says. That it is used once is the claim's business (see `CallEntry.claimed`)."""

    organisation: str
    conversation: str
    call_sid: str
    stream: int


def issue(ticket: Ticket, secret: str, now: datetime) -> str:
    """A token below 500 characters, the limit of a stream's parameter."""
    claims = {
        "o": ticket.organisation,
        "c": ticket.conversation,
        "s": ticket.call_sid,
        "n": ticket.stream,
        "exp": int((now + GOOD_FOR).timestamp()),
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def open_ticket(token: str, secret: str, now: datetime) -> Ticket | None:
    """None unless we signed it and it is still good."""
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"], options={"verify_exp": False, "require": ["exp"]})
        if now.timestamp() >= claims["exp"]:
            return None
        return Ticket(organisation=claims["o"], conversation=claims["c"], call_sid=claims["s"], stream=claims["n"])
    except (jwt.InvalidTokenError, KeyError, TypeError, ValidationError):
        return None
