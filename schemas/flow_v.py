"""Flows drawn on a canvas: nodes with a position and data, and edges between them. One of the two formats that are
read and written besides our own; keys that it doesn't have are kept in `model_extra`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.flow import Position


class _Loose(BaseModel):
    model_config = ConfigDict(
        extra="allow", frozen=True, coerce_numbers_to_str=True, alias_generator=to_camel, populate_by_name=True
    )


class DataV(_Loose):
    """What a node is; which of the fields count depends on its type."""

    label: str | None = None
    greeting: str | None = None
    """start"""
    system_prompt: str | None = None
    """prompt"""
    temperature: float | None = None
    max_tokens: int | None = None
    tool_name: str | None = None
    """tool"""
    tool_config: dict[str, Any] | None = None
    target: str | None = None
    """handoff: a telephone number, or an agent's id."""
    reason: str | None = None
    condition: str | None = None
    """condition"""
    true_label: str | None = None
    false_label: str | None = None
    farewell: str | None = None
    """end"""


class NodeV(_Loose):
    id: str
    type: Literal["start", "prompt", "tool", "handoff", "condition", "end"]
    position: Position | None = None
    data: DataV = Field(default_factory=DataV)


class EdgeV(_Loose):
    id: str = ""
    source: str
    target: str
    label: str | None = None
    source_handle: str | None = None
    """Not part of the format, but canvases write it: "true" or "false" at a condition."""


class FlowV(_Loose):
    nodes: tuple[NodeV, ...]
    edges: tuple[EdgeV, ...] = ()
