"""A phone number that an agent answers."""

from schemas.agent import E164
from schemas.model import Model


class Number(Model):
    """A phone number that we answer. Stored at numbers/{e164}."""

    number: E164
    organisation: str
    agent: str
