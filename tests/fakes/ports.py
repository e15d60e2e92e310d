"""Ports of paper: everything in memory, nothing real."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from adapters.appointment_book import AppointmentBook
from adapters.builtin_tools import BuiltinTools
from adapters.offline_brain import OfflineBrain
from adapters.paced_voice import PacedVoice
from adapters.paper_messages import PaperMessages
from adapters.twilio_line import TwilioStreams
from adapters.twilio_telephony import TwilioTelephony
from domain.ports import Event, Ports, Task
from schemas.settings import Settings
from tests.fakes.caller import PaperDetector, ScriptedSpeech
from tests.fakes.in_process_web import InProcessWeb
from tests.fakes.knowledge import MemoryBlobs, MemoryKnowledge, PaperReader, no_pages
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.memory_secrets import MemorySecrets

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
"""A Saturday, nine in the morning in New York."""


class StoppedClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


class MemoryBus:
    """Keeps what was published; delivers nothing."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}

    async def publish(self, event: Event) -> None:
        self.events.setdefault(event.id, event)

    def subscribe(self, topic: str, name: str, receive: Callable[[Event], Awaitable[None]]) -> None:
        pass


class MemoryQueue:
    """Keeps what was enqueued; does nothing."""

    def __init__(self) -> None:
        self.tasks: dict[str, tuple[Task, datetime]] = {}

    async def enqueue(self, task: Task, at: datetime) -> None:
        self.tasks.setdefault(task.name, (task, at))

    def serve(self, kind: str, work: Callable[[Task], Awaitable[None]]) -> None:
        pass


def settings(**changes: Any) -> Settings:
    """A laptop's."""
    return Settings(**{"home": "/nowhere", "ticket_secret": "t" * 32, "owner_key": "owner", **changes})


def builtin_tools(documents: Any, clock: Any) -> BuiltinTools:
    """Those that come with the platform, over a book whose events and tasks nobody takes."""
    return BuiltinTools(documents, clock, AppointmentBook(documents, clock, MemoryBus(), MemoryQueue()))


def paper_ports(**changes: Any) -> Ports:
    """A process's ports; any of them may be another."""
    documents = changes.get("documents") or MemoryDocuments()
    clock = changes.get("clock") or StoppedClock()
    set_up = changes.get("settings") or settings()
    bus, queue = changes.get("bus") or MemoryBus(), changes.get("queue") or MemoryQueue()
    calendars = changes.get("calendars") or AppointmentBook(documents, clock, bus, queue)
    parts: dict[str, Any] = {
        "settings": set_up,
        "clock": clock,
        "documents": documents,
        "bus": bus,
        "queue": queue,
        "telephony": TwilioTelephony(set_up.twilio_auth_token),
        "streams": TwilioStreams(set_up.twilio_account_sid),
        "speech": ScriptedSpeech(),
        "brain": OfflineBrain(),
        "voice": PacedVoice(),
        "tools": BuiltinTools(documents, clock, calendars),
        "calendars": calendars,
        "knowledge": MemoryKnowledge(),
        "blobs": MemoryBlobs(),
        "reader": PaperReader(),
        "fetch": no_pages,
        "secrets": MemorySecrets(),
        "web": InProcessWeb(),
        "messages": {"sms": PaperMessages(documents, clock), "email": PaperMessages(documents, clock)},
        "detector": PaperDetector,
        "adapters": {"documents": "memory", "voice": "paced"},
    }
    return Ports(**{**parts, **changes})
