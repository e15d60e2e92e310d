"""Where ports meet adapters, and the only place that reads the environment: once."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.builtin_tools import BuiltinTools
from adapters.clock import SystemClock
from adapters.twilio_line import TwilioStreams
from adapters.twilio_telephony import TwilioTelephony
from adapters.webrtc_vad import WebrtcDetector
from domain.ports import Brain, Ports, Speech, Voice
from schemas.settings import Paced, Settings


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
    "gemini_api_key": "GEMINI_API_KEY",
    "speech": "OFFHOOK_SPEECH",
    "voice": "OFFHOOK_VOICE",
    "brain": "OFFHOOK_BRAIN",
    "paced": "OFFHOOK_PACED",
    "documents": "OFFHOOK_DOCUMENTS",
    "bus": "OFFHOOK_BUS",
    "queue": "OFFHOOK_QUEUE",
    "most_calls": "OFFHOOK_MOST_CALLS",
    "speech_workers": "OFFHOOK_SPEECH_WORKERS",
}
"""By setting: the environment variable that gives it."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The deployment's settings. Secrets that are unset are made once and kept in the home. Raises BadSettings."""
    home = Path(environment.get("OFFHOOK_HOME") or Path.home() / ".offhook").expanduser().absolute()
    given: dict[str, Any] = {field: environment[name] for field, name in VARIABLES.items() if environment.get(name)}
    stage = environment.get("OFFHOOK_ENVIRONMENT") or "development"
    if stage not in ("development", "production"):
        raise BadSettings(f"OFFHOOK_ENVIRONMENT is {stage!r}; it is development or production")
    production = stage == "production"
    if "gemini_api_key" in given:
        given.setdefault("brain", "gemini")
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


@asynccontextmanager
async def open_ports(settings: Settings) -> AsyncIterator[Ports]:
    """Every adapter that the settings choose; leaving lets them finish what they hold."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        database = _database(settings)
        from adapters.sqlite_bus import SqliteBus
        from adapters.sqlite_documents import SqliteDocuments
        from adapters.sqlite_queue import SqliteQueue

        documents = await stack.enter_async_context(SqliteDocuments(database / "documents.db"))
        bus = await stack.enter_async_context(SqliteBus(database / "bus.db", clock))
        queue = await stack.enter_async_context(SqliteQueue(database / "queue.db", clock))
        yield Ports(
            settings=settings,
            clock=clock,
            documents=documents,
            bus=bus,
            queue=queue,
            telephony=TwilioTelephony(settings.twilio_auth_token),
            streams=TwilioStreams(settings.twilio_account_sid),
            speech=await _speech(settings, stack),
            brain=await _brain(settings, stack),
            voice=await _voice(settings, stack),
            tools=BuiltinTools(documents, clock),
            detector=WebrtcDetector,
            adapters={port: getattr(settings, port) for port in ADAPTERS},
        )


ADAPTERS = ("documents", "bus", "queue", "speech", "voice", "brain")
"""The ports whose adapter is a setting."""


def _database(settings: Settings) -> Path:
    path = Path(settings.home)
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)  # callers' numbers and words are in it
    return path


async def _speech(settings: Settings, stack: AsyncExitStack) -> Speech:
    if settings.speech == "paced":
        from adapters.paced_speech import PacedSpeech

        return PacedSpeech(settings.paced.caller_words)
    from adapters.pocketsphinx_speech import PocketsphinxSpeech

    return await stack.enter_async_context(PocketsphinxSpeech(settings.speech_workers))


async def _brain(settings: Settings, stack: AsyncExitStack) -> Brain:
    match settings.brain:
        case "paced":
            from adapters.paced_brain import PacedBrain

            return PacedBrain(settings.paced.first_word_ms, settings.paced.word_ms, settings.paced.reply_words)
        case "gemini":
            from adapters.gemini_brain import GeminiBrain

            return await stack.enter_async_context(GeminiBrain(settings.gemini_api_key))
        case "offline":
            from adapters.offline_brain import OfflineBrain

            return OfflineBrain()


async def _voice(settings: Settings, stack: AsyncExitStack) -> Voice:
    if settings.voice == "paced":
        from adapters.paced_voice import PacedVoice

        return PacedVoice(settings.paced.first_audio_ms, settings.paced.spoken_word_ms)
    from adapters.espeak_voice import EspeakVoice

    return EspeakVoice()


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
