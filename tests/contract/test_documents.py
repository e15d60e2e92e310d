"""What every store of documents does. An adapter joins by its line in ADAPTERS."""

import asyncio
import operator
import re
import socket
import sqlite3
import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport
from grpc.aio import insecure_channel
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.firestore_documents import FirestoreDocuments
from adapters.sqlite_documents import SqliteDocuments
from domain.ports import Document, Documents, Found, Taken, Transaction, Unavailable, Where
from schemas.ids import new_id
from tests.fakes.grpc_proxy import proxy
from tests.fakes.hand_set_clock import HandSetClock
from tests.fakes.memory_documents import MemoryDocuments

Open = Callable[[Path], AbstractAsyncContextManager[Documents]]
"""Opens the store that belongs to a folder; opened again, it holds what it held."""


@cache
def memory(folder: Path) -> MemoryDocuments:
    return MemoryDocuments()


@cache
def project(folder: Path) -> str:
    """A Google Cloud project, which the emulator keeps apart from others."""
    return new_id("project").replace("_", "-")


ADAPTERS: dict[str, Open] = {
    "sqlite": lambda folder: SqliteDocuments(folder / "documents.db"),
    "memory": lambda folder: nullcontext(memory(folder)),
    "firestore": lambda folder: FirestoreDocuments(
        project(folder), endpoint=emulators["firestore"], insecure=True, timeout_s=PATIENCE_S
    ),
}
PATIENCE_S = 60.0
"""With an emulator on a busy machine."""
emulators: dict[str, str] = {}
"""Their host:port, once they run."""
durable = pytest.mark.parametrize("store", ["sqlite", "firestore"], indirect=True)
"""A store that keeps documents beyond its process."""
optimistic = pytest.mark.parametrize("store", ["sqlite", "memory", "firestore"], indirect=True)
"""A store that locks what a transaction read would wait forever when its body writes the same around it."""

Store = Callable[[], AbstractAsyncContextManager[Documents]]
"""Opens the store of this test."""


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    start_emulator(request)
    return lambda: ADAPTERS[request.param](tmp_path)


def start_emulator(request: pytest.FixtureRequest) -> None:
    if request.param == "firestore":
        emulators["firestore"] = request.getfixturevalue("firestore_emulator")


async def walk(documents: Documents, collection: str, **query: Any) -> list[Found]:
    """All that a query finds, page by page."""
    found: list[Found] = []
    cursor = None
    while True:
        page = await documents.query(collection, cursor=cursor, **query)
        found += page.found
        if (cursor := page.next_cursor) is None:
            return found


def ids(found: Sequence[Found]) -> list[str]:
    return [each.path.rpartition("/")[2] for each in found]


# --- Single documents ------------------------------------------------------------------------------------------------


def test_a_document_comes_back_as_it_was(store: Store) -> None:
    whole = {"text": "grüß dich ☎", "n": 3, "x": 0.25, "yes": True, "none": None, "list": [1, {"a": []}], "": {}}

    async def story() -> None:
        async with store() as documents:
            await documents.create("agents/a", whole)
            assert await documents.get("agents/a") == whole

    asyncio.run(story())


