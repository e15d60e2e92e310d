"""Looks the deployment over: what is configured, what runs embedded, what is missing and how to add it. What is
Google's is really asked, and so are its answers to what the live agents want of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import ValidationError

from adapters.wiring import PACKAGES, BadSettings, google_calendar, missing_extra, open_port
from domain.ports import Document, Documents, Unavailable
from functions.agent_check import check_agent
from functions.webhooks import ENDED
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


PORTS = ("speech", "brain", "voice", "documents", "bus", "queue", "knowledge", "blobs")
"""In the order that a caller meets them."""
PROVIDERS = {"speech": "language", "brain": "model", "voice": "voice"}
"""Those that an agent asks for something of its own."""

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
}
"""By port and adapter. Any other is a stand-in."""


def examine(settings: Settings) -> list[Finding]:
    """Everything, in the order that a caller meets it. Blocks: embedded, for a moment; with Google's services, at most
    some 40 s."""
    services = [service for port in PORTS for service in _services(settings, port)]
    google = asyncio.run(_ask_google(settings, services)) if any(map(_is_google_s, services)) else _Asked()
    return [
        *_carrier(settings),
        *(google.found.get(service.what) or _adapter(service) for service in services),
        *google.agents,
        *_calendars(settings, google),
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


# --- Google's services ------------------------------------------------------------------------------------------------


@runtime_checkable
class KnowsTopics(Protocol):
    """A bus whose topics the deployment makes."""

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Raises Unavailable unless each is there and somebody is subscribed to it."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of asking."""

    found: dict[str, Finding] = field(default_factory=dict)
    """By what was asked."""
    agents: list[Finding] = field(default_factory=list)


def _is_google_s(service: _Service) -> bool:
    _, extra = PACKAGES.get((service.port, service.name), ("", ""))
    return extra == "google" and not missing_extra(service.settings, service.port)


async def _ask_google(settings: Settings, services: Sequence[_Service]) -> _Asked:
    """Each service whether it works, all at once; then whether it does for the live agents. Nothing stays open."""
    asked = _Asked()
    async with AsyncExitStack() as stack:
        opened: dict[str, Any] = {}

        async def open_one(service: _Service) -> None:
            try:
                async with asyncio.timeout(OPEN_S):
                    opened[service.what] = await stack.enter_async_context(open_port(service.settings, service.port))
            except (Unavailable, BadSettings, ValueError) as problem:
                asked.found[service.what] = _failed(service, str(problem))
            except TimeoutError:
                asked.found[service.what] = _failed(service, f"could not be opened within {OPEN_S:g} s")

        async def check_one(service: _Service) -> None:
            adapter = opened[service.what]
            try:
                async with asyncio.timeout(CHECK_S):
                    await adapter.check()
                    # An emulator begins empty, and topics are made there as they are needed.
                    if isinstance(adapter, KnowsTopics) and not settings.pubsub_emulator:
                        await adapter.check_topics([ENDED])
            except (Unavailable, ValueError) as problem:
                asked.found[service.what] = _failed(service, str(problem))
            except TimeoutError:
                asked.found[service.what] = _failed(service, f"no answer within {CHECK_S:g} s")
            else:
                how = f"{service.name}: {WHAT[service.port, service.name]} answers"
                asked.found[service.what] = Finding("ok", service.what, how)

        google = [service for service in services if _is_google_s(service)]
        await asyncio.gather(*map(open_one, google))
        await asyncio.gather(*(check_one(service) for service in google if service.what in opened))
        working = {what: adapter for what, adapter in opened.items() if asked.found[what].level == "ok"}
        providers = {port: working[port] for port in PROVIDERS if port in working}
        if providers:
            if settings.documents == "sqlite":
                working["documents"] = await stack.enter_async_context(open_port(settings, "documents"))
            if "documents" in working:
                asked.agents.extend(await _ask_for_agents(working["documents"], providers))
    return asked


def _failed(service: _Service, why: str) -> Finding:
    return Finding("bad", service.what, f"{service.name}: {why}", GUIDE)


async def _ask_for_agents(documents: Documents, providers: dict[str, Any]) -> list[Finding]:
    """What the live agents ask for and won't get."""
    found: list[Finding] = []
    alike: dict[object, list[tuple[str, AgentVersion]]] = {}
    try:
        async for agent, stored in live_agents(documents):
            try:
                version = AgentVersion.model_validate(stored)
            except ValidationError:
                todo = f"publish another version than {agent.live}"
                found.append(Finding("bad", f"agent {agent.name}", "its live version can't be read", todo))
                continue
            wants = (version.language, version.model, version.voice, version.providers)
            alike.setdefault(wants, []).append((agent.name, version))
    except (Unavailable, ValueError) as problem:
        return [Finding("bad", "agents", f"could not be read: {problem}", GUIDE)]
    room = asyncio.Semaphore(AT_ONCE)

    async def check(names: list[str], version: AgentVersion) -> list[Finding]:
        async with room:
            problems = await check_agent(version, **providers, within_s=CHECK_S)
        who = f"agent {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        todo = "publish a version that asks for what there is"
        return [Finding("bad", who, problem, todo) for problem in problems]

    groups = [([name for name, _ in group], group[0][1]) for group in alike.values()]
    for problems in await asyncio.gather(*(check(*group) for group in groups)):
        found.extend(problems)
    if not found and groups:
        what = " and ".join(PROVIDERS[port] for port in providers)
        found.append(Finding("ok", "agents", f"Google offers every live agent its {what}"))
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
