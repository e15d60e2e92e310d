"""Every query that the code makes has its index in Firestore, which its emulator wouldn't mind lacking."""

import ast
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from adapters.gemini_embeddings import DIMENSIONS
from domain import past
from domain.ports import Event, Page, Ports, Where
from functions import webhooks
from functions.admin.app import app as admin_api
from functions.analyse import turns_of
from functions.appointment_messages import CANCELLED, appointment_cancelled
from functions.knowledge import documents_of
from offhook.bench.agent import ORGANISATION as BENCH
from offhook.bench.waterfall import turns_taken
from offhook.doctor import live_agents
from offhook.messages import latest_messages
from offhook.seed import AGENTS, ORGANISATION, seed
from schemas.organisation import Organisation
from schemas.settings import DEVELOPMENT_AUTH_TOKEN
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import paper_ports

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("domain", "functions", "media_service", "offhook")
BOOK = ROOT / "adapters/appointment_book.py"
"""It speaks to the same port as the rooms do."""
DECLARED = json.loads((ROOT / "infra/firestore.indexes.json").read_text())
CONVERSATION = f"organisations/{ORGANISATION}/conversations/cnv_1"
SID = "CA" + "1" * 32


class Query(NamedTuple):
    collection: str
    """The last segment of its path, by which indexes are declared."""
    equal: frozenset[str]
    """Fields that it compares with ==."""
    ranged: frozenset[str]
    """Fields that it compares otherwise."""
    order: str


class Site(NamedTuple):
    file: str
    function: str


class RecordingDocuments(MemoryDocuments):
    def __init__(self) -> None:
        super().__init__()
        self.made: set[tuple[Query, Site]] = set()

    async def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        asking = sys._getframe(1).f_code
        site = Site(Path(asking.co_filename).relative_to(ROOT).as_posix(), asking.co_name)
        equal = frozenset(each.field for each in where if each.op == "==")
        ranged = frozenset(each.field for each in where if each.op != "==")
        self.made.add((Query(collection.rpartition("/")[2], equal, ranged, order), site))
        return await super().query(collection, where, order, limit, cursor)


def query_sites() -> Iterator[Site]:
    """Where the code queries its documents."""
    for file in (BOOK, *chain.from_iterable((ROOT / room).rglob("*.py") for room in ROOMS)):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.AsyncFunctionDef):
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                if any(isinstance(call, ast.Attribute) and call.attr == "query" for call in calls):
                    yield Site(file.relative_to(ROOT).as_posix(), function.name)


@pytest.fixture(scope="module")
def made() -> set[tuple[Query, Site]]:
    """Each query of the code, made once in each of its forms."""
    documents = RecordingDocuments()
    ports = paper_ports(documents=documents)

    async def get_ports() -> Ports:
        return ports

    async def ask_within() -> None:
        await seed(ports)
        await past.read(documents, CONVERSATION)
        assert [turn async for turn in turns_of(ports, CONVERSATION)] == []
        assert [document async for document in documents_of(ports, ORGANISATION)] == []
        assert {agent.id async for agent, _ in live_agents(documents)} == {*AGENTS}
        demo = Organisation.model_validate(documents.kept[f"organisations/{ORGANISATION}"])
        await ports.calendars.offer(demo, "main", date(2026, 11, 24), date(2026, 11, 24))
        await ports.calendars.upcoming(demo, "+15005550100", "cnv_1")
        documents.kept[f"organisations/{BENCH}/conversations/cnv_1"] = {}
        assert await turns_taken(documents) == []
        for state in ("", "sent"):
            assert await latest_messages(documents, ORGANISATION, state, 20) == []
        gone = {"organisation": ORGANISATION, "appointment": "apt_1"}
        await appointment_cancelled(ports, Event("1", CANCELLED, gone))

    asyncio.run(ask_within())
    documents.kept[CONVERSATION] = {
        "id": "cnv_1",
        "organisation": ORGANISATION,
        "agent": "agt_demo_booking",
        "version": 1,
        "channel": "phone",
        "started_at": "2026-11-21T14:00:00Z",
    }
    with TestClient(admin_api(get_ports)) as client:
        for path, filters in lists(client):
            for some in chain.from_iterable(combinations(filters, n) for n in range(len(filters) + 1)):
                answer = client.get(path, params=dict.fromkeys(some, "x"), headers={"Authorization": "Bearer owner"})
                assert answer.status_code == 200, answer.text
    with TestClient(webhooks.app(get_ports), base_url="http://127.0.0.1:8080") as client:
        call = {"CallSid": SID, "From": "+15005550100", "To": "+15005550001", "CallStatus": "ringing"}
        url = "http://127.0.0.1:8080/twilio/voice"
        signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(url, call)
        answer = client.post(url, data=call, headers={"X-Twilio-Signature": signature})
        assert "<Stream" in answer.text
    return documents.made


