"""Tools of MCP servers of an organisation's own, over streamable HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx2
import orjson
import structlog
from pydantic import ValidationError

from adapters.egress import Egress
from domain import parameters
from domain.ports import Clock, Documents, NotSent, Secrets, TooBig, Unavailable
from domain.references import NoSecret, filled, secrets_in
from domain.tool_check import CALLABLE
from domain.tool_limits import SHARE, too_long
from schemas.mcp_server import ChosenTool, ListedTool, McpListing, McpServer
from schemas.tool import ToolCall, ToolResult

if TYPE_CHECKING:  # at run time only if an organisation has a server: importing it takes half a second
    from mcp import Client

LISTED_FOR = timedelta(minutes=5)
LIST_S = 10.0
FIRST_LIST_S = 2.0
"""How long a call waits for a list that nobody has asked for yet."""
AGAIN_S = 30.0
"""A server that can't be listed is asked again after that."""
MOST_TOOLS = 200
MOST_PAGES = 20
MOST_WORDS = 1000
"""Characters of a description."""
MOST_LISTING = 600_000
"""Bytes, as it is stored."""
MOST_BYTES = 2_000_000
"""Of an answer."""
MOST_ERROR = 500

log = structlog.get_logger()


class McpTools:
    """Lists them and runs them. `async with` it: leaving ends what runs in the background."""

    def __init__(self, egress: Egress, secrets: Secrets, documents: Documents, clock: Clock) -> None:
        self._egress, self._secrets, self._documents, self._clock = egress, secrets, documents, clock
        self._listing: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._failed: dict[tuple[str, str], float] = {}
        self._spoken: dict[str, str] = {}
        """By URL: which version of the protocol its server speaks, which saves a question."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks, self._listing = [*self._listing.values()], {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what there is ---

    async def known(self, organisation: str, server: McpServer) -> Sequence[ListedTool]:
        """Its tools as they were listed last, some minutes ago at most unless it can't be reached. Empty if it never
        could."""
        listing = await self._stored(organisation, server)
        if listing and self._clock.now() - listing.at < LISTED_FOR:
            return listing.tools
        asking = self._ask_in_background(organisation, server)
        if listing:
            return listing.tools
        if asking:
            await asyncio.wait({asking}, timeout=FIRST_LIST_S)
        listing = await self._stored(organisation, server)
        return listing.tools if listing else ()

    async def list_now(self, organisation: str, server: McpServer) -> Sequence[ListedTool]:
        """Asks the server, and stores what it says. Raises Unavailable. Cancelling abandons it."""
        try:
            async with asyncio.timeout(LIST_S):
                tools = await self._ask(organisation, server)
        except TimeoutError:
            raise Unavailable(f"{server.id} took longer than {LIST_S:g} s to list its tools") from None
        except NoSecret as problem:
            raise Unavailable(f"{server.id} was not asked: {problem}") from None
        except Exception as problem:
            raise Unavailable(f"{server.id} could not list its tools: {_sentence(problem)}") from None
        listing = McpListing(url=server.url, at=self._clock.now(), tools=tuple(tools))
        await self._documents.put(_path(organisation, server), listing.model_dump(mode="json"))
        return listing.tools

    async def _stored(self, organisation: str, server: McpServer) -> McpListing | None:
        stored = await self._documents.get(_path(organisation, server))
        try:
            listing = McpListing.model_validate(stored) if stored else None
        except ValidationError:  # of another release
            return None
        return listing if listing and listing.url == server.url else None

    def _ask_in_background(self, organisation: str, server: McpServer) -> asyncio.Task[Any] | None:
        key, now = (organisation, server.id), asyncio.get_running_loop().time()
        if key in self._listing:
            return self._listing[key]
        if now - self._failed.get(key, -AGAIN_S) < AGAIN_S:
            return None

        async def ask() -> None:
            try:
                await self.list_now(organisation, server)
                self._failed.pop(key, None)
            except Unavailable as problem:
                self._failed[key] = asyncio.get_running_loop().time()
                log.warning("mcp_server_not_listed", organisation=organisation, server=server.id, why=str(problem))
            finally:
                self._listing.pop(key, None)

        task = self._listing[key] = asyncio.create_task(ask())
        return task

    async def _ask(self, organisation: str, server: McpServer) -> Sequence[ListedTool]:
        from mcp.types import PaginatedRequestParams

        tools: list[ListedTool] = []
        size = 0
        async with self._connected(organisation, server, LIST_S, "") as client:
            cursor: str | None = None
            for _ in range(MOST_PAGES):
                params = PaginatedRequestParams(cursor=cursor) if cursor else None
                page = await client.session.list_tools(params=params)
                for offered in page.tools:
                    tool = _listed(server.id, offered)
                    if tool is None:
                        continue
                    size += len(orjson.dumps(tool.model_dump()))
                    if len(tools) >= MOST_TOOLS or size > MOST_LISTING:
                        log.warning("mcp_tools_left_out", server=server.id, after=len(tools))
                        return tools
                    tools.append(tool)
                if not (cursor := page.next_cursor):
                    break
        return tools

    # --- what they do ---

    async def run(
        self, organisation: str, server: McpServer, name: str, chosen: ChosenTool, call: ToolCall
    ) -> ToolResult:
        """What came of the server's tool `name`; the arguments are known to be what its schema allows.

        A tool that says that it failed has failed. Raises Unavailable when it can't be told whether it acted, and for a
        look-up that couldn't be asked. Cancelling abandons it; it may still have acted."""
        from mcp import MCPError
        from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult

        within_s = chosen.timeout_ms / 1000 * SHARE
        asked, result = False, None
        try:
            async with (
                asyncio.timeout(within_s),
                self._connected(organisation, server, within_s, call.key if chosen.acts else "") as client,
            ):
                meta: Any = {"idempotency-key": call.key} if chosen.acts else None
                params = CallToolRequestParams(name=name, arguments=call.arguments, _meta=meta)
                asked = True
                # Not `call_tool`, which asks for the list first and lets a schema of the server's judge the result.
                result = await client.session.send_request(CallToolRequest(params=params), CallToolResult)
        except NoSecret as problem:
            return ToolResult(id=call.id, error=str(problem))
        except TimeoutError:
            sentence = f"{server.id} took longer than {round(within_s * 1000)} ms"
            acted = asked
        except Exception as problem:
            cause = _cause(problem)
            sentence = f"{server.id} {_sentence(problem)}"
            acted = asked and not isinstance(cause, NotSent | httpx2.ConnectError | httpx2.ConnectTimeout)
            if isinstance(cause, MCPError) and cause.code in _refused_codes():
                acted = False
                if result is None and asked and not chosen.acts:
                    return ToolResult(id=call.id, error=sentence)
        if result is not None:  # whatever happened to the connection afterwards
            return _result(call, chosen.acts, server.id, result)
        if chosen.acts and not acted:
            return ToolResult(id=call.id, error=sentence)
        raise Unavailable(sentence)

    @asynccontextmanager
    async def _connected(
        self, organisation: str, server: McpServer, within_s: float, key: str
    ) -> "AsyncIterator[Client]":
        """A session of one question; its connection is kept for the next one."""
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client
        from mcp.types.version import MODERN_PROTOCOL_VERSIONS

        logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it tells what servers send, callers' data included
        secrets: dict[str, str] = {}
        for name in secrets_in(dict(server.headers)):
            if (value := await self._secrets.get(organisation, name)) is None:
                raise NoSecret(f"the secret {name!r} isn't set")
            secrets[name] = value
        headers = {name: filled(value, {}, secrets) for name, value in server.headers.items()}
        if key:
            headers["idempotency-key"] = quote(key, safe=":")
        version = self._spoken.get(server.url)
        mode = "auto" if version is None else version if version in MODERN_PROTOCOL_VERSIONS else "legacy"
        try:
            async with (
                self._egress.client(headers, within_s, MOST_BYTES) as http,
                Client(streamable_http_client(server.url, http_client=http), mode=mode, cache=None) as client,
            ):
                self._spoken[server.url] = client.protocol_version
                yield client
        except Exception:
            self._spoken.pop(server.url, None)  # it may have changed
            raise


