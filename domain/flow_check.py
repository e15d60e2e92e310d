"""Finds what would go wrong in a flow before it takes a call."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from domain import conditions
from domain.template import placeholders
from schemas.flow import Branch, End, Flow, Function, Node, Start, Talk, Transfer

EVENTS = {
    Talk: {"misunderstood", "corrected"},
    Function: {"failed"},
    Transfer: {"failed"},
}


class FlowRefused(ValueError):
    """A flow that can't be used. The message names the nodes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    node: str
    sentence: str

    def __str__(self) -> str:
        return f"node {self.node!r}: {self.sentence}"


def refuse_if_broken(flow: Flow, tools: Collection[str]) -> None:
    """Raises FlowRefused with every finding. `tools` are the names that the agent may use."""
    findings = list(check(flow, tools))
    if findings:
        raise FlowRefused("; ".join(map(str, findings)))


def check(flow: Flow, tools: Collection[str]) -> Iterator[Finding]:
    """Every finding, node by node."""
    ids = [node.id for node in flow.nodes]
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        yield Finding(id, "this id is used more than once")
    if flow.start not in ids:
        yield Finding(flow.start, "the flow starts here, but there is no such node")
    for node in flow.nodes:
        for sentence in _wrong_with(node, flow, ids, tools):
            yield Finding(node.id, sentence)


def _wrong_with(node: Node, flow: Flow, ids: Collection[str], tools: Collection[str]) -> Iterator[str]:
    variables = {variable.name for variable in flow.variables}
    for edge in node.edges:
        if edge.to not in ids:
            yield f"an edge leads to {edge.to!r}, which doesn't exist"
        if edge.when == "equation":
            try:
                conditions.check(edge.condition, variables)
            except conditions.BadEquation as problem:
                yield f"the equation can't be read: {problem}"
        if edge.when == "event" and edge.condition not in EVENTS.get(type(node), set()):
            yield f"the event {edge.condition!r} can't happen here"
        if edge.when == "prompt" and not (isinstance(node, Talk) and node.prompt):
            yield "an edge is judged by the model, but only a conversation with a prompt asks it"
    for text in _texts(node):
        for name in placeholders(text) - variables - {"caller"}:
            yield f"{{{{{name}}}}} is not a variable of the flow"
    match node:
        case Talk():
            for name in {*node.collect, *node.welcome} - variables:
                yield f"{name!r} is not a variable of the flow"
            if node.say and node.prompt:
                yield "it has both words to say and a prompt"
            for tool in node.tools:
                if tool not in tools:
                    yield f"the tool {tool!r} doesn't exist"
        case Function():
            if node.tool not in tools:
                yield f"the tool {node.tool!r} doesn't exist"
            for name in node.saves.keys() - variables:
                yield f"{name!r} is not a variable of the flow"
    if not isinstance(node, End | Transfer) and not any(edge.when == "always" for edge in node.edges):
        yield "no edge says where it leads when nothing else holds"
    if isinstance(node, Branch) and node.edges and node.edges[-1].when != "always":
        yield "the last edge of a branch must be the one for everything else"


def _texts(node: Node) -> Iterator[str]:
    match node:
        case Start() | End():
            yield node.say
        case Talk():
            yield from (node.say, node.prompt, *node.retries)
        case Function():
            yield from (node.meanwhile, *node.arguments.values())
        case Transfer():
            yield from (node.say, node.number)
        case _:
            pass
