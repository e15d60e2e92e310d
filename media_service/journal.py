"""The journal of a conversation: signals in numbered batches, written off the audio path.

A batch's number is its id, and batches are only ever created: whoever finds a number taken has lost the conversation to
another process. That is the fence; there are no leases. A batch leaves the buffer once the store has confirmed it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from domain.conversation import Conversation, State
from domain.ports import Clock, Document, Documents, Taken, Transaction, Unavailable
from schemas.conversation import Turn
from schemas.signals import SIGNALS, Signal

LINGER_S = 1.0
"""How long a signal may wait for company before it is written."""
RETRY_S = 0.25
LEAVE_S = 5.0
"""How long the last batch may take once the line is closed."""

log = structlog.get_logger()


def path_of(organisation: str, conversation: str) -> str:
    """Where the conversation is kept."""
    return f"organisations/{organisation}/conversations/{conversation}"


async def read(documents: Documents, path: str) -> tuple[State | None, list[Signal], int]:
    """The last snapshot, the signals after it, and the number of the next batch. Raises Unavailable."""
    state: State | None = None
    signals: list[Signal] = []
    number, cursor = 0, None
    while True:
        page = await documents.query(f"{path}/journal", limit=200, cursor=cursor)
        for found in page.found:
            number += 1
            signals += SIGNALS.validate_python(found.document["signals"])
            if found.document.get("snapshot"):
                state, signals = State.model_validate(found.document["snapshot"]), []
        if (cursor := page.next_cursor) is None:
            return state, signals, number


class Journal:
    """Entered, it writes until it is left; leaving writes the rest. `lost` is told when another process took over."""

    def __init__(
        self, documents: Documents, clock: Clock, conversation: Conversation, number: int, lost: Callable[[], None]
    ) -> None:
        self._documents, self._clock, self._conversation, self._lost = documents, clock, conversation, lost
        self._path = path_of(conversation.organisation.id, conversation.id)
        self._number = number
        self._signals: list[Signal] = []
        self._turns: dict[int, Turn] = {}
        self._appended = self._stored = 0
        self._wake = asyncio.Event()
        self._progress = asyncio.Condition()
        self._fenced = False

    def append(self, signal: Signal) -> None:
        """It will be written soon."""
        self._signals.append(signal)
        self._appended += 1

    def record(self, turn: Turn) -> None:
        """The turn will be written with the next batch, now."""
        self._turns[turn.number] = turn
        self._wake.set()

    async def confirmed(self, within_s: float) -> bool:
        """Has all appended so far been stored? Waits that long for it. Cancelling changes nothing."""
        target = self._appended
        self._wake.set()
        try:
            async with asyncio.timeout(within_s), self._progress:
                await self._progress.wait_for(lambda: self._stored >= target or self._fenced)
        except TimeoutError:
            return False
        return not self._fenced

    async def __aenter__(self) -> "Journal":
        self._task = asyncio.create_task(self._write(), name=f"journal {self._conversation.id}")
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if not await asyncio.shield(self.confirmed(LEAVE_S)) and not self._fenced:
                log.error("journal_incomplete", conversation=self._conversation.id, signals=len(self._signals))
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
        if not self._task.cancelled() and (bug := self._task.exception()):
            raise bug

    async def _write(self) -> None:
        while not self._fenced:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._wake.wait()
            self._wake.clear()
            if self._signals:
                await self._write_batch()

    async def _write_batch(self) -> None:
        """One batch, and with it the turns and where the conversation stands. Cancelled, it may have been written."""
        signals, turns = list(self._signals), dict(self._turns)
        state = self._conversation.state
        batch: Document = {
            "number": self._number,
            "written_at": self._clock.now().isoformat(),
            "signals": SIGNALS.dump_python(signals, mode="json"),
            "snapshot": state.model_dump(mode="json") if turns else None,
        }
        standing = {"node": state.flow.node, "variables": state.flow.variables} if state.flow else {}
        try:
            ours = await self._store(batch, turns, standing)
        except Unavailable as problem:
            log.warning("journal_waits", conversation=self._conversation.id, why=str(problem))
            await asyncio.sleep(RETRY_S)
            self._wake.set()
            return
        async with self._progress:
            if ours:
                self._number += 1
                self._stored += len(signals)
                del self._signals[: len(signals)]
                self._turns = {number: turn for number, turn in self._turns.items() if turns.get(number) is not turn}
            else:
                self._fenced = True
            self._progress.notify_all()
        if not ours:
            log.warning("journal_fenced", conversation=self._conversation.id, batch=self._number)
            self._lost()

    async def _store(self, batch: Document, turns: dict[int, Turn], standing: Document) -> bool:
        """Whether the batch stands in the store as ours."""
        path = f"{self._path}/journal/{self._number:08d}"

        async def body(tx: Transaction) -> None:
            conversation = await tx.get(self._path)
            tx.create(path, batch)
            for number, turn in turns.items():
                tx.put(f"{self._path}/turns/{number:06d}", turn.model_dump(mode="json"))
            if conversation is not None and standing:
                tx.put(self._path, {**conversation, **standing})

        try:
            await self._documents.transact(body)
        except Taken:  # by another process, or by our own write that seemed to fail
            return await self._documents.get(path) == batch
        return True
