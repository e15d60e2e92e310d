"""All tools of an organisation together: what they share, and that the acting ones act once whatever they are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from adapters.egress import Egress
from adapters.http_tools import HttpTools
from adapters.mcp_tools import McpTools
from adapters.organisation_tools import LOADED_FOR, OrganisationTools
from domain.acts import RunTool
from domain.once import NotBegun
from domain.ports import Unavailable
from domain.reply import run_tool
from offhook.seed import CALENDAR
from schemas.organisation import Organisation
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes.lab import ORGANISATION, ROOT
from tests.fakes.local_server import serving
from tests.fakes.mcp_server import Crm
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.memory_secrets import MemorySecrets
from tests.fakes.ports import StoppedClock, builtin_tools

ID = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
KEY = "cnv_1:ask:1:ab"


class Orders:
    """An HTTP service that takes orders, and may lose its answers."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        """By idempotency key."""
        self.loses = 0
        self.requests = 0
        self.app = Starlette(
            routes=[
                Route("/orders", self._order, methods=["POST"]),
                Route("/orders/{id}", self._find),
            ]
        )

    async def _order(self, request: Request) -> JSONResponse:
        self.requests += 1
        id = (await request.json())["id"]
        self.taken.setdefault(request.headers["idempotency-key"], id)
        if self.loses:
            self.loses -= 1
            return JSONResponse({}, status_code=502)
        return JSONResponse({"order": id})

    async def _find(self, request: Request) -> JSONResponse:
        found = request.path_params["id"] in self.taken.values()
        return JSONResponse({"order": request.path_params["id"]}, status_code=200 if found else 404)


def http(name: str, where: str, method: str = "GET", path: str = "/orders/{{id}}", **tool: Any) -> dict[str, Any]:
    endpoint = {"method": method, "url": f"http://{where}{path}"}
    return {"name": name, "description": "", "parameters": ID, "http": endpoint, **tool}


class Office:
    """An organisation with a service, an MCP server and the platform's own tools; as many processes as it likes."""

    def __init__(self, egress: Egress, where: str, url: str, orders: Orders, crm: Crm) -> None:
        self.egress, self.where, self.orders, self.crm = egress, where, orders, crm
        self.documents, self.clock = MemoryDocuments(), StoppedClock()
        kept = self.documents.kept
        kept[f"{ROOT}/calendars/main"] = CALENDAR.model_dump(mode="json")
        kept[f"{ROOT}/tools/find_order"] = http("find_order", where)
        for how in ("retry", "verify", "escalate"):
            acting = {"acts": True, "if_unknown": how, "verify": "find_order"}
            kept[f"{ROOT}/tools/order_{how}"] = http(f"order_{how}", where, "POST", "/orders", **acting)
        chosen = {"lookup": {"acts": False, "description": "Finds a customer."}, "book": {}, "gone": {}}
        kept[f"{ROOT}/mcp_servers/crm"] = {"id": "crm", "url": url, "tools": chosen}

    def process(self) -> OrganisationTools:
        builtin = builtin_tools(self.documents, self.clock)
        secrets = MemorySecrets()
        endpoints = HttpTools(self.egress, secrets)
        servers = McpTools(self.egress, secrets, self.documents, self.clock)
        return OrganisationTools(builtin, endpoints, servers, self.documents, self.clock)


@asynccontextmanager
async def opened() -> AsyncIterator[Office]:
    orders, crm = Orders(), Crm()
    async with (
        serving(orders.app) as where,
        crm.serving() as url,
        Egress(allow=[where, url.split("/")[2]]) as egress,
    ):
        yield Office(egress, where, url, orders, crm)


