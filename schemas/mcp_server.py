"""An MCP server of an organisation's own, whose tools its agents may use."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.model import Model
from schemas.variable import Name


class ListedTool(Model):
    """A tool as its server lists it. Untrusted: nothing follows from it until people have chosen the tool."""

    name: str
    """The server's name for it."""
    description: str
    """Cut to `adapters.mcp_tools.MOST_WORDS` characters."""
    parameters: dict[str, Any]
    """JSON schema of the arguments, without references."""
    read_only: bool = False
    """The server claims that it changes nothing: a proposal for `ChosenTool.acts`."""
    repeatable: bool = False
    """The server claims that calling it again with the same arguments changes nothing more."""


class ChosenTool(Model):
    """How one of the server's tools is used; its fields are those of `schemas.tool.Tool`."""

    description: Annotated[str, Field(max_length=2000)] = ""
    """Instead of the server's, which may change at any time."""
    acts: bool = True
    timeout_ms: Annotated[int, Field(ge=100, le=300_000)] = 5000
    if_unknown: Literal["retry", "verify", "escalate"] = "escalate"
    verify: str = ""
    filler: str = ""
    progress: str = ""
    saves: dict[Name, str] = {}


class McpServer(Model):
    """Stored at organisations/{org}/mcp_servers/{id}."""

    id: Name
    """Its tools are called `{id}.{name}`."""
    url: Annotated[str, Field(max_length=2000)]
    """Where it speaks streamable HTTP."""
    headers: dict[str, Annotated[str, Field(max_length=2000)]] = {}
    """`{{secret:name}}` stands for one of the organisation's secrets."""
    tools: dict[str, ChosenTool] = {}
    """By the server's name: those that agents may use. None until somebody chooses."""


class McpListing(Model):
    """What a server offered when it was asked last. Stored at organisations/{org}/mcp_listings/{id}."""

    url: str
    """Of the server that was asked."""
    at: datetime
    tools: tuple[ListedTool, ...]
