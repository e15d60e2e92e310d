"""Looks the deployment over: what is configured, what runs embedded, what is missing and how to add it. What is
Google's is really asked, and tried without effect; and every provider is asked for what the live agents want of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import ValidationError

from adapters.wiring import PACKAGES, VARIABLES, BadSettings, google_calendar, missing_extra, open_port
from domain.ended import ENDED
from domain.fallback import FallbackBrain, FallbackSpeech, FallbackVoice, Provider
from domain.ports import Document, Documents, Unavailable
from functions.agent_check import UNREACHABLE, check_agent
from schemas.agent import Agent, AgentVersion
from schemas.settings import DEVELOPMENT_AUTH_TOKEN, Settings

OPEN_S = 20.0
"""How long opening may take: the first import of Google's packages does, and so does a search for credentials."""
CHECK_S = 10.0
AT_ONCE = 8
"""Checks of agents under way."""
GUIDE = "see docs/google.md"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    level: Literal["ok", "note", "bad"]
    what: str
    how: str
    todo: str = ""


PORTS = ("speech", "brain", "voice", "documents", "bus", "queue", "secrets", "knowledge", "blobs")
"""In the order that a caller meets them."""
PROVIDERS: dict[str, Any] = {"speech": FallbackSpeech, "brain": FallbackBrain, "voice": FallbackVoice}
"""Those that an agent asks for something of its own, and may have several of."""

WHAT = {
    ("speech", "pocketsphinx"): "hears expected answers (dates, times, digits, yes and no), not free speech",
    ("speech", "google"): "Google Speech-to-Text",
    ("speech", "gemini"): "Gemini, from the audio of each answer",
    ("brain", "offline"): "typed answers and equations, no model",
    ("brain", "gemini"): "Gemini",
    ("voice", "espeak"): "a plain, clear voice, offline",
    ("voice", "google"): "Google Text-to-Speech",
    ("documents", "sqlite"): "files in OFFHOOK_HOME",
    ("documents", "firestore"): "Firestore",
    ("bus", "sqlite"): "files in OFFHOOK_HOME",
    ("bus", "pubsub"): "Pub/Sub",
    ("queue", "sqlite"): "files in OFFHOOK_HOME",
    ("queue", "cloud_tasks"): "Cloud Tasks",
    ("knowledge", "sqlite"): "finds the documents' passages by their words, not by their meaning",
    ("knowledge", "firestore"): "Firestore's vector search, with Gemini's embeddings",
    ("blobs", "files"): "files in OFFHOOK_HOME",
    ("blobs", "cloud_storage"): "Cloud Storage",
    ("secrets", "local"): "files in OFFHOOK_HOME",
    ("secrets", "secret_manager"): "Secret Manager",
}
"""By port and adapter. Any other is a stand-in."""

SET_BY = {
    ("speech", "google"): ("google_project", "speech_location", "speech_model", "speech_endpoint"),
    ("voice", "google"): ("voice_endpoint",),
    ("documents", "firestore"): ("google_project", "firestore_database", "firestore_emulator"),
    ("bus", "pubsub"): ("google_project", "pubsub_emulator"),
    ("queue", "cloud_tasks"): ("tasks_queue", "tasks_account", "queue_endpoint"),
}
"""By port and adapter: the settings that may be what is wrong with it, none of them secret."""
GEMINI_BY_KEY, GEMINI_BY_PROJECT = ("gemini_endpoint",), ("google_project", "gemini_location", "gemini_endpoint")
"""The same for Gemini."""


def examine(settings: Settings) -> list[Finding]:
    """Everything, in the order that a caller meets it. Blocks: embedded, for a second or two; with Google's services,
    at most some 60 s."""
    services = [service for port in PORTS for service in _services(settings, port)]
    asked = asyncio.run(_ask(services))
    return [
        *_carrier(settings),
        *(asked.found.get(service.what) or _adapter(service) for service in services),
        *asked.agents,
        *_messages(settings),
        *_calendars(settings, asked),
        *_tasks(settings),
        *_gemini(settings),
        _home(settings),
        _port(settings),
    ]


