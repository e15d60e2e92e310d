"""Tools of an organisation's own: HTTP endpoints, MCP servers, and the secrets that they send."""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

from fastapi import APIRouter, Depends
from pydantic import Field, SecretStr

from domain.acts import RunTool
from domain.ports import Ports
from domain.reply import run_tool
from domain.tool_check import Fault, check_server, check_tool
from functions.admin.access import Doors, Organisation
from functions.admin.listing import Cursor, Limit, Listing, listing, query
from functions.admin.problems import Problem
from functions.admin.stored import find, owner_of
from schemas.http_tool import HttpTool
from schemas.ids import new_id
from schemas.mcp_server import ListedTool, McpListing, McpServer
from schemas.model import Model
from schemas.organisation import Organisation as Owner
from schemas.tool import Tool, ToolCall


@runtime_checkable
class DefinedTools(Protocol):
    """Tools that organisations define. See `adapters.organisation_tools`."""

    async def reserved(self, organisation: Owner) -> Collection[str]: ...

    def forget(self, organisation: str) -> None: ...

    async def list_now(self, organisation: str, server: McpServer) -> Sequence[ListedTool]: ...


class Trial(Model):
    """A tool is to be run as a test."""

    arguments: dict[str, Any] = {}
    act: bool = False
    """An acting tool is run only with this: what it does is real."""
    caller: Annotated[str, Field(max_length=20)] = ""
    """Who is to be on the phone: E.164, or empty."""


class TrialResult(Model):
    """What came of it."""

    output: dict[str, Any] | None
    error: str | None
    unknown: bool
    """With an error: whether it acted can't be told."""
    took_ms: int


class NewSecret(Model):
    value: SecretStr


class SecretNames(Model):
    """Values are never told."""

    data: tuple[str, ...]


router = APIRouter(prefix="/api/v1")


async def _defined(ports: Doors) -> DefinedTools:
    if not isinstance(ports.tools, DefinedTools):
        raise Problem(501, "not_supported", "This deployment has no tools of organisations' own.")
    return ports.tools


Defined = Annotated[DefinedTools, Depends(_defined)]


# --- tools ---


@router.get("/offered-tools")
async def offered_tools(ports: Doors, organisation: Organisation) -> Listing[Tool]:
    """All tools that the organisation's agents may use: the platform's, its own, its MCP servers'."""
    offered = await ports.tools.offered(await owner_of(ports, organisation))
    return Listing(data=[offered[name] for name in sorted(offered)], has_more=False)


@router.get("/tools")
async def tools(
    ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None
) -> Listing[HttpTool]:
    """The organisation's own, by name."""
    return listing(await query(ports, f"organisations/{organisation}/tools", (), "", limit, cursor), HttpTool)


@router.get("/tools/{name}")
async def tool(ports: Doors, organisation: Organisation, name: str) -> HttpTool:
    """One of the organisation's own."""
    return HttpTool.model_validate(await find(ports, organisation, "tools", name, "tool", "name"))


@router.put("/tools/{name}")
async def put_tool(ports: Doors, defined: Defined, organisation: Organisation, name: str, tool: HttpTool) -> HttpTool:
    """Defines or replaces it; agents use it some 30 s later at most. Calls under way keep what they have."""
    _same("name", tool.name, name)
    owner = await owner_of(ports, organisation)
    _refuse(check_tool(tool, await defined.reserved(owner)))
    await _refuse_bad_verify(ports, owner, "verify", tool.verify)
    await ports.documents.put(f"organisations/{organisation}/tools/{name}", tool.model_dump(mode="json"))
    defined.forget(organisation)
    return tool


@router.delete("/tools/{name}", status_code=204)
async def delete_tool(ports: Doors, defined: Defined, organisation: Organisation, name: str) -> None:
    """Agents that still name it go on without it."""
    await find(ports, organisation, "tools", name, "tool", "name")
    await ports.documents.delete(f"organisations/{organisation}/tools/{name}")
    defined.forget(organisation)


@router.post("/tools/{name}/try")
async def try_tool(ports: Doors, organisation: Organisation, name: str, trial: Trial) -> TrialResult:
    """Runs any tool that agents may use, with these arguments, as a conversation would."""
    owner = await owner_of(ports, organisation)
    tool = (await ports.tools.offered(owner)).get(name)
    if tool is None:
        raise Problem(404, "not_found", f"There is no tool {name!r}.", "name")
    if tool.acts and not trial.act:
        raise Problem(409, "acts", f'{name} acts: what it does is real. Send "act": true to run it.', "act")
    id = new_id("try")
    call = ToolCall(id=id, tool=name, arguments=trial.arguments, key=f"{id}:{name}", caller=trial.caller)
    began = ports.clock.now()
    came = await run_tool(ports.tools, owner, RunTool(call, acts=tool.acts, timeout_ms=tool.timeout_ms))
    took_ms = round((ports.clock.now() - began).total_seconds() * 1000)
    return TrialResult(output=came.output, error=came.error, unknown=came.unknown, took_ms=took_ms)


