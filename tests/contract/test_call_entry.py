"""A call's entry, over every store: it may expire, from its beginning and whatever is written into it later."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from domain.expiry import expiry_of
from domain.ports import Document, Documents, Transaction
from offhook.carrier.call import Call
from offhook.carrier.handset import Handset
from schemas.call import CallEntry
from tests.contract.test_documents import Store, store
from tests.fakes.desk import desk

__all__ = ["store"]

T = TypeVar("T")


class Watched:
    """A store that notes what becomes of the calls' entries."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.get, self.query = documents.get, documents.query
        self.create, self.put, self.delete = documents.create, documents.put, documents.delete
        self.entries: list[Document] = []
        """As they were read after each change."""

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        changed: set[str] = set()

        async def watched(tx: Transaction) -> T:
            return await body(_Watched(tx, changed))

        result = await self._documents.transact(watched)
        for path in changed:
            entry = await self._documents.get(path)
            assert entry
            self.entries.append(entry)
        return result


class _Watched:
    def __init__(self, tx: Transaction, changed: set[str]) -> None:
        self._tx, self._changed = tx, changed
        self.get, self.create, self.delete = tx.get, tx.create, tx.delete

    def put(self, path: str, document: Document) -> None:
        if path.startswith("calls/"):
            self._changed.add(path)
        self._tx.put(path, document)


def test_a_call_s_entry_expires_thirty_days_after_its_beginning_whatever_happens_in_it(store: Store) -> None:
    async def story() -> None:
        calls: list[Call] = []

        async def loses_the_line_and_hangs_up(phone: Handset) -> None:
            await phone.listen(300)
            calls[0].streams[-1].abort()
            await phone.hears(0.1)
            phone.hang_up()

        async with store() as documents, desk(watched := Watched(documents)) as here:
            call = await here.carrier.call(
                "+15005550001", caller=loses_the_line_and_hangs_up, watch=lambda call, note: calls.append(call)
            )
            assert len(call.streams) == 2
            entries = watched.entries
            written = {
                "taken": any(entry["claimed"] == 0 for entry in entries),
                "claimed": any(entry["claimed"] == 1 for entry in entries),
                "opened again": any(entry["stream"] == 2 for entry in entries),
                "the stream's error": any(entry["stream_error"] for entry in entries),
                "over": entries[-1]["stage"] == "over",
            }
            assert all(written.values()), written
            for entry in entries:
                assert expiry_of(entry) == datetime.fromisoformat(entry["created_at"]) + timedelta(days=30)

    asyncio.run(story())


@pytest.mark.parametrize("changes", [{}, {"expires_at": "2026-12-31T00:00:00Z"}])
def test_an_entry_from_before_gets_an_expiry_when_it_is_next_written(changes: dict[str, Any]) -> None:
    stored = {"organisation": "o", "conversation": "c", "agent": "a", "number": "", "caller": ""}
    stored |= {"created_at": "2026-11-21T14:00:00Z", **changes}
    again = CallEntry.model_validate(stored).model_dump(mode="json")
    assert again["expires_at"] == changes.get("expires_at", "2026-12-21T14:00:00Z")