def with_office(story: Callable[[Office, OrganisationTools], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened() as office, office.process() as tools:
            await story(office, tools)

    asyncio.run(run())


def call(tool: str, key: str = KEY, **arguments: Any) -> ToolCall:
    return ToolCall(id="1", tool=tool, arguments=arguments, key=key)


def test_everything_is_offered_together() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        offered = await tools.offered(ORGANISATION)
        assert {"book_appointment", "find_order", "order_retry", "crm.lookup", "crm.book"} <= offered.keys()
        assert "crm.gone" not in offered, "the server has none of that name"
        assert "crm.words" not in offered, "nobody chose it"
        assert (offered["crm.lookup"].acts, offered["crm.book"].acts) == (False, True)
        assert offered["crm.lookup"].description == "Finds a customer."
        assert type(offered["find_order"]) is Tool
        assert (await tools.run(ORGANISATION, call("crm.lookup", id="7"))).output == {"name": "Sarah", "id": "7"}

    with_office(story)


def test_arguments_are_checked_before_anything_is_sent() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        for name in ("order_escalate", "crm.book"):
            assert (await tools.run(ORGANISATION, call(name))).error == "'id' is a required property"
            assert "is not of type" in ((await tools.run(ORGANISATION, call(name, id=7))).error or "")
        assert (office.orders.requests, office.crm.booked) == (0, [])
        assert (await tools.run(ORGANISATION, call("nothing"))).error == "there is no tool 'nothing'"

    with_office(story)


def test_one_bad_definition_hides_no_other() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        kept = office.documents.kept
        kept[f"{ROOT}/tools/odd"] = {"name": "odd", "from": "another release"}
        kept[f"{ROOT}/tools/evil"] = http("evil", "x.example", path="/{{nothing}}")
        kept[f"{ROOT}/tools/book_appointment"] = http("book_appointment", office.where)
        kept[f"{ROOT}/mcp_servers/away"] = {"id": "away", "url": "http://127.0.0.1:9/mcp", "tools": {"a": {}}}
        kept[f"{ROOT}/mcp_servers/odd"] = {"id": "odd"}
        offered = await tools.offered(ORGANISATION)
        assert {"find_order", "crm.lookup"} <= offered.keys()
        assert not {"odd", "evil"} & offered.keys()
        assert offered["book_appointment"].acts, "the platform's own stays what it is"

    with_office(story)


def test_a_store_that_is_down_leaves_the_platform_s_own() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        office.documents.failing = True
        assert (await tools.offered(ORGANISATION)).keys() == {
            "free_times",
            "book_appointment",
            "list_appointments",
            "cancel_appointment",
            "check_order_status",
            "check_item_stock",
        }
        with pytest.raises(NotBegun, match="could not be loaded"):
            await tools.run(ORGANISATION, call("order_retry", id="7"))
        office.documents.failing = False
        office.clock.time += LOADED_FOR
        assert "find_order" in await tools.offered(ORGANISATION)
        office.documents.failing = True
        office.clock.time += LOADED_FOR
        assert "find_order" in await tools.offered(ORGANISATION), "what was known goes on"

    with_office(story)


def test_definitions_are_read_now_and_then_and_when_they_change_here() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        await tools.offered(ORGANISATION)
        office.documents.kept[f"{ROOT}/tools/new"] = http("new", office.where)
        assert "new" not in await tools.offered(ORGANISATION)
        office.clock.time += LOADED_FOR
        assert "new" in await tools.offered(ORGANISATION)
        del office.documents.kept[f"{ROOT}/tools/new"]
        tools.forget(ORGANISATION.id)
        assert "new" not in await tools.offered(ORGANISATION)

    with_office(story)


def test_another_organisation_has_none_of_them() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        other = ORGANISATION.model_copy(update={"id": "org_other"})
        assert "find_order" not in await tools.offered(other)
        assert (await tools.run(other, call("find_order", id="7"))).error == "there is no tool 'find_order'"

    with_office(story)


# --- once in effect, whatever acts ---


def effects(office: Office, kind: str) -> int:
    if kind == "crm.book":
        return len(office.crm.booked)
    if kind == "book_appointment":
        return sum(path.startswith(f"{ROOT}/appointments/") for path in office.documents.kept)
    return len(office.orders.taken)


ACTING: Mapping[str, dict[str, Any]] = {
    "order_retry": {"id": "7"},
    "order_verify": {"id": "7"},
    "order_escalate": {"id": "7"},
    "crm.book": {"id": "7"},
    "book_appointment": {"date": "2026-11-24", "time": "14:30"},
}


@pytest.mark.parametrize("kind", ACTING)
def test_asked_again_it_tells_and_does_not_act(kind: str) -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        first = await tools.run(ORGANISATION, call(kind, **ACTING[kind]))
        async with office.process() as another:
            again = await another.run(ORGANISATION, call(kind, **ACTING[kind]))
        assert first.output is not None
        assert again.output == first.output
        assert effects(office, kind) == 1
        other = await tools.run(ORGANISATION, call(kind, key="cnv_2:ask:1:ab", **ACTING[kind]))
        assert other.output is not None
        assert effects(office, kind) == 2

    with_office(story)


@pytest.mark.parametrize("kind", ACTING)
def test_two_processes_at_once_act_once(kind: str) -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        async with office.process() as another:
            both = [each.run(ORGANISATION, call(kind, **ACTING[kind])) for each in (tools, another)]
            results = await asyncio.gather(*both)
        assert results[0].output == results[1].output
        assert effects(office, kind) == 1

    with_office(story)


@pytest.mark.parametrize("kind", ACTING)
def test_with_the_store_down_nothing_acts(kind: str) -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        await tools.offered(ORGANISATION)
        office.documents.failing = True
        with pytest.raises(Unavailable):
            await tools.run(ORGANISATION, call(kind, **ACTING[kind]))
        assert effects(office, kind) == 0

    with_office(story)


@pytest.mark.parametrize(("kind", "known"), [("order_retry", True), ("order_verify", True), ("order_escalate", False)])
def test_a_lost_answer_in_a_conversation(kind: str, known: bool) -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        office.orders.loses = 1
        act = RunTool(call(kind, id="7"), acts=True, timeout_ms=5000)
        returned = await run_tool(tools, ORGANISATION, act)
        assert (returned.unknown, returned.output) == (not known, {"order": "7"} if known else None)
        assert office.orders.requests == (2 if kind == "order_retry" else 1)
        assert effects(office, kind) == 1

    with_office(story)


def test_what_is_verified_by_something_that_is_not_there_stays_unknown() -> None:
    async def story(office: Office, tools: OrganisationTools) -> None:
        del office.documents.kept[f"{ROOT}/tools/find_order"]
        office.orders.loses = 1
        act = RunTool(call("order_verify", id="7"), acts=True, timeout_ms=5000)
        returned = await run_tool(tools, ORGANISATION, act)
        assert returned.unknown
        assert "there is no look-up 'find_order'" in (returned.error or "")

    with_office(story)


def test_a_tool_that_was_not_begun_did_not_act_unless_it_was_asked_before() -> None:
    class Away:
        async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
            return {"x": Tool(name="x", description="", parameters={}, acts=True)}

        async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
            raise NotBegun("x was not run")

    act = RunTool(call("x"), acts=True, timeout_ms=5000)
    assert not asyncio.run(run_tool(Away(), ORGANISATION, act)).unknown
    assert asyncio.run(run_tool(Away(), ORGANISATION, replace(act, again=True))).unknown
