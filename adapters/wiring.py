"""Where ports meet adapters, and the only place that reads the environment: once."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from adapters import secret_manager
from adapters.appointment_book import AppointmentBook
from adapters.builtin_tools import BuiltinTools
from adapters.clock import SystemClock
from adapters.document_reader import DocumentReader
from adapters.egress import Egress
from adapters.google_calendar import GoogleCalendar
from adapters.http_tools import HttpTools
from adapters.joined_tools import JoinedTools
from adapters.knowledge_tools import KnowledgeTools
from adapters.mcp_tools import McpTools
from adapters.message_tools import MessageTools
from adapters.organisation_tools import OrganisationTools
from adapters.paper_messages import PaperMessages
from adapters.twilio_line import TwilioStreams
from adapters.twilio_telephony import TwilioTelephony
from adapters.webrtc_vad import WebrtcDetector
from domain.fallback import FallbackBrain, FallbackSpeech, FallbackVoice, Provider
from domain.outbox import Outbox
from domain.ports import (
    Blobs,
    Brain,
    Bus,
    Clock,
    Documents,
    Fetch,
    Knowledge,
    Messages,
    NotSent,
    Ports,
    Queue,
    Secrets,
    Speech,
    TooBig,
    Unavailable,
    Unreadable,
    Voice,
    Web,
)
from schemas.message_template import Channel
from schemas.settings import BrainName, Paced, Settings, SpeechName, VoiceName

T = TypeVar("T")


class BadSettings(Exception):
    """The environment can't be used. The message says what to change."""


VARIABLES = {
    "port": "PORT",
    "public_url": "PUBLIC_URL",
    "media_url": "MEDIA_URL",
    "twilio_account_sid": "TWILIO_ACCOUNT_SID",
    "twilio_auth_token": "TWILIO_AUTH_TOKEN",
    "ticket_secret": "OFFHOOK_TICKET_SECRET",
    "owner_key": "OFFHOOK_OWNER_KEY",
    "google_project": "GOOGLE_CLOUD_PROJECT",
    "gemini_api_key": "GEMINI_API_KEY",
    "vertex": "GOOGLE_GENAI_USE_VERTEXAI",
    "gemini_location": "GOOGLE_CLOUD_LOCATION",
    "gemini_endpoint": "OFFHOOK_GEMINI_ENDPOINT",
    "speech": "OFFHOOK_SPEECH",
    "speech_next": "OFFHOOK_SPEECH_NEXT",
    "speech_location": "OFFHOOK_SPEECH_LOCATION",
    "speech_model": "OFFHOOK_SPEECH_MODEL",
    "speech_endpoint": "OFFHOOK_SPEECH_ENDPOINT",
    "voice": "OFFHOOK_VOICE",
    "voice_next": "OFFHOOK_VOICE_NEXT",
    "voice_endpoint": "OFFHOOK_VOICE_ENDPOINT",
    "brain": "OFFHOOK_BRAIN",
    "brain_next": "OFFHOOK_BRAIN_NEXT",
    "paced": "OFFHOOK_PACED",
    "documents": "OFFHOOK_DOCUMENTS",
    "firestore_database": "OFFHOOK_FIRESTORE_DATABASE",
    "firestore_emulator": "FIRESTORE_EMULATOR_HOST",
    "bus": "OFFHOOK_BUS",
    "pubsub_emulator": "PUBSUB_EMULATOR_HOST",
    "queue": "OFFHOOK_QUEUE",
    "queue_endpoint": "OFFHOOK_QUEUE_ENDPOINT",
    "calendar_endpoint": "OFFHOOK_CALENDAR_ENDPOINT",
    "knowledge": "OFFHOOK_KNOWLEDGE",
    "blobs": "OFFHOOK_BLOBS",
    "bucket": "OFFHOOK_BUCKET",
    "storage_endpoint": "OFFHOOK_STORAGE_ENDPOINT",
    "tasks_queue": "OFFHOOK_TASKS_QUEUE",
    "tasks_account": "OFFHOOK_TASKS_ACCOUNT",
    "tasks_url": "TASKS_URL",
    "secrets": "OFFHOOK_SECRETS",
    "secrets_endpoint": "OFFHOOK_SECRETS_ENDPOINT",
    "egress_ports": "OFFHOOK_EGRESS_PORTS",
    "egress_allow": "OFFHOOK_EGRESS_ALLOW",
    "certificates_url": "OFFHOOK_CERTIFICATES_URL",
    "messages": "OFFHOOK_MESSAGES",
    "sms_from": "OFFHOOK_SMS_FROM",
    "twilio_endpoint": "OFFHOOK_TWILIO_ENDPOINT",
    "mail": "OFFHOOK_MAIL",
    "smtp_url": "OFFHOOK_SMTP_URL",
    "mail_from": "OFFHOOK_MAIL_FROM",
    "most_calls": "OFFHOOK_MOST_CALLS",
    "speech_workers": "OFFHOOK_SPEECH_WORKERS",
}
"""By setting: the environment variable that gives it."""

