"""All tools that an organisation's agents may use: the platform's own, its HTTP endpoints, its MCP servers'."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self, TypeVar

import structlog
from pydantic import ValidationError

from adapters.http_tools import HttpTools
from adapters.mcp_tools import McpTools
from domain import parameters
from domain.once import NotBegun, Once
from domain.ports import Clock, Documents, Found, Tools, Unavailable
from domain.tool_check import Fault, check_server, check_tool
from domain.unfit import first_fault
from schemas.http_tool import HttpTool
from schemas.mcp_server import ListedTool, McpServer
from schemas.organisation import Organisation
from schemas.tool import Tool, ToolCall, ToolResult

LOADED_FOR = timedelta(seconds=30)
"""How long definitions are used without looking whether they changed."""
AGAIN = timedelta(seconds=5)
"""How long it is gone on without those that couldn't be loaded."""
LOAD_S = 3.0
MOST = 300
"""Definitions of each kind."""

log = structlog.get_logger()

_Defined = TypeVar("_Defined", HttpTool, McpServer)


@dataclass(frozen=True)
class _Ready:
    """A tool that can be run."""

    tool: Tool
    run: Callable[[ToolCall], Awaitable[ToolResult]]
    schema: Mapping[str, Any] | None = None
    """What its arguments must meet; None if it looks itself."""
    keyed: bool = False
    """It acts once per key by itself, in the same transaction as its effect."""


@dataclass(frozen=True)
class _Shelf:
    ready: Mapping[str, _Ready]
    until: datetime
    whole: bool
    """All that is defined could be loaded."""


