"""A tool: something an agent can look up or do."""

from typing import Any, Literal

from schemas.model import Model


class Tool(Model):
    """What a flow or a model may call, and what happens when it goes wrong."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments; they are validated against it before the tool runs."""
    acts: bool = False
    """True if it changes the world. An acting tool waits until the caller's words are stored and runs once."""
    timeout_ms: int = 5000
    """How long it may take, in ms."""
    if_unknown: Literal["retry", "escalate"] = "escalate"
    """For an acting tool whose outcome was lost in a crash: retry (it honours the key), or tell the caller that
    something went wrong and find them a person."""


class ToolCall(Model):
    """One request to run a tool."""

    id: str
    """Names the request within its conversation."""
    tool: str
    arguments: dict[str, Any]
    key: str = ""
    """The same for the same effect: a tool that acts does so once per key. It begins with the conversation's id and a
    colon; node visit and arguments follow."""


class ToolResult(Model):
    """What came of it: exactly one of the two is set."""

    id: str
    """The request's."""
    output: dict[str, Any] | None = None
    error: str | None = None
    """Why it failed, in a sentence that a model or an operator can use."""
