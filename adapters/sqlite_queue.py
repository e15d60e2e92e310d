"""A queue kept in a SQLite file: what Cloud Tasks is to the cloud, for one machine."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from adapters.sqlite import as_json
from adapters.sqlite_outbox import GRACE_S, POLL_S, Message, Outbox, store
from domain.ports import Clock, Document, Task


class SqliteQueue:
    """See `domain.ports.Queue`. A task's name is known until the task is done or given up; a task of a kind that
    nobody serves stays. Retries, limits and dead letters are the outbox's.

    `async with` it once: it works within. Leaving waits for the work under way, at most `grace_s`, and then cancels
    it; what wasn't done is next time. `poll_s` is how often to look for other processes' tasks."""

    def __init__(self, path: Path, clock: Clock, *, poll_s: float = POLL_S, grace_s: float = GRACE_S) -> None:
        """Blocks for a moment to open the file. Raises Unavailable if that fails."""
        self._outbox = Outbox(path, "", clock, poll_s, grace_s)

    async def __aenter__(self) -> "SqliteQueue":
        await self._outbox.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._outbox.__aexit__(*error)

    async def check(self) -> None:
        """Raises Unavailable unless tasks can be kept."""
        await self._outbox.database.check()

    async def enqueue(self, task: Task, at: datetime) -> None:
        """Raises ValueError for a naive time, Unavailable. Cancelled, the task may be enqueued or not."""
        if at.tzinfo is None:
            raise ValueError(f"a time without a zone: {at}")
        message = Message(f"task {task.name}", _recipient(task.kind), at.timestamp(), as_json(asdict(task)))
        await self._outbox.database.write(partial(store, messages=[message]))
        self._outbox.wake(message.recipient)

    def serve(self, kind: str, work: Callable[[Task], Awaitable[None]]) -> None:
        """Raises ValueError if the kind is served already."""

        async def work_on_body(body: Document) -> None:
            await work(Task(**body))

        self._outbox.serve(_recipient(kind), work_on_body)


def _recipient(kind: str) -> str:
    return f"kind {kind}"