PRODUCTION = {
    "documents": "firestore",
    "bus": "pubsub",
    "queue": "cloud_tasks",
    "knowledge": "firestore",
    "blobs": "cloud_storage",
    "secrets": "secret_manager",
    "speech": "google",
    "voice": "google",
    "brain": "gemini",
    "messages": "twilio",
    "mail": "off",
}
"""What production uses unless told otherwise."""

PAGE_S = 20.0
LARGEST_PAGE = 20_000_000
"""Bytes of a web page or a file at an address."""

Reveal = Callable[[Mapping[str, str]], Mapping[str, str]]


def read_settings(environment: Mapping[str, str] = os.environ, reveal: Reveal = secret_manager.reveal) -> Settings:
    """The deployment's settings. Secrets that are unset are made once and kept in the home, except in production;
    `reveal` puts those of Secret Manager in the place of their names. Raises BadSettings."""
    home = Path(environment.get("OFFHOOK_HOME") or Path.home() / ".offhook").expanduser().absolute()
    try:
        values = reveal({name: environment[name] for name in VARIABLES.values() if environment.get(name)})
    except (ValueError, Unavailable) as problem:
        raise BadSettings(str(problem)) from None
    given: dict[str, Any] = {field: values[name] for field, name in VARIABLES.items() if values.get(name)}
    stage = environment.get("OFFHOOK_ENVIRONMENT") or "development"
    if stage not in ("development", "production"):
        raise BadSettings(f"OFFHOOK_ENVIRONMENT is {stage!r}; it is development or production")
    production = stage == "production"
    if "smtp_url" in given:
        given.setdefault("mail", "smtp")
    if production:
        given = PRODUCTION | given
    if "gemini_api_key" in given:
        given.setdefault("brain", "gemini")
        if "speech" not in given:
            given["speech"] = "gemini"
            if _is_installed("pocketsphinx"):
                given.setdefault("speech_next", "pocketsphinx")
    elif "google_project" in given:
        given.setdefault("vertex", True)
    try:
        if "paced" in given:
            given["paced"] = _paced(given["paced"])
        for secret in ("ticket_secret", "owner_key"):
            if secret not in given and not production:
                given[secret] = _kept(home / secret)
        return Settings(home=str(home), production=production, **given)
    except ValidationError as problem:
        raise BadSettings("; ".join(_explain(error) for error in problem.errors())) from None
    except OSError as problem:
        raise BadSettings(f"OFFHOOK_HOME: {problem}") from None


def _paced(text: str) -> Paced:
    try:
        return Paced.model_validate_json(text)
    except ValidationError as problem:
        raise BadSettings(f"OFFHOOK_PACED: {'; '.join(map(_explain, problem.errors()))}") from None


