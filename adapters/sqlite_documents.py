"""Documents in a SQLite file: what Firestore is to the cloud, for one machine."""

import asyncio
import base64
import hashlib
import random
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson

from adapters.sqlite import BUSY_S, Database, as_json
from domain.expiry import expiry_of
from domain.ports import Clock, Document, Found, Page, Taken, Transaction, Unavailable, Where

T = TypeVar("T")

# The primary key is the path, cut before its last segment: a collection's documents lie side by side, sorted by id.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (collection, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_expiry ON documents (julianday(json_extract(document, '$.expires_at')))
    WHERE json_extract(document, '$.expires_at') IS NOT NULL;
"""
ATTEMPTS = 16
"""How often a transaction's body is run before it is given up."""
PAUSE_S = 0.004
"""The longest pause before a transaction's second attempt; it doubles with each further one."""
LONGEST_PAUSE_S = 0.1
SWEEP = timedelta(hours=1)
"""How often to look for documents that have expired."""


class SqliteDocuments:
    """See `domain.ports.Documents`. Sorted in descending order, ties are as well. Transactions are optimistic: a body
    holds no lock while it runs; what it read is compared when it commits."""

    def __init__(self, path: Path, clock: Clock | None = None, *, busy_s: float = BUSY_S) -> None:
        """Blocks for a moment to open the file; raises Unavailable if that fails. By the clock, documents that have
        expired are deleted now and then; without one, never. `busy_s` is how long to wait for other processes that
        write."""
        self._database = Database(path, _SCHEMA, busy_s)
        self._clock = clock
        self._next_sweep: datetime | None = None

    async def __aenter__(self) -> "SqliteDocuments":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Afterwards nothing else may be called. Cancelling doesn't stop it."""
        await self._database.close()

    async def check(self) -> None:
        await self._database.check()

    async def get(self, path: str) -> Document | None:
        return _parse(await self._database.read(partial(_get, key=_key(path))))

    async def create(self, path: str, document: Document) -> None:
        await self._database.write(partial(_create, key=_key(path), text=_text(document)))
        await self._sweep()

    async def put(self, path: str, document: Document) -> None:
        await self._database.write(partial(_put, key=_key(path), text=_text(document)))
        await self._sweep()

    async def delete(self, path: str) -> None:
        await self._database.write(partial(_delete, key=_key(path)))

    async def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        return await self._database.read(
            partial(_find, collection=collection, where=where, order=order, limit=limit, cursor=cursor)
        )

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        """Cancelled, it has written all or nothing. Raises Unavailable as well when others were always faster."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0, min(PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)))
            transaction = _Transaction(self._database)
            try:
                result = await body(transaction)
            except Exception:
                # Its reason may lie in two documents that were read before and after somebody's commit.
                if await self._database.write(transaction.is_fresh):
                    raise
                continue
            if await self._database.write(transaction.commit):
                await self._sweep()
                return result
        raise Unavailable(f"a transaction was overtaken {ATTEMPTS} times")

    async def _sweep(self) -> None:
        if self._clock is None:
            return
        now = self._clock.now()
        if self._next_sweep is None or now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            await self._database.write(partial(_delete_expired, now=now.isoformat()))


class _Transaction:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[_Key, str | None] = {}
        self._writes: list[Callable[[sqlite3.Connection], None]] = []

    async def get(self, path: str) -> Document | None:
        if self._writes:
            raise RuntimeError("a transaction reads before it writes")
        if (key := _key(path)) not in self._read:
            self._read[key] = await self._database.read(partial(_get, key=key))
        return _parse(self._read[key])

    def create(self, path: str, document: Document) -> None:
        self._writes.append(partial(_create, key=_key(path), text=_text(document)))

    def put(self, path: str, document: Document) -> None:
        self._writes.append(partial(_put, key=_key(path), text=_text(document)))

    def delete(self, path: str) -> None:
        self._writes.append(partial(_delete, key=_key(path)))

    def is_fresh(self, connection: sqlite3.Connection) -> bool:
        """Is all that was read still so? The texts are compared rather than version numbers: those begin anew when a
        document is deleted and created again."""
        return all(_get(connection, key) == text for key, text in self._read.items())

    def commit(self, connection: sqlite3.Connection) -> bool:
        """Writes if it is fresh, and says whether it was. Raises Taken."""
        if fresh := self.is_fresh(connection):
            for write in self._writes:
                write(connection)
        return fresh


# --- Single documents ------------------------------------------------------------------------------------------------

_Key = tuple[str, str]
"""Collection and id."""


def _key(path: str) -> _Key:
    segments = path.split("/")
    if len(segments) % 2 or not all(segments):
        raise ValueError(f"not the path of a document: {path!r}")
    collection, _, id = path.rpartition("/")
    return collection, id


def _text(document: Document) -> str:
    """Raises TypeError for anything but JSON values, ValueError for an expiry that is no time."""
    text = as_json(document)
    expiry_of(document)
    return text


def _parse(text: str | None) -> Document | None:
    return None if text is None else orjson.loads(text)


def _get(connection: sqlite3.Connection, key: _Key) -> str | None:
    row = connection.execute("SELECT document FROM documents WHERE (collection, id) = (?, ?)", key).fetchone()
    return None if row is None else str(row[0])


def _create(connection: sqlite3.Connection, key: _Key, text: str) -> None:
    try:
        connection.execute("INSERT INTO documents VALUES (?, ?, ?)", (*key, text))
    except sqlite3.IntegrityError:
        raise Taken("/".join(key)) from None


def _put(connection: sqlite3.Connection, key: _Key, text: str) -> None:
    connection.execute("REPLACE INTO documents VALUES (?, ?, ?)", (*key, text))


def _delete(connection: sqlite3.Connection, key: _Key) -> None:
    connection.execute("DELETE FROM documents WHERE (collection, id) = (?, ?)", key)


def _delete_expired(connection: sqlite3.Connection, now: str) -> None:
    expiry = "json_extract(document, '$.expires_at')"
    connection.execute(
        f"DELETE FROM documents WHERE {expiry} IS NOT NULL AND julianday({expiry}) <= julianday(?)", (now,)
    )


# --- Queries ---------------------------------------------------------------------------------------------------------

_OPERATORS = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _find(
    connection: sqlite3.Connection,
    collection: str,
    where: Sequence[Where],
    order: str,
    limit: int,
    cursor: str | None,
) -> Page:
    segments = collection.split("/")
    if not len(segments) % 2 or not all(segments):
        raise ValueError(f"not the path of a collection: {collection!r}")
    if limit < 1:
        raise ValueError(f"no page has {limit} documents")
    mark = _mark(collection, where, order)
    conditions = ["collection = ?"]
    values: list[str | int | float] = [collection]
    for condition in where:
        sql, value = _condition(condition)
        conditions.append(sql)
        values.append(value)
    key, descending = ["id"], order.startswith("-")
    if order:
        field = order.removeprefix("-")
        conditions.append(f"{_rank_of(field)} IS NOT NULL")
        key = [_rank_of(field), _value_of(field), "id"]
    if cursor is not None:
        conditions.append(f"({', '.join(key)}) {'<' if descending else '>'} ({', '.join('?' * len(key))})")
        values += _read_cursor(cursor, mark, len(key))
    rows = connection.execute(
        f"SELECT document, {', '.join(key)} FROM documents WHERE {' AND '.join(conditions)}"
        f" ORDER BY {', '.join(f'{part} DESC' if descending else part for part in key)} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    found = [Found(f"{collection}/{row[-1]}", orjson.loads(row[0])) for row in rows[:limit]]
    return Page(found, _write_cursor(mark, rows[limit - 1][1:]) if len(rows) > limit else None)


def _condition(where: Where) -> tuple[str, str | int | float]:
    if where.op not in _OPERATORS or (where.value is None and where.op != "=="):
        raise ValueError(f"not a comparison: {where.op!r} {where.value!r}")
    value = 0 if where.value is None else where.value
    same_type = f"{_rank_of(where.field)} = {_rank(where.value)}"
    return f"{same_type} AND {_value_of(where.field)} {_OPERATORS[where.op]} ?", value


# Values of different types are never equal, and are sorted by type first, in Firestore's order.


def _rank(value: object) -> int:
    match value:
        case None:
            return 0
        case bool():
            return 1
        case float():
            return 2
        case int() if -(2**63) <= value < 2**63:
            return 2
        case str():
            return 3
    raise ValueError(f"nothing is compared with {value!r}")


def _rank_of(field: str) -> str:
    """SQL for the rank of a field's value, NULL without the field."""
    return f"""CASE json_type(document, '{_json_path(field)}')
        WHEN 'null' THEN 0 WHEN 'false' THEN 1 WHEN 'true' THEN 1 WHEN 'integer' THEN 2 WHEN 'real' THEN 2
        WHEN 'text' THEN 3 WHEN 'array' THEN 4 WHEN 'object' THEN 5 END"""


def _value_of(field: str) -> str:
    """SQL for what is compared among values of one rank. Not NULL, for which no comparison holds."""
    return f"coalesce(json_extract(document, '{_json_path(field)}'), 0)"


def _json_path(field: str) -> str:
    """Becomes part of SQL, hence the narrow check."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field):
        raise ValueError(f"not the name of a field: {field!r}")
    return f"$.{field}"


# A cursor holds the sort key of the last document found, and a mark of the query to which it belongs.


def _mark(collection: str, where: Sequence[Where], order: str) -> str:
    return hashlib.sha256(repr((collection, tuple(where), order)).encode()).hexdigest()[:12]


def _write_cursor(mark: str, key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([mark, *key])).decode().rstrip("=")


def _read_cursor(cursor: str, mark: str, length: int) -> list[Any]:
    """The sort key. Raises ValueError for a cursor that wasn't written for this query."""
    try:
        content = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))
        if not isinstance(content, list) or content[:1] != [mark] or len(content) != length + 1:
            raise ValueError("it belongs to another query")
        for part in content:
            _rank(part)
    except ValueError as error:
        raise ValueError(f"not a cursor of this query: {cursor!r}") from error
    return content[1:]