def _carrier(settings: Settings) -> list[Finding]:
    found = []
    if settings.twilio_auth_token == DEVELOPMENT_AUTH_TOKEN:
        todo = "for real calls set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        found.append(Finding("note", "carrier", "simulated, with the development token", todo))
    else:
        found.append(Finding("ok", "carrier", f"Twilio account {settings.twilio_account_sid}"))
    if not settings.public_url:
        todo = "for real calls set PUBLIC_URL to the https:// address that Twilio reaches"
        found.append(Finding("note", "PUBLIC_URL", f"not set: {' and '.join(settings.public_urls)}", todo))
    else:
        level: Literal["ok", "note"] = "ok" if settings.public_url.startswith("https://") else "note"
        todo = "" if level == "ok" else "Twilio needs https://"
        found.append(Finding(level, "PUBLIC_URL", settings.public_url, todo))
    return found


@dataclass(frozen=True, slots=True)
class _Service:
    """One adapter of a port."""

    port: str
    name: str
    what: str
    settings: Settings
    """The deployment's, as if it were the port's only one."""


def _services(settings: Settings, port: str) -> list[_Service]:
    """In the order in which they are asked."""
    first, *others = settings.adapters(port)
    alone = {f"{port}_next": ()} if port in PROVIDERS else {}
    return [
        _Service(port, first, port, settings.model_copy(update=alone)),
        *(
            _Service(port, name, f"{port}, then {name}", settings.model_copy(update={port: name, **alone}))
            for name in others
        ),
    ]


def _adapter(service: _Service) -> Finding:
    name = service.name
    if extra := missing_extra(service.settings, service.port):
        return Finding("bad", service.what, f"{name}: its package is missing", f"pip install 'offhook[{extra}]'")
    if name == "paced":
        return Finding("note", service.what, "paced: a stand-in for measuring: it says the same whatever happens")
    return Finding("ok", service.what, f"{name}: {WHAT[service.port, name]}")


# --- The services -----------------------------------------------------------------------------------------------------


@runtime_checkable
class KnowsTopics(Protocol):
    """A bus whose topics the deployment makes."""

    async def check_topics(self, topics: Sequence[str], pushed: bool = False) -> None:
        """Raises Unavailable unless each may be published to and somebody is subscribed to it; if `pushed`, somebody
        whom it is pushed to."""
        ...


@runtime_checkable
class Writes(Protocol):
    """What may be allowed to read but not to write."""

    async def check_writing(self) -> None:
        """Tries to, without effect. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of asking."""

    found: dict[str, Finding] = field(default_factory=dict)
    """By what was asked."""
    opened: dict[str, Any] = field(default_factory=dict)
    """The adapters of what could be opened."""
    agents: list[Finding] = field(default_factory=list)

    def works(self, service: _Service) -> bool:
        """As far as is known."""
        return service.what in self.opened and not self.failed(service)

    def failed(self, service: _Service) -> bool:
        return service.what in self.found and self.found[service.what].level == "bad"


def _is_google_s(service: _Service) -> bool:
    _, extra = PACKAGES.get((service.port, service.name), ("", ""))
    return extra == "google" and not missing_extra(service.settings, service.port)


async def _ask(services: Sequence[_Service]) -> _Asked:
    """Each service of Google's whether it works, all at once; then every provider whether it does for the live agents.
    Nothing stays open."""
    asked = _Asked()
    google = [service for service in services if _is_google_s(service)]
    [documents] = (service for service in services if service.port == "documents")
    async with AsyncExitStack() as stack:

        async def open_all(wanted: Sequence[_Service]) -> None:
            await asyncio.gather(*(_open(service, stack, asked) for service in wanted))

        await open_all(google)
        await asyncio.gather(*(_check(service, asked) for service in google if service.what in asked.opened))
        if not asked.failed(documents):
            await open_all([documents] if documents not in google else [])
        if asked.works(documents):
            versions = await _live_versions(asked.opened["documents"], asked)
            providers = [service for service in services if service.port in PROVIDERS]
            if versions:
                await open_all([each for each in providers if each not in google and not _lacks_package(each)])
                asked.agents.extend(await _check_agents(versions, providers, asked))
    return asked


def _lacks_package(service: _Service) -> bool:
    return bool(missing_extra(service.settings, service.port))


async def _open(service: _Service, stack: AsyncExitStack, asked: _Asked) -> None:
    try:
        async with asyncio.timeout(OPEN_S):
            asked.opened[service.what] = await stack.enter_async_context(open_port(service.settings, service.port))
    except (Unavailable, BadSettings, ValueError) as problem:
        asked.found[service.what] = _failed(service, str(problem))
    except TimeoutError:
        asked.found[service.what] = _failed(service, f"could not be opened within {OPEN_S:g} s")
    except OSError as problem:
        asked.found[service.what] = _failed(service, f"can't be kept in OFFHOOK_HOME ({problem.strerror})")


