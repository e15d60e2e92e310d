"""What every queue does. An adapter joins by its line in ADAPTERS."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from adapters.cloud_tasks_queue import CloudTasksQueue, GoogleTokens
from adapters.sqlite_outbox import ATTEMPTS
from adapters.sqlite_queue import SqliteQueue
from domain.ports import Queue, Task
from tests.fakes.hand_set_clock import HandSetClock
from tests.fakes.tasks_server import QUEUE, TasksKept, TasksRoute, TasksServer


def sqlite(folder: Path, clock: HandSetClock, grace_s: float) -> SqliteQueue:
    return SqliteQueue(folder / "queue.db", clock, poll_s=0.01, grace_s=grace_s)


class CloudNextDoor:
    """What belongs to a folder's queue beyond this machine: Cloud Tasks, and the route that it posts to."""

    def __init__(self) -> None:
        self._kept, self._route = TasksKept(), TasksRoute()
        self._open = 0
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def queue(self, clock: HandSetClock, grace_s: float) -> AsyncIterator[CloudTasksQueue]:
        if not self._open:
            await self._stack.enter_async_context(self._route)
            self._server = await self._stack.enter_async_context(TasksServer(clock, self._kept))
            if any(kept.attempts for kept in self._kept.tasks.values()):
                clock.move_on(1)  # tasks that were posted in vain come again only after a while
        self._open += 1
        try:
            verify = GoogleTokens(clock, self._server.certificates_url).verify
            caller = "tasks@offhook-test.iam.gserviceaccount.com"
            endpoint = self._server.endpoint
            adapter = CloudTasksQueue(
                QUEUE, self._route.url, caller, clock, endpoint=endpoint, insecure=True, verify=verify
            )
            async with adapter as queue, self._route.instance(queue, grace_s):
                yield queue
        finally:
            self._open -= 1
            if not self._open:
                await self._stack.aclose()


def cloud_tasks(folder: Path, clock: HandSetClock, grace_s: float) -> AbstractAsyncContextManager[Queue]:
    return CLOUDS.setdefault(folder, CloudNextDoor()).queue(clock, grace_s)


CLOUDS: dict[Path, CloudNextDoor] = {}

Open = Callable[[Path, HandSetClock, float], AbstractAsyncContextManager[Queue]]
"""Opens the queue that belongs to a folder; opened again, it holds what it held. Left, it waits for work that is under
way for so many seconds."""

ADAPTERS: dict[str, Open] = {"sqlite": sqlite, "cloud tasks": cloud_tasks}


class Place:
    """Where a test's queue is kept."""

    def __init__(self, open: Open, folder: Path) -> None:
        self.clock = HandSetClock()
        self._open, self._folder = open, folder

    def queue(self, *, grace_s: float = 10) -> AbstractAsyncContextManager[Queue]:
        return self._open(self._folder, self.clock, grace_s)

    def after(self, seconds: float) -> datetime:
        return self.clock.now() + timedelta(seconds=seconds)


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(request.param, tmp_path)


class Worker:
    """Keeps what it did, and fails as often as it was told to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.done: list[Task] = []
        self.tries = 0
        self._failures = failures

    async def __call__(self, task: Task) -> None:
        self.tries += 1
        if self.tries <= self._failures:
            raise LookupError(f"failure {self.tries}")
        self.done.append(task)


async def until(condition: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Waits for it; fails after a time that no machine needs."""
    async with asyncio.timeout(20):
        while not condition():
            meanwhile()
            await asyncio.sleep(0.005)


def dial(name: str) -> Task:
    return Task(name, "dial", {"attempt": name, "numbers": ["+15005550001", None]})


def test_a_task_is_done_as_it_was_given(place: Place) -> None:
    async def story() -> None:
        dialer, emailer = Worker(), Worker()
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            queue.serve("email", emailer)
            await queue.enqueue(dial("1"), place.clock.now())
            await queue.enqueue(Task("2", "email"), place.clock.now())
            await until(lambda: bool(dialer.done and emailer.done))
        assert dialer.done == [dial("1")]
        assert emailer.done == [Task("2", "email", {})]

    asyncio.run(story())


