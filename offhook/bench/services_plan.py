"""What the stand-ins for Google's services are told, on their standard input, and what they tell."""

from schemas.model import Model
from schemas.settings import Paced


class ServicesPlan(Model):
    """For `offhook.bench.google_services`."""

    paced: Paced
    cores: tuple[int, ...]


class ServicesAt(Model):
    """Where they serve."""

    grpc: str
    """Speech-to-Text and Text-to-Speech."""
    http: str
    """Gemini."""


class Served(Model):
    """What they were asked, from the first call to the last."""

    utterances: int = 0
    """Streams of sound."""
    sentences: int = 0
    replies: int = 0
    """Of Gemini, drafts included that were thrown away."""
    connections: int = 0
    """That Gemini was asked on."""
