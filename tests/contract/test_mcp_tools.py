"""MCP servers' tools, over a real server of the protocol's own package."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.egress import Egress
from adapters.mcp_tools import LISTED_FOR, MOST_WORDS, McpTools
from domain.ports import Unavailable
from schemas.mcp_server import ChosenTool, McpServer
from schemas.tool import ToolCall, ToolResult
from tests.fakes.local_server import serving
from tests.fakes.mcp_server import Crm
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.memory_secrets import MemorySecrets
from tests.fakes.ports import StoppedClock

KEY = "cnv_1:ask:1:ab"


class Desk:
    """An organisation that uses the server."""

    def __init__(self, url: str, egress: Egress) -> None:
        self.documents, self.secrets, self.clock = MemoryDocuments(), MemorySecrets(), StoppedClock()
        self.server = McpServer(id="crm", url=url, headers={"Authorization": "Bearer {{secret:crm_key}}"})
        self.tools = McpTools(egress, self.secrets, self.documents, self.clock)

    async def run(self, name: str, arguments: dict[str, Any] | None = None, **chosen: Any) -> ToolResult:
        how = ChosenTool.model_validate({"acts": False, **chosen})
        call = ToolCall(id="1", tool=f"crm.{name}", arguments=arguments or {}, key=KEY)
        return await self.tools.run("org_test", self.server, name, how, call)


@asynccontextmanager
async def desk_at(url: str) -> AsyncIterator[Desk]:
    async with Egress(allow=[url.split("/")[2]]) as egress:
        desk = Desk(url, egress)
        await desk.secrets.put("org_test", "crm_key", "word-of-ours")
        async with desk.tools:
            yield desk


def with_crm(story: Callable[[Crm, Desk], Awaitable[None]], **how: Any) -> None:
    async def run() -> None:
        crm = Crm()
        async with crm.serving(**how) as url, desk_at(url) as desk:
            await story(crm, desk)

    asyncio.run(run())


MODES = pytest.mark.parametrize(
    "how", [{}, {"json_response": True}, {"stateless_http": True}], ids=["sessions", "json", "stateless"]
)


@MODES
def test_its_tools_are_listed_and_nothing_is_believed(how: dict[str, Any]) -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        listed = {tool.name: tool for tool in await desk.tools.list_now("org_test", desk.server)}
        assert {"lookup", "words", "book", "breaks", "huge", "liar"} <= listed.keys()
        assert (listed["lookup"].read_only, listed["book"].read_only) == (True, False)
        assert listed["lookup"].parameters["properties"]["id"]["type"] == "string"
        assert len(listed["liar"].description) == MOST_WORDS
        assert listed["liar"].description.isprintable()
        assert {headers["authorization"] for headers in crm.headers} == {"Bearer word-of-ours"}

    with_crm(story, **how)


@MODES
def test_a_tool_is_called(how: dict[str, Any]) -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        for _ in range(2):
            assert (await desk.run("lookup", {"id": "7"})).output == {"name": "Sarah", "id": "7"}
        assert (await desk.run("words", {"id": "7"})).output == {"text": "customer 7 is Sarah"}
        assert (await desk.run("book", {"id": "7"}, acts=True)).output == {"booked": "7"}
        assert crm.headers[-1].get("idempotency-key", KEY) == KEY
        assert any(headers.get("idempotency-key") == KEY for headers in crm.headers)

    with_crm(story, **how)


def test_a_server_of_the_older_protocol_is_spoken_to_as_well() -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        desk.tools._spoken[desk.server.url] = "2025-06-18"
        assert (await desk.run("lookup", {"id": "7"})).output == {"name": "Sarah", "id": "7"}
        assert "mcp-session-id" in crm.headers[-1]
        assert (await desk.run("book", {"id": "7"}, acts=True)).output == {"booked": "7"}

    with_crm(story)


def test_a_tool_that_says_that_it_failed_has_failed() -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        for acts in (True, False):
            result = await desk.run("breaks", acts=acts)
            assert "there is no such customer" in (result.error or "")
            assert not result.absent, "nobody knows what it means by that"

    with_crm(story)


def test_a_tool_that_there_is_not_did_not_act() -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        for acts in (True, False):
            assert (await desk.run("nothing", acts=acts)).error

    with_crm(story)


def test_a_slow_one_is_given_up_in_its_time_and_may_have_acted() -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        crm.delay_s = 3
        with pytest.raises(Unavailable, match="crm took longer than"):
            await desk.run("book", {"id": "7"}, acts=True, timeout_ms=500)
        assert crm.booked == ["7"]

    with_crm(story)


@pytest.mark.parametrize("name", ["huge", "endless"])
def test_too_much_is_not_taken(name: str) -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        with pytest.raises(Unavailable):
            await desk.run(name)
        assert (await desk.run("lookup", {"id": "7"})).output, "and the next question is answered"

    with_crm(story)


def test_a_long_answer_of_what_acted_is_a_success() -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        assert await desk.run("huge", acts=True) == ToolResult(id="1", output={})

    with_crm(story)


def test_a_server_that_is_away_did_not_act() -> None:
    async def story() -> None:
        async with desk_at("http://127.0.0.1:9/mcp") as desk:
            result = await desk.run("book", {"id": "7"}, acts=True)
            assert "crm could not be asked: 127.0.0.1 could not be reached" in (result.error or "") or result.error == (
                "crm could not be reached"
            )
            with pytest.raises(Unavailable):
                await desk.run("lookup", {"id": "7"})
            with pytest.raises(Unavailable, match="could not list"):
                await desk.tools.list_now("org_test", desk.server)

    asyncio.run(story())


def test_a_server_may_not_be_one_of_our_own_network() -> None:
    async def story() -> None:
        async with Egress() as egress:
            desk = Desk("http://169.254.169.254/mcp", egress)
            await desk.secrets.put("org_test", "crm_key", "x")
            async with desk.tools:
                with pytest.raises(Unavailable, match="isn't a public address"):
                    await desk.tools.list_now("org_test", desk.server)
                result = await desk.run("book", {"id": "7"}, acts=True)
                assert "isn't a public address" in (result.error or "")

    asyncio.run(story())


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_what_is_no_mcp_server_is_told_of(status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/html")]})
            await send({"type": "http.response.body", "body": b"<html>word-of-theirs"})

    async def story() -> None:
        async with serving(app, lifespan="off") as where, desk_at(f"http://{where}/mcp") as desk:
            with pytest.raises(Unavailable) as problem:
                await desk.run("lookup", {"id": "7"})
            assert "word-of-" not in str(problem.value)
            with pytest.raises(Unavailable):
                await desk.tools.list_now("org_test", desk.server)

    asyncio.run(story())


@pytest.mark.parametrize("breaks", ["an error", "the connection"])
def test_a_server_that_breaks_when_it_is_called_may_have_acted(breaks: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if breaks == "the connection":
            headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            return await send({"type": "http.response.body", "body": b"{"})
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def story() -> None:
        async with serving(app, lifespan="off") as where, desk_at(f"http://{where}/mcp") as desk:
            desk.tools._spoken[desk.server.url] = "2026-07-28"  # it was spoken to before
            with pytest.raises(Unavailable):
                await desk.run("book", {"id": "7"}, acts=True)

    asyncio.run(story())


def test_a_secret_that_is_not_set_is_named() -> None:
    async def story(crm: Crm, desk: Desk) -> None:
        await desk.secrets.forget("org_test", "crm_key")
        assert (await desk.run("lookup", {"id": "7"})).error == "the secret 'crm_key' isn't set"
        assert crm.headers == []

    with_crm(story)


def test_the_list_is_kept_refreshed_behind_the_caller_s_back_and_outlives_the_server() -> None:
    async def story() -> None:
        crm = Crm()
        async with crm.serving() as url, desk_at(url) as desk:
            first = await desk.tools.known("org_test", desk.server)
            assert "lookup" in [tool.name for tool in first]
            asked = len(crm.headers)
            await desk.tools.known("org_test", desk.server)
            assert len(crm.headers) == asked, "nobody asks again so soon"
            crm.server.remove_tool("words")
            desk.clock.time += LISTED_FOR
            assert await desk.tools.known("org_test", desk.server) == first, "nobody waits for the new one"
            while len(await desk.tools.known("org_test", desk.server)) == len(first):
                await asyncio.sleep(0.02)
            documents, server = desk.documents, desk.server
        async with desk_at(url) as another:
            another.documents = documents
            another.tools = McpTools(another.tools._egress, another.secrets, documents, another.clock)
            another.clock.time = desk.clock.time + 2 * LISTED_FOR
            async with another.tools:
                assert len(await another.tools.known("org_test", server)) == len(first) - 1
                moved = server.model_copy(update={"url": "http://127.0.0.1:9/mcp"})
                assert await another.tools.known("org_test", moved) == (), "another server's list is not this one's"

    asyncio.run(story())