def test_a_task_waits_for_its_time(place: Place) -> None:
    async def story() -> None:
        dialer = Worker()
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            await queue.enqueue(dial("in an hour"), place.after(3600))
            await queue.enqueue(dial("in a minute"), place.after(60))
            await queue.enqueue(dial("long ago"), place.after(-60))
            await until(lambda: dialer.done == [dial("long ago")])
            place.clock.move_on(60)
            await until(lambda: dialer.done == [dial("long ago"), dial("in a minute")])
            place.clock.move_on(3539)
            await queue.enqueue(dial("now"), place.clock.now())
            await until(lambda: dial("now") in dialer.done)
            place.clock.move_on(1)
            await until(lambda: dialer.done[-1] == dial("in an hour"))
        assert [task.name for task in dialer.done] == ["long ago", "in a minute", "now", "in an hour"]

    asyncio.run(story())


def test_any_zone_s_time_will_do_but_none(place: Place) -> None:
    async def story() -> None:
        dialer = Worker()
        in_new_york = place.after(60).astimezone(timezone(timedelta(hours=-5)))
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            with pytest.raises(ValueError, match="zone"):
                await queue.enqueue(dial("1"), in_new_york.replace(tzinfo=None))
            await queue.enqueue(dial("1"), in_new_york)
            await queue.enqueue(dial("2"), place.clock.now())
            await until(lambda: dialer.done == [dial("2")])
            place.clock.move_on(60)
            await until(lambda: dialer.done == [dial("2"), dial("1")])

    asyncio.run(story())


def test_a_second_task_of_a_known_name_is_dropped(place: Place) -> None:
    async def story() -> None:
        dialer, emailer = Worker(), Worker()
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            queue.serve("email", emailer)
            await queue.enqueue(dial("1"), place.after(60))
            await queue.enqueue(Task("1", "dial", {"second": True}), place.clock.now())
            await queue.enqueue(Task("1", "email"), place.clock.now())
            place.clock.move_on(60)
            await queue.enqueue(Task("2", "email"), place.clock.now())
            await until(lambda: bool(dialer.done and emailer.done))
        assert dialer.done == [dial("1")]
        assert emailer.done == [Task("2", "email")]

    asyncio.run(story())


def test_a_worker_that_raises_gets_the_task_again_later(place: Place) -> None:
    async def story() -> None:
        forgetful, emailer = Worker(failures=1), Worker()
        async with place.queue() as queue:
            queue.serve("dial", forgetful)
            queue.serve("email", emailer)
            await queue.enqueue(dial("1"), place.clock.now())
            await until(lambda: forgetful.tries == 1)
            await queue.enqueue(dial("2"), place.clock.now())
            await until(lambda: forgetful.done == [dial("2")])  # while the clock stands still, 1 isn't tried again
            assert forgetful.tries == 2
            await until(lambda: dial("1") in forgetful.done, meanwhile=lambda: place.clock.move_on(0.1))
        assert forgetful.tries == 3

    asyncio.run(story())


def test_tasks_survive_a_restart_also_of_a_kind_that_nobody_served(place: Place) -> None:
    async def story() -> None:
        dialer = Worker()
        async with place.queue() as queue:
            queue.serve("email", Worker())
            await queue.enqueue(dial("1"), place.clock.now())
            await queue.enqueue(dial("2"), place.after(3600))
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            await until(lambda: dialer.done == [dial("1")])
        place.clock.move_on(3600)
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            await until(lambda: dialer.done == [dial("1"), dial("2")])

    asyncio.run(story())


def test_a_worker_may_enqueue_what_comes_next(place: Place) -> None:
    async def story() -> None:
        done: list[str] = []
        async with place.queue() as queue:

            async def work(task: Task) -> None:
                done.append(task.name)
                if len(done) < 3:
                    await queue.enqueue(dial(f"{task.name} again"), place.clock.now())

            queue.serve("dial", work)
            await queue.enqueue(dial("1"), place.clock.now())
            await until(lambda: done == ["1", "1 again", "1 again again"])

    asyncio.run(story())


