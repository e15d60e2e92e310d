"""A queue and a bus that work, in virtual time: nothing here waits for a thread."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from domain.ports import Clock, Event, Task

AGAIN_S = 1.0
"""Between a delivery that failed and the next."""
MOST = 20
"""Deliveries."""


class WorkingQueue:
    """See `domain.ports.Queue`. `twice` delivers every task once more, as any queue may."""

    def __init__(self, clock: Clock, *, twice: bool = False) -> None:
        self._clock, self._twice = clock, twice
        self._workers: dict[str, Callable[[Task], Awaitable[None]]] = {}
        self._known: dict[str, asyncio.Task[None]] = {}
        self.failures: list[Exception] = []

    async def enqueue(self, task: Task, at: datetime) -> None:
        if task.name not in self._known:
            self._known[task.name] = asyncio.create_task(self._do(task, at))

    def serve(self, kind: str, work: Callable[[Task], Awaitable[None]]) -> None:
        self._workers[kind] = work

    async def _do(self, task: Task, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - self._clock.now()).total_seconds()))
        for _ in range(MOST):
            try:
                await self._workers[task.kind](task)
            except Exception as problem:
                self.failures.append(problem)
                await asyncio.sleep(AGAIN_S)
            else:
                break
        if self._twice:
            await self._workers[task.kind](task)

    async def idle(self) -> None:
        """Until everything is done, however late it is due."""
        while waiting := [task for task in self._known.values() if not task.done()]:
            await asyncio.wait(waiting)


class WorkingBus:
    """See `domain.ports.Bus`. Tells each subscriber before `publish` returns, and once more: so may any bus."""

    def __init__(self) -> None:
        self._subscribers: dict[str, list[Callable[[Event], Awaitable[None]]]] = {}

    async def publish(self, event: Event) -> None:
        for receive in self._subscribers.get(event.topic, []):
            await receive(event)
            await receive(event)

    def subscribe(self, topic: str, name: str, receive: Callable[[Event], Awaitable[None]]) -> None:
        self._subscribers.setdefault(topic, []).append(receive)
