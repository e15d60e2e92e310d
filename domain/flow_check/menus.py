"""Menus: ways by key and by words."""

from collections.abc import Iterator

from domain.events import kind_of
from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.reading.plain import plain
from schemas.finding import Finding
from schemas.flow import Edge, Menu, Node


def check(chart: Chart) -> Iterator[Finding]:
    """Keys and words that name two ways, or none."""
    for node in chart.flow.nodes:
        for edge in node.edges:
            if edge.says and not (isinstance(node, Menu) and _is_key(edge)):
                sentence = f"the edge to {edge.to!r} has words, but isn't a menu's edge of a key"
                yield found("words-unused", node.id, sentence, "Remove the words, or make it an edge of a key.")
        if isinstance(node, Menu):
            yield from _keys(node)
            yield from _words(node)


def _is_key(edge: Edge) -> bool:
    return edge.when == "event" and kind_of(edge.condition) == "key"


def _keys(node: Node) -> Iterator[Finding]:
    keys = [edge.condition for edge in node.edges if _is_key(edge)]
    if not keys:
        fix = "Add an edge with the event `key:1`, and the words that mean the same."
        yield found("no-key", node.id, "the menu offers no key", fix)
    for key in dict.fromkeys(key for key in keys if keys.count(key) > 1):
        sentence = f"two edges are for {key!r}"
        yield found("duplicate-key", node.id, sentence, "Give each way a key of its own.")


def _words(node: Node) -> Iterator[Finding]:
    edges = dict[str, Edge]()
    for edge in node.edges:
        for words in edge.says:
            said = plain(words)
            if edges.setdefault(said, edge) is not edge:
                sentence = f"the words {words!r} lead to both {edges[said].to!r} and {edge.to!r}"
                yield found("words-collide", node.id, sentence, "Give each way words of its own.")