async def _check(service: _Service, asked: _Asked) -> None:
    adapter, settings = asked.opened[service.what], service.settings
    checks = [adapter.check()]
    if isinstance(adapter, Writes):
        checks.append(adapter.check_writing())
    # An emulator begins empty, and topics are made there as they are needed. In production functions take the events.
    if isinstance(adapter, KnowsTopics) and not settings.pubsub_emulator:
        checks.append(adapter.check_topics([ENDED], pushed=settings.production))
    problems = [problem for problem in await asyncio.gather(*map(_problem, checks)) if problem]
    if problems:
        asked.found[service.what] = _failed(service, "; ".join(dict.fromkeys(problems)))
    else:
        how = f"{service.name}: {WHAT[service.port, service.name]} answers"
        asked.found[service.what] = Finding("ok", service.what, how)


async def _problem(check: Awaitable[None]) -> str:
    """What is wrong, or nothing."""
    try:
        async with asyncio.timeout(CHECK_S):
            await check
    except (Unavailable, ValueError) as problem:
        return str(problem)
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    return ""


def _failed(service: _Service, why: str) -> Finding:
    return Finding("bad", service.what, f"{service.name}: {why}", _advice(service))


def _advice(service: _Service) -> str:
    """Where to read more, and what the service was asked with."""
    if not _is_google_s(service):
        return ""
    gemini = GEMINI_BY_PROJECT if service.settings.vertex else GEMINI_BY_KEY
    names = SET_BY.get((service.port, service.name), gemini)
    values = ((VARIABLES[name], getattr(service.settings, name)) for name in names)
    told = ", ".join(f"{variable}={value}" for variable, value in values if value)
    return f"{GUIDE} ({told})" if told else GUIDE


# --- The agents -------------------------------------------------------------------------------------------------------


class _ToldAlready:
    """In place of a provider that doesn't work: it says nothing about any agent."""

    async def check_language(self, language: str) -> None:
        pass


async def _live_versions(documents: Documents, asked: _Asked) -> list[tuple[str, AgentVersion]]:
    """By the names of their agents. Those that can't be read are told."""
    versions = []
    try:
        async for agent, stored in live_agents(documents):
            try:
                versions.append((agent.name, AgentVersion.model_validate(stored)))
            except ValidationError:
                todo = f"publish another version than {agent.live}"
                asked.agents.append(Finding("bad", f"agent {agent.name}", "its live version can't be read", todo))
    except (Unavailable, ValueError) as problem:
        asked.agents.append(Finding("bad", "agents", f"could not be read: {problem}", GUIDE))
    return versions


async def _check_agents(
    versions: Sequence[tuple[str, AgentVersion]], services: Sequence[_Service], asked: _Asked
) -> list[Finding]:
    """What the live agents ask for and won't get."""
    broken = [service for service in services if not asked.works(service)]
    ports = {
        port: several(
            [
                Provider(service.name, _ToldAlready() if service in broken else asked.opened[service.what])
                for service in services
                if service.port == port
            ]
        )
        for port, several in PROVIDERS.items()
    }
    alike: dict[object, list[tuple[str, AgentVersion]]] = {}
    for name, version in versions:
        wants = (version.language, version.model, version.voice, version.providers)
        alike.setdefault(wants, []).append((name, version))
    room = asyncio.Semaphore(AT_ONCE)

    async def check(group: list[tuple[str, AgentVersion]]) -> list[Finding]:
        name, version = group[0]
        async with room:
            flaws = await check_agent(version, **ports, within_s=CHECK_S)
        who = f"agent {name}" + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        return [
            Finding("bad", who, flaw.sentence, GUIDE if flaw.code == UNREACHABLE else f"publish it anew: {flaw.fix}")
            for flaw in flaws
        ]

    found = [finding for group in await asyncio.gather(*map(check, alike.values())) for finding in group]
    if not found:
        of_whom = ", as far as those providers can tell that work" if broken else ""
        found.append(Finding("ok", "agents", f"every live agent gets its language, model and voice{of_whom}"))
    return found