def test_what_does_not_exist_is_none(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            assert await documents.get("agents/a") is None
            await documents.delete("agents/a")
            await documents.put("agents/a/versions/1", {})
            assert await documents.get("agents/a") is None

    asyncio.run(story())


def test_put_replaces_the_whole_document(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            await documents.put("agents/a", {"name": "Ada", "voice": "bass"})
            await documents.put("agents/a", {"name": "Bea"})
            assert await documents.get("agents/a") == {"name": "Bea"}

    asyncio.run(story())


def test_what_is_taken_stays_and_can_be_created_again_once_deleted(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            await documents.create("agents/a", {"n": 1})
            with pytest.raises(Taken, match=r"^agents/a$"):
                await documents.create("agents/a", {"n": 2})
            assert await documents.get("agents/a") == {"n": 1}
            await documents.delete("agents/a")
            await documents.create("agents/a", {"n": 3})
            assert await documents.get("agents/a") == {"n": 3}

    asyncio.run(story())


def test_one_of_many_creators_wins(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            creations = [documents.create("calls/CA1", {"by": n}) for n in range(20)]
            outcomes = await asyncio.gather(*creations, return_exceptions=True)
            [winner] = [n for n, outcome in enumerate(outcomes) if outcome is None]
            assert [type(outcome) for outcome in outcomes if outcome is not None] == [Taken] * 19
            assert await documents.get("calls/CA1") == {"by": winner}

    asyncio.run(story())


@pytest.mark.parametrize("path", ["", "agents", "agents/a/versions", "/a", "agents/", "agents//versions/1"])
def test_a_malformed_path_is_refused(store: Store, path: str) -> None:
    async def read(transaction: Transaction) -> None:
        await transaction.get(path)

    async def write(transaction: Transaction) -> None:
        transaction.put(path, {})

    async def story() -> None:
        async with store() as documents:
            with pytest.raises(ValueError, match="path"):
                await documents.get(path)
            with pytest.raises(ValueError, match="path"):
                await documents.create(path, {})
            with pytest.raises(ValueError, match="path"):
                await documents.put(path, {})
            with pytest.raises(ValueError, match="path"):
                await documents.delete(path)
            with pytest.raises(ValueError, match="path"):
                await documents.transact(read)
            with pytest.raises(ValueError, match="path"):
                await documents.transact(write)

    asyncio.run(story())


def test_what_is_kept_is_nobody_else_s(store: Store) -> None:
    def spoil(document: Document | None) -> None:
        assert document == {"list": [1]}
        document["list"].append(2)

    async def story() -> None:
        async with store() as documents:
            document: Document = {"list": [1]}

            async def write(transaction: Transaction) -> None:
                spoil(await transaction.get("agents/a"))
                spoil(await transaction.get("agents/a"))
                transaction.put("agents/c", document)
                spoil(document)

            for writing in (documents.create("agents/a", document), documents.put("agents/b", document)):
                await writing
                spoil(document)
                document["list"].pop()
            await documents.transact(write)
            for found in (await documents.query("agents")).found:
                spoil(found.document)
            for id in "abc":
                spoil(await documents.get(f"agents/{id}"))
                assert await documents.get(f"agents/{id}") == {"list": [1]}

    asyncio.run(story())


@pytest.mark.parametrize("value", [datetime(2026, 11, 21), {1: 2}, {"set"}, b"bytes", 2**64, "\ud800"], ids=repr)
def test_what_is_no_json_is_refused(store: Store, value: Any) -> None:
    async def story() -> None:
        async with store() as documents:
            with pytest.raises(TypeError):
                await documents.put("agents/a", {"value": value})
            assert await documents.get("agents/a") is None

    asyncio.run(story())


@pytest.mark.parametrize("expiry", ["2026-12-31T23:59:59Z", "2099-01-01T00:00:00.25+02:00", None])
def test_a_document_that_expires_comes_back_as_it_was(store: Store, expiry: str | None) -> None:
    async def story() -> None:
        async with store() as documents:
            for path in ("turns/a", "turns/b"):
                await documents.put(path, {"expires_at": expiry, "text": "hello"})
            assert await documents.get("turns/a") == {"expires_at": expiry, "text": "hello"}
            page = await documents.query("turns", [Where("expires_at", "==", expiry)], order="expires_at", limit=1)
            assert page.found[0].document == {"expires_at": expiry, "text": "hello"}

    asyncio.run(story())


@pytest.mark.parametrize(
    "expiry", ["", "tomorrow", "2026-12-31", "2026-12-31T23:59:59", "2026-13-31T00:00:00Z", 1798761599, {}]
)
def test_an_expiry_that_is_no_time_is_refused(store: Store, expiry: Any) -> None:
    async def write(transaction: Transaction) -> None:
        transaction.put("turns/a", {"expires_at": expiry})

    async def story() -> None:
        async with store() as documents:
            for writing in (documents.create, documents.put):
                with pytest.raises(ValueError, match="expires_at"):
                    await writing("turns/a", {"expires_at": expiry})
            with pytest.raises(ValueError, match="expires_at"):
                await documents.transact(write)
            assert await documents.get("turns/a") is None

    asyncio.run(story())


def test_whatever_is_json_comes_back_as_it_was(store: Store) -> None:
    deep: Any = "the bottom"
    for level in range(30):
        deep = [deep] if level % 3 else {"next": deep}
    whole = {
        "lists": [[1, [2, []]], [{"in": [["both"]]}]],
        "names": {"": 1, "__name__": 2, "a.b": 3, "a`b\\": 4, "x/y": 5, "☎" * 600: 6},
        "deep": deep,
        "long": 2**63,
        "": 1,
        "__id__": [],
        "_expires_at": "mine",
        "_unnamed": {"mine": True},
        "a.b": None,
    }

    async def story() -> None:
        async with store() as documents:
            await documents.put("agents/a", whole)
            assert await documents.get("agents/a") == whole

    asyncio.run(story())


@durable
def test_documents_survive_a_restart(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            await documents.create("agents/a", {"n": 1})
        async with store() as documents:
            assert await documents.get("agents/a") == {"n": 1}

    asyncio.run(story())


def test_a_cancelled_write_leaves_the_store_usable(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            for turns in range(8):  # of the loop, before the cancellation
                write = asyncio.create_task(documents.put("agents/a", {"turns": turns}))
                for _ in range(turns):
                    await asyncio.sleep(0)
                write.cancel()
                await asyncio.wait([write])
                await documents.put("agents/b", {"turns": turns})
                assert await documents.get("agents/b") == {"turns": turns}
                assert (await documents.get("agents/a") or {"turns": 0})["turns"] <= turns

    asyncio.run(story())


# --- Queries ---------------------------------------------------------------------------------------------------------

APPOINTMENTS = {
    "1": {"at": "2026-11-21T09:00", "guests": 2, "paid": True, "note": None},
    "2": {"at": "2026-11-21T08:00", "guests": 10, "paid": False, "note": "window"},
    "3": {"at": "2026-11-20T10:00", "guests": 1.5, "paid": True},
    "4": {"guests": 2, "paid": 1, "note": ""},
}


async def book_all(documents: Documents) -> None:
    for id, appointment in APPOINTMENTS.items():
        await documents.put(f"shops/s/appointments/{id}", appointment)
    await documents.put("shops/t/appointments/5", APPOINTMENTS["1"])
    await documents.put("shops/s/appointments/1/notes/6", APPOINTMENTS["1"])
    await documents.put("shops/s", APPOINTMENTS["1"])


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([], "1234"),
        ([Where("guests", "==", 2)], "14"),
        ([Where("guests", "==", 2.0)], "14"),
        ([Where("guests", "<", 2)], "3"),
        ([Where("guests", "<=", 2)], "134"),
        ([Where("guests", ">", 2)], "2"),
        ([Where("guests", ">=", 2), Where("paid", "==", True)], "1"),
        ([Where("guests", "==", "2")], ""),
        ([Where("at", ">=", "2026-11-21"), Where("at", "<", "2026-11-21T09")], "2"),
        ([Where("paid", "==", True)], "13"),
        ([Where("paid", "==", 1)], "4"),
        ([Where("paid", "<", True)], "2"),
        ([Where("note", "==", None)], "1"),
        ([Where("note", ">=", "")], "24"),
        ([Where("nowhere", "==", None)], ""),
    ],
)
def test_a_query_finds_what_meets_all_conditions(store: Store, where: list[Where], found: str) -> None:
    async def story() -> None:
        async with store() as documents:
            await book_all(documents)
            page = await documents.query("shops/s/appointments", where)
            assert list(page.found) == [Found(f"shops/s/appointments/{id}", APPOINTMENTS[id]) for id in found]
            assert page.next_cursor is None

    asyncio.run(story())


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("at", "321"),  # without the field: not found
        ("-at", "123"),
        ("guests", "3142"),  # by number, not by digit; ties by id
        ("-guests", "2413"),  # a descending order's ties descend as well
        ("paid", "2134"),  # booleans before numbers
        ("note", "142"),  # null before text
        ("nowhere", ""),
    ],
)
def test_a_query_sorts(store: Store, order: str, found: str) -> None:
    async def story() -> None:
        async with store() as documents:
            await book_all(documents)
            for limit in (1, 2, 4, 100):
                assert "".join(ids(await walk(documents, "shops/s/appointments", order=order, limit=limit))) == found

    asyncio.run(story())


@pytest.mark.parametrize("order", ["", "n", "-n"])
def test_cursors_walk_everything_once_while_documents_are_added(store: Store, order: str) -> None:
    async def story() -> None:
        async with store() as documents:
            old = [f"{n:03}" for n in range(0, 100, 5)]
            for id in old:
                await documents.create(f"items/{id}", {"n": int(id) // 20})
            walked: list[str] = []
            cursor = None
            for new in range(1, 100, 3):
                page = await documents.query("items", order=order, limit=3, cursor=cursor)
                walked += ids(page.found)
                if (cursor := page.next_cursor) is None:
                    break
                await documents.create(f"items/{new:03}-", {"n": new // 20})
            assert cursor is None
            assert len(walked) == len(set(walked))
            assert set(old) <= set(walked)

    asyncio.run(story())


def test_a_cursor_is_safe_in_a_url_and_survives_a_restart(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            for n in range(1, 7):
                await documents.create(f"items/{'>?' * n}", {})
        cursor, walked = None, []
        for _ in range(6):
            async with store() as documents:
                page = await documents.query("items", limit=1, cursor=cursor)
            walked += ids(page.found)
            cursor = page.next_cursor
            assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor or "the-end")
        assert cursor is None
        assert sorted(walked) == [">?" * n for n in range(1, 7)]

    asyncio.run(story())


def test_a_foreign_cursor_is_refused(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            for collection in ("items", "others"):
                for n in range(3):
                    await documents.create(f"{collection}/{n}", {"n": n})
            own = (await documents.query("items", order="n", limit=1)).next_cursor
            assert own
            foreign = [
                (await documents.query("others", order="n", limit=1)).next_cursor,
                (await documents.query("items", order="-n", limit=1)).next_cursor,
                (await documents.query("items", limit=1)).next_cursor,
                (await documents.query("items", [Where("n", ">=", 0)], order="n", limit=1)).next_cursor,
            ]
            for cursor in (*foreign, own[:-3], "x" + own, "", "0", "bnVsbA", "e30", "ü", "' OR 1 --"):
                with pytest.raises(ValueError, match="cursor"):
                    await documents.query("items", order="n", cursor=cursor)

    asyncio.run(story())


@pytest.mark.parametrize(
    "query",
    [
        {"collection": "shops/s"},
        {"collection": ""},
        {"collection": "shops//appointments"},
        {"where": [Where("a b", "==", 1)]},
        {"where": [Where("n') OR ('1' = '1", "==", 1)]},
        {"where": [Where("n", "LIKE", "%")]},  # type: ignore[arg-type]
        {"where": [Where("n", ">", None)]},
        {"where": [Where("n", "==", 2**63)]},
        {"where": [Where("n", "==", [1])]},  # type: ignore[arg-type]
        {"order": "-"},
        {"order": "n; DROP TABLE documents"},
        {"order": "n\n"},
        {"order": "größe"},
        {"limit": 0},
        {"limit": -1},
    ],
    ids=str,
)
def test_a_malformed_query_is_refused(store: Store, query: dict[str, Any]) -> None:
    async def story() -> None:
        async with store() as documents:
            await documents.put("items/1", {"n": 1})
            with pytest.raises(ValueError, match=r"."):
                await documents.query(**{"collection": "items", **query})
            assert len((await documents.query("items")).found) == 1

    asyncio.run(story())


# --- Transactions ----------------------------------------------------------------------------------------------------


async def increment(transaction: Transaction) -> int:
    count: int = (await transaction.get("counters/c") or {"n": 0})["n"] + 1
    await asyncio.sleep(0)
    transaction.put("counters/c", {"n": count})
    return count


def test_a_transaction_returns_what_its_body_returns(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            assert await documents.transact(increment) == 1
            assert await documents.transact(increment) == 2
            assert await documents.get("counters/c") == {"n": 2}

    asyncio.run(story())


def test_no_update_is_lost_among_fifty(store: Store) -> None:
    async def story() -> None:
        async with store() as documents, store() as of_another_process:
            await asyncio.gather(
                *(documents.transact(increment) for _ in range(25)),
                *(of_another_process.transact(increment) for _ in range(25)),
            )
            assert await documents.get("counters/c") == {"n": 50}

    asyncio.run(story())


def test_an_exception_writes_nothing_and_passes_through(store: Store) -> None:
    async def overdraw(transaction: Transaction) -> None:
        await transaction.get("ledger/l")
        transaction.put("ledger/l", {"credit": -5})
        raise LookupError("no credit left")

    async def story() -> None:
        async with store() as documents:
            await documents.put("ledger/l", {"credit": 0})
            with pytest.raises(LookupError, match="no credit left"):
                await documents.transact(overdraw)
            assert await documents.get("ledger/l") == {"credit": 0}

    asyncio.run(story())


def test_what_is_taken_undoes_the_whole_transaction(store: Store) -> None:
    async def take(transaction: Transaction) -> None:
        transaction.put("numbers/1", {"agent": "b"})
        transaction.delete("numbers/2")
        transaction.create("numbers/3", {"agent": "b"})

    async def story() -> None:
        async with store() as documents:
            await documents.put("numbers/2", {"agent": "a"})
            await documents.put("numbers/3", {"agent": "a"})
            with pytest.raises(Taken, match=r"^numbers/3$"):
                await documents.transact(take)
            assert ids((await documents.query("numbers")).found) == ["2", "3"]
            assert await documents.get("numbers/3") == {"agent": "a"}
            await documents.delete("numbers/3")
            await documents.transact(take)
            assert ids((await documents.query("numbers")).found) == ["1", "3"]

    asyncio.run(story())


def test_writes_to_one_document_happen_in_their_order(store: Store) -> None:
    def writing(*steps: tuple[str, str]) -> Callable[[Transaction], Awaitable[None]]:
        async def body(transaction: Transaction) -> None:
            for step, path in steps:
                if step == "delete":
                    transaction.delete(path)
                else:
                    getattr(transaction, step)(path, {"by": step})

        return body

    async def story() -> None:
        async with store() as documents:
            await documents.transact(writing(("create", "items/a"), ("put", "items/a"), ("put", "items/b")))
            assert await documents.get("items/a") == {"by": "put"}
            await documents.transact(writing(("delete", "items/a"), ("create", "items/a")))
            assert await documents.get("items/a") == {"by": "create"}
            await documents.transact(writing(("create", "items/c"), ("delete", "items/c")))
            assert ids((await documents.query("items")).found) == ["a", "b"]
            for steps in ((("put", "items/d"), ("create", "items/d")), (("create", "items/a"), ("delete", "items/a"))):
                with pytest.raises(Taken, match=steps[1][1]):
                    await documents.transact(writing(*steps))
            assert ids((await documents.query("items")).found) == ["a", "b"]

    asyncio.run(story())


def test_a_transaction_reads_before_it_writes(store: Store) -> None:
    async def read_late(transaction: Transaction) -> None:
        transaction.put("agents/a", {})
        await transaction.get("agents/b")

    async def story() -> None:
        async with store() as documents:
            with pytest.raises(RuntimeError, match="reads before"):
                await documents.transact(read_late)
            assert await documents.get("agents/a") is None

    asyncio.run(story())


def test_a_cancelled_transaction_happens_whole_or_not_at_all(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            for turns in range(8):

                async def both(transaction: Transaction, turns: int = turns) -> None:
                    await transaction.get("pairs/left")
                    transaction.put("pairs/left", {"turns": turns})
                    transaction.put("pairs/right", {"turns": turns})

                transaction = asyncio.create_task(documents.transact(both))
                for _ in range(turns):
                    await asyncio.sleep(0)
                transaction.cancel()
                await asyncio.wait([transaction])
                assert await documents.get("pairs/left") == await documents.get("pairs/right")
            await documents.transact(both)
            assert await documents.get("pairs/right") == {"turns": 7}

    asyncio.run(story())


@optimistic
def test_a_body_is_run_again_when_somebody_wrote_what_it_read(store: Store) -> None:
    async def story(before: Document | None) -> None:
        async with store() as documents:
            if before is None:
                await documents.delete("agents/a")
            else:
                await documents.put("agents/a", before)
            read: list[Document | None] = []

            async def body(transaction: Transaction) -> None:
                read.append(await transaction.get("agents/a"))
                if len(read) == 1:
                    await documents.put("agents/a", {"by": "somebody"})
                transaction.put("agents/a", {"by": "body"})

            await documents.transact(body)
            assert read == [before, {"by": "somebody"}]
            assert await documents.get("agents/a") == {"by": "body"}

    asyncio.run(story({"by": "before"}))
    asyncio.run(story(None))


@optimistic
def test_a_body_that_failed_over_a_torn_read_is_run_again(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            runs = 0

            async def same_on_both_sides(transaction: Transaction) -> None:
                nonlocal runs
                runs += 1
                left = await transaction.get("pairs/left")
                if runs == 1:
                    await documents.put("pairs/left", {"n": 2})
                    await documents.put("pairs/right", {"n": 2})
                assert left == await transaction.get("pairs/right")

            await documents.put("pairs/left", {"n": 1})
            await documents.put("pairs/right", {"n": 1})
            await documents.transact(same_on_both_sides)
            assert runs == 2

    asyncio.run(story())


@optimistic
def test_a_transaction_that_reads_twice_reads_the_same(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            read: list[Document | None] = []

            async def body(transaction: Transaction) -> None:
                read.append(await transaction.get("agents/a"))
                await documents.put("agents/a", {"n": 2})
                read.append(await transaction.get("agents/a"))

            await documents.put("agents/a", {"n": 1})
            await documents.transact(body)
            assert read == [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 2}]

    asyncio.run(story())


@optimistic
def test_a_transaction_that_is_always_overtaken_gives_up(store: Store) -> None:
    async def story() -> None:
        async with store() as documents:
            runs = 0

            async def slow(transaction: Transaction) -> None:
                nonlocal runs
                runs += 1
                await transaction.get("agents/a")
                await documents.put("agents/a", {"runs": runs})
                transaction.put("agents/a", {})

            with pytest.raises(Unavailable, match="overtaken"):
                await documents.transact(slow)
            assert await documents.get("agents/a") == {"runs": runs}

    asyncio.run(story())


# --- Against a model -------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "ab", "é", "Z", "10", "9"])
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3) | st.sampled_from([10**15, -(2**63), 2**63 - 1]),
    st.integers(-9, 9).map(lambda n: n / 4),
    st.text("aZ9é'\"☎", max_size=3),
)
fields = st.sampled_from(["x", "y"])
writes = st.tuples(st.sampled_from(["put", "create", "delete"]), names, st.dictionaries(fields, values, max_size=2))
conditions = st.builds(Where, fields, st.sampled_from(["==", "<", "<=", ">", ">="]), values).filter(
    lambda where: where.op == "==" or where.value is not None
)
queries = st.fixed_dictionaries(
    {
        "where": st.lists(conditions, max_size=2),
        "order": st.sampled_from(["", "x", "-x", "y", "-y"]),
        "limit": st.integers(1, 4),
    }
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def ranked(value: Any) -> tuple[int, Any]:
    """Firestore's order of values: by type first."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (3, value) if isinstance(value, str) else (2, value)


def meets(document: Document, where: Where) -> bool:
    if where.field not in document:
        return False
    (rank, value), (wanted_rank, wanted) = ranked(document[where.field]), ranked(where.value)
    return rank == wanted_rank and COMPARE[where.op](value, wanted)


def modelled(model: dict[str, Document], where: list[Where], order: str, limit: int) -> list[str]:
    field = order.removeprefix("-")
    found = [
        (*(ranked(document[field]) if field else ()), id)
        for id, document in model.items()
        if all(meets(document, each) for each in where) and (not field or field in document)
    ]
    return [key[-1] for key in sorted(found, reverse=order.startswith("-"))]


@pytest.fixture(scope="module", params=ADAPTERS)
def store_of_examples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    start_emulator(request)
    folder = tmp_path_factory.mktemp("examples")
    return lambda: ADAPTERS[request.param](folder)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(writes, min_size=3, max_size=10), asked=st.lists(queries, min_size=1, max_size=4))
def test_it_behaves_like_a_dict(store_of_examples: Store, steps: list[Any], asked: list[dict[str, Any]]) -> None:
    async def story(documents: Documents, items: str) -> None:
        model: dict[str, Document] = {}
        for what, id, document in steps:
            if what == "delete":
                model.pop(id, None)
                await documents.delete(f"{items}/{id}")
            elif what == "put":
                model[id] = document
                await documents.put(f"{items}/{id}", document)
            elif id in model:
                with pytest.raises(Taken):
                    await documents.create(f"{items}/{id}", document)
            else:
                model[id] = document
                await documents.create(f"{items}/{id}", document)
        for id, document in model.items():
            assert await documents.get(f"{items}/{id}") == document
        for query in asked:
            found = await walk(documents, items, **query)
            assert ids(found) == modelled(model, **query)
            assert all(model[id] == each.document for id, each in zip(ids(found), found, strict=True))

    async def with_store() -> None:
        async with store_of_examples() as documents:
            await story(documents, f"examples/{new_id('xmp')}/items")

    asyncio.run(with_store())


# --- Firestore's own -------------------------------------------------------------------------------------------------


def firestore(endpoint: str, *, timeout_s: float = PATIENCE_S) -> FirestoreDocuments:
    return FirestoreDocuments("offhook", endpoint=endpoint, insecure=True, timeout_s=timeout_s)


def test_an_expiry_is_a_timestamp_beside_the_text(firestore_emulator: str) -> None:
    async def story() -> None:
        async with firestore(firestore_emulator) as documents, insecure_channel(firestore_emulator) as channel:
            await documents.put("turns/a", {"expires_at": "2099-01-01T00:00:00+02:00"})
            api = FirestoreAsyncClient(transport=FirestoreGrpcAsyncIOTransport(channel=channel))
            kept = await api.get_document({"name": "projects/offhook/databases/(default)/documents/turns/a"})
            assert kept.fields["expires_at"].string_value == "2099-01-01T00:00:00+02:00"
            assert kept.fields["_expires_at"].timestamp_value == datetime(2098, 12, 31, 22, tzinfo=UTC)
            await documents.put("turns/a", {})
            kept = await api.get_document({"name": "projects/offhook/databases/(default)/documents/turns/a"})
            assert not kept.fields

    asyncio.run(story())


def test_a_document_beyond_a_mebibyte_is_refused(firestore_emulator: str) -> None:
    async def write(transaction: Transaction) -> None:
        transaction.put("turns/small", {})
        transaction.put("turns/large", {"text": "x" * 2**20})

    async def story() -> None:
        async with firestore(firestore_emulator) as documents:
            for writing in (documents.put("turns/large", {"text": "x" * 2**20}), documents.transact(write)):
                with pytest.raises(ValueError, match=r"Firestore refuses it: .*longer"):
                    await writing
            assert await documents.get("turns/small") is None

    asyncio.run(story())


def test_the_environment_s_emulator_is_none_of_its_business(
    firestore_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")

    async def story() -> None:
        async with firestore(firestore_emulator) as documents:
            await documents.check()

    asyncio.run(story())


async def each_request(documents: Documents) -> list[BaseException | Any]:
    requests = [
        documents.get("agents/a"),
        documents.put("agents/a", {}),
        documents.create("agents/b", {}),
        documents.delete("agents/a"),
        documents.query("agents"),
        documents.transact(increment),
    ]
    return await asyncio.gather(*requests, return_exceptions=True)


def test_a_firestore_that_can_t_be_reached_is_unavailable() -> None:
    async def story() -> None:
        async with firestore("127.0.0.1:1", timeout_s=0.2) as documents:
            with pytest.raises(Unavailable, match=r"^Firestore could not be reached$"):
                await documents.check()
            assert {type(outcome) for outcome in await each_request(documents)} == {Unavailable}

    asyncio.run(story())


def test_a_firestore_that_hangs_is_unavailable_in_time() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:  # and never accepting
            host, port = listening.getsockname()
            async with firestore(f"{host}:{port}", timeout_s=0.2) as documents:
                with pytest.raises(Unavailable, match=r"^Firestore took more than 0\.2 s$"):
                    await documents.check()
                assert {type(outcome) for outcome in await each_request(documents)} == {Unavailable}

    asyncio.run(story())


class Losses:
    """So many answers to a method are lost."""

    def __init__(self, method: str, count: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.method, self.left, self.code = method, count, code

    def __call__(self, method: str) -> grpc.StatusCode | None:
        if method != self.method or not self.left:
            return None
        self.left -= 1
        return self.code


@pytest.mark.parametrize("method", ["BatchGetDocuments", "RunQuery", "Commit"])
def test_what_a_repetition_heals_goes_unnoticed(firestore_emulator: str, method: str) -> None:
    async def story() -> None:
        async with proxy(firestore_emulator, Losses(method, 2)) as endpoint, firestore(endpoint) as documents:
            collection = f"healed-{method}"
            await documents.put(f"{collection}/a", {"n": 1})
            assert await documents.get(f"{collection}/a") == {"n": 1}
            assert ids((await documents.query(collection)).found) == ["a"]

    asyncio.run(story())


def test_a_write_that_may_have_happened_isn_t_taken_for_somebody_else_s(firestore_emulator: str) -> None:
    async def story() -> None:
        losses = Losses("Commit", 1)
        async with proxy(firestore_emulator, losses) as endpoint, firestore(endpoint) as documents:
            with pytest.raises(Unavailable, match="lost: whether it was written is unknown"):
                await documents.create("lost/a", {"n": 1})
            assert await documents.get("lost/a") == {"n": 1}
            with pytest.raises(Taken):
                await documents.create("lost/a", {"n": 2})

    asyncio.run(story())


def test_a_transaction_whose_confirmation_was_lost_happens_once(firestore_emulator: str) -> None:
    async def count(transaction: Transaction) -> None:
        n = (await transaction.get("lost/counter") or {"n": 0})["n"]
        transaction.put("lost/counter", {"n": n + 1})

    async def story() -> None:
        losses = Losses("Commit", 0)
        async with proxy(firestore_emulator, losses) as endpoint, firestore(endpoint) as documents:
            await documents.put("lost/counter", {"n": 0})
            losses.left = 1
            with pytest.raises(Unavailable, match="unknown"):
                await documents.transact(count)
            assert await documents.get("lost/counter") == {"n": 1}
            await documents.transact(count)
            assert await documents.get("lost/counter") == {"n": 2}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "Firestore refused permission"),
        (grpc.StatusCode.NOT_FOUND, r"Firestore failed \(NOT_FOUND\)"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Firestore has no quota left"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Firestore took too long"),
    ],
)
def test_a_refusal_says_why(firestore_emulator: str, code: grpc.StatusCode, why: str) -> None:
    async def story() -> None:
        losses = Losses("BatchGetDocuments", -1, code)
        async with proxy(firestore_emulator, losses) as endpoint, firestore(endpoint, timeout_s=0.3) as documents:
            with pytest.raises(Unavailable, match=why):
                await documents.get("agents/a")

    asyncio.run(story())


def test_trying_to_write_leaves_nothing_behind(firestore_emulator: str) -> None:
    async def story() -> None:
        async with firestore(firestore_emulator) as documents:
            await documents.check_writing()
            await documents.check_writing()
            assert await walk(documents, "checks") == []

    asyncio.run(story())


def test_whoever_may_only_read_is_told_the_role_for_writing(firestore_emulator: str) -> None:
    async def story() -> None:
        denied = Losses("Commit", -1, grpc.StatusCode.PERMISSION_DENIED)
        async with proxy(firestore_emulator, denied) as endpoint, firestore(endpoint) as documents:
            await documents.check()
            with pytest.raises(
                Unavailable,
                match=r"^Firestore refused permission: grant `roles/datastore\.user` to the account that Offhook runs as$",
            ):
                await documents.check_writing()

    asyncio.run(story())


def test_a_query_without_its_index_says_so(firestore_emulator: str) -> None:
    async def story() -> None:
        losses = Losses("RunQuery", 1, grpc.StatusCode.FAILED_PRECONDITION)
        async with proxy(firestore_emulator, losses) as endpoint, firestore(endpoint) as documents:
            with pytest.raises(Unavailable, match=r"lacks the index .*: deploy infra/firestore\.indexes\.json"):
                await documents.query("agents")

    asyncio.run(story())


# --- SQLite's own ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [[], ["1", "2"], [[1]], [{}], [2**64 - 1]], ids=repr)
def test_a_forged_cursor_is_refused(tmp_path: Path, key: list[Any]) -> None:
    async def story() -> None:
        async with SqliteDocuments(tmp_path / "documents.db") as documents:
            await documents.create("items/1", {})
            await documents.create("items/2", {})
            cursor = (await documents.query("items", limit=1)).next_cursor
            assert cursor
            [mark, _] = orjson.loads(urlsafe_b64decode(cursor + "=="))
            forged = urlsafe_b64encode(orjson.dumps([mark, *key])).decode()
            with pytest.raises(ValueError, match="cursor"):
                await documents.query("items", cursor=forged)

    asyncio.run(story())


def test_what_expired_is_swept_now_and_then(tmp_path: Path) -> None:
    clock = HandSetClock()
    at = clock.now()

    def expiring(hours: float) -> Document:
        return {"expires_at": (at + timedelta(hours=hours)).astimezone(timezone(timedelta(hours=9))).isoformat()}

    async def story() -> None:
        async with SqliteDocuments(tmp_path / "documents.db", clock) as documents:
            for id, document in {"a": expiring(-1), "b": expiring(0.5), "c": expiring(9), "d": {}}.items():
                await documents.put(f"turns/{id}", document)
            assert ids((await documents.query("turns")).found) == ["b", "c", "d"]
            clock.move_on(3599)
            await documents.put("turns/d", {})
            assert ids((await documents.query("turns")).found) == ["b", "c", "d"]
            clock.move_on(1)
            await documents.put("turns/d", {})
            assert ids((await documents.query("turns")).found) == ["c", "d"]

    asyncio.run(story())


def test_closing_leaves_one_file(tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "documents.db")

    async def story() -> None:
        await asyncio.gather(*(documents.create(f"items/{n}", {}) for n in range(20)))
        await documents.close()

    asyncio.run(story())
    assert [file.name for file in tmp_path.iterdir()] == ["documents.db"]


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "documents.db").write_text("These are my documents. " * 100)
    with pytest.raises(Unavailable, match=r"documents\.db"):
        SqliteDocuments(tmp_path / "documents.db")


def test_a_locked_file_is_unavailable_and_then_available_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with SqliteDocuments(tmp_path / "documents.db", busy_s=0.05) as documents:
            with closing(sqlite3.connect(tmp_path / "documents.db", isolation_level=None)) as another:
                another.execute("BEGIN IMMEDIATE")
                with pytest.raises(Unavailable, match="locked"):
                    await documents.put("agents/a", {})
                another.execute("ROLLBACK")
            await documents.put("agents/a", {})

    asyncio.run(story())


WRITER = """
import asyncio, sys
from pathlib import Path
from adapters.firestore_documents import FirestoreDocuments
from adapters.sqlite_documents import SqliteDocuments

async def write(documents, writer):
    for n in range(10_000):
        await documents.create(f"journals/{writer}/batches/{n}", {"n": n})
        print(writer, n, flush=True)

async def main():
    async with SqliteDocuments(Path(sys.argv[1])) as documents:
        await asyncio.gather(*(write(documents, writer) for writer in range(10)))

asyncio.run(main())
"""


def test_a_write_that_returned_survives_the_death_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        returned = [process.stdout.readline() for _ in range(200)]
        process.kill()
        returned += process.stdout.read().splitlines(keepends=True)

    async def story() -> None:
        async with SqliteDocuments(path) as documents:
            for line in returned:
                if line.endswith("\n"):
                    writer, n = line.split()
                    assert await documents.get(f"journals/{writer}/batches/{n}") == {"n": int(n)}

    asyncio.run(story())


OPENER = """
import asyncio, sys
from pathlib import Path
from adapters.firestore_documents import FirestoreDocuments
from adapters.sqlite_documents import SqliteDocuments

async def main():
    sys.stdin.read()
    async with SqliteDocuments(Path(sys.argv[1])) as documents:
        await asyncio.gather(*(documents.create(f"items/{sys.argv[2]}-{n}", {}) for n in range(50)))

asyncio.run(main())
"""


def test_several_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "documents.db"
    command = [sys.executable, "-c", OPENER, str(path)]
    processes = [subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE) for n in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.close()  # off they go
    assert [process.wait(timeout=60) for process in processes] == [0] * 4

    async def story() -> None:
        async with SqliteDocuments(path) as documents:
            assert len((await documents.query("items", limit=1000)).found) == 200

    asyncio.run(story())
