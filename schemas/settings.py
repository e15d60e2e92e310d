"""How a deployment is set up: read from the environment once, by `adapters.wiring`."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.model import Model

DEVELOPMENT_ACCOUNT_SID = "AC00000000000000000000000000000000"
DEVELOPMENT_AUTH_TOKEN = "offhook-development-token"
"""What the simulated carrier signs with. Production refuses to start on it."""


class Paced(Model):
    """How fast the paced stand-ins are, in ms."""

    caller_words: str = "I would like to book an appointment please"
    """What paced speech understands, whatever is said."""
    reply_words: str = Field(
        default="Certainly, happy to help. We are open from nine to five every weekday. Which day would suit you best?",
        min_length=1,
    )
    """What the paced brain answers, whatever it is asked."""
    first_word_ms: int = Field(default=300, ge=0)
    """From the question to the model's first word."""
    word_ms: int = Field(default=20, ge=0)
    """From word to word."""
    first_audio_ms: int = Field(default=100, ge=0)
    """From a sentence to its first audio."""
    spoken_word_ms: int = Field(default=300, ge=1)
    """How long a word is heard."""


class Settings(Model):
    """Every setting; the environment variable is named with each."""

    production: bool = False
    """OFFHOOK_ENVIRONMENT=production."""
    home: str
    """OFFHOOK_HOME: where the embedded adapters keep their data."""
    port: int = Field(default=8080, ge=1, le=65535)
    """PORT."""
    public_url: str = ""
    """PUBLIC_URL: the webhooks' host as the carrier sees it; empty for this machine's loopback."""
    media_url: str = ""
    """MEDIA_URL: the media service's; PUBLIC_URL by default."""
    twilio_account_sid: str = DEVELOPMENT_ACCOUNT_SID
    """TWILIO_ACCOUNT_SID."""
    twilio_auth_token: str = Field(default=DEVELOPMENT_AUTH_TOKEN, repr=False)
    """TWILIO_AUTH_TOKEN."""
    ticket_secret: str = Field(repr=False)
    """OFFHOOK_TICKET_SECRET: signs the media streams' tickets; made and kept in the home if unset."""
    owner_key: str = Field(repr=False)
    """OFFHOOK_OWNER_KEY: the local owner's API key; made and kept in the home if unset."""
    gemini_api_key: str = Field(default="", repr=False)
    """GEMINI_API_KEY."""
    speech: Literal["pocketsphinx", "paced"] = "pocketsphinx"
    """OFFHOOK_SPEECH."""
    voice: Literal["espeak", "paced"] = "espeak"
    """OFFHOOK_VOICE."""
    brain: Literal["offline", "gemini", "paced"] = "offline"
    """OFFHOOK_BRAIN; gemini by default when GEMINI_API_KEY is set."""
    paced: Paced = Paced()
    """OFFHOOK_PACED: as JSON, such as {"first_word_ms": 500}."""
    documents: Literal["sqlite"] = "sqlite"
    """OFFHOOK_DOCUMENTS."""
    bus: Literal["sqlite"] = "sqlite"
    """OFFHOOK_BUS."""
    queue: Literal["sqlite"] = "sqlite"
    """OFFHOOK_QUEUE."""
    most_calls: int = Field(default=1000, ge=0)
    """OFFHOOK_MOST_CALLS: no media service takes more calls at once, however light they are; one that runs late takes
    fewer."""
    speech_workers: int = Field(default=2, ge=1)
    """OFFHOOK_SPEECH_WORKERS: processes that pocketsphinx decodes in, some 30 MB each."""

    @model_validator(mode="after")
    def _holds_together(self) -> "Settings":
        if self.production and self.twilio_auth_token == DEVELOPMENT_AUTH_TOKEN:
            raise ValueError("production needs the real TWILIO_AUTH_TOKEN, not the development value")
        if self.production and not self.public_url.startswith("https://"):
            raise ValueError("production needs PUBLIC_URL, an https:// address")
        for name, url in (("PUBLIC_URL", self.public_url), ("MEDIA_URL", self.media_url)):
            if url and not url.startswith(("http://", "https://", "ws://", "wss://")):
                raise ValueError(f"{name} is {url!r}, which is not an http:// or https:// address")
        if self.brain == "gemini" and not self.gemini_api_key:
            raise ValueError("OFFHOOK_BRAIN=gemini needs GEMINI_API_KEY")
        return self

    @property
    def public_urls(self) -> tuple[str, ...]:
        """The addresses that webhooks may have been asked for, without a trailing slash; the first is told to others.
        Taken from settings, never from a request's headers, which anyone can write."""
        if self.public_url:
            return (self.public_url.rstrip("/"),)
        return (f"http://127.0.0.1:{self.port}", f"http://localhost:{self.port}")

    @property
    def media_urls(self) -> tuple[str, ...]:
        """The same for media streams: ws:// or wss://."""
        urls = (self.media_url.rstrip("/"),) if self.media_url else self.public_urls
        return tuple(url.replace("http", "ws", 1) if url.startswith("http") else url for url in urls)
