"""Documents in a dict, for stories in virtual time: nothing here waits for a thread."""

import asyncio
import operator
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson

from domain.expiry import expiry_of
from domain.ports import Document, Found, Page, Taken, Transaction, Unavailable, Where

T = TypeVar("T")
ATTEMPTS = 100
"""How often a transaction's body is run before it is given up. Of many that run in step, one gets through each time."""


class MemoryDocuments:
    """See `domain.ports.Documents`. Transactions are optimistic."""

    def __init__(self) -> None:
        self.kept: dict[str, Document] = {}
        """By path."""
        self.frozen = False
        """Whether everybody waits."""
        self.failing = False
        """Whether everybody gets Unavailable."""

    async def get(self, path: str) -> Document | None:
        return await _Transaction(self).get(path)

    async def create(self, path: str, document: Document) -> None:
        transaction = _Transaction(self)
        transaction.create(path, document)
        await transaction.commit()

    async def put(self, path: str, document: Document) -> None:
        transaction = _Transaction(self)
        transaction.put(path, document)
        await transaction.commit()

    async def delete(self, path: str) -> None:
        transaction = _Transaction(self)
        transaction.delete(path)
        await transaction.commit()

    async def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        _check_query(collection, where, order, limit)
        mark = repr((collection, [*where], order))
        last = None if cursor is None else _read_cursor(cursor, mark)
        await self.reached()
        field, descending = order.removeprefix("-"), order.startswith("-")
        found: dict[tuple[Any, ...], str] = {}
        for path, document in self.kept.items():
            parent, _, id = path.rpartition("/")
            if (
                parent == collection
                and all(_meets(document, each) for each in where)
                and (not field or field in document)
            ):
                key = (*_ranked(document[field]), id) if field else (id,)
                if last is None or (key < last if descending else key > last):
                    found[key] = path
        keys = sorted(found, reverse=descending)
        page = [Found(found[key], _copy(self.kept[found[key]])) for key in keys[:limit]]
        return Page(page, orjson.dumps([mark, *keys[limit - 1]]).hex() if len(keys) > limit else None)

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        for _ in range(ATTEMPTS):
            transaction = _Transaction(self)
            try:
                result = await body(transaction)
            except Exception:
                # Its reason may lie in two documents that were read before and after somebody's commit.
                if transaction.is_fresh():
                    raise
                continue
            if await transaction.commit():
                return result
        raise Unavailable(f"a transaction was overtaken {ATTEMPTS} times")

    async def reached(self) -> None:
        """Others get their turn meanwhile, as they do at every store."""
        await asyncio.sleep(0)
        while self.frozen:
            await asyncio.sleep(0.05)
        if self.failing:
            raise Unavailable("the store is down")


class _Transaction:
    def __init__(self, documents: MemoryDocuments) -> None:
        self._documents = documents
        self._read: dict[str, bytes | None] = {}
        self._writes: list[tuple[str, Document | None, bool]] = []
        """Path, what it becomes, whether it mustn't exist."""

    async def get(self, path: str) -> Document | None:
        if self._writes:
            raise RuntimeError("a transaction reads before it writes")
        _check_path(path)
        await self._documents.reached()
        read = self._read.setdefault(path, self._kept(path))
        return None if read is None else orjson.loads(read)

    def create(self, path: str, document: Document) -> None:
        self._writes.append((_check_path(path), _kept_as(document), True))

    def put(self, path: str, document: Document) -> None:
        self._writes.append((_check_path(path), _kept_as(document), False))

    def delete(self, path: str) -> None:
        self._writes.append((_check_path(path), None, False))

    def is_fresh(self) -> bool:
        """Is all that was read still so? Compared as JSON, where True isn't 1."""
        return all(self._kept(path) == read for path, read in self._read.items())

    def _kept(self, path: str) -> bytes | None:
        document = self._documents.kept.get(path)
        return None if document is None else _as_json(document)

    async def commit(self) -> bool:
        """Writes if it is fresh, and says whether it was. Raises Taken."""
        await self._documents.reached()
        kept = self._documents.kept
        if not self.is_fresh():
            return False
        changes: dict[str, Document | None] = {}
        for path, document, new in self._writes:
            if new and changes.get(path, kept.get(path)) is not None:
                raise Taken(path)
            changes[path] = document
        for path, document in changes.items():
            if document is None:
                kept.pop(path, None)
            else:
                kept[path] = document
        return True


def _as_json(document: Document) -> bytes:
    """Raises TypeError for anything but JSON values."""
    return orjson.dumps(document, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)


def _copy(document: Document) -> Document:
    copied: Document = orjson.loads(_as_json(document))
    return copied


def _kept_as(document: Document) -> Document:
    """Here documents stay beyond their expiry, as they may for a while in every store."""
    copied = _copy(document)
    expiry_of(document)
    return copied


def _check_path(path: str) -> str:
    segments = path.split("/")
    if len(segments) % 2 or not all(segments):
        raise ValueError(f"not the path of a document: {path!r}")
    return path


# --- Queries ---------------------------------------------------------------------------------------------------------

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _check_query(collection: str, where: Sequence[Where], order: str, limit: int) -> None:
    _check_path(f"{collection}/id")
    if limit < 1:
        raise ValueError(f"no page has {limit} documents")
    for field in [each.field for each in where] + ([order.removeprefix("-")] if order else []):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field):
            raise ValueError(f"not the name of a field: {field!r}")
    for each in where:
        too_long = isinstance(each.value, int) and not -(2**63) <= each.value < 2**63
        if too_long or not isinstance(each.value, str | int | float | None):
            raise ValueError(f"nothing is compared with {each.value!r}")
        if each.op not in _COMPARE or (each.value is None and each.op != "=="):
            raise ValueError(f"not a comparison: {each.op!r} {each.value!r}")


def _ranked(value: Any) -> tuple[int, Any]:
    """What values are sorted by, in Firestore's order: by type first."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 1, value
        case int() | float():
            return 2, value
        case str():
            return 3, value
    return 4 if isinstance(value, list) else 5, orjson.dumps(value).decode()


def _meets(document: Document, where: Where) -> bool:
    if where.field not in document:
        return False
    (rank, value), (wanted_rank, wanted) = _ranked(document[where.field]), _ranked(where.value)
    return rank == wanted_rank and _COMPARE[where.op](value, wanted)


def _read_cursor(cursor: str, mark: str) -> tuple[Any, ...]:
    """A cursor holds a mark of its query and the sort key of the last document found, which is returned."""
    try:
        content = orjson.loads(bytes.fromhex(cursor))
    except ValueError:
        content = None
    if not isinstance(content, list) or content[:1] != [mark]:
        raise ValueError(f"not a cursor of this query: {cursor!r}")
    return tuple(content[1:])
