"""A piece of a document that was found for what the caller asked."""

from schemas.model import Model


class Passage(Model):
    """Some sentences of a document, and where they are from."""

    document: str
    """Its id."""
    title: str
    """What people call it: told as the source."""
    text: str
    score: float
    """How well it fits, 0 to 1; comparable within one answer only."""
