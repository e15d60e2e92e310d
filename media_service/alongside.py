"""Tasks that live as long as a block does."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def alongside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.TaskGroup]:
    """Runs the coroutines while the block runs; leaving cancels them, and whatever else was started in the group.
    What breaks in one of them breaks the block."""
    tasks = set[asyncio.Task[Any]]()
    async with _Remembering(tasks) as group:
        for coroutine in work:
            group.create_task(coroutine)
        try:
            yield group
        finally:
            for task in tasks:
                task.cancel()


class _Remembering(asyncio.TaskGroup):
    def __init__(self, tasks: set[asyncio.Task[Any]]) -> None:
        super().__init__()
        self._remembered = tasks

    def create_task(self, coro: Any, **how: Any) -> asyncio.Task[Any]:
        task = super().create_task(coro, **how)
        self._remembered.add(task)
        task.add_done_callback(self._remembered.discard)
        return task
