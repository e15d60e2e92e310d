"""Flows as a list of instructions with conditions on the edges. One of the two formats that are read and written
besides our own; keys that it doesn't have are kept in `model_extra`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Loose(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)


class ConditionF(_Loose):
    type: Literal["prompt", "equation"]
    condition: str


class EdgeF(_Loose):
    """All of its conditions must hold."""

    target_node_id: str
    conditions: tuple[ConditionF, ...] = ()


class VariableF(_Loose):
    name: str
    description: str = ""
    type: str = "string"
    choices: tuple[str, ...] = ()


class NodeF(_Loose):
    id: str
    type: Literal["conversation", "function", "logic_split", "end", "transfer"]
    instruction: str | None = None
    """What the model is to do; the function's name; what is said at the end."""
    extract_variables: tuple[str | VariableF, ...] = ()
    edges: tuple[EdgeF, ...] = ()
    function: str | None = None
    """Not always there: the function's name."""
    arguments: dict[str, Any] | None = None
    """Not always there: the function's."""
    number: str | None = None
    """Not always there: where a transfer goes."""


class FlowF(_Loose):
    id: str | None = None
    start_node_id: str
    nodes: tuple[NodeF, ...]