async def live_agents(documents: Documents) -> AsyncIterator[tuple[Agent, Document | None]]:
    """Every agent that takes calls, with its live version as it is stored. Raises Unavailable, ValueError."""
    async for organisation, _ in _all(documents, "organisations"):
        async for path, stored in _all(documents, f"{organisation}/agents"):
            agent = Agent.model_validate(stored)
            if agent.active:
                yield agent, await documents.get(f"{path}/versions/{agent.live}")


async def _all(documents: Documents, collection: str) -> AsyncIterator[tuple[str, Document]]:
    """By path."""
    cursor = None
    while True:
        page = await documents.query(collection, limit=200, cursor=cursor)
        for found in page.found:
            yield found.path, found.document
        if (cursor := page.next_cursor) is None:
            return


def _messages(settings: Settings) -> list[Finding]:
    """Who sends text messages, and who e-mail."""
    kept = "paper: kept, sent to nobody: see them with `offhook messages`"
    sms = {
        "paper": Finding("ok", "messages", kept),
        "off": Finding("ok", "messages", "off"),
        "twilio": Finding("ok", "messages", f"twilio, from {settings.sms_from or 'the numbers of the organisations'}"),
    }[settings.messages]
    if settings.messages == "twilio" and not settings.public_url:
        sms = Finding("note", "messages", "twilio, which can't tell us what became of them", "set PUBLIC_URL")
    mail = {
        "paper": Finding("ok", "mail", kept),
        "off": Finding("ok", "mail", "off"),
        "smtp": Finding("ok", "mail", f"smtp, from {settings.mail_from}"),
    }[settings.mail]
    return [sms, mail]


def _calendars(settings: Settings, asked: _Asked) -> list[Finding]:
    """Those of Google's that appointments are entered into."""
    documents = asked.found.get("documents")
    if missing_extra(settings, "documents") or (documents and documents.level == "bad"):
        return []  # that was told
    return asyncio.run(_ask_for_calendars(settings))


async def _ask_for_calendars(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with open_port(settings, "documents") as documents, google_calendar(settings) as google:
            async for organisation, _ in _all(documents, "organisations"):
                async for _, stored in _all(documents, f"{organisation}/calendars"):
                    if stored.get("kind") == "google":
                        what, there = f"calendar {stored.get('name') or stored.get('id')}", stored["google_calendar"]
                        try:
                            await google.check(there)
                            found.append(Finding("ok", what, f"appointments are entered into Google's {there}"))
                        except Unavailable as problem:
                            found.append(Finding("bad", what, str(problem), GUIDE))
    except (Unavailable, BadSettings, ValueError, OSError) as problem:
        found.append(Finding("bad", "calendars", f"could not be read: {problem}", GUIDE))
    return found


def _tasks(settings: Settings) -> list[Finding]:
    url = settings.tasks_url or settings.public_urls[0]
    if settings.queue != "cloud_tasks" or settings.queue_endpoint or url.startswith("https://"):
        return []
    return [Finding("bad", "TASKS_URL", f"Cloud Tasks can't reach {url}", "set it to the function's https:// address")]


def _gemini(settings: Settings) -> list[Finding]:
    used = any("gemini" in settings.adapters(port) for port in ("brain", "speech"))
    if settings.gemini_api_key:
        return [Finding("ok", "GEMINI_API_KEY", "set" if used else "set, not used")]
    if used:
        return []  # by Vertex AI
    return [
        Finding("note", "GEMINI_API_KEY", "not set", "set it, and the agents understand more than expected answers")
    ]


# --- This machine -----------------------------------------------------------------------------------------------------


def _home(settings: Settings) -> Finding:
    home = Path(settings.home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        return Finding("bad", "OFFHOOK_HOME", f"{home}: {problem.strerror}", "set it to a folder you may write to")
    return Finding("ok", "OFFHOOK_HOME", str(home))


def _port(settings: Settings) -> Finding:
    connection = HTTPConnection("127.0.0.1", settings.port, timeout=2)
    try:
        connection.request("GET", "/health")
        if b'"calls"' in connection.getresponse().read(200):
            return Finding("ok", "PORT", f"Offhook runs on {settings.port}")
    except ConnectionRefusedError:
        return Finding("note", "PORT", f"{settings.port} is free: Offhook is not running", "make run")
    except (OSError, HTTPException):
        pass
    finally:
        connection.close()
    return Finding("bad", "PORT", f"{settings.port} is taken by another program", "set PORT to another")
