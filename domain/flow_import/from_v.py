"""Flows drawn on a canvas → ours."""

import json
import re
from collections.abc import Mapping
from typing import Any

from domain import conditions
from domain.conditions import BadEquation
from domain.flow_import.imported import BadFlow, Imported, changed, extras, lost, made
from domain.flow_import.judged import DONE, find_out, opposite
from domain.flow_import.names import Ids, Variables
from domain.phone_number import is_number
from schemas.finding import Finding
from schemas.flow_v import DataV, EdgeV, FlowV, NodeV

_FIELDS = {
    "start": {"greeting"},
    "prompt": {"system_prompt", "temperature"},
    "tool": {"tool_name", "tool_config"},
    "handoff": {"target", "reason"},
    "condition": {"condition", "true_label", "false_label"},
    "end": {"farewell"},
}
"""By type: what is carried over, besides the label."""
FAILED = frozenset({"failed", "failure", "fail", "error", "on error", "false"})
"""Labels of an edge for a tool that failed."""
_NUMBER = re.compile(r"[+(]?[0-9][0-9\s().-]{4,}")


def read(foreign: FlowV) -> Imported:
    """Raises BadFlow."""
    return _Reading(foreign).whole()


class _Reading:
    def __init__(self, foreign: FlowV) -> None:
        self._foreign = foreign
        self._ids, self._variables = Ids(), Variables()
        self._losses = list[Finding]()
        self._edges: dict[str, list[EdgeV]] = {}

    def whole(self) -> Imported:
        starts = [node for node in self._foreign.nodes if node.type == "start"]
        if len(starts) != 1:
            raise BadFlow(f"there are {len(starts)} nodes of the type start; there must be one")
        for node in self._foreign.nodes:
            self._ids.of(node.id)
        self._losses += extras("", "the flow", self._foreign)
        for edge in self._foreign.edges:
            source = self._ids.of(edge.source)
            self._edges.setdefault(edge.source, []).append(edge)
            self._losses += extras(source, f"the edge to {edge.target!r}", edge)
        known = {node.id for node in self._foreign.nodes}
        for unknown in [id for id in self._edges if id not in known]:
            self._losses.append(lost("", f"edges lead out of {unknown!r}, which doesn't exist"))
        nodes = [self._node(node) for node in self._foreign.nodes]
        for old, new in self._ids.renamed():
            self._losses.append(changed(new, f"the id {old!r} can't be used here; the node is called {new!r}"))
        for old, new in self._variables.renamed():
            self._losses.append(changed("", f"the variable {old!r} is called {new!r} here"))
        for name in self._variables.undeclared():
            kind = self._variables.declared[name]["kind"]
            what = f"{name!r} is read, but this format doesn't say what it is or who sets it; declared as {kind}"
            self._losses.append(changed("", what, "Collect it in a conversation, or save it from a tool."))
        variables = list(self._variables.declared.values())
        return made({"start": self._ids.of(starts[0].id), "nodes": nodes, "variables": variables}, self._losses)

    def _node(self, node: NodeV) -> dict[str, Any]:
        id = self._ids.of(node.id)
        self._losses += extras(id, "the node", node, node.data)
        told = {name for name in DataV.model_fields if getattr(node.data, name) is not None}
        if dropped := sorted(told - _FIELDS[node.type] - {"label"}):
            names = ", ".join(DataV.model_fields[name].alias or name for name in dropped)
            self._losses.append(lost(id, f"a node of this type has no {names} here"))
        ours: dict[str, Any] = {"id": id, "label": node.data.label or "", "position": node.position}
        match node.type:
            case "start":
                ours |= {"type": "start", "say": self._variables.text(node.data.greeting)}
                ours["edges"] = [self._edge(edge) for edge in self._out(node)]
            case "end":
                ours |= {"type": "end", "say": self._variables.text(node.data.farewell)}
                ours["edges"] = [self._edge(edge) for edge in self._out(node)]
            case "prompt":
                ours |= self._prompt(node, id)
            case "tool":
                ours |= self._tool(node, id)
            case "handoff":
                ours |= self._handoff(node, id)
            case "condition":
                ours |= self._condition(node, id)
        return ours

    def _out(self, node: NodeV) -> list[EdgeV]:
        return self._edges.get(node.id, [])

    def _edge(self, edge: EdgeV, **way: str) -> dict[str, Any]:
        return {"to": self._ids.of(edge.target), "label": edge.label or "", **way}

    def _prompt(self, node: NodeV, id: str) -> dict[str, Any]:
        prompt = self._variables.text(node.data.system_prompt)
        if not prompt.strip():
            prompt = node.data.label or "Talk with the caller."
            self._losses.append(changed(id, f"it has no systemPrompt; its task is now {prompt!r}"))
        temperature = node.data.temperature
        if temperature is not None and not 0 <= temperature <= 2:
            self._losses.append(lost(id, f"the temperature {temperature:g} isn't between 0 and 2"))
            temperature = None
        edges = [self._edge(edge, when="prompt", condition=edge.label or DONE) for edge in self._out(node)]
        edges.append({"to": id})
        return {"type": "conversation", "prompt": prompt, "temperature": temperature, "edges": edges}

    def _tool(self, node: NodeV, id: str) -> dict[str, Any]:
        edges = [
            self._edge(edge, when="event", condition="failed")
            if (edge.label or edge.source_handle or "").strip().lower() in FAILED
            else self._edge(edge)
            for edge in self._out(node)
        ]
        arguments = self._arguments(node.data.tool_config or {}, id)
        return {"type": "function", "tool": node.data.tool_name or "", "arguments": arguments, "edges": edges}

    def _arguments(self, config: Mapping[str, Any], id: str) -> dict[str, str]:
        for key in ("arguments", "parameters", "args"):
            if isinstance(config.get(key), dict):
                if others := [name for name in config if name != key]:
                    self._losses.append(lost(id, f"toolConfig also has {', '.join(others)}"))
                config = config[key]
                break
        arguments = dict[str, str]()
        for name, value in config.items():
            if isinstance(value, str):
                arguments[name] = self._variables.text(value)
            elif isinstance(value, bool | int | float):
                arguments[name] = json.dumps(value)
            else:
                self._losses.append(lost(id, f"the value of {name!r} in toolConfig is neither text nor number"))
        return arguments

    def _handoff(self, node: NodeV, id: str) -> dict[str, Any]:
        target, reason = (node.data.target or "").strip(), node.data.reason or ""
        edges = [self._edge(edge, when="event", condition="failed") for edge in self._out(node)]
        if not target or "{{" in target or _NUMBER.fullmatch(target):
            if not target:
                self._losses.append(changed(id, "it names no target; calls go to the agent's transfer number"))
            plain = re.sub(r"[^+0-9]", "", target)
            number = plain if is_number(plain) else self._variables.text(target)
            if plain == number != target:
                self._losses.append(changed(id, f"the number {target!r} is written as {number!r}"))
            return {"type": "transfer", "number": number, "reason": reason, "edges": edges}
        return {"type": "handoff", "agent": target, "reason": reason, "edges": edges}

    def _condition(self, node: NodeV, id: str) -> dict[str, Any]:
        yes, no, others = self._arms(node)
        for edge in others:
            self._losses.append(
                lost(id, f"the edge to {edge.target!r} is one too many: there is one for true and one for false")
            )
        said = (node.data.condition or "").strip()
        if not yes:
            if said:
                self._losses.append(lost(id, f"nothing leads on when {said!r} is true, so that it isn't asked"))
            return {"type": "branch", "edges": [self._arm(edge, node.data.false_label) for edge in no]}
        signs = said.replace("!==", "!=").replace("===", "==")
        equation = self._variables.equation(signs)
        try:
            conditions.names(equation)
        except BadEquation as problem:
            what = f"the condition is no equation ({problem}), so that a model judges it"
            self._losses.append(changed(id, what, "Write it as an equation if it can be one."))
            return self._judged(id, said or "true", yes, no)
        if signs != said:
            self._losses.append(changed(id, f"the condition is written as {equation!r}"))
        edges = [self._arm(edge, node.data.true_label, when="equation", condition=equation) for edge in yes]
        edges += [self._arm(edge, node.data.false_label) for edge in no]
        return {"type": "branch", "edges": edges}

    def _judged(self, id: str, said: str, yes: list[EdgeV], no: list[EdgeV]) -> dict[str, Any]:
        edges = [
            {"to": self._ids.of(edge.target), "when": "prompt", "condition": text, "label": text}
            for arm, text in ((yes, said), (no, opposite(said)))
            for edge in arm
        ]
        return {"type": "conversation", "prompt": find_out(), "edges": [*edges, {"to": id}]}

    def _arm(self, edge: EdgeV, label: str | None, **way: str) -> dict[str, Any]:
        said = edge.label or label or ""
        return {**self._edge(edge, **way), "label": "" if said in ("true", "false") else said}

    def _arms(self, node: NodeV) -> tuple[list[EdgeV], list[EdgeV], list[EdgeV]]:
        """The edges for true, for false, and those for neither: by label, by handle, else in their order."""
        arms: dict[bool, list[EdgeV]] = {True: [], False: []}
        labels = {_plain(node.data.false_label) or "false": False, _plain(node.data.true_label) or "true": True}
        rest, others = list[EdgeV](), list[EdgeV]()
        for edge in self._out(node):
            told = labels.get(_plain(edge.label))
            if told is None:
                told = {"true": True, "false": False, "yes": True, "no": False}.get(
                    _plain(edge.source_handle) or _plain(edge.label)
                )
            if told is None:
                rest.append(edge)
            else:
                (others if arms[told] else arms[told]).append(edge)
        for side in (True, False):
            if not arms[side] and rest:
                arms[side].append(rest.pop(0))
        return arms[True], arms[False], [*others, *rest]


def _plain(label: str | None) -> str:
    return (label or "").strip().lower()
