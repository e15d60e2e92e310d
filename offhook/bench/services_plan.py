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
