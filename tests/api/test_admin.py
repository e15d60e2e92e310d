"""The admin API: one organisation's conversations and appointments, behind a key."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from domain.ports import Ports
from functions.admin.access import hash_of
from functions.admin.app import app
from offhook.seed import ORGANISATION, seed
from schemas.organisation import Organisation
from schemas.tool import ToolCall
from tests.fakes.ports import NOW, paper_ports, settings

OWNER = {"Authorization": "Bearer owner"}


class Office:
    def __init__(self) -> None:
        self.ports = paper_ports()
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        asyncio.run(seed(self.ports))

        async def get_ports() -> Ports:
            return self.ports

        self.client = TestClient(app(get_ports))
        self.kept[f"keys/{hash_of('stranger')}"] = {
            "organisation": "org_other",
            "name": "x",
            "created_at": NOW.isoformat(),
        }
        for number in range(3):
            self._converse(f"cnv_{number}", f"2026-11-21T14:0{number}:00Z")

    def _converse(self, id: str, at: str) -> None:
        path = f"organisations/{ORGANISATION}/conversations/{id}"
        self.kept[path] = {
            "id": id,
            "organisation": ORGANISATION,
            "agent": "agt_demo_booking",
            "version": 1,
            "channel": "phone",
            "call_sid": f"CA{id}",
            "state": "active",
            "started_at": at,
        }
        turns = [
            {
                "number": 0,
                "at_ms": 0,
                "node": "start",
                "agent": "Hello.",
                "replies": [{"text": "Hello.", "at_ms": 100}],
            },
            {
                "number": 1,
                "at_ms": 900,
                "node": "x",
                "caller": "hi",
                "agent": "What",
                "replies": [{"text": "What", "at_ms": 1500, "interrupted": True}],
            },
        ]
        for turn in turns:
            self.kept[f"{path}/turns/{turn['number']:06d}"] = turn

    def get(self, path: str, headers: dict[str, str] = OWNER) -> Any:
        return self.client.get(f"/api/v1{path}", headers=headers)


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    with office.client:
        yield office


@pytest.mark.parametrize(
    "path", ["/conversations", "/conversations/cnv_0", "/conversations/cnv_0/messages", "/appointments"]
)
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic b3duZXI="}, {"Authorization": "Bearer "}]
)
def test_nobody_comes_in_without_a_key(office: Office, path: str, header: dict[str, str]) -> None:
    answer = office.get(path, header)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] in ("key_missing", "key_unknown")
    assert answer.json()["request_id"].startswith("req_")


def test_conversations_are_listed_the_newest_first_page_by_page(office: Office) -> None:
    first = office.get("/conversations?limit=2").json()
    assert [one["id"] for one in first["data"]] == ["cnv_2", "cnv_1"]
    assert first["has_more"]
    second = office.get(f"/conversations?limit=2&cursor={first['next_cursor']}").json()
    assert [one["id"] for one in second["data"]] == ["cnv_0"]
    assert (second["has_more"], second["next_cursor"]) == (False, None)


def test_a_call_s_conversation_is_found_by_its_sid(office: Office) -> None:
    [found] = office.get("/conversations?call_sid=CAcnv_1").json()["data"]
    assert found["id"] == "cnv_1"


def test_a_conversation_comes_with_its_turns(office: Office) -> None:
    found = office.get("/conversations/cnv_0").json()
    assert [turn["number"] for turn in found["turns"]] == [0, 1]
    assert set(found["turns"][0]["waterfall"]) >= {"speech_end_ms", "final_ms", "first_audio_played_ms"}


def test_messages_are_what_was_said_and_heard(office: Office) -> None:
    answer = office.get("/conversations/cnv_0/messages").json()
    assert [(one["role"], one["text"], one["interrupted"]) for one in answer["data"]] == [
        ("agent", "Hello.", False),
        ("caller", "hi", False),
        ("agent", "What", True),
    ]


def test_another_organisation_s_things_are_simply_not_there(office: Office) -> None:
    stranger = {"Authorization": "Bearer stranger"}
    assert office.get("/conversations", stranger).json()["data"] == []
    assert office.get("/appointments", stranger).json()["data"] == []
    for path in ("/conversations/cnv_0", "/conversations/cnv_0/messages"):
        assert office.get(path, stranger).status_code == 404


@pytest.mark.parametrize("id", ["cnv_9", "..", "%2e%2e", "a b", "cnv_0%2Fturns%2F000000"])
def test_what_is_not_there_is_not_found(office: Office, id: str) -> None:
    answer = office.get(f"/conversations/{id}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x"])
def test_bad_queries_name_the_parameter(office: Office, query: str) -> None:
    answer = office.get(f"/conversations?{query}")
    assert answer.status_code == 422
    assert answer.json()["param"] == "limit"


def test_booked_appointments_are_listed(office: Office) -> None:
    demo = Organisation.model_validate(office.kept[f"organisations/{ORGANISATION}"])
    call = ToolCall(id="1", tool="book_appointment", arguments={"date": "2026-11-24", "time": "14:30"}, key="cnv_1:k")
    for _ in range(2):
        result = asyncio.run(office.ports.tools.run(demo, call))
        assert result.error is None
    [appointment] = office.get("/appointments").json()["data"]
    assert (appointment["date"], appointment["time"]) == ("2026-11-24", "14:30")
    assert office.get("/appointments?date=2026-11-25").json()["data"] == []
    assert len(office.get("/appointments?conversation=cnv_1").json()["data"]) == 1
    assert office.get("/appointments?conversation=cnv_2").json()["data"] == []


def test_an_owner_s_key_that_was_replaced_opens_nothing(office: Office) -> None:
    documents = office.ports.documents
    asyncio.run(seed(paper_ports(documents=documents, settings=settings(owner_key="another"))))
    assert office.get("/conversations").status_code == 401
    assert office.get("/conversations", {"Authorization": "Bearer another"}).status_code == 200


def test_a_store_that_is_down_is_503(office: Office) -> None:
    office.ports.documents.failing = True  # type: ignore[attr-defined]
    answer = office.get("/conversations")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"


def test_the_api_describes_itself(office: Office) -> None:
    document = office.client.get("/api/v1/openapi.json").json()
    assert "/api/v1/conversations/{id}/messages" in document["paths"]
