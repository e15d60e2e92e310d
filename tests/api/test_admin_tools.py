"""The admin API: tools, MCP servers and secrets of an organisation's own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from adapters.egress import Egress
from adapters.http_tools import HttpTools
from adapters.local_secrets import LocalSecrets
from adapters.mcp_tools import McpTools
from adapters.organisation_tools import OrganisationTools
from domain.ports import Ports
from functions.admin.access import hash_of
from functions.admin.app import app
from offhook.seed import ORGANISATION, seed
from tests.fakes.mcp_server import Crm
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW, StoppedClock, builtin_tools, paper_ports

OWNER = {"Authorization": "Bearer owner"}
WORD = "word-of-ours"


class Shop:
    """An HTTP service and an MCP server, on a thread of their own: the test's client blocks."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.crm = Crm()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        async def orders(request: Request) -> JSONResponse:
            self.asked.append({"path": request.url.path, "key": request.headers.get("x-key")})
            known = request.path_params["number"] == "47129"
            return JSONResponse({"status": "shipped"} if known else {}, status_code=200 if known else 404)

        routes = [Route("/orders/{number}", orders, methods=["GET", "POST"])]
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with self._serving(Starlette(routes=routes)) as self.where, self.crm.serving() as self.mcp:
            self._ready.set()
            await self._stop.wait()

    @asynccontextmanager
    async def _serving(self, app: Any) -> AsyncIterator[str]:
        from tests.fakes.local_server import serving

        async with serving(app) as where:
            yield where

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


class Desk:
    def __init__(self, shop: Shop, home: Any) -> None:
        documents, clock = MemoryDocuments(), StoppedClock()
        self.kept = documents.kept
        self.secrets = LocalSecrets(home)
        egress = self.egress = Egress(allow=[shop.where, shop.mcp.split("/")[2]])
        tools = OrganisationTools(
            builtin_tools(documents, clock),
            HttpTools(egress, self.secrets),
            McpTools(egress, self.secrets, documents, clock),
            documents,
            clock,
        )
        self.ports = paper_ports(documents=documents, clock=clock, tools=tools, secrets=self.secrets, web=egress)
        asyncio.run(seed(self.ports))
        other = {"organisation": "org_other", "name": "x", "created_at": NOW.isoformat()}
        self.kept[f"keys/{hash_of('stranger')}"] = other
        self.kept["organisations/org_other"] = {
            **self.kept[f"organisations/{ORGANISATION}"],
            "id": "org_other",
        }

        async def get_ports() -> Ports:
            return self.ports

        self.client = TestClient(app(get_ports), headers=OWNER, base_url="http://testserver/api/v1")


@pytest.fixture
def desk(shop: Shop, tmp_path: Any) -> Iterator[Desk]:
    shop.asked.clear()
    desk = Desk(shop, tmp_path / "secrets")
    with desk.client:
        yield desk
        assert desk.client.portal
        desk.client.portal.call(desk.egress.__aexit__)


def track_order(shop: Shop, **changes: Any) -> dict[str, Any]:
    http = {
        "url": f"http://{shop.where}/orders/{{{{number}}}}",
        "headers": {"X-Key": "{{secret:crm_key}}"},
        "output": {"status": "$.status"},
        **changes.pop("http", {}),
    }
    parameters = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
    return {"name": "track_order", "description": "Where it is.", "parameters": parameters, "http": http, **changes}


def test_a_tool_is_defined_tried_and_removed(desk: Desk, shop: Shop) -> None:
    assert desk.client.put("tools/track_order", json=track_order(shop)).status_code == 200
    assert desk.client.get("tools/track_order").json()["http"]["output"] == {"status": "$.status"}
    assert [tool["name"] for tool in desk.client.get("tools").json()["data"]] == ["track_order"]
    names = [tool["name"] for tool in desk.client.get("offered-tools").json()["data"]]
    assert {"track_order", "book_appointment"} <= set(names)
    missing = desk.client.post("tools/track_order/try", json={"arguments": {"number": "47129"}}).json()
    assert missing["error"] == "the secret 'crm_key' isn't set"
    assert desk.client.put("secrets/crm_key", json={"value": WORD}).status_code == 204
    tried = desk.client.post("tools/track_order/try", json={"arguments": {"number": "47129"}}).json()
    assert tried == {"output": {"status": "shipped"}, "error": None, "unknown": False, "took_ms": 0}
    assert shop.asked == [{"path": "/orders/47129", "key": WORD}]
    tried = desk.client.post("tools/track_order/try", json={"arguments": {"number": "1"}}).json()
    assert tried["error"] == "the service knows no such thing (status 404)"
    assert desk.client.delete("tools/track_order").status_code == 204
    assert desk.client.get("tools/track_order").status_code == 404
    assert desk.client.delete("tools/track_order").status_code == 404
    assert desk.client.post("tools/track_order/try", json={}).status_code == 404


def test_an_acting_tool_is_tried_only_on_purpose(desk: Desk, shop: Shop) -> None:
    desk.client.put("secrets/crm_key", json={"value": WORD})
    acting = track_order(shop, acts=True, http={"method": "POST"})
    assert desk.client.put("tools/track_order", json=acting).status_code == 200
    arguments = {"arguments": {"number": "47129"}}
    refused = desk.client.post("tools/track_order/try", json=arguments)
    assert (refused.status_code, refused.json()["code"], refused.json()["param"]) == (409, "acts", "act")
    assert shop.asked == []
    for _ in range(2):  # each is a trial of its own
        tried = desk.client.post("tools/track_order/try", json={**arguments, "act": True}).json()
        assert tried["output"] == {"status": "shipped"}
    assert len(shop.asked) == 2


