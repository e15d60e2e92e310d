"""A bus kept in a SQLite file: what Pub/Sub is to the cloud, for one machine."""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from adapters.sqlite import as_json
from adapters.sqlite_outbox import GRACE_S, POLL_S, Message, Outbox, store
from domain.ports import Clock, Document, Event

_SCHEMA = """
CREATE TABLE IF NOT EXISTS subscriptions (name TEXT PRIMARY KEY, topic TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS subscriptions_by_topic ON subscriptions (topic);
"""


class SqliteBus:
    """See `domain.ports.Bus`. A subscription gets what was published since it was first made, also while its process
    was down; one that is never made again goes on collecting. Retries, limits and dead letters are the outbox's.

    `async with` it once: it delivers within. Leaving waits for the deliveries under way, at most `grace_s`, and then
    cancels them; what wasn't delivered is next time. `poll_s` is how often to look for other processes' events."""

    def __init__(self, path: Path, clock: Clock, *, poll_s: float = POLL_S, grace_s: float = GRACE_S) -> None:
        """Blocks for a moment to open the file. Raises Unavailable if that fails."""
        self._outbox = Outbox(path, _SCHEMA, clock, poll_s, grace_s)
        self._clock = clock

    async def __aenter__(self) -> "SqliteBus":
        await self._outbox.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._outbox.__aexit__(*error)

    async def check(self) -> None:
        """Raises Unavailable unless events can be kept."""
        await self._outbox.database.check()

    async def publish(self, event: Event) -> None:
        """Raises Unavailable. Cancelled, the event may be published or not."""
        now = self._clock.now().timestamp()
        job = partial(_publish, event=event, body=as_json(asdict(event)), now=now)
        for recipient in await self._outbox.database.write(job):
            self._outbox.wake(recipient)

    def subscribe(self, topic: str, name: str, receive: Callable[[Event], Awaitable[None]]) -> None:
        """Blocks for the one small write, so that it holds once this returns. Raises ValueError if the name is
        subscribed already, Unavailable."""

        async def receive_body(body: Document) -> None:
            await receive(Event(**body))

        self._outbox.serve(_recipient(name), receive_body)
        self._outbox.database.write_blocking(partial(_subscribe, name=name, topic=topic))


def _recipient(name: str) -> str:
    return f"subscription {name}"


def _subscribe(connection: sqlite3.Connection, name: str, topic: str) -> None:
    connection.execute("REPLACE INTO subscriptions VALUES (?, ?)", (name, topic))


def _publish(connection: sqlite3.Connection, event: Event, body: str, now: float) -> list[str]:
    """Stores the event for each subscription; returns the recipients."""
    rows = connection.execute("SELECT name FROM subscriptions WHERE topic = ?", (event.topic,)).fetchall()
    messages = [Message(orjson.dumps([name, event.id]).decode(), _recipient(name), now, body) for (name,) in rows]
    store(connection, messages)
    return [message.recipient for message in messages]
