"""Our flows → flows drawn on a canvas."""

from typing import Any

from domain.flow_export.exported import Exported, changed, dropped, keys, leads_to_itself, lost, task
from domain.flow_import.judged import DONE
from domain.flow_import.names import Ids
from schemas.finding import Finding
from schemas.flow import (
    BACK,
    Branch,
    Edge,
    End,
    Flow,
    Function,
    Handoff,
    Menu,
    Node,
    Position,
    Sms,
    Start,
    Talk,
    Transfer,
)

APART = 160.0
"""Pixels between nodes that were never placed."""


def write_v(flow: Flow) -> Exported:
    """Every node and edge that the format has, and what it hasn't."""
    return _Writing(flow).whole()


class _Writing:
    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._variables = {variable.name: variable for variable in flow.variables}
        self._ids = Ids()
        self._losses = list[Finding]()
        self._nodes = list[dict[str, Any]]()
        self._edges = list[dict[str, Any]]()

    def whole(self) -> Exported:
        for node in self._flow.nodes:
            self._ids.of(node.id)
        if told := [
            v.name
            for v in self._flow.variables
            if v.kind != "text" or v.model_dump(exclude_defaults=True).keys() - {"name", "kind"}
        ]:
            self._losses.append(lost("", f"the format declares no variables: {', '.join(told)}"))
        for node in self._flow.nodes:
            self._node(node)
        return Exported({"nodes": self._nodes, "edges": self._edges}, tuple(self._losses))

    def _node(self, node: Node) -> None:
        match node:
            case Start():
                self._put(node, "start", {"greeting": node.say}, "say")
            case End():
                self._put(node, "end", {"farewell": node.say}, "say")
            case Talk():
                data: dict[str, Any] = {"systemPrompt": task(node, self._variables)}
                if node.temperature is not None:
                    data["temperature"] = node.temperature
                if not node.prompt:
                    self._changed(node, "what is said word for word here is a model's task there")
                self._put(node, "prompt", data, "prompt", "say", "temperature")
            case Menu():
                self._changed(node, "the menu is a model's task there, and keys can't be pressed")
                self._put(node, "prompt", {"systemPrompt": task(node, self._variables)}, "say")
            case Function():
                self._put(
                    node, "tool", {"toolName": node.tool, "toolConfig": dict(node.arguments)}, "tool", "arguments"
                )
            case Sms():
                self._changed(node, "the message is a tool there, send_sms")
                config = {"text": node.text, **({"to": node.to} if node.to else {})}
                self._put(node, "tool", {"toolName": "send_sms", "toolConfig": config}, "text", "to")
            case Transfer():
                if not node.number:
                    self._changed(node, "the target is empty: the agent's own number isn't part of a flow there")
                self._put(node, "handoff", {"target": node.number, "reason": node.reason}, "number", "reason")
            case Handoff():
                self._put(node, "handoff", {"target": node.agent, "reason": node.reason}, "agent", "reason")
            case Branch():
                self._branch(node)
                return
        for edge in node.edges:
            self._edge(node, edge)

    def _put(self, node: Node, type: str, data: dict[str, Any], *kept: str) -> None:
        self._losses += dropped(node, ("label", "position", *kept))
        self._add(node.id, type, node.position, {"label": node.label, **data})

    def _add(self, id: str, type: str, position: Position | None, data: dict[str, Any]) -> None:
        at = position or Position(x=0, y=APART * len(self._nodes))
        self._nodes.append({"id": id, "type": type, "position": at.model_dump(), "data": data})

    def _branch(self, node: Branch) -> None:
        """A node for each equation, each on the false side of the one before."""
        equations = [edge for edge in node.edges if edge.when == "equation"]
        last = next((edge for edge in node.edges if edge.when == "always"), None)
        for edge in node.edges:
            if edge is not last and edge not in equations:
                self._losses.append(lost(node.id, f"the edge to {edge.to!r} of the kind {edge.when}"))
        self._losses += dropped(node, ("label", "position"))
        if len(equations) > 1:
            self._changed(node, f"its {len(equations)} equations are as many nodes there, one behind the other")
        ids = [node.id, *(self._ids.new(f"{node.id}_{n + 2}") for n in range(len(equations) - 1))]
        if not equations:
            label = {"falseLabel": last.label} if last and last.label else {}
            self._add(node.id, "condition", node.position, {"label": node.label, "condition": "false", **label})
            if last:
                self._connect(node.id, last.to, last.label or "false")
            return
        for i, (id, edge) in enumerate(zip(ids, equations, strict=True)):
            data = {"label": node.label, "condition": edge.condition}
            final = last if i == len(equations) - 1 else None
            if edge.label and (final is None or final.label != edge.label):
                data["trueLabel"] = edge.label
            if final and final.label and final.label != edge.label:
                data["falseLabel"] = final.label
            self._add(id, "condition", node.position if i == 0 else None, data)
            self._connect(id, edge.to, edge.label)
            if final:
                self._connect(id, final.to, final.label)
            elif i < len(equations) - 1:
                self._connect(id, ids[i + 1], "")

    def _edge(self, node: Node, edge: Edge) -> None:
        if edge.to == BACK:
            self._losses.append(lost(node.id, "the edge that leads back"))
        elif leads_to_itself(node, edge):
            pass
        elif isinstance(node, Talk | Menu):
            self._spoken(node, edge)
        elif edge.when == "always" and not isinstance(node, Transfer | Handoff):
            self._connect(node.id, edge.to, edge.label)
        elif edge.when == "event" and edge.condition == "failed" and isinstance(node, Function | Sms):
            if edge.label not in ("", "failed"):
                self._losses.append(lost(node.id, f"the label {edge.label!r} of the edge for a failure"))
            self._connect(node.id, edge.to, "failed")
        elif edge.when == "event" and edge.condition == "failed":
            self._connect(node.id, edge.to, edge.label)
        else:
            self._losses.append(lost(node.id, f"the edge to {edge.to!r} for {edge.condition or edge.when!r}"))

    def _spoken(self, node: Talk | Menu, edge: Edge) -> None:
        match edge.when:
            case "always":
                if isinstance(node, Talk) and node.prompt:
                    self._changed(node, "it moves on when a model finds its task done")
                self._connect(node.id, edge.to, edge.label)
            case "prompt" if edge.condition == DONE:
                self._connect(node.id, edge.to, "")
            case "prompt":
                if edge.label not in ("", edge.condition):
                    self._losses.append(lost(node.id, f"the label {edge.label!r}: the condition is in its place"))
                self._connect(node.id, edge.to, edge.condition)
            case "event" if edge.condition.startswith("key:") and isinstance(node, Menu):
                self._connect(node.id, edge.to, keys(edge))
            case "equation":
                self._changed(node, f"a model judges {edge.condition!r} there")
                self._connect(node.id, edge.to, edge.condition)
            case _:
                self._losses.append(lost(node.id, f"the edge to {edge.to!r} for {edge.condition!r}"))

    def _connect(self, source: str, target: str, label: str) -> None:
        edge = {"id": f"e{len(self._edges) + 1}", "source": source, "target": target}
        self._edges.append({**edge, "label": label} if label else edge)

    def _changed(self, node: Node, what: str) -> None:
        self._losses.append(changed(node.id, what))
