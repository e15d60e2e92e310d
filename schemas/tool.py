"""A tool: something an agent can look up or do."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.model import Model
from schemas.variable import Name

LONG_MS = 8000
"""A tool that may take longer is a long one."""


class Tool(Model):
    """What a flow or a model may call, and what happens when it goes wrong."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments; they are validated against it before the tool runs."""
    acts: bool = False
    """True if it changes the world. An acting tool waits until the caller's words are stored and runs once."""
    timeout_ms: Annotated[int, Field(ge=100, le=300_000)] = 5000
    """How long it may take, in ms. While one runs that may take more than `LONG_MS`, the caller can go on talking."""
    if_unknown: Literal["retry", "verify", "escalate"] = "escalate"
    """For an acting tool of which nobody knows whether it acted (a crash, an answer that was lost): retry (it honours
    the key), verify (by the look-up that `verify` names; then as it tells), or tell the caller that something went
    wrong and find them a person."""
    verify: str = ""
    """A look-up that takes the same arguments: it succeeds if this has acted, and its output is what came of it."""
    filler: str = ""
    """Said as it begins: "Let me look that up." """
    progress: str = ""
    """Said while it still runs, from time to time; empty for the agent's own phrase."""
    saves: dict[Name, str] = {}
    """By variable: what of the output it takes, if the flow knows it; see `schemas.flow.Function.saves`."""


class ToolCall(Model):
    """One request to run a tool."""

    id: str
    """Names the request within its conversation."""
    tool: str
    arguments: dict[str, Any]
    key: str = ""
    """The same for the same effect: a tool that acts does so once per key. It begins with the conversation's id and a
    colon; node visit and arguments follow."""
    agent: str = ""
    """The agent that wants it."""
    caller: str = ""
    """Who is on the phone: E.164, or empty."""


class ToolResult(Model):
    """What came of it: exactly one of the two is set."""

    id: str
    """The request's."""
    output: dict[str, Any] | None = None
    error: str | None = None
    """Why it failed, in a sentence that a model or an operator can use."""
    absent: bool = False
    """With an error of a look-up: it works, and what it looked for isn't there."""
