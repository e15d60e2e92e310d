"""Edges: each leads somewhere, and can be taken."""

from collections.abc import Iterator

from domain.events import is_event, kind_of
from domain.flow_check.chart import Chart, goes_on_talking, listens
from domain.flow_check.codes import found
from schemas.finding import Finding
from schemas.flow import BACK, Branch, End, Function, Handoff, Menu, Node, Sms, Talk, Transfer

_FAILS = "Add an edge for the event `failed`: to words that help the caller, or to a person."


def check(chart: Chart) -> Iterator[Finding]:
    """What leads nowhere, or can't happen."""
    for node in chart.flow.nodes:
        yield from _edges(node, chart)
        if not isinstance(node, End | Transfer | Handoff | Menu) and not any(e.when == "always" for e in node.edges):
            fix = "Add an edge of the kind `always`."
            yield found("no-way-on", node.id, "no edge says where it leads when nothing else holds", fix)
        if isinstance(node, Branch) and node.edges and node.edges[-1].when != "always":
            sentence = "the last edge of a branch must be the one for everything else"
            yield found("branch-open", node.id, sentence, "Move the edge of the kind `always` to the end.")


def _edges(node: Node, chart: Chart) -> Iterator[Finding]:
    for edge in node.edges:
        if edge.to == BACK:
            if node.id in chart.ordinary:
                sentence = (
                    "an edge leads back, but ordinary edges lead here too, and then there is nothing to go back to"
                )
                fix = "Lead on to a node instead, or let the node be reached from anywhere only."
                yield found("back-from-nowhere", node.id, sentence, fix)
        elif edge.to not in chart.nodes:
            fix = "Lead it to a node that exists, or remove it."
            yield found("edge-into-nothing", node.id, f"an edge leads to {edge.to!r}, which doesn't exist", fix)
        if edge.when == "event" and not happens(edge.condition, node):
            fix = "Use an event that happens here; docs/flows.md lists them."
            yield found("event-impossible", node.id, f"the event {edge.condition!r} can't happen here", fix)
        if edge.when == "prompt":
            yield from _judged(node, edge.condition)


def _judged(node: Node, condition: str) -> Iterator[Finding]:
    if not condition.strip():
        sentence = "an edge is judged by the model, but says nothing that it could judge"
        yield found("condition-missing", node.id, sentence, "Write what must be the case, as a sentence.")
    if not isinstance(node, Talk | Branch):
        sentence = "an edge is judged by the model, but this node never asks it"
        fix = "Use an equation, or lead to a branch or a conversation that has the edge."
        yield found("prompt-never-asked", node.id, sentence, fix)


def happens(event: str, node: Node) -> bool:
    """Whether there is such an event, and it can happen at the node."""
    if not is_event(event):
        return False
    match node:
        case Talk() if listens(node):
            return kind_of(event) in ("misunderstood", "corrected", "silence", "key", "human", "goodbye")
        case Menu():
            return kind_of(event) in ("misunderstood", "silence", "key", "human", "goodbye")
        case Transfer():
            return kind_of(event) == "failed"
        case Function():
            return event in ("failed", "cancelled")
        case Sms() | Handoff():
            return event == "failed"
    return False


def missing(chart: Chart) -> Iterator[Finding]:
    """Ways that there should be, and ways that are there twice."""
    names = {Function: "the tool", Sms: "the message", Transfer: "the transfer", Handoff: "the handoff"}
    for node in chart.flow.nodes:
        if (what := names.get(type(node))) and not any(
            e.when == "event" and e.condition == "failed" for e in node.edges
        ):
            some = any(e.when == "event" and kind_of(e.condition) == "failed" for e in node.edges)
            sentence = f"nothing says what happens if {what} fails{' for another reason' if some else ''}"
            yield found("no-failure-path", node.id, sentence, _FAILS)
        seen = set[tuple[str, str]]()
        for edge in node.edges:
            way = (edge.when, "" if edge.when == "always" else edge.condition.strip())
            # Of equations that are the same, domain.flow_check.equations tells; of keys, menus.
            told = edge.when == "equation" or (isinstance(node, Menu) and kind_of(edge.condition) == "key")
            if way in seen and not told:
                sentence = f"the edge to {edge.to!r} is never taken: another one before it is for the same"
                yield found("edge-never-taken", node.id, sentence, "Remove it, or change what it is for.")
            seen.add(way)
        if goes_on_talking(node) and not any(edge.when in ("prompt", "equation") for edge in node.edges):
            for edge in node.edges:
                if edge.when == "always" and edge.to != node.id:
                    sentence = (
                        f"the edge to {edge.to!r} is never taken: the model goes on talking, and isn't told when not"
                    )
                    fix = "Add a prompt edge that says when to go on; lead `always` back to the node."
                    yield found("edge-never-taken", node.id, sentence, fix)
        if isinstance(node, End) and node.edges:
            sentence = "an edge leads on from an end, where the call is over"
            yield found("edge-never-taken", node.id, sentence, "Remove the edge.")
