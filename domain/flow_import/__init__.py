"""Reads the two foreign formats of flows. Pure. What they mean to us is told in docs/flows.md."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from domain.flow_import import from_f, from_v
from domain.flow_import.imported import BadFlow, Imported
from domain.unfit import why_unfit
from schemas.flow_f import FlowF
from schemas.flow_v import FlowV

__all__ = ["BadFlow", "Format", "Imported", "format_of", "read_flow"]

_Kind = TypeVar("_Kind", bound=BaseModel)

Format = Literal["flow", "agent", "v", "f"]


def format_of(data: Any) -> Format | None:
    """Which format a document is in: our own flow, an agent that holds one, or a foreign one; None if neither."""
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("flow"), dict):
        return "agent"
    if not isinstance(data.get("nodes"), list):
        return None
    if "start_node_id" in data:
        return "f"
    if "start" in data:
        return "flow"
    return "v" if isinstance(data.get("edges"), list) else None


def read_flow(data: Any) -> Imported:
    """A flow in one of the two foreign formats. What can't be carried over is listed, nothing is dropped silently.
    Raises BadFlow."""
    match format_of(data):
        case "v":
            return from_v.read(_parsed(FlowV, data))
        case "f":
            return from_f.read(_parsed(FlowF, data))
    raise BadFlow(
        "this is neither of the two formats: one has `nodes` and `edges`, the other `nodes` and `start_node_id`"
    )


def _parsed(kind: type[_Kind], data: Any) -> _Kind:
    try:
        return kind.model_validate(data)
    except ValidationError as problem:
        raise BadFlow(why_unfit(problem)) from None
