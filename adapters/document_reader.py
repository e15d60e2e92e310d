"""Reads files, each in a process of its own: what somebody uploaded can be slow, huge or made to do harm, and a thread
can be neither stopped nor bounded, and would hold up calls in this process."""

import asyncio
import sys
from contextlib import suppress
from os import pathsep

import orjson

from domain.ports import Reading, Unavailable, Unreadable
from schemas.knowledge_document import FileKind

WITHIN_S = 60.0
AT_ONCE = 2
"""Files; more wait."""


class DocumentReader:
    """See `domain.ports.Reader`."""

    def __init__(self, within_s: float = WITHIN_S, at_once: int = AT_ONCE) -> None:
        self._within_s = within_s
        self._room = asyncio.Semaphore(at_once)

    async def read(self, kind: FileKind, content: bytes) -> Reading:
        """Raises Unavailable as well, if no process can be had."""
        async with self._room:
            answer = await self._ask(kind, content)
        if why := answer.get("unreadable"):
            raise Unreadable(str(why))
        return Reading(str(answer["title"]), tuple(map(str, answer["passages"])))

    async def _ask(self, kind: FileKind, content: bytes) -> dict[str, list[str]]:
        # It gets nothing of our environment: there are secrets in it.
        environment = {"PYTHONPATH": pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}
        pipe = asyncio.subprocess.PIPE
        try:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "adapters.extract", kind),
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        except OSError as problem:
            raise Unavailable(f"no process can be had to read a document: {problem.strerror}") from problem
        try:
            async with asyncio.timeout(self._within_s):
                said, _ = await worker.communicate(content)
        except TimeoutError:
            raise Unreadable(f"it takes more than {self._within_s:g} s to read") from None
        finally:
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
        if worker.returncode:
            raise Unreadable("it can't be read: it is damaged, or takes too much memory")
        answer: dict[str, list[str]] = orjson.loads(said)
        return answer