class OrganisationTools:
    """See `domain.ports.Tools`. Acting tools of every kind act once per key; of the platform's own, those that say
    `retry` see to that themselves. `async with` it: leaving stores what is still to be stored."""

    def __init__(self, builtin: Tools, http: HttpTools, mcp: McpTools, documents: Documents, clock: Clock) -> None:
        self._builtin, self._http, self._mcp = builtin, http, mcp
        self._documents, self._clock = documents, clock
        self._once = Once(documents, clock)
        self._shelves: dict[str, _Shelf] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for part in (self._mcp, self._once):
            await self._stack.enter_async_context(part)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        """What can't be loaded is left out, for a while; the platform's own are always there."""
        return {name: ready.tool for name, ready in (await self._shelf(organisation)).ready.items()}

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        """Checks the arguments first. Raises Unavailable if an acting tool's outcome is unknown, or a look-up couldn't
        be asked. Cancelling abandons it; it may still have acted, and says so when it is asked again."""
        shelf = await self._shelf(organisation)
        ready = shelf.ready.get(call.tool)
        if ready is None and not shelf.whole:
            raise NotBegun(f"the definition of {call.tool} could not be loaded")
        if ready is None:
            return ToolResult(id=call.id, error=f"there is no tool {call.tool!r}")
        if ready.schema is not None and (problem := parameters.problem_with(call.arguments, ready.schema)):
            return ToolResult(id=call.id, error=problem)
        if not ready.tool.acts or ready.keyed or not call.key:
            return await ready.run(call)
        look_up = partial(self._verify, organisation, ready.tool.verify, call)
        return await self._once.run(organisation.id, ready.tool, call, partial(ready.run, call), look_up)

    async def _verify(self, organisation: Organisation, name: str, call: ToolCall) -> ToolResult:
        ready = (await self._shelf(organisation)).ready.get(name)
        if ready is None or ready.tool.acts:
            raise Unavailable(f"there is no look-up {name!r} that could tell whether {call.tool} acted")
        return await self.run(organisation, call.model_copy(update={"tool": name, "key": ""}))

    # --- for whoever defines them ---

    async def reserved(self, organisation: Organisation) -> Collection[str]:
        """The names of the platform's own."""
        return (await self._builtin.offered(organisation)).keys()

    def forget(self, organisation: str) -> None:
        """Something was changed: it is read again when it is needed next."""
        self._shelves.pop(organisation, None)

    async def list_now(self, organisation: str, server: McpServer) -> Sequence[ListedTool]:
        """What an MCP server offers, asked now. Raises Unavailable."""
        tools = await self._mcp.list_now(organisation, server)
        self.forget(organisation)
        return tools

    # --- what there is ---

    async def _shelf(self, organisation: Organisation) -> _Shelf:
        shelf, now = self._shelves.get(organisation.id), self._clock.now()
        if shelf and now < shelf.until:
            return shelf
        builtin = {
            name: _Ready(tool, partial(self._builtin.run, organisation), keyed=tool.if_unknown == "retry")
            for name, tool in (await self._builtin.offered(organisation)).items()
        }
        try:
            async with asyncio.timeout(LOAD_S):
                own = await self._load(organisation.id, builtin)
            shelf = _Shelf({**own, **builtin}, now + LOADED_FOR, whole=True)
        except (TimeoutError, Unavailable) as problem:
            log.warning("tools_not_loaded", organisation=organisation.id, why=str(problem) or "the store took too long")
            shelf = _Shelf({**(shelf.ready if shelf else {}), **builtin}, now + AGAIN, whole=False)
        self._shelves[organisation.id] = shelf
        return shelf

    async def _load(self, organisation: str, taken: Mapping[str, _Ready]) -> dict[str, _Ready]:
        ready: dict[str, _Ready] = {}
        root = f"organisations/{organisation}"
        tools = await self._documents.query(f"{root}/tools", limit=MOST)
        servers = await self._documents.query(f"{root}/mcp_servers", limit=MOST)
        for found in tools.found:
            if tool := _usable_tool(found, taken):
                schema = parameters.settled(tool.parameters)
                ready[tool.name] = _Ready(_plain(tool), partial(self._http.run, organisation, tool), schema)
        known = [server for found in servers.found if (server := _usable_server(found)) and server.tools]
        for server, listed in zip(
            known, await asyncio.gather(*(self._mcp.known(organisation, each) for each in known)), strict=True
        ):
            ready |= self._of_server(organisation, server, listed)
        return ready

    def _of_server(self, organisation: str, server: McpServer, listed: Sequence[ListedTool]) -> dict[str, _Ready]:
        ready: dict[str, _Ready] = {}
        by_name = {tool.name: tool for tool in listed}
        for name, chosen in server.tools.items():
            if (offered := by_name.get(name)) is None:
                log.warning("mcp_tool_missing", organisation=organisation, server=server.id, tool=name)
                continue
            use = chosen.model_dump() | {"description": chosen.description or offered.description}
            tool = Tool(name=f"{server.id}.{name}", parameters=offered.parameters, **use)
            run = partial(self._mcp.run, organisation, server, name, chosen)
            ready[tool.name] = _Ready(tool, run, offered.parameters)
        return ready


def _plain(tool: HttpTool) -> Tool:
    """Without what only its running needs."""
    fields = tool.model_dump(exclude={"http"}) | {"parameters": parameters.settled(tool.parameters)}
    return Tool(**fields)


def _usable_tool(found: Found, taken: Mapping[str, object]) -> HttpTool | None:
    """None for one that can't be used: it doesn't hide the others."""
    return _usable(found, HttpTool, lambda tool: check_tool(tool, taken), "tool_left_out")


def _usable_server(found: Found) -> McpServer | None:
    return _usable(found, McpServer, check_server, "mcp_server_left_out")


def _usable(
    found: Found, kind: type[_Defined], check: Callable[[_Defined], Iterator[Fault]], left_out: str
) -> _Defined | None:
    """None for one that can't be used: it doesn't hide the others."""
    try:
        defined = kind.model_validate(found.document)
        fault = next(map(str, check(defined)), "")
    except ValidationError as problem:
        fault = first_fault(problem)
    if fault:
        log.warning(left_out, path=found.path, why=fault)
        return None
    return defined
