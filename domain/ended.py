"""That a conversation is over, as whoever makes something of its end is told."""

from domain.ports import Event

ENDED = "conversation.ended"
"""The topic."""


def ended(organisation: str, conversation: str, again: str = "") -> Event:
    """The end is told once; `again` tells it from what was told before."""
    id = f"{conversation}.ended.{again}" if again else f"{conversation}.ended"
    return Event(id, ENDED, {"organisation": organisation, "conversation": conversation})