def lists(client: TestClient) -> Iterator[tuple[str, list[str]]]:
    """The API's lists, each with the names of its filters."""
    for path, methods in client.get("/api/v1/openapi.json").json()["paths"].items():
        names = [each["name"] for each in methods.get("get", {}).get("parameters", ()) if each["in"] == "query"]
        if "cursor" in names:
            yield path.replace("{id}", "cnv_1"), [name for name in names if name not in ("cursor", "limit")]


def test_each_place_that_queries_was_asked(made: set[tuple[Query, Site]]) -> None:
    assert {site for _, site in made} == set(query_sites())


def needs(query: Query) -> set[tuple[str, str]]:
    """What else than Firestore's own indexes of single fields the query needs: for each field that it compares, an
    index of that field, and then of the field to sort by (with its direction). Firestore merges them."""
    sorted_by = query.order or next(iter(query.ranged), "")
    return {(field, sorted_by) for field in query.equal if sorted_by and field != sorted_by.removeprefix("-")}


def is_of_vectors(index: Any) -> bool:
    return any("vectorConfig" in field for field in index["fields"])


def indexes(collection: str) -> set[tuple[str, str]]:
    found = set()
    for index in DECLARED["indexes"]:
        if index["collectionGroup"] == collection and not is_of_vectors(index):
            assert index["queryScope"] == "COLLECTION"
            first, last = index["fields"]
            direction = "-" if last["order"] == "DESCENDING" else ""
            found.add((first["fieldPath"], f"{direction}{last['fieldPath']}"))
    return found


def test_every_query_has_its_indexes(made: set[tuple[Query, Site]]) -> None:
    for query, site in made:
        assert needs(query) <= indexes(query.collection), f"{site} needs {needs(query) - indexes(query.collection)}"


def test_no_query_reads_what_it_passes_over(made: set[tuple[Query, Site]]) -> None:
    """What is compared with < or > is what is sorted by."""
    for query, site in made:
        assert query.ranged <= {query.order.removeprefix("-")}, site


def test_no_query_searches_a_field_without_index(made: set[tuple[Query, Site]]) -> None:
    without = {(each["collectionGroup"], each["fieldPath"]) for each in DECLARED["fieldOverrides"]}
    for query, site in made:
        for field in {*query.equal, *query.ranged, query.order.removeprefix("-")}:
            assert (query.collection, field) not in without, site


def test_no_index_is_for_nothing(made: set[tuple[Query, Site]]) -> None:
    needed = {(query.collection, *need) for query, _ in made for need in needs(query)}
    declared = {
        (each["collectionGroup"], *index) for each in DECLARED["indexes"] for index in indexes(each["collectionGroup"])
    }
    assert declared == needed


def test_passages_are_found_among_all_documents_and_among_some() -> None:
    vector = {"fieldPath": "vector", "vectorConfig": {"dimension": DIMENSIONS, "flat": {}}}
    some = {"fieldPath": "document", "order": "ASCENDING"}
    declared = [each for each in DECLARED["indexes"] if is_of_vectors(each)]
    assert all((each["collectionGroup"], each["queryScope"]) == ("passages", "COLLECTION") for each in declared)
    assert [each["fields"] for each in declared] == [[vector], [some, vector]]


def test_what_the_callers_said_can_expire() -> None:
    expiring = {each["collectionGroup"] for each in DECLARED["fieldOverrides"] if each.get("ttl")}
    assert expiring == {"calls", "conversations", "effects", "journal", "messages", "taken", "turns"}
    for each in DECLARED["fieldOverrides"]:
        # Times that only grow, indexed, hold a collection to 500 writes a second.
        assert each["indexes"] == []
        assert not each.get("ttl") or each["fieldPath"] == "_expires_at"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query("c", frozenset(), frozenset(), ""), set()),
        (Query("c", frozenset("ab"), frozenset(), ""), set()),
        (Query("c", frozenset(), frozenset(), "-t"), set()),
        (Query("c", frozenset("a"), frozenset(), "-t"), {("a", "-t")}),
        (Query("c", frozenset("ab"), frozenset("t"), "t"), {("a", "t"), ("b", "t")}),
        (Query("c", frozenset("t"), frozenset(), "t"), set()),
    ],
)
def test_needs(query: Query, expected: Any) -> None:
    assert needs(query) == expected