@pytest.mark.parametrize(
    ("path", "changes", "param"),
    [
        ("tools/other", {}, "name"),
        ("tools/book_appointment", {"name": "book_appointment"}, "name"),
        ("tools/Bad", {"name": "Bad"}, "name"),
        ("tools/track_order", {"parameters": {"type": "array"}}, "parameters"),
        ("tools/track_order", {"http": {"url": "http://x.example/{{missing}}"}}, "http.url"),
        ("tools/track_order", {"http": {"output": {"a": "$["}}}, "http.output.a"),
        ("tools/track_order", {"http": {"method": "BREW"}}, "method"),
        ("tools/track_order", {"timeout_ms": 1}, "timeout_ms"),
        ("tools/track_order", {"colour": "red"}, "colour"),
        ("tools/track_order", {"acts": True, "if_unknown": "verify", "verify": "nothing"}, "verify"),
        ("tools/track_order", {"acts": True, "if_unknown": "verify", "verify": "book_appointment"}, "verify"),
    ],
)
def test_what_is_wrong_with_it_is_named(desk: Desk, shop: Shop, path: str, changes: dict[str, Any], param: str) -> None:
    answer = desk.client.put(path, json=track_order(shop, **changes))
    assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text
    assert not [kept for kept in desk.kept if "/tools/" in kept]


def test_values_of_secrets_are_never_told(desk: Desk) -> None:
    assert desk.client.put("secrets/crm_key", json={"value": WORD}).status_code == 204
    assert desk.client.get("secrets").json() == {"data": ["crm_key"]}
    for path, body in (("secrets/crm_key", f"{WORD}\n"), ("secrets/Bad", WORD), ("secrets/crm_key", [WORD])):
        answer = desk.client.put(path, json={"value": body})
        assert answer.status_code == 422
        assert WORD not in answer.text
    assert WORD not in str(desk.kept)
    assert desk.client.delete("secrets/crm_key").status_code == 204
    assert desk.client.get("secrets").json() == {"data": []}
    assert desk.client.get("secrets/crm_key").status_code in (404, 405)


def test_a_server_s_tools_are_listed_chosen_and_tried(desk: Desk, shop: Shop) -> None:
    server = {"id": "crm", "url": shop.mcp}
    assert desk.client.put("mcp-servers/crm", json=server).status_code == 200
    assert desk.client.get("mcp-servers/crm/tools").json()["code"] == "not_listed"
    listed = {tool["name"]: tool for tool in desk.client.post("mcp-servers/crm/list").json()["tools"]}
    assert (listed["lookup"]["read_only"], listed["book"]["read_only"]) == (True, False)
    assert desk.client.get("mcp-servers/crm/tools").json()["tools"]
    assert desk.client.post("tools/crm.lookup/try", json={}).status_code == 404, "nobody chose it"
    server |= {"tools": {"lookup": {"acts": False}, "book": {}}}
    assert desk.client.put("mcp-servers/crm", json=server).status_code == 200
    tried = desk.client.post("tools/crm.lookup/try", json={"arguments": {"id": "7"}}).json()
    assert tried["output"] == {"name": "Sarah", "id": "7"}
    assert desk.client.post("tools/crm.book/try", json={"arguments": {"id": "7"}}).status_code == 409
    assert [one["id"] for one in desk.client.get("mcp-servers").json()["data"]] == ["crm"]
    assert desk.client.delete("mcp-servers/crm").status_code == 204
    assert desk.client.get("mcp-servers/crm").status_code == 404


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"url": "https://x.example/{{id}}"}, "url"),
        ({"id": "other"}, "id"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"tools": {"a b": {}}}, "tools"),
        ({"tools": {"a": {"verify": "crm.b", "if_unknown": "verify"}}}, "tools.a.verify"),
        ({"tools": {"a": {"verify": "crm.b", "if_unknown": "verify"}, "b": {}}}, "tools.a.verify"),
    ],
)
def test_what_is_wrong_with_a_server_is_named(desk: Desk, changes: dict[str, Any], param: str) -> None:
    answer = desk.client.put("mcp-servers/crm", json={"id": "crm", "url": "https://x.example/mcp", **changes})
    assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text


def test_a_server_that_is_away_is_said_to_be(desk: Desk) -> None:
    desk.client.put("mcp-servers/crm", json={"id": "crm", "url": "https://169.254.169.254/mcp"})
    answer = desk.client.post("mcp-servers/crm/list")
    assert answer.status_code == 503
    assert "isn't a public address" in answer.json()["detail"]


def test_another_organisation_s_are_not_there(desk: Desk, shop: Shop) -> None:
    desk.client.put("tools/track_order", json=track_order(shop))
    desk.client.put("mcp-servers/crm", json={"id": "crm", "url": shop.mcp})
    desk.client.put("secrets/crm_key", json={"value": WORD})
    stranger = {"Authorization": "Bearer stranger"}
    for path in ("tools", "mcp-servers", "secrets"):
        assert desk.client.get(path, headers=stranger).json()["data"] == []
    for method, path in (
        ("GET", "tools/track_order"),
        ("DELETE", "tools/track_order"),
        ("POST", "tools/track_order/try"),
        ("GET", "mcp-servers/crm"),
        ("DELETE", "mcp-servers/crm"),
        ("POST", "mcp-servers/crm/list"),
    ):
        body = {"json": {}} if path.endswith("try") else {}
        assert desk.client.request(method, path, headers=stranger, **body).status_code == 404
    desk.client.delete("secrets/crm_key", headers=stranger)
    assert desk.client.get("secrets").json()["data"] == ["crm_key"]


@pytest.mark.parametrize("path", ["tools", "offered-tools", "mcp-servers", "secrets"])
def test_nobody_comes_in_without_a_key(desk: Desk, path: str) -> None:
    assert desk.client.get(path, headers={"Authorization": ""}).status_code == 401
