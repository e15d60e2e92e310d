"""Messages kept in a SQLite file until their recipients took them: what the embedded bus and queue have in common.

Whoever delivers a message holds a lease on it, so that processes sharing the file don't deliver it twice and one that
dies doesn't take it along. A lease is nothing but a due time in the near future, put off while the delivery lasts."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import structlog

from adapters.sqlite import Database
from domain.ports import Clock, Document, Unavailable

ATTEMPTS = 10
"""Deliveries of one message, the first included, before it is laid among the dead letters."""
FIRST_PAUSE_S = 0.1
"""Between a message's first delivery and the second; doubles with each further one."""
LONGEST_PAUSE_S = 30.0
LEASE_S = 30.0
"""How long a message stays with a process that died."""
CONCURRENCY = 32
"""Deliveries under way at once, for each recipient."""
POLL_S = 1.0
"""How often to look for what other processes stored."""
GRACE_S = 5.0
"""How long deliveries may go on once the outbox is being left."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    key TEXT PRIMARY KEY,
    recipient TEXT NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_by_due ON messages (recipient, due);
CREATE TABLE IF NOT EXISTS dead_letters (
    key TEXT NOT NULL,
    recipient TEXT NOT NULL,
    died REAL NOT NULL,
    failure TEXT NOT NULL,
    body TEXT NOT NULL
);
"""

log = structlog.get_logger()

