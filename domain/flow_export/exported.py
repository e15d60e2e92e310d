"""A flow as another format has it, and what that format can't say."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from domain.flow_import.imported import changed, lost
from schemas.finding import Finding
from schemas.flow import Edge, Menu, Node, Talk
from schemas.variable import Variable

__all__ = ["Exported", "changed", "dropped", "keys", "leads_to_itself", "lost", "task"]


@dataclass(frozen=True, slots=True)
class Exported:
    document: dict[str, Any]
    losses: tuple[Finding, ...]


def dropped(node: Node, kept: Collection[str]) -> list[Finding]:
    """What the node has beyond what every node has and the format keeps of it."""
    names = []
    for name, field in type(node).model_fields.items():
        default = field.get_default(call_default_factory=True)
        if name not in ("id", "type", "edges", *kept) and getattr(node, name) != default:
            names.append(name)
    return [lost(node.id, f"the format has no place for {', '.join(names)}")] if names else []


def leads_to_itself(node: Node, edge: Edge) -> bool:
    """How a conversation that a model holds stays where it is: other formats say that with no edge."""
    return isinstance(node, Talk) and bool(node.prompt) and edge.when == "always" and edge.to == node.id


def task(node: Talk | Menu, variables: dict[str, Variable]) -> str:
    """What a model would be told to do in its place."""
    if isinstance(node, Talk) and node.prompt:
        return node.prompt
    asks = [variables[name].ask for name in getattr(node, "collect", ()) if name in variables]
    words = node.say or next(filter(None, asks), "")
    return f'Say: "{words}"' if words else "Listen to the caller."


def keys(edge: Edge) -> str:
    """A menu's edge in words."""
    said = ", ".join(edge.says) or edge.label
    return f"the caller says {said}" if said else f"the caller presses {edge.condition.removeprefix('key:')}"
