"""Documents in a dict; freezes when told to."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from domain.ports import Document, Found, Page, Taken, Unavailable, Where

T = TypeVar("T")
_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class MemoryDocuments:
    def __init__(self) -> None:
        self.kept: dict[str, Document] = {}
        self.frozen = False
        self.failing = False

    async def _reachable(self) -> None:
        while self.frozen:
            await asyncio.sleep(0.05)
        if self.failing:
            raise Unavailable("the store is down")

    async def get(self, path: str) -> Document | None:
        await self._reachable()
        return copy.deepcopy(self.kept.get(path))

    async def create(self, path: str, document: Document) -> None:
        await self._reachable()
        if path in self.kept:
            raise Taken(path)
        self.kept[path] = copy.deepcopy(document)

    async def put(self, path: str, document: Document) -> None:
        await self._reachable()
        self.kept[path] = copy.deepcopy(document)

    async def delete(self, path: str) -> None:
        await self._reachable()
        self.kept.pop(path, None)

    async def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        await self._reachable()
        field, down = order.lstrip("-"), order.startswith("-")
        found = [
            Found(path, copy.deepcopy(document))
            for path, document in sorted(self.kept.items())
            if path.rpartition("/")[0] == collection
            and all(w.field in document and _OPS[w.op](document[w.field], w.value) for w in where)
            and (not field or field in document)
        ]
        if field:
            found.sort(key=lambda one: one.document[field], reverse=down)
        start = int(cursor) if cursor else 0
        more = str(start + limit) if start + limit < len(found) else None
        return Page(found[start : start + limit], more)

    async def transact(self, body: Callable[[Any], Awaitable[T]]) -> T:
        await self._reachable()
        writing = _Writing(self)
        result = await body(writing)
        for path in writing.created:
            if path in self.kept:
                raise Taken(path)
        self.kept |= copy.deepcopy(writing.created | writing.written)
        for path in writing.deleted:
            self.kept.pop(path, None)
        return result


class _Writing:
    def __init__(self, documents: MemoryDocuments) -> None:
        self._documents = documents
        self.created: dict[str, Document] = {}
        self.written: dict[str, Document] = {}
        self.deleted: list[str] = []

    async def get(self, path: str) -> Document | None:
        return copy.deepcopy(self._documents.kept.get(path))

    def create(self, path: str, document: Document) -> None:
        self.created[path] = document

    def put(self, path: str, document: Document) -> None:
        self.written[path] = document

    def delete(self, path: str) -> None:
        self.deleted.append(path)
