"""Calls with tools of the organisation's own: what docs/tools.md shows, from the definition to the caller's ear."""

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from adapters.egress import Egress
from adapters.http_tools import HttpTools
from adapters.mcp_tools import McpTools
from adapters.organisation_tools import OrganisationTools
from domain.ports import Ports, Web
from functions.chat import chat_with
from offhook.seed import ORGANISATION as DEMO
from offhook.seed import seed
from schemas.agent import AgentVersion
from schemas.http_tool import HttpTool
from schemas.settings import Settings
from tests.fakes.caller import Caller
from tests.fakes.in_process_web import InProcessWeb
from tests.fakes.lab import ROOT, Lab, LoopClock, hold
from tests.fakes.local_server import serving
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.memory_secrets import MemorySecrets
from tests.fakes.ports import StoppedClock, builtin_tools, paper_ports, settings

HOST = "orders.example.com"


def track_order(host: str = HOST) -> HttpTool:
    """The example of docs/tools.md."""
    return HttpTool.model_validate(
        {
            "name": "track_order",
            "description": "Looks up where an order is.",
            "parameters": {
                "type": "object",
                "properties": {"order_number": {"type": "string", "pattern": "^[0-9]{5}$"}},
                "required": ["order_number"],
            },
            "http": {
                "url": f"http://{host}/orders/{{{{order_number}}}}",
                "headers": {"Authorization": "Bearer {{secret:shop_key}}"},
                "output": {"status": "$.order.state"},
            },
            "timeout_ms": 3000,
        }
    )


class Shop:
    """The customer's own service."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False
        self.delay_s = 0.0
        self.app = Starlette(routes=[Route("/orders/{number}", self._order)])

    async def _order(self, request: Request) -> JSONResponse:
        self.asked.append(request.path_params["number"])
        await asyncio.sleep(self.delay_s)
        if self.down or request.headers["authorization"] != "Bearer word-of-ours":
            return JSONResponse({}, status_code=500)
        if request.path_params["number"] != "47129":
            return JSONResponse({}, status_code=404)
        return JSONResponse({"order": {"state": "is on the van, two streets away"}})


def with_own_tool(version: Any) -> Any:
    """The order desk, asking the organisation's own service."""
    nodes = [
        node.model_copy(update={"tool": "track_order"}) if getattr(node, "tool", "") == "check_order_status" else node
        for node in version.flow.nodes
    ]
    flow = version.flow.model_copy(update={"nodes": tuple(nodes)})
    return version.model_copy(update={"flow": flow, "tools": (*version.tools, "track_order")})


class ToolLab(Lab):
    """A lab whose organisation has the tool, and whose web is within the process."""

    def __init__(self) -> None:
        super().__init__("orders")
        self.shop = Shop()
        self.secrets = MemorySecrets()
        self.version = with_own_tool(self.version)
        self.documents.kept[f"{ROOT}/tools/track_order"] = track_order().model_dump(mode="json")

    def ports(self) -> Ports:
        clock = LoopClock(self.begins)
        tools = organisation_tools(self.documents, clock, InProcessWeb(**{HOST: self.shop.app}), self.secrets)
        return paper_ports(
            clock=clock,
            tools=tools,
            documents=self.documents,
            speech=self.speech,
            brain=self.brain,
            voice=self.voice,
        )

    async def prepare(self) -> None:
        await super().prepare()
        await self.secrets.put("org_test", "shop_key", "word-of-ours")


def organisation_tools(documents: MemoryDocuments, clock: Any, web: Web, secrets: Any) -> OrganisationTools:
    mcp = McpTools(Egress(), secrets, documents, clock)
    return OrganisationTools(builtin_tools(documents, clock), HttpTools(web, secrets), mcp, documents, clock)


async def asks_for_47129(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("my order")
    await caller.listens()
    await caller.says("four seven one two nine")
    await caller.listens()
    await caller.says("no thank you")


def test_an_order_is_looked_up_where_the_organisation_keeps_it() -> None:
    lab = ToolLab()
    hold(asks_for_47129, lab)
    assert "Order 4 7 1 2 9 is on the van, two streets away." in lab.dialogue()
    assert lab.dialogue().endswith("agent: Thank you for calling. Goodbye.")
    assert [turn.tools for turn in lab.turns() if turn.tools] == [("track_order",)]
    assert lab.shop.asked == ["47129"]
    assert "word-of-ours" not in str(lab.documents.kept)


def test_an_order_that_it_does_not_know_is_spoken_about() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("my order")
        await caller.listens()
        await caller.says("one one one one one")
        await caller.listens()
        await caller.says("no")

    lab = ToolLab()
    hold(story, lab)
    assert "I can't find an order 1 1 1 1 1." in lab.dialogue()


def test_a_service_that_is_slow_is_given_up_in_its_time() -> None:
    lab = ToolLab()
    lab.shop.delay_s = 60
    hold(asks_for_47129, lab)
    assert "I can't find an order 4 7 1 2 9." in lab.dialogue()


def test_the_same_typed_over_a_real_connection() -> None:
    async def run() -> None:
        shop, documents, secrets = Shop(), MemoryDocuments(), MemorySecrets()
        async with serving(shop.app) as where:
            chosen: Settings = settings(egress_allow=where)
            async with Egress(chosen.egress_allow, chosen.egress_ports) as egress:
                tools = organisation_tools(documents, StoppedClock(), egress, secrets)
                ports = paper_ports(documents=documents, tools=tools, secrets=secrets, settings=chosen)
                await seed(ports)
                await secrets.put(DEMO, "shop_key", "word-of-ours")
                root = f"organisations/{DEMO}"
                documents.kept[f"{root}/tools/track_order"] = track_order(where).model_dump(mode="json")
                tools.forget(DEMO)
                path = f"{root}/agents/agt_demo_orders/versions/1"
                version = with_own_tool(AgentVersion.model_validate(documents.kept[path]))
                documents.kept[path] = version.model_dump(mode="json")
                chat = await chat_with(ports, DEMO, "agt_demo_orders")
                assert chat
                answer = [sentence async for sentence in chat.open()]
                for line in ("my order", "47129"):
                    answer = [sentence async for sentence in chat.say(line)]
                assert "is on the van, two streets away" in " ".join(answer)
        assert shop.asked == ["47129"]

    asyncio.run(run())
