"""How a deployment is set up: read from the environment once, by `adapters.wiring`."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from schemas.google_names import is_database, is_project, is_queue, is_service_account
from schemas.model import Model

SpeechName = Literal["pocketsphinx", "google", "gemini", "paced"]
BrainName = Literal["offline", "gemini", "paced"]
VoiceName = Literal["espeak", "google", "paced"]
MessagesName = Literal["paper", "twilio", "off"]
MailName = Literal["paper", "smtp", "off"]

DEVELOPMENT_ACCOUNT_SID = "AC00000000000000000000000000000000"
DEVELOPMENT_AUTH_TOKEN = "offhook-development-token"
"""What the simulated carrier signs with. Production refuses to start on it."""
SHORTEST_SECRET = 32
"""Characters, in production."""
FEWEST_CHARACTERS = 8
"""Different ones in a secret: by chance there are always more of them."""
DEVELOPMENT_SMS_FROM = "+15005550006"
"""Where messages come from that reach nobody."""


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
    google_project: str = ""
    """GOOGLE_CLOUD_PROJECT: the project whose services are used."""
    gemini_api_key: str = Field(default="", repr=False)
    """GEMINI_API_KEY."""
    vertex: bool = False
    """GOOGLE_GENAI_USE_VERTEXAI: Gemini by the project's Vertex AI rather than by an API key; so by default when there
    is a project and no key."""
    gemini_location: str = "global"
    """GOOGLE_CLOUD_LOCATION: where Vertex AI runs Gemini."""
    gemini_endpoint: str = ""
    """OFFHOOK_GEMINI_ENDPOINT. This and the other endpoints: `https://host[:port]`, or `http://host:port` for a local
    server without encryption; empty for Google's own."""
    speech: SpeechName = "pocketsphinx"
    """OFFHOOK_SPEECH; `google` by default in production, elsewhere `gemini` when GEMINI_API_KEY is set."""
    speech_next: tuple[SpeechName, ...] = ()
    """OFFHOOK_SPEECH_NEXT: who is asked if that fails, in this order, separated by commas. Agents may have an order of
    their own of all of them. The same for the brain and the voice. With `gemini` for want of an OFFHOOK_SPEECH it is
    `pocketsphinx` by default, if that is installed."""
    speech_location: str = "global"
    """OFFHOOK_SPEECH_LOCATION: where Speech-to-Text runs."""
    speech_model: str = "telephony"
    """OFFHOOK_SPEECH_MODEL: Speech-to-Text's."""
    speech_endpoint: str = ""
    """OFFHOOK_SPEECH_ENDPOINT."""
    voice: VoiceName = "espeak"
    """OFFHOOK_VOICE. In production `google` by default."""
    voice_next: tuple[VoiceName, ...] = ()
    """OFFHOOK_VOICE_NEXT."""
    voice_endpoint: str = ""
    """OFFHOOK_VOICE_ENDPOINT."""
    brain: BrainName = "offline"
    """OFFHOOK_BRAIN; gemini by default in production, and when GEMINI_API_KEY is set."""
    brain_next: tuple[BrainName, ...] = ()
    """OFFHOOK_BRAIN_NEXT."""
    paced: Paced = Paced()
    """OFFHOOK_PACED: as JSON, such as {"first_word_ms": 500}."""
    documents: Literal["sqlite", "firestore"] = "sqlite"
    """OFFHOOK_DOCUMENTS. In production `firestore` by default."""
    firestore_database: str = "(default)"
    """OFFHOOK_FIRESTORE_DATABASE."""
    firestore_emulator: str = ""
    """FIRESTORE_EMULATOR_HOST: host:port."""
    bus: Literal["sqlite", "pubsub"] = "sqlite"
    """OFFHOOK_BUS. In production `pubsub` by default."""
    pubsub_emulator: str = ""
    """PUBSUB_EMULATOR_HOST: host:port."""
    queue: Literal["sqlite", "cloud_tasks"] = "sqlite"
    """OFFHOOK_QUEUE. In production `cloud_tasks` by default."""
    queue_endpoint: str = ""
    """OFFHOOK_QUEUE_ENDPOINT."""
    calendar_endpoint: str = ""
    """OFFHOOK_CALENDAR_ENDPOINT: Google Calendar's."""
    knowledge: Literal["sqlite", "firestore"] = "sqlite"
    """OFFHOOK_KNOWLEDGE: where documents' passages are found; `firestore` asks Gemini for their meaning. In production
    `firestore` by default."""
    blobs: Literal["files", "cloud_storage"] = "files"
    """OFFHOOK_BLOBS: where the documents themselves are kept. In production `cloud_storage` by default."""
    bucket: str = ""
    """OFFHOOK_BUCKET: Cloud Storage's; `PROJECT-offhook` by default."""
    storage_endpoint: str = ""
    """OFFHOOK_STORAGE_ENDPOINT."""
    tasks_queue: str = ""
    """OFFHOOK_TASKS_QUEUE: projects/…/locations/…/queues/…"""
    tasks_account: str = ""
    """OFFHOOK_TASKS_ACCOUNT: the service account that Cloud Tasks' requests are made by."""
    tasks_url: str = ""
    """TASKS_URL: where Cloud Tasks reaches the function `tasks`; PUBLIC_URL by default."""
    secrets: Literal["local", "secret_manager"] = "local"
    """OFFHOOK_SECRETS: where organisations' secrets are kept. In production `secret_manager` by default."""
    secrets_endpoint: str = ""
    """OFFHOOK_SECRETS_ENDPOINT."""
    egress_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    """OFFHOOK_EGRESS_PORTS: those that tools, MCP servers and webhooks may use beside 80 and 443, with commas between
    them."""
    egress_allow: tuple[str, ...] = ()
    """OFFHOOK_EGRESS_ALLOW: `host:port` that they reach wherever it is, separated by commas: for servers of this
    machine, in development only."""
    certificates_url: str = ""
    """OFFHOOK_CERTIFICATES_URL: those that the tokens of Cloud Tasks' requests are checked against, if not Google's:
    for a local server."""
    messages: MessagesName = "paper"
    """OFFHOOK_MESSAGES: who sends text messages. In production `twilio` by default."""
    sms_from: str = ""
    """OFFHOOK_SMS_FROM: the number that organisations without one of their own share, E.164, or a messaging service's
    SID (MG…)."""
    twilio_endpoint: str = ""
    """OFFHOOK_TWILIO_ENDPOINT: where Twilio's REST API is, if not at Twilio."""
    mail: MailName = "paper"
    """OFFHOOK_MAIL: who sends e-mail; `smtp` by default when OFFHOOK_SMTP_URL is set, and otherwise, in production,
    `off`."""
    smtp_url: str = Field(default="", repr=False)
    """OFFHOOK_SMTP_URL: smtp://user:password@host:port (STARTTLS), or smtps://…; see `adapters.smtp_mail`."""
    mail_from: str = ""
    """OFFHOOK_MAIL_FROM: the address that e-mails come from, with a name or without."""
    most_calls: int = Field(default=1000, ge=0)
    """OFFHOOK_MOST_CALLS: no media service takes more calls at once, however light they are; one that runs late takes
    fewer."""
    speech_workers: int = Field(default=2, ge=1)
    """OFFHOOK_SPEECH_WORKERS: processes that pocketsphinx decodes in, some 30 MB each."""

    @field_validator("speech_next", "brain_next", "voice_next", "egress_ports", "egress_allow", mode="before")
    @classmethod
    def _separated(cls, names: object) -> object:
        return [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else names

    def adapters(self, port: str) -> tuple[str, ...]:
        """The names of a port's adapters, in the order in which they are asked."""
        return tuple(dict.fromkeys((getattr(self, port), *getattr(self, f"{port}_next", ()))))

    @model_validator(mode="after")
    def _holds_together(self) -> "Settings":
        if problems := [*self._problems(), *(self._problems_of_production() if self.production else ())]:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        urls = {"PUBLIC_URL": self.public_url, "MEDIA_URL": self.media_url, "TASKS_URL": self.tasks_url}
        for name, url in urls.items():
            if url and not url.startswith(("http://", "https://", "ws://", "wss://")):
                yield f"{name} is {url!r}, which is not an http:// or https:// address"
        for name, endpoint in self._endpoints.items():
            if endpoint and not re.fullmatch(r"http://[^/\s]+:\d+|https://[^/\s]+", endpoint):
                yield f"{name} is {endpoint!r}; make it https://host, or http://host:port for a local server"
        for name, emulator in self._emulators.items():
            if emulator and not re.fullmatch(r"[^/\s]+:\d+", emulator):
                yield f"{name} is {emulator!r}; make it the emulator's host:port"
        for allowed in self.egress_allow:
            if not re.fullmatch(r"([^/\s:@]+|\[[0-9A-Fa-f:.]+\]):\d+", allowed):
                yield f"OFFHOOK_EGRESS_ALLOW holds {allowed!r}; make it host:port"
        keyless = not self.vertex and not self.gemini_api_key
        asks_gemini = [port for port in ("brain", "speech") if "gemini" in self.adapters(port)]
        if self.knowledge == "firestore" and keyless and (self.google_project or not self.production):
            yield "OFFHOOK_KNOWLEDGE=firestore needs GEMINI_API_KEY, or GOOGLE_CLOUD_PROJECT to use Vertex AI"
        if asks_gemini and keyless and (self.google_project or not self.production):
            which = self._variable(asks_gemini[0], "gemini")
            yield f"{which}=gemini needs GEMINI_API_KEY, or GOOGLE_CLOUD_PROJECT to use Vertex AI"
        if not self.google_project and (who := self._who_needs_the_project()):
            yield f"{who} needs GOOGLE_CLOUD_PROJECT: set it to the project's id"
        yield from self._problems_of_names()
        yield from self._problems_of_messages()

    def _problems_of_names(self) -> Iterator[str]:
        if self.google_project and not is_project(self.google_project):
            yield (
                f"GOOGLE_CLOUD_PROJECT is {self.google_project!r}, which is no project's id: lower-case letters, "
                "digits and hyphens, not the project's name"
            )
        if not is_database(self.firestore_database):
            yield (
                f"OFFHOOK_FIRESTORE_DATABASE is {self.firestore_database!r}, which is no database's id: 4 to 63 "
                "lower-case letters, digits and hyphens, or (default)"
            )
        if self.queue == "cloud_tasks":
            if not is_queue(self.tasks_queue):
                yield (
                    "OFFHOOK_QUEUE=cloud_tasks needs OFFHOOK_TASKS_QUEUE: set it to the queue's name, "
                    "projects/PROJECT/locations/LOCATION/queues/QUEUE"
                )
            if not is_service_account(self.tasks_account):
                yield (
                    "OFFHOOK_QUEUE=cloud_tasks needs OFFHOOK_TASKS_ACCOUNT: set it to the e-mail address of the "
                    "service account that its requests are made by, NAME@PROJECT.iam.gserviceaccount.com"
                )

    def _problems_of_messages(self) -> Iterator[str]:
        if self.sms_from and not re.fullmatch(r"\+[1-9][0-9]{6,14}|MG[0-9a-f]{32}", self.sms_from):
            yield f"OFFHOOK_SMS_FROM is {self.sms_from!r}; make it a number such as +15005550006, or MG… of a service"
        if self.mail == "smtp" and not re.fullmatch(r"smtps?://[^/\s@]*@?[^/\s@]+/?(\?starttls=off)?", self.smtp_url):
            yield "OFFHOOK_MAIL=smtp needs OFFHOOK_SMTP_URL: set it to smtp://user:password@host:port, or smtps://…"
        if self.mail == "smtp" and not re.fullmatch(r"[^<>\s]+@[^<>\s]+|[^<>\r\n]*<[^<>\s]+@[^<>\s]+>", self.mail_from):
            yield "OFFHOOK_MAIL=smtp needs OFFHOOK_MAIL_FROM: set it to an address: Willow <desk@willow.example>"

    def _who_needs_the_project(self) -> str:
        """Empty for nobody."""
        if self.production:
            return "production"
        for port, google in (
            ("documents", "firestore"),
            ("bus", "pubsub"),
            ("speech", "google"),
            ("knowledge", "firestore"),
            ("blobs", "cloud_storage"),
            ("secrets", "secret_manager"),
        ):
            if google in self.adapters(port):
                return f"{self._variable(port, google)}={google}"
        return "GOOGLE_GENAI_USE_VERTEXAI" if self.vertex else ""

    def _problems_of_production(self) -> Iterator[str]:
        if self.twilio_auth_token == DEVELOPMENT_AUTH_TOKEN:
            yield "production needs the real TWILIO_AUTH_TOKEN, not the development value"
        elif not re.fullmatch(r"[0-9a-f]{32}", self.twilio_auth_token):
            yield "TWILIO_AUTH_TOKEN is none of Twilio's, which are 32 hexadecimal digits: copy it from its console"
        if self.twilio_account_sid == DEVELOPMENT_ACCOUNT_SID:
            yield "production needs the real TWILIO_ACCOUNT_SID, not the development value"
        for name, secret in {"OFFHOOK_TICKET_SECRET": self.ticket_secret, "OFFHOOK_OWNER_KEY": self.owner_key}.items():
            if len(secret.strip()) < SHORTEST_SECRET or len(set(secret)) < FEWEST_CHARACTERS:
                yield (
                    f"production needs a {name} that nobody guesses: set it to {SHORTEST_SECRET} random characters or "
                    "more, such as `openssl rand -hex 32` makes"
                )
        if not self.public_url.startswith("https://"):
            yield "production needs PUBLIC_URL, an https:// address"
        if self.media_url and not self.media_url.startswith(("https://", "wss://")):
            yield "production needs MEDIA_URL to be an https:// or wss:// address"
        if self.tasks_url and not self.tasks_url.startswith("https://"):
            yield "production needs TASKS_URL to be an https:// address"
        for name, emulator in self._emulators.items():
            if emulator:
                yield f"production keeps nothing in an emulator: unset {name}"
        for name, endpoint in self._endpoints.items():
            if endpoint.startswith("http://"):
                yield f"production speaks to no server without encryption: unset {name}, or make it an https:// address"
        if self.certificates_url:
            yield "production trusts nobody's tokens but Google's: unset OFFHOOK_CERTIFICATES_URL"
        if self.egress_allow:
            yield "production lets no tool reach addresses of its own network: unset OFFHOOK_EGRESS_ALLOW"
        if self.secrets == "local":
            yield "production can't share files of secrets between its services: set OFFHOOK_SECRETS to secret_manager"
        for port, instead in (
            ("documents", "firestore"),
            ("bus", "pubsub"),
            ("queue", "cloud_tasks"),
            ("knowledge", "firestore"),
        ):
            if getattr(self, port) == "sqlite":
                yield (
                    f"production can't share SQLite files between its services: set OFFHOOK_{port.upper()} to {instead}"
                )
        if self.blobs == "files":
            yield "production can't share files between its services: set OFFHOOK_BLOBS to cloud_storage"
        for port in ("speech", "brain", "voice"):
            if "paced" in self.adapters(port):
                variable = self._variable(port, "paced")
                yield f"production answers no callers with a stand-in: set {variable} to another than paced"

        for port, instead in (("messages", "twilio or off"), ("mail", "smtp or off")):
            if getattr(self, port) == "paper":
                yield f"production keeps no messages back: set OFFHOOK_{port.upper()} to {instead}"
        if self.smtp_url.startswith("smtp://") and "starttls=off" in self.smtp_url:
            yield "production sends no mail without encryption: take ?starttls=off from OFFHOOK_SMTP_URL"

    def _variable(self, port: str, adapter: str) -> str:
        """The one that chooses this adapter."""
        return f"OFFHOOK_{port.upper()}{'' if getattr(self, port) == adapter else '_NEXT'}"

    @property
    def _endpoints(self) -> dict[str, str]:
        return {
            "OFFHOOK_GEMINI_ENDPOINT": self.gemini_endpoint,
            "OFFHOOK_SPEECH_ENDPOINT": self.speech_endpoint,
            "OFFHOOK_VOICE_ENDPOINT": self.voice_endpoint,
            "OFFHOOK_QUEUE_ENDPOINT": self.queue_endpoint,
            "OFFHOOK_CALENDAR_ENDPOINT": self.calendar_endpoint,
            "OFFHOOK_STORAGE_ENDPOINT": self.storage_endpoint,
            "OFFHOOK_SECRETS_ENDPOINT": self.secrets_endpoint,
            "OFFHOOK_TWILIO_ENDPOINT": self.twilio_endpoint,
        }

    @property
    def _emulators(self) -> dict[str, str]:
        return {
            "FIRESTORE_EMULATOR_HOST": self.firestore_emulator,
            "PUBSUB_EMULATOR_HOST": self.pubsub_emulator,
        }

    @property
    def shared_sms_sender(self) -> str:
        """The number of organisations that have none of their own; empty for none."""
        return self.sms_from or (DEVELOPMENT_SMS_FROM if self.messages == "paper" else "")

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
