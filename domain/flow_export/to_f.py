"""Our flows → flows as a list of instructions."""

from collections.abc import Iterator
from typing import Any

from domain.equation_tokens import BadEquation, tokens
from domain.flow_export.exported import Exported, changed, dropped, keys, leads_to_itself, lost, task
from domain.flow_import.judged import DONE
from domain.foreign_equations import from_cel, is_foreign
from schemas.finding import Finding
from schemas.flow import BACK, Branch, Edge, End, Flow, Function, Handoff, Menu, Node, Sms, Start, Talk, Transfer
from schemas.variable import Variable

_TYPES = {"text": "string", "yes_no": "boolean", "choice": "enum"}


def write_f(flow: Flow, id: str = "flow") -> Exported:
    """Every node and edge that the format has, and what it hasn't."""
    return _Writing(flow, id).whole()


class _Writing:
    def __init__(self, flow: Flow, id: str) -> None:
        self._flow, self._id = flow, id
        self._variables = {variable.name: variable for variable in flow.variables}
        self._told = set[str]()
        self._losses = list[Finding]()

    def whole(self) -> Exported:
        first, skipped = self._flow.start, None
        if start := self._mere_start():
            first, skipped = start.edges[0].to, start
            self._losses += dropped(start, ())
        nodes = [self._node(node) for node in self._flow.nodes if node is not skipped]
        for variable in self._flow.variables:
            self._losses += _untold(variable)
        if silent := [name for name in self._variables if name not in self._told]:
            self._losses.append(lost("", f"variables are declared where they are extracted: {', '.join(silent)}"))
        return Exported({"id": self._id, "start_node_id": first, "nodes": nodes}, tuple(self._losses))

    def _mere_start(self) -> Start | None:
        """A start that only says where to begin: the format has a field for that. None if somebody comes back to it."""
        start = next((node for node in self._flow.nodes if node.id == self._flow.start), None)
        if not isinstance(start, Start) or start.say or [edge.when for edge in start.edges] != ["always"]:
            return None
        if any(edge.to == start.id for node in self._flow.nodes for edge in node.edges):
            return None
        return start

    def _node(self, node: Node) -> dict[str, Any]:
        match node:
            case Start():
                if node.say:
                    self._changed(node, "the greeting is a model's task there")
                words = f'Say: "{node.say}"' if node.say else "Go on."
                return self._put(node, "conversation", words, (), "say")
            case Talk():
                if not node.prompt:
                    self._changed(node, "what is said word for word here is a model's task there")
                if node.afresh:
                    self._losses.append(lost(node.id, "afresh: what is collected isn't forgotten on entering"))
                if node.collect and node.welcome:
                    self._changed(node, "what it collects and what is merely welcome are the same there")
                kept = ("say", "prompt", "collect", "welcome", "afresh")
                return self._put(
                    node, "conversation", task(node, self._variables), (*node.collect, *node.welcome), *kept
                )
            case Menu():
                self._changed(node, "the menu is a model's task there, and keys can't be pressed")
                return self._put(node, "conversation", task(node, self._variables), (), "say")
            case Branch():
                return self._put(node, "logic_split", "", ())
            case Function():
                same = tuple(name for name, path in node.saves.items() if name == path)
                if len(same) != len(node.saves):
                    self._losses.append(lost(node.id, "saves: what has another name in the output, or lies within it"))
                return self._put(node, "function", node.tool, same, "tool", "saves")
            case Sms():
                self._changed(node, "the message is a function there, send_sms, which isn't told what to send")
                return self._put(node, "function", "send_sms", ())
            case Transfer():
                words = node.reason
                if node.number and node.number not in words:
                    words = f"{words} {node.number}".strip()
                return self._put(node, "transfer", words, (), "number", "reason")
            case Handoff():
                self._changed(node, f"the handoff to {node.agent!r} is a transfer there")
                return self._put(node, "transfer", node.reason, (), "reason")
            case End():
                return self._put(node, "end", node.say, (), "say")

    def _put(self, node: Node, type: str, instruction: str, extracts: tuple[str, ...], *kept: str) -> dict[str, Any]:
        self._losses += dropped(node, kept)
        return {
            "id": node.id,
            "type": type,
            "instruction": instruction,
            "extract_variables": [self._variable(name) for name in dict.fromkeys(extracts)],
            "edges": list(self._edges(node)),
        }

    def _variable(self, name: str) -> str | dict[str, Any]:
        self._told.add(name)
        variable = self._variables.get(name)
        if variable is None or (variable.kind == "text" and not variable.description):
            return name
        told: dict[str, Any] = {
            "name": name,
            "description": variable.description,
            "type": _TYPES.get(variable.kind, variable.kind),
        }
        if variable.kind == "choice":
            told["choices"] = [choice.value for choice in variable.choices]
        return told

    def _edges(self, node: Node) -> Iterator[dict[str, Any]]:
        for edge in node.edges:
            if edge.to == BACK:
                self._losses.append(lost(node.id, "the edge that leads back"))
            elif leads_to_itself(node, edge):
                continue
            elif (conditions := self._conditions(node, edge)) is None:
                self._losses.append(lost(node.id, f"the edge to {edge.to!r} for {edge.condition!r}"))
            else:
                if edge.label:
                    self._losses.append(lost(node.id, f"the label {edge.label!r} of the edge to {edge.to!r}"))
                yield {"target_node_id": edge.to, "conditions": conditions}

    def _conditions(self, node: Node, edge: Edge) -> list[dict[str, str]] | None:
        match edge.when:
            case "always":
                return []
            case "prompt":
                return [] if edge.condition == DONE else [{"type": "prompt", "condition": edge.condition}]
            case "equation":
                return [{"type": "equation", "condition": self._equation(node, edge.condition)}]
            case "event" if isinstance(node, Menu) and edge.condition.startswith("key:"):
                return [{"type": "prompt", "condition": keys(edge)}]
            case "event" if isinstance(node, Transfer | Handoff) and edge.condition == "failed":
                return []
        return None

    def _equation(self, node: Node, equation: str) -> str:
        try:
            found = tokens(equation)
        except BadEquation:
            found = ()
        if found and is_foreign(found):
            return equation
        if found and (words := from_cel(found)):
            return words
        self._changed(node, f"{equation!r} is in CEL, which other systems hardly read")
        return equation

    def _changed(self, node: Node, what: str) -> None:
        self._losses.append(changed(node.id, what))


def _untold(variable: Variable) -> Iterator[Finding]:
    """What the format doesn't keep of a variable."""
    default = Variable(name="x", kind="text")
    names = [
        name
        for name in Variable.model_fields
        if name not in ("name", "kind", "description", "choices") and getattr(variable, name) != getattr(default, name)
    ]
    if any(choice.says for choice in variable.choices):
        names.append("choices' other words")
    if names:
        yield lost("", f"of the variable {variable.name!r}: {', '.join(names)}")
