"""Flows as a list of instructions → ours."""

import json
import re
from typing import Any

from domain import conditions
from domain.conditions import BadEquation
from domain.equation_tokens import tokens
from domain.flow_import.imported import Imported, changed, extras, lost, made
from domain.flow_import.judged import DONE, find_out
from domain.flow_import.names import Ids, Variables
from domain.foreign_equations import from_cel, is_foreign
from domain.phone_number import is_number
from domain.truth_table import truth
from schemas.finding import Finding
from schemas.flow_f import EdgeF, FlowF, NodeF, VariableF
from schemas.variable import Kind, Variable

KINDS: dict[str, Kind] = {
    "string": "text",
    "str": "text",
    "number": "number",
    "integer": "number",
    "int": "number",
    "float": "number",
    "boolean": "yes_no",
    "bool": "yes_no",
    "enum": "choice",
    **{kind: kind for kind in ("yes_no", "date", "time", "digits", "name", "phone", "text", "choice")},
}
"""By the format's type."""
_NUMBER = re.compile(r"\+[0-9][0-9 ().-]{5,}[0-9]")
_FUNCTION = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+|[A-Za-z][A-Za-z0-9_]*(?=\()")


def read(foreign: FlowF) -> Imported:
    """Raises BadFlow."""
    return _Reading(foreign).whole()


class _Reading:
    def __init__(self, foreign: FlowF) -> None:
        self._foreign = foreign
        self._ids, self._variables = Ids(), Variables()
        self._losses = list[Finding]()

    def whole(self) -> Imported:
        for node in self._foreign.nodes:
            self._ids.of(node.id)
        self._losses += extras("", "the flow", self._foreign)
        if self._foreign.id:
            self._losses.append(lost("", f"the flow's id {self._foreign.id!r}; a flow has none here"))
        for node in self._foreign.nodes:
            if node.type in ("conversation", "function"):
                self._declare(node)
        first = self._ids.of(self._foreign.start_node_id)
        begin = self._ids.new("start")
        nodes: list[dict[str, Any]] = [{"id": begin, "type": "start", "edges": [{"to": first}]}]
        for node in self._foreign.nodes:
            nodes += self._node(node)
        for old, new in self._ids.renamed():
            self._losses.append(changed(new, f"the id {old!r} can't be used here; the node is called {new!r}"))
        for old, new in self._variables.renamed():
            self._losses.append(changed("", f"the variable {old!r} is called {new!r} here"))
        for name in self._variables.undeclared():
            kind = self._variables.declared[name]["kind"]
            what = f"{name!r} is read, but nothing extracts it; declared as {kind}"
            self._losses.append(changed("", what, "Collect it in a conversation, or save it from a tool."))
        variables = list(self._variables.declared.values())
        return made({"start": begin, "nodes": nodes, "variables": variables}, self._losses)

    def _declare(self, node: NodeF) -> None:
        for each in node.extract_variables:
            if isinstance(each, str):
                self._variables.declare(each, kind="text")
                continue
            self._losses += extras(self._ids.of(node.id), f"the variable {each.name!r}", each)
            kind = KINDS.get(each.type.strip().lower())
            if kind is None or (kind == "choice" and not each.choices):
                what = f"{each.name!r} is of the type {each.type!r}, and text here"
                self._losses.append(changed(self._ids.of(node.id), what))
                kind = "text"
            choices = [{"value": value} for value in each.choices] if kind == "choice" else []
            self._variables.declare(each.name, kind=kind, description=each.description, choices=choices)

    def _names(self, node: NodeF) -> list[str]:
        names = [each.name if isinstance(each, VariableF) else each for each in node.extract_variables]
        return [self._variables.of(name) for name in dict.fromkeys(names)]

    def _node(self, node: NodeF) -> list[dict[str, Any]]:
        id = self._ids.of(node.id)
        self._losses += extras(id, "the node", node)
        kept = {"function": {"function", "arguments"}, "transfer": {"number"}}.get(node.type, set())
        for name in ("function", "arguments", "number"):
            if getattr(node, name) is not None and name not in kept:
                self._losses.append(lost(id, f"a node of this type has no {name} here"))
        if node.extract_variables and node.type not in ("conversation", "function"):
            self._losses.append(lost(id, "a node of this type extracts no variables here"))
        match node.type:
            case "conversation":
                return [self._conversation(node, id, self._edges(node, id))]
            case "function":
                return self._function(node, id, self._edges(node, id))
            case "logic_split":
                if node.instruction:
                    self._losses.append(lost(id, "a branch has no instruction here"))
                return [self._split(id, self._edges(node, id))]
            case "transfer":
                return [self._transfer(node, id)]
        if node.instruction:
            what = "its instruction is said word for word"
            self._losses.append(changed(id, what, "Write what is to be said, if it is an instruction."))
        for edge in node.edges:
            self._losses.append(lost(id, f"the edge to {edge.target_node_id!r}: an end leads nowhere"))
        return [{"id": id, "type": "end", "say": self._variables.text(node.instruction)}]

    def _edges(self, node: NodeF, id: str) -> list[dict[str, Any]]:
        return [self._edge(edge, id) for edge in node.edges]

    def _edge(self, edge: EdgeF, source: str) -> dict[str, Any]:
        self._losses += extras(source, f"the edge to {edge.target_node_id!r}", edge, *edge.conditions)
        to = self._ids.of(edge.target_node_id)
        if not edge.conditions:
            return {"to": to}
        if len(edge.conditions) > 1:
            what = f"the edge to {edge.target_node_id!r} has several conditions; all of them must hold"
            self._losses.append(changed(source, what))
        if all(condition.type == "equation" for condition in edge.conditions):
            equations = [self._equation(condition.condition) for condition in edge.conditions]
            joined = equations[0] if len(equations) == 1 else " AND ".join(f"({each})" for each in equations)
            return {"to": to, "when": "equation", "condition": joined}
        if any(condition.type == "equation" for condition in edge.conditions):
            what = f"the edge to {edge.target_node_id!r} has equations beside what a model judges; it judges them too"
            self._losses.append(changed(source, what))
        all_of_them = "; and ".join(self._variables.text(condition.condition) for condition in edge.conditions)
        return {"to": to, "when": "prompt", "condition": all_of_them}

    def _equation(self, said: str) -> str:
        """In the format's words, if it was written in signs: so it can be written back."""
        equation = self._variables.equation(said)
        try:
            found = tokens(equation)
        except BadEquation:
            return equation
        return equation if is_foreign(found) else from_cel(found) or equation

    def _conversation(self, node: NodeF, id: str, edges: list[dict[str, Any]]) -> dict[str, Any]:
        names = self._names(node)
        prompt = self._variables.text(node.instruction)
        if not prompt.strip():
            prompt = "Talk with the caller."
            self._losses.append(changed(id, f"it has no instruction; its task is now {prompt!r}"))
        edges = [edge for edge in edges if edge != {"to": id}]  # to stay is what it does by itself
        wait = bool(names) and self._waits(names, edges)
        if not wait:
            edges = [edge if "when" in edge else {**edge, "when": "prompt", "condition": DONE} for edge in edges]
        if all("when" in edge for edge in edges):
            edges.append({"to": id})
        known = "collect" if wait else "welcome"
        return {"id": id, "type": "conversation", "prompt": prompt, known: names, "edges": edges}

    def _waits(self, names: list[str], edges: list[dict[str, Any]]) -> bool:
        """Whether nothing leads on before all of these are known."""
        if len(edges) == 1 and "when" not in edges[0]:
            return True
        return bool(edges) and all(
            edge.get("when") == "equation" and self._needs(edge["condition"], names) for edge in edges
        )

    def _needs(self, equation: str, names: list[str]) -> bool:
        try:
            if not set(names) <= conditions.names(equation):
                return False
            variables = {name: Variable.model_validate(known) for name, known in self._variables.declared.items()}
            table = truth(equation, variables)
        except BadEquation:
            return False
        return all(table.needs(name) for name in names)

    def _function(self, node: NodeF, id: str, edges: list[dict[str, Any]]) -> list[dict[str, Any]]:
        said = (node.instruction or "").strip()
        named = _FUNCTION.search(said)
        by_itself = len(said.split()) == 1
        tool = node.function or (said if by_itself else named[0] if named else re.sub(r"\W+", "_", id))
        if not node.function and not by_itself:
            what = f"which function it calls isn't told by itself; {tool!r} was taken"
            self._losses.append(changed(id, what, "Name the tool."))
        elif node.function and said and said != tool:
            self._losses.append(lost(id, "a function has no instruction here"))
        arguments = {
            name: self._variables.text(value) if isinstance(value, str) else json.dumps(value)
            for name, value in (node.arguments or {}).items()
        }
        saves = {name: name for name in self._names(node)}
        function = {"id": id, "type": "function", "tool": tool, "arguments": arguments, "saves": saves}
        if not any(edge.get("when") == "prompt" for edge in edges):
            return [{**function, "edges": edges}]
        then = self._ids.new(f"{id}_then")
        self._losses.append(changed(id, f"a function asks no model; {then!r} was put behind it, which does"))
        return [{**function, "edges": [{"to": then}]}, self._split(then, edges)]

    def _split(self, id: str, edges: list[dict[str, Any]]) -> dict[str, Any]:
        if any(edge.get("when") == "prompt" for edge in edges):
            self._losses.append(changed(id, "a branch asks no model; it became a conversation that finds out"))
            edges = [edge for edge in edges if edge != {"to": id}]
            edges = [edge if "when" in edge else {**edge, "when": "prompt", "condition": DONE} for edge in edges]
            return {"id": id, "type": "conversation", "prompt": find_out(), "edges": [*edges, {"to": id}]}
        last = [edge for edge in edges if "when" not in edge]
        first = [edge for edge in edges if "when" in edge]
        if [*first, *last] != edges:
            self._losses.append(changed(id, "the edge without conditions was put last"))
        return {"id": id, "type": "branch", "edges": [*first, *last]}

    def _transfer(self, node: NodeF, id: str) -> dict[str, Any]:
        reason = self._variables.text(node.instruction)
        told = (node.number or "").strip()
        if not told and (match := _NUMBER.search(reason)):
            told = match[0]
        plain = re.sub(r"[^+0-9]", "", told)
        number = plain if is_number(plain) else self._variables.text(told)
        if reason:
            self._losses.append(changed(id, "its instruction is kept as the reason, and not said"))
        for edge in node.edges:
            self._losses += extras(id, f"the edge to {edge.target_node_id!r}", edge)
            if edge.conditions:
                what = f"the edge to {edge.target_node_id!r} is taken whenever the transfer fails"
                self._losses.append(changed(id, what))
        failed = [
            {"to": self._ids.of(edge.target_node_id), "when": "event", "condition": "failed"} for edge in node.edges
        ]
        return {"id": id, "type": "transfer", "number": number, "reason": reason, "edges": failed}
