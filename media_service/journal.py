"""The journal of a conversation: signals in numbered batches, written off the audio path.

A batch's number is its id, and batches are only ever created: whoever finds a number taken has lost the conversation to
another process. That is the fence; there are no leases. A batch leaves the buffer once the store has confirmed it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from domain.conversation import Conversation
from domain.past import batch, batch_path, path_of, standing
from domain.ports import Clock, Document, Documents, Taken, Transaction, Unavailable
from schemas.conversation import Turn
from schemas.signals import Cut, Finished, Heard, Overdue, Paused, Pressed, Signal, SpeechBegan

LINGER_S = 1.0
"""How long a signal may wait for company before it is written. What the caller said or pressed, and what was heard of
the agent, doesn't wait; what leads up to the caller's words waits for them."""
RETRY_S = 0.25
LEAVE_S = 5.0
"""How long the last batch may take once the line is closed."""

log = structlog.get_logger()


class Journal:
    """`write` runs in the call's group; leaving writes the rest. `lost` is told when another process took over."""

    def __init__(
        self, documents: Documents, clock: Clock, conversation: Conversation, number: int, lost: Callable[[], None]
    ) -> None:
        self._documents, self._clock, self._conversation, self._lost = documents, clock, conversation, lost
        self._path = path_of(conversation.organisation.id, conversation.id)
        self._number = number
        self._signals: list[Signal] = []
        self._turns: dict[int, Turn] = {}
        self._standing: Document = {}
        """Where the conversation stands, as it is stored."""
        self._appended = self._stored = self._words = 0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._progress = asyncio.Condition()
        self._fenced = False
        self._pending: _Batch | None = None

    def append(self, signal: Signal) -> None:
        """It will be written soon; what either side heard of the other at once."""
        self._signals.append(signal)
        self._appended += 1
        match signal:
            case Pressed() | Heard(final=True) | Overdue(what="transcript" | "speech"):
                self._words = self._appended
                self._wake.set()
            case Finished() | Cut():
                self._wake.set()
            case SpeechBegan() | Paused() | Heard():
                pass
            case _ if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._wake.set)

    def record(self, turn: Turn) -> None:
        """The turn will be written with the next batch."""
        self._turns[turn.number] = turn

    async def has_words(self, until: float) -> bool:
        """Has what the caller said and pressed been stored? Waits for it until then, by the loop's clock. Cancelling
        changes nothing."""
        return await self._has(self._words, until)

    async def has_all(self, until: float) -> bool:
        """The same of all that was appended so far."""
        return await self._has(self._appended, until)

    async def _has(self, target: int, until: float) -> bool:
        if self._stored >= target:
            return not self._fenced
        self._wake.set()
        try:
            async with asyncio.timeout_at(until), self._progress:
                await self._progress.wait_for(lambda: self._stored >= target or self._fenced)
        except TimeoutError:
            return False
        return not self._fenced

    async def __aenter__(self) -> "Journal":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Writes the rest, within its time. Cancelling may leave some of it unwritten."""
        self._stop_timer()
        try:
            async with asyncio.timeout(LEAVE_S):
                while (self._signals or self._turns) and not self._fenced:
                    await self._write_batch()
        except TimeoutError:
            log.error("journal_incomplete", conversation=self._conversation.id, signals=len(self._signals))

    async def write(self) -> None:
        """Writes what is appended, until cancelled or fenced. A batch under way then is settled on leaving."""
        while not self._fenced:
            await self._wake.wait()
            self._wake.clear()
            self._stop_timer()
            if self._signals or self._turns:
                await self._write_batch()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _next_batch(self) -> "_Batch":
        state = self._conversation.state
        turns = dict(self._turns)
        document = batch(self._number, self._clock.now(), self._signals, state if turns else None)
        return _Batch(document, len(self._signals), turns, standing(self._conversation))

    async def _write_batch(self) -> None:
        """One batch, and with it the turns and where the conversation stands. A write that failed, or was cancelled,
        may have happened all the same: so the very same batch is written again until it is known to stand."""
        pending = self._pending = self._pending or self._next_batch()
        try:
            ours = await self._store(pending)
        except Unavailable as problem:
            log.warning("journal_waits", conversation=self._conversation.id, why=str(problem))
            await asyncio.sleep(RETRY_S)
            self._wake.set()
            return
        self._pending = None
        async with self._progress:
            if ours:
                self._number, self._standing = self._number + 1, pending.standing
                self._stored += pending.signals
                del self._signals[: pending.signals]
                self._turns = {n: turn for n, turn in self._turns.items() if pending.turns.get(n) is not turn}
            else:
                self._fenced = True
            self._progress.notify_all()
        if not ours:
            log.warning("journal_fenced", conversation=self._conversation.id, batch=self._number)
            self._lost()

    async def _store(self, batch: "_Batch") -> bool:
        """Whether the batch stands in the store as ours."""
        path = batch_path(self._path, self._number)

        async def body(tx: Transaction) -> None:
            conversation = await tx.get(self._path) if batch.standing != self._standing else None
            tx.create(path, batch.document)
            for number, turn in batch.turns.items():
                tx.put(f"{self._path}/turns/{number:06d}", turn.model_dump(mode="json"))
            if conversation is not None:
                tx.put(self._path, {**conversation, **batch.standing})

        try:
            await self._documents.transact(body)
        except Taken:  # by another process, or by our own write that seemed to fail
            return await self._documents.get(path) == batch.document
        return True


@dataclass(frozen=True, slots=True)
class _Batch:
    document: Document
    signals: int
    """How many of the buffer's it holds."""
    turns: dict[int, Turn]
    standing: Document
    """The conversation's own fields."""