# --- MCP servers ---


@router.get("/mcp-servers")
async def mcp_servers(
    ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None
) -> Listing[McpServer]:
    """The organisation's, by id."""
    page = await query(ports, f"organisations/{organisation}/mcp_servers", (), "", limit, cursor)
    return listing(page, McpServer)


@router.get("/mcp-servers/{id}")
async def mcp_server(ports: Doors, organisation: Organisation, id: str) -> McpServer:
    """One of them."""
    return McpServer.model_validate(await find(ports, organisation, "mcp_servers", id, "MCP server", "id"))


@router.put("/mcp-servers/{id}")
async def put_mcp_server(
    ports: Doors, defined: Defined, organisation: Organisation, id: str, server: McpServer
) -> McpServer:
    """Defines or replaces it, with the choice of its tools. The server itself isn't asked."""
    _same("id", server.id, id)
    _refuse(check_server(server))
    owner = await owner_of(ports, organisation)
    for name, chosen in server.tools.items():
        await _refuse_bad_verify(ports, owner, f"tools.{name}.verify", chosen.verify, server)
    await ports.documents.put(f"organisations/{organisation}/mcp_servers/{id}", server.model_dump(mode="json"))
    defined.forget(organisation)
    return server


@router.delete("/mcp-servers/{id}", status_code=204)
async def delete_mcp_server(ports: Doors, defined: Defined, organisation: Organisation, id: str) -> None:
    """Agents that still name its tools go on without them."""
    await find(ports, organisation, "mcp_servers", id, "MCP server", "id")
    await ports.documents.delete(f"organisations/{organisation}/mcp_servers/{id}")
    await ports.documents.delete(f"organisations/{organisation}/mcp_listings/{id}")
    defined.forget(organisation)


@router.get("/mcp-servers/{id}/tools")
async def mcp_tools(ports: Doors, organisation: Organisation, id: str) -> McpListing:
    """What it listed when it was asked last. What it claims of its tools is a proposal: until people say otherwise in
    `tools` of the server, none is used, and one that is used acts."""
    await find(ports, organisation, "mcp_servers", id, "MCP server", "id")
    stored = await ports.documents.get(f"organisations/{organisation}/mcp_listings/{id}")
    if stored is None:
        raise Problem(404, "not_listed", f"{id} wasn't asked for its tools yet.", "id")
    return McpListing.model_validate(stored)


@router.post("/mcp-servers/{id}/list")
async def list_mcp_server(ports: Doors, defined: Defined, organisation: Organisation, id: str) -> McpListing:
    """Asks it for its tools now."""
    server = await mcp_server(ports, organisation, id)
    await defined.list_now(organisation, server)
    return await mcp_tools(ports, organisation, id)


# --- secrets ---


@router.get("/secrets")
async def secrets(ports: Doors, organisation: Organisation) -> SecretNames:
    """Their names."""
    return SecretNames(data=tuple(await ports.secrets.names(organisation)))


@router.put("/secrets/{name}", status_code=204)
async def put_secret(ports: Doors, organisation: Organisation, name: str, secret: NewSecret) -> None:
    """Sets or replaces it; tools use the new one a minute later at most."""
    try:
        await ports.secrets.put(organisation, name, secret.value.get_secret_value())
    except ValueError as problem:
        raise Problem(422, "invalid", str(problem), "name" if "name" in str(problem) else "value") from None


@router.delete("/secrets/{name}", status_code=204)
async def delete_secret(ports: Doors, organisation: Organisation, name: str) -> None:
    """Tools that need it fail from then on."""
    try:
        await ports.secrets.forget(organisation, name)
    except ValueError as problem:
        raise Problem(422, "invalid", str(problem), "name") from None


# --- what several need ---


def _same(param: str, given: str, path: str) -> None:
    if given != path:
        raise Problem(422, "invalid", f"The {param} {given!r} isn't the address's, {path!r}.", param)


def _refuse(findings: Iterable[Fault]) -> None:
    if faults := list(findings):
        raise Problem(422, "invalid", "; ".join(map(str, faults)), faults[0].param)


async def _refuse_bad_verify(
    ports: Ports, owner: Owner, param: str, verify: str, server: McpServer | None = None
) -> None:
    if not verify:
        return
    if server and verify.startswith(f"{server.id}."):
        chosen = server.tools.get(verify.removeprefix(f"{server.id}."))
        known, acts = chosen is not None, bool(chosen and chosen.acts)
    else:
        tool = (await ports.tools.offered(owner)).get(verify)
        known, acts = tool is not None, bool(tool and tool.acts)
    if not known:
        raise Problem(422, "invalid", f"There is no look-up {verify!r}: define it first.", param)
    if acts:
        raise Problem(422, "invalid", f"{verify!r} acts itself: it can't tell whether another tool did.", param)