Receive = Callable[[Document], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Message:
    key: str
    """While a message of this key is known, another is dropped."""
    recipient: str
    due: float
    """Not before this time, in seconds since 1970 by the clock."""
    body: str
    """A document as JSON."""


def store(connection: sqlite3.Connection, messages: Sequence[Message]) -> None:
    """To be part of a write to the outbox's database."""
    connection.executemany(
        "INSERT OR IGNORE INTO messages (key, recipient, due, body) VALUES (?, ?, ?, ?)",
        [(each.key, each.recipient, each.due, each.body) for each in messages],
    )


class Outbox:
    """Delivers while it is entered, which it can be once. Leaving waits for the deliveries under way, at most for
    `grace_s`, cancels the rest and closes the file; whatever wasn't taken is delivered next time."""

    def __init__(self, path: Path, schema: str, clock: Clock, poll_s: float, grace_s: float) -> None:
        """`schema` is SQL for further tables. Blocks for a moment to open the file. Raises Unavailable."""
        self.database = Database(path, _SCHEMA + schema)
        self._clock, self._poll_s, self._grace_s = clock, poll_s, grace_s
        self._recipients: dict[str, _Recipient] = {}
        self._loops: set[asyncio.Task[None]] = set()
        self._delivers = False
        self._life = self._live()

    def serve(self, name: str, receive: Receive) -> None:
        """Messages for the recipient of this name go to `receive`. Raises ValueError if it is served already."""
        if name in self._recipients:
            raise ValueError(f"{name!r} is served already")
        self._recipients[name] = recipient = _Recipient(name, receive, self.database, self._clock, self._poll_s)
        if self._delivers:
            self._start(recipient)

    def wake(self, name: str) -> None:
        """Something was stored for the recipient of this name."""
        if name in self._recipients:
            self._recipients[name].awake.set()

    async def __aenter__(self) -> "Outbox":
        await self._life.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._life.__aexit__(*error)

    @asynccontextmanager
    async def _live(self) -> AsyncIterator[None]:
        self._delivers = True
        for recipient in self._recipients.values():
            self._start(recipient)
        try:
            yield
        finally:
            self._delivers = False
            try:
                await self._finish()
            finally:
                await self.database.close()

    def _start(self, recipient: "_Recipient") -> None:
        self._loops.add(asyncio.create_task(recipient.deliver(), name=f"deliver to {recipient.name}"))

    async def _finish(self) -> None:
        if not self._loops:
            return
        for recipient in self._recipients.values():
            recipient.leave()
        try:
            await asyncio.wait(self._loops, timeout=self._grace_s)
        finally:
            for loop in self._loops:
                loop.cancel()
            await asyncio.wait(self._loops)
        for loop in self._loops:
            if not loop.cancelled():
                loop.result()


@dataclass(frozen=True, slots=True)
class _Delivery:
    key: str
    attempt: int
    """Counted from 1."""
    body: str


class _Recipient:
    """One who takes messages, and the deliveries under way."""

    def __init__(self, name: str, receive: Receive, database: Database, clock: Clock, poll_s: float) -> None:
        self.name = name
        self.awake = asyncio.Event()
        self._receive, self._database, self._clock, self._poll_s = receive, database, clock, poll_s
        self._leases: dict[str, float] = {}
        """When each delivery under way loses its message to others, by the message's key."""
        self._leaving = False

    def leave(self) -> None:
        """No further deliveries; `deliver` returns after those under way."""
        self._leaving = True
        self.awake.set()

    async def deliver(self) -> None:
        """Runs until `leave`. Cancelling cancels the deliveries under way; their messages come again."""
        async with asyncio.TaskGroup() as deliveries:
            while not self._leaving:
                self.awake.clear()
                try:
                    pause_s = await self._start_due(deliveries)
                except Unavailable as problem:
                    log.warning("delivery_paused", recipient=self.name, reason=str(problem))
                    pause_s = self._poll_s
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self.awake.wait()

    async def _start_due(self, deliveries: asyncio.TaskGroup) -> float:
        """Starts what is due. Returns how many seconds later there may be more."""
        now = self._now()
        if ending := [key for key, end in self._leases.items() if end < now + LEASE_S / 2]:
            await self._database.write(partial(_lease, keys=ending, end=now + LEASE_S))
            self._leases |= {key: now + LEASE_S for key in ending if key in self._leases}
        due = await self._database.read(self._next_due)
        room = CONCURRENCY - len(self._leases)
        if due is None or not room:
            return self._poll_s
        if due > now:
            return min(due - now, self._poll_s)
        for delivery in await self._database.write(partial(self._claim, now=now, room=room)):
            self._leases[delivery.key] = now + LEASE_S
            deliveries.create_task(self._hand_over(delivery))
        return 0

    async def _hand_over(self, delivery: _Delivery) -> None:
        failure = ""
        try:
            if delivery.attempt <= ATTEMPTS:
                await self._receive(orjson.loads(delivery.body))
            else:
                failure = "the process died at each attempt"
        except asyncio.CancelledError:
            await self._settle(delivery, "cancelled")
            raise
        except Exception as error:
            failure = repr(error)
        await self._settle(delivery, failure)

    async def _settle(self, delivery: _Delivery, failure: str) -> None:
        """Forgets a message that was taken (no failure), or puts it off, or lays it among the dead."""
        self._leases.pop(delivery.key, None)
        about = {"recipient": self.name, "key": delivery.key, "attempt": delivery.attempt, "failure": failure}
        if not failure:
            job = partial(_forget, key=delivery.key)
        elif delivery.attempt < ATTEMPTS:
            log.warning("delivery_failed", **about)
            pause_s = min(FIRST_PAUSE_S * 2 ** (delivery.attempt - 1), LONGEST_PAUSE_S)
            job = partial(_lease, keys=[delivery.key], end=self._now() + pause_s)
        else:
            log.error("delivery_given_up", **about)
            job = partial(_bury, key=delivery.key, now=self._now(), failure=failure)
        try:
            await self._database.write(job)
        except Unavailable as problem:
            log.warning("delivery_unsettled", reason=str(problem), **about)  # it comes again when its lease ends
        self.awake.set()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    # What follows runs in the database's thread.

    def _next_due(self, connection: sqlite3.Connection) -> float | None:
        row = connection.execute("SELECT min(due) FROM messages WHERE recipient = ?", (self.name,)).fetchone()
        return None if row[0] is None else float(row[0])

    def _claim(self, connection: sqlite3.Connection, now: float, room: int) -> list[_Delivery]:
        rows = connection.execute(
            "SELECT key, attempts + 1, body FROM messages WHERE recipient = ? AND due <= ? ORDER BY due LIMIT ?",
            (self.name, now, room),
        ).fetchall()
        connection.executemany(
            "UPDATE messages SET due = ?, attempts = ? WHERE key = ?",
            [(now + LEASE_S, attempt, key) for key, attempt, _ in rows],
        )
        return [_Delivery(*row) for row in rows]


def _lease(connection: sqlite3.Connection, keys: Sequence[str], end: float) -> None:
    connection.executemany("UPDATE messages SET due = ? WHERE key = ?", [(end, key) for key in keys])


def _forget(connection: sqlite3.Connection, key: str) -> None:
    connection.execute("DELETE FROM messages WHERE key = ?", (key,))


def _bury(connection: sqlite3.Connection, key: str, now: float, failure: str) -> None:
    connection.execute(
        "INSERT INTO dead_letters SELECT key, recipient, ?, ?, body FROM messages WHERE key = ?", (now, failure, key)
    )
    _forget(connection, key)