def test_a_kind_is_served_once(place: Place) -> None:
    async def story() -> None:
        async with place.queue() as queue:
            queue.serve("dial", Worker())
            with pytest.raises(ValueError, match="dial"):
                queue.serve("dial", Worker())

    asyncio.run(story())


def test_another_process_s_tasks_are_done_once(place: Place) -> None:
    async def story() -> None:
        here, there = Worker(), Worker()
        async with place.queue() as queue, place.queue() as of_another_process:
            queue.serve("dial", here)
            of_another_process.serve("dial", there)
            await asyncio.gather(*(queue.enqueue(dial(str(n)), place.after(n % 3)) for n in range(20)))
            place.clock.move_on(3)
            await until(lambda: len(here.done) + len(there.done) >= 20)
        assert sorted(int(task.name) for task in here.done + there.done) == list(range(20))

    asyncio.run(story())


def test_work_too_slow_to_wait_for_is_cancelled_and_comes_again(place: Place) -> None:
    async def story() -> None:
        dialer, begun = Worker(), asyncio.Event()

        async def work_forever(task: Task) -> None:
            begun.set()
            await asyncio.sleep(3600)

        async with place.queue(grace_s=0) as queue:
            queue.serve("dial", work_forever)
            await queue.enqueue(dial("1"), place.clock.now())
            await begun.wait()
        place.clock.move_on(1)
        async with place.queue() as queue:
            queue.serve("dial", dialer)
            await until(lambda: dialer.done == [dial("1")])

    asyncio.run(story())


# --- SQLite's own ----------------------------------------------------------------------------------------------------


def test_a_task_given_up_may_be_enqueued_anew(tmp_path: Path) -> None:
    async def story() -> None:
        clock, hopeless = HandSetClock(), Worker(failures=ATTEMPTS)
        async with sqlite(tmp_path, clock, 10) as queue:
            queue.serve("dial", hopeless)
            await queue.enqueue(dial("1"), clock.now())
            await until(lambda: dead_letters(tmp_path) == ["kind dial"], meanwhile=lambda: clock.move_on(1))
            assert hopeless.tries == ATTEMPTS
            await queue.enqueue(dial("1"), clock.now())
            await until(lambda: hopeless.done == [dial("1")])

    asyncio.run(story())


def test_a_task_at_which_the_process_always_died_is_not_tried_for_ever(tmp_path: Path) -> None:
    async def story() -> None:
        clock, deadly = HandSetClock(), Worker()
        async with sqlite(tmp_path, clock, 10) as queue:
            await queue.enqueue(dial("1"), clock.now())
        with closing(sqlite3.connect(tmp_path / "queue.db")) as file, file:
            file.execute("UPDATE messages SET attempts = ?", (ATTEMPTS,))
        async with sqlite(tmp_path, clock, 10) as queue:
            queue.serve("dial", deadly)
            await until(lambda: dead_letters(tmp_path) == ["kind dial"])
        assert deadly.tries == 0

    asyncio.run(story())


def dead_letters(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "queue.db")) as file:
        return [recipient for (recipient,) in file.execute("SELECT recipient FROM dead_letters")]


ENQUEUER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from adapters.clock import SystemClock
from adapters.sqlite_queue import SqliteQueue
from domain.ports import Task

async def main():
    async with SqliteQueue(Path(sys.argv[1]), SystemClock()) as queue:
        await queue.enqueue(Task("1", "dial"), datetime(2026, 11, 21, 12, tzinfo=UTC))
        print("enqueued", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_an_enqueued_task_survives_the_death_of_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENQUEUER, str(tmp_path / "queue.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.kill()

    async def story() -> None:
        dialer = Worker()
        async with sqlite(tmp_path, HandSetClock(), 10) as queue:
            queue.serve("dial", dialer)
            await until(lambda: dialer.done == [Task("1", "dial")])

    asyncio.run(story())