def _explain(error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    name = VARIABLES.get(field, field)
    if error["type"] == "missing":
        return f"production needs {name}: set it to a long random text, or to a secret's name (sm://projects/…)"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def _kept(path: Path) -> str:
    """A secret of this machine: made at first, then always the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text().strip()


ADAPTERS = ("documents", "bus", "queue", "secrets", "speech", "voice", "brain", "knowledge", "blobs")
"""The ports whose adapter is a setting."""

_CHANNELS: Mapping[Channel, str] = {"sms": "messages", "email": "mail"}
"""By channel: the setting that says who sends."""

PACKAGES = {
    ("documents", "firestore"): ("google.cloud.firestore_v1", "google"),
    ("bus", "pubsub"): ("google.pubsub_v1", "google"),
    ("queue", "cloud_tasks"): ("google.cloud.tasks_v2", "google"),
    ("secrets", "secret_manager"): ("google.cloud.secretmanager_v1", "google"),
    ("speech", "google"): ("google.cloud.speech_v2", "google"),
    ("speech", "gemini"): ("google.genai", "google"),
    ("speech", "pocketsphinx"): ("pocketsphinx", "embedded"),
    ("voice", "google"): ("google.cloud.texttospeech", "google"),
    ("voice", "espeak"): ("espeakng_loader", "embedded"),
    ("brain", "gemini"): ("google.genai", "google"),
    ("knowledge", "firestore"): ("google.cloud.firestore_v1", "google"),
    ("blobs", "cloud_storage"): ("google.auth", "google"),
}
"""By port and adapter: the package that it needs, and the extra of ours that brings it."""


def missing_extra(settings: Settings, port: str, adapter: str = "") -> str:
    """Which of our extras must be installed for the port's adapter, the first one unless it is named; empty for none.
    Imports nothing."""
    package, extra = PACKAGES.get((port, adapter or getattr(settings, port)), ("", ""))
    return "" if not package or _is_installed(package) else extra


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # nor is what it would be in
        return False


@asynccontextmanager
async def open_ports(settings: Settings) -> AsyncIterator[Ports]:
    """Every adapter that the settings choose; leaving lets them finish what they hold. Raises BadSettings for one
    whose packages aren't installed, Unavailable."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        _refuse_missing_extras(settings, ADAPTERS)
        bus, queue = _bus(settings, clock), _queue(settings, clock)
        documents = await _enter(stack, _documents(settings, clock))
        speech = [
            Provider(name, await _enter(stack, _speech(settings, name)))
            for name in dict.fromkeys((settings.speech, *settings.speech_next))
        ]
        brain = [
            Provider(name, await _enter(stack, _brain(settings, name)))
            for name in dict.fromkeys((settings.brain, *settings.brain_next))
        ]
        voice = [
            Provider(name, await _enter(stack, _voice(settings, name)))
            for name in dict.fromkeys((settings.voice, *settings.voice_next))
        ]
        diaries = {"google": await _enter(stack, google_calendar(settings))}
        knowledge = await _enter(stack, _knowledge(settings))
        blobs = await _enter(stack, _blobs(settings))
        keeper = await _enter(stack, _secrets(settings))
        egress = await _enter(stack, Egress(settings.egress_allow, settings.egress_ports))
        calendars = AppointmentBook(documents, clock, bus, queue, diaries)
        channels = frozenset(channel for channel, name in _CHANNELS.items() if getattr(settings, name) != "off")
        outbox = Outbox(documents, queue, clock, settings.shared_sms_sender, channels)
        tools = await _enter(
            stack,
            OrganisationTools(
                JoinedTools(
                    BuiltinTools(documents, clock, calendars),
                    KnowledgeTools(knowledge, documents),
                    MessageTools(outbox, clock),
                ),
                HttpTools(egress, keeper),
                McpTools(egress, keeper, documents, clock),
                documents,
                clock,
            ),
        )
        messages: dict[Channel, Messages] = {}
        if "sms" in channels:
            messages["sms"] = await _enter(stack, _sms(settings, documents, clock))
        if "email" in channels:
            messages["email"] = await _enter(stack, _mail(settings, documents, clock))
        # What delivers events and tasks is opened last and so left first: who takes them needs all the others.
        await _enter(stack, bus)
        await _enter(stack, queue)
        yield Ports(
            settings=settings,
            clock=clock,
            documents=documents,
            bus=bus,
            queue=queue,
            telephony=TwilioTelephony(settings.twilio_auth_token),
            streams=TwilioStreams(settings.twilio_account_sid),
            speech=FallbackSpeech(speech),
            brain=FallbackBrain(brain),
            voice=FallbackVoice(voice),
            knowledge=knowledge,
            blobs=blobs,
            reader=DocumentReader(),
            fetch=_fetching(egress),
            tools=tools,
            secrets=keeper,
            web=egress,
            messages=messages,
            calendars=calendars,
            detector=WebrtcDetector,
            adapters={port: ", ".join(settings.adapters(port)) for port in ADAPTERS},
        )


@asynccontextmanager
async def open_port(settings: Settings, port: str) -> AsyncIterator[Any]:
    """The first adapter of one of ADAPTERS, alone. Raises as `open_ports` does."""
    clock = SystemClock()
    make: Mapping[str, Callable[[], Any]] = {
        "documents": lambda: _documents(settings, clock),
        "bus": lambda: _bus(settings, clock),
        "queue": lambda: _queue(settings, clock),
        "knowledge": lambda: _knowledge(settings),
        "blobs": lambda: _blobs(settings),
        "secrets": lambda: _secrets(settings),
        "speech": lambda: _speech(settings, settings.speech),
        "voice": lambda: _voice(settings, settings.voice),
        "brain": lambda: _brain(settings, settings.brain),
    }
    _refuse_missing_extras(settings, [port])
    async with AsyncExitStack() as stack:
        yield await _enter(stack, make[port]())


def google_calendar(settings: Settings) -> GoogleCalendar:
    """What enters appointments into Google's calendars, for who `async with`s it."""
    return GoogleCalendar(settings.calendar_endpoint)


def _refuse_missing_extras(settings: Settings, ports: Sequence[str]) -> None:
    for port in ports:
        for adapter in settings.adapters(port):
            if extra := missing_extra(settings, port, adapter):
                chosen = f"OFFHOOK_{port.upper()}{'' if adapter == getattr(settings, port) else '_NEXT'}={adapter}"
                raise BadSettings(f"{chosen} needs the `{extra}` extra: pip install 'offhook[{extra}]'")


async def _enter(stack: AsyncExitStack, adapter: T) -> T:
    if isinstance(adapter, AbstractAsyncContextManager):
        await stack.enter_async_context(adapter)
    return adapter


def _documents(settings: Settings, clock: Clock) -> Documents:
    match settings.documents:
        case "firestore":
            from adapters.firestore_documents import FirestoreDocuments

            server = _emulator(settings.firestore_emulator)
            return FirestoreDocuments(settings.google_project, settings.firestore_database, **server)
        case "sqlite":
            from adapters.sqlite_documents import SqliteDocuments

            return SqliteDocuments(_home(settings) / "documents.db", clock)


def _bus(settings: Settings, clock: Clock) -> Bus:
    match settings.bus:
        case "pubsub":
            from adapters.pubsub_bus import PubsubBus

            return PubsubBus(settings.google_project, **_emulator(settings.pubsub_emulator))
        case "sqlite":
            from adapters.sqlite_bus import SqliteBus

            return SqliteBus(_home(settings) / "bus.db", clock)


def _queue(settings: Settings, clock: Clock) -> Queue:
    match settings.queue:
        case "cloud_tasks":
            from adapters.cloud_tasks_queue import CloudTasksQueue, GoogleTokens

            return CloudTasksQueue(
                settings.tasks_queue,
                settings.tasks_url or settings.public_urls[0],
                settings.tasks_account,
                clock,
                verify=GoogleTokens(clock, settings.certificates_url).verify if settings.certificates_url else None,
                **_server(settings.queue_endpoint),
            )
        case "sqlite":
            from adapters.sqlite_queue import SqliteQueue

            return SqliteQueue(_home(settings) / "queue.db", clock)


def _knowledge(settings: Settings) -> Knowledge:
    match settings.knowledge:
        case "firestore":
            from adapters.firestore_knowledge import FirestoreKnowledge
            from adapters.gemini_embeddings import GeminiEmbeddings

            return FirestoreKnowledge(
                GeminiEmbeddings(**_gemini(settings)),
                settings.google_project,
                settings.firestore_database,
                **_emulator(settings.firestore_emulator),
            )
        case "sqlite":
            from adapters.sqlite_knowledge import SqliteKnowledge

            return SqliteKnowledge(_home(settings) / "knowledge.db")


def _blobs(settings: Settings) -> Blobs:
    match settings.blobs:
        case "cloud_storage":
            from adapters.cloud_storage_blobs import GOOGLE, CloudStorageBlobs

            bucket = settings.bucket or f"{settings.google_project}-offhook"
            return CloudStorageBlobs(bucket, settings.storage_endpoint or GOOGLE)
        case "files":
            from adapters.file_blobs import FileBlobs

            return FileBlobs(_home(settings) / "blobs")


def _secrets(settings: Settings) -> Secrets:
    match settings.secrets:
        case "secret_manager":
            from adapters.google_secrets import GoogleSecrets

            return GoogleSecrets(settings.google_project, **_server(settings.secrets_endpoint))
        case "local":
            from adapters.local_secrets import LocalSecrets

            return LocalSecrets(_home(settings) / "secrets")


def _fetching(web: Web) -> Fetch:
    """How documents are read from web pages: as everything that people name, through the guard."""

    async def fetch(url: str) -> tuple[str, str, bytes]:
        try:
            answer = await web.fetch("GET", url, within_s=PAGE_S, most_bytes=LARGEST_PAGE)
        except (NotSent, TooBig) as problem:
            raise Unreadable(str(problem)) from None
        if answer.status != 200:
            raise Unreadable(f"the page's server answered {answer.status}")
        return answer.url, answer.headers.get("content-type", ""), answer.body

    return fetch


def _speech(settings: Settings, name: SpeechName) -> Speech:
    match name:
        case "google":
            from adapters.google_speech import GoogleSpeech

            return GoogleSpeech(
                settings.google_project,
                settings.speech_location,
                settings.speech_model,
                **_server(settings.speech_endpoint),
            )
        case "gemini":
            from adapters.gemini_speech import GeminiSpeech

            return GeminiSpeech(**_gemini(settings))
        case "paced":
            from adapters.paced_speech import PacedSpeech

            return PacedSpeech(settings.paced.caller_words)
        case "pocketsphinx":
            from adapters.pocketsphinx_speech import PocketsphinxSpeech

            return PocketsphinxSpeech(settings.speech_workers)


def _brain(settings: Settings, name: BrainName) -> Brain:
    match name:
        case "gemini":
            from adapters.gemini_brain import GeminiBrain

            return GeminiBrain(**_gemini(settings))
        case "paced":
            from adapters.paced_brain import PacedBrain

            return PacedBrain(settings.paced.first_word_ms, settings.paced.word_ms, settings.paced.reply_words)
        case "offline":
            from adapters.offline_brain import OfflineBrain

            return OfflineBrain()


def _voice(settings: Settings, name: VoiceName) -> Voice:
    match name:
        case "google":
            from adapters.google_voice import GoogleVoice

            return GoogleVoice(**_server(settings.voice_endpoint))
        case "paced":
            from adapters.paced_voice import PacedVoice

            return PacedVoice(settings.paced.first_audio_ms, settings.paced.spoken_word_ms)
        case "espeak":
            from adapters.espeak_voice import EspeakVoice

            return EspeakVoice()


def _sms(settings: Settings, documents: Documents, clock: Clock) -> Messages:
    if settings.messages == "paper":
        return PaperMessages(documents, clock)
    from adapters.twilio_messages import TwilioMessages

    return TwilioMessages(settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_endpoint)


def _mail(settings: Settings, documents: Documents, clock: Clock) -> Messages:
    if settings.mail == "paper":
        return PaperMessages(documents, clock)
    from adapters.smtp_mail import SmtpMail

    return SmtpMail(settings.smtp_url, settings.mail_from, clock)


def _gemini(settings: Settings) -> dict[str, Any]:
    """How Gemini is reached, as the adapters take it."""
    reached = (
        {"project": settings.google_project, "location": settings.gemini_location}
        if settings.vertex
        else {"api_key": settings.gemini_api_key}
    )
    return {**reached, "base_url": settings.gemini_endpoint}


def _emulator(address: str) -> dict[str, Any]:
    """As the adapters take it."""
    return {"endpoint": address, "insecure": True} if address else {}


def _server(endpoint: str) -> dict[str, Any]:
    """The same of an endpoint setting: with a scheme, which says whether to encrypt."""
    scheme, _, address = endpoint.partition("://")
    if not address:
        return {}
    insecure = scheme == "http"
    return {"endpoint": address if insecure or ":" in address else f"{address}:443", "insecure": insecure}


def _home(settings: Settings) -> Path:
    path = Path(settings.home)
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)  # callers' numbers and words are in it
    return path


_for_good = AsyncExitStack()
_shared: asyncio.Future[Ports] | None = None


async def shared_ports() -> Ports:
    """This process's ports, opened at the first call and for good: a function has no end of its own."""
    global _shared
    if _shared is None:
        _shared = asyncio.ensure_future(_for_good.enter_async_context(open_ports(read_settings())))
    try:
        return await asyncio.shield(_shared)
    except Exception:
        _shared = None  # the next request tries again
        raise
