"""Speech on pocketsphinx: understands what the agent expects, and little else. For laptops.

pocketsphinx holds the interpreter lock while it decodes, so it does that in worker processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

import structlog

from adapters.pocketsphinx_worker import decode, ready, start
from domain.mulaw import BYTES_PER_MS
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Sound, Transcript, Unavailable
from schemas.variable import Expectation

PRE_ROLL = 300 * BYTES_PER_MS
"""Sound kept from before the VAD was sure."""
LONGEST = 30_000 * BYTES_PER_MS

T = TypeVar("T")

log = structlog.get_logger()


class PocketsphinxSpeech:
    """See `domain.ports.Speech`. `async with` it: leaving ends the workers."""

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers
        self._pool = self._new_pool()
        self._told: set[str] = set()

    def _new_pool(self) -> ProcessPoolExecutor:
        # Spawned, not forked: a worker must not inherit the server's sockets.
        return ProcessPoolExecutor(self._workers, get_context("spawn"), initializer=start)

    async def __aenter__(self) -> "PocketsphinxSpeech":
        """Starts the workers, so that the first caller doesn't wait for them. Raises Unavailable."""
        await asyncio.gather(*(self._run(ready) for _ in range(self._workers)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def check(self) -> None:
        """Raises Unavailable unless a worker answers."""
        await self._run(ready)

    async def check_language(self, language: str) -> None:
        """Raises Unavailable for any but English: its model knows no other."""
        if language.partition("-")[0].lower() != "en":
            raise Unavailable(f"pocketsphinx understands English only, not {language}")

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        """Nothing but final transcripts: a turn's sound is decoded whole, again with each piece. Cancelling abandons
        the decoding under way."""
        finals: asyncio.Queue[Transcript | Unavailable | None] = asyncio.Queue()  # a handful in a turn
        listening = asyncio.create_task(self._listen(sound, expectation, finals))
        try:
            while (final := await finals.get()) is not None:
                if isinstance(final, Unavailable):
                    raise final
                yield final
            await listening
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(
        self,
        sound: AsyncIterator[Sound],
        expectation: Expectation,
        finals: "asyncio.Queue[Transcript | Unavailable | None]",
    ) -> None:
        heard = bytearray()  # the turn so far, or the pre-roll of one
        begun = speaking = False
        decoding: asyncio.Task[None] | None = None
        try:
            async for piece in sound:
                if isinstance(piece, bytes):
                    heard += piece
                    if not begun:
                        del heard[:-PRE_ROLL]
                    elif not speaking:
                        continue
                elif piece is SPEECH_BEGINS:
                    begun = speaking = True
                    _drop(decoding)
                elif piece is SPEECH_ENDS:
                    speaking = False
                    turn = bytes(heard[-LONGEST:])
                    decoding = asyncio.create_task(self._understand(turn, expectation, finals))
                elif isinstance(piece, Expectation):
                    expectation = piece
                    _drop(decoding)
                    begun = speaking
                    if not begun:
                        del heard[:-PRE_ROLL]
            if decoding:
                await decoding
        finally:
            _drop(decoding)
            finals.put_nowait(None)

    async def _understand(
        self, turn: bytes, expectation: Expectation, finals: "asyncio.Queue[Transcript | Unavailable | None]"
    ) -> None:
        try:
            text, left_out = await self._run(decode, expectation, turn)
        except Unavailable as problem:
            finals.put_nowait(problem)
            return
        except Exception as problem:  # a grammar that the decoder refuses must not pass for silence
            log.exception("recogniser_broke")
            finals.put_nowait(Unavailable(f"the recogniser broke: {problem}"))
            return
        finals.put_nowait(Transcript(text, final=True))
        if fresh := set(left_out) - self._told:
            self._told |= fresh
            log.warning("answers_left_out", why="a word is not in the dictionary", answers=sorted(fresh))

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        """In a worker. One that died is replaced, and the work done again, once."""
        loop = asyncio.get_running_loop()
        for _ in range(2):
            pool = self._pool
            try:
                return await loop.run_in_executor(pool, work, *arguments)
            except BrokenProcessPool:
                if self._pool is pool:
                    log.warning("recogniser_died")
                    self._pool = self._new_pool()
                    pool.shutdown(wait=False)
        raise Unavailable("the recogniser died twice")


def _drop(task: asyncio.Task[None] | None) -> None:
    if task:
        task.cancel()