def _path(organisation: str, server: McpServer) -> str:
    return f"organisations/{organisation}/mcp_listings/{server.id}"


def _refused_codes() -> tuple[int, ...]:
    from mcp import types

    return (types.INVALID_PARAMS, types.METHOD_NOT_FOUND, types.HEADER_MISMATCH)


def _listed(server: str, offered: Any) -> ListedTool | None:
    """A tool of the server's list, as far as it can be used."""
    if not CALLABLE.fullmatch(f"{server}.{offered.name}"):
        log.warning("mcp_tool_left_out", server=server, tool=offered.name[:200], why="its name can't be a function's")
        return None
    try:
        schema = parameters.settled(offered.input_schema)
    except parameters.BadSchema as problem:
        log.warning("mcp_tool_left_out", server=server, tool=offered.name, why=str(problem)[:200])
        return None
    hints = offered.annotations
    return ListedTool(
        name=offered.name,
        description="".join(each if each.isprintable() else " " for each in (offered.description or "")[:MOST_WORDS]),
        parameters=schema,
        read_only=bool(hints and hints.read_only_hint),
        repeatable=bool(hints and hints.idempotent_hint),
    )


def _result(call: ToolCall, acts: bool, server: str, result: Any) -> ToolResult:
    texts = [content.text for content in result.content if content.type == "text"]
    if result.is_error:
        said = " ".join("\n".join(texts).split())[:MOST_ERROR]
        return ToolResult(id=call.id, error=said or f"{server} says that it failed")
    output = result.structured_content
    if not isinstance(output, dict):
        output = _object("\n".join(texts)) if output is None else {"result": output}
    try:
        packed = orjson.dumps(output)
    except TypeError:  # numbers beyond 64 bits, half characters: no journal keeps them
        packed = b""
    problem = too_long(len(packed)) if packed else "answer can't be stored"
    if not problem:
        return ToolResult(id=call.id, output=orjson.loads(packed))
    why = f"{server}'s {problem}"
    if not acts:
        raise Unavailable(why)
    log.warning("tool_answer_unreadable", tool=call.tool, why=why)
    return ToolResult(id=call.id, output={})


def _object(text: str) -> dict[str, Any]:
    """A text that is a JSON object is what it holds."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"text": text} if text else {}


def _cause(problem: BaseException) -> BaseException:
    """What a group of exceptions is about."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _sentence(problem: BaseException) -> str:
    """Of the server's own words only those that the protocol has for it, cut."""
    from mcp import MCPError

    match _cause(problem):
        case NotSent() | TooBig() | Unavailable() as known:
            return f"could not be asked: {known}"
        case MCPError() as told:
            return f"answered: {' '.join(told.message.split())[:200]}"
        case httpx2.TimeoutException():
            return "took too long"
        case httpx2.ConnectError():
            return "could not be reached"
        case httpx2.HTTPError():
            return "broke the connection"
        case ValidationError():
            return "answered with what the protocol doesn't allow"
        case other:
            log.warning("mcp_server_broke", why=type(other).__name__)
            return "could not be asked"
