"""One SQLite file behind one thread of its own, so that the event loop never waits for a disk.

Writes that arrive while a commit is under way share the next one. A commit is flushed to the disk before its writes
return (synchronous=FULL), so they survive the death of the process and of the machine alike; sharing commits is what
makes this affordable. Several processes may open the same file."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import orjson

from domain.ports import Document, Unavailable

T = TypeVar("T")

BUSY_S = 5.0
"""How long to wait, unless told otherwise, for another process that holds the file."""


def as_json(document: Document) -> str:
    """Raises TypeError for anything but JSON values: what orjson would write as text wouldn't come back as it was."""
    return orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS).decode()


class Database:
    """Opens the file, creating it if need be, and runs `schema`, SQL that makes the tables which are missing.
    Other processes may hold the file for up to `busy_s` seconds before a job gives up. Raises Unavailable."""

    def __init__(self, path: Path, schema: str, busy_s: float = BUSY_S) -> None:
        try:
            self._connection = _open(path, schema, busy_s)
        except sqlite3.Error as error:
            raise Unavailable(f"the database {path} can't be opened: {error}") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite {path.name}")
        self._waiting: list[_Write] = []
        self._lock = Lock()

    async def check(self) -> None:
        """Raises Unavailable unless the file can be read."""
        await self.read(lambda connection: connection.execute("PRAGMA schema_version").fetchone())

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Runs the job in the thread and returns what it returns. Raises Unavailable; cancelling abandons it."""
        return await asyncio.wrap_future(self._thread.submit(self._read, job))

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The same inside a transaction. All that the job wrote has happened once this returns; a job that raises
        has written nothing. Raises Unavailable. Cancelled, it may have happened or not."""
        return await asyncio.wrap_future(self._submit(job))

    def write_blocking(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The same, blocking the caller. All writes are done in the order of asking."""
        return self._submit(job).result()

    async def close(self) -> None:
        """After the jobs asked for so far. Cancelling doesn't stop it."""
        closed = self._thread.submit(self._connection.close)
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closed))

    def _submit(self, job: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        write = _Write(job)
        with self._lock:
            self._waiting.append(write)
            first = len(self._waiting) == 1
        if first:
            self._thread.submit(self._commit)
        return write.future

    # What follows runs in the thread.

    def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return job(self._connection)
        except sqlite3.Error as error:
            raise Unavailable(f"the database failed: {error}") from error

    def _commit(self) -> None:
        """All writes that wait, in one transaction."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        group = [write for write in waiting if write.future.set_running_or_notify_cancel()]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for write in group:
                write.run(self._connection)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            for write in group:
                write.future.set_exception(Unavailable(f"the database failed: {error}"))
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        else:
            for write in group:
                write.settle()


class _Write:
    """A job that waits for its commit, and what came of it."""

    def __init__(self, job: Callable[[sqlite3.Connection], Any]) -> None:
        self.future: Future[Any] = Future()
        self._job = job
        self._result: Any = None
        self._error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Does the job so that its failure undoes its own writes and nobody else's."""
        connection.execute("SAVEPOINT job")
        try:
            self._result = self._job(connection)
        except Exception as error:
            connection.execute("ROLLBACK TO job")
            self._error = Unavailable(f"the database failed: {error}") if isinstance(error, sqlite3.Error) else error
        connection.execute("RELEASE job")

    def settle(self) -> None:
        if self._error:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)


def _open(path: Path, schema: str, busy_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(connection, busy_s)
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(f"BEGIN IMMEDIATE;\n{schema}\nCOMMIT;")  # one commit, not one for each table
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Readers and the writer then don't wait for each other. SQLite doesn't apply its busy timeout to this switch,
    and another process may be opening the new file at the same moment."""
    for _ in range(50):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
            return
        time.sleep(busy_s / 50)
    connection.execute("PRAGMA journal_mode=WAL")
