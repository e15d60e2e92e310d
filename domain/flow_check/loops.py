"""Circles in which nobody listens."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice, product

from domain import conditions
from domain.flow_check.chart import Chart, circles, may_pass
from domain.flow_check.codes import found
from domain.truth_table import Sample
from schemas.finding import Finding
from schemas.flow import Edge, Function, Handoff, Node, Sms, Talk, Transfer

MOST_CASES = 512
"""Combinations of values for which a circle is walked."""

_Works = Function | Sms | Transfer | Handoff
"""These wait for the world, not for the caller."""


def endless(chart: Chart) -> Iterator[Finding]:
    """Circles of nodes that wait for nothing."""
    ids = [id for id in chart.nodes if _never_waits(chart.nodes[id])]
    for part in circles(ids, {id: _passing(chart.nodes[id], ids) for id in ids}):
        if path := _goes_round(part, chart, ()):
            sentence = f"{_told(path)} lead to each other, and none of them waits for the caller or for anything else"
            fix = "Let one of them listen: a conversation that collects something, or has a prompt."
            yield found("endless-loop", path[0], sentence, fix)


def check(chart: Chart) -> Iterator[Finding]:
    """Circles that wait the first time only, or never for the caller."""
    ids = [id for id in chart.nodes if may_pass(chart.nodes[id])]
    for part in circles(ids, {id: _passing(chart.nodes[id], ids) for id in ids}):
        known = {name for id in part if isinstance(node := chart.nodes[id], Talk) for name in node.collect}
        path = _goes_round(part, chart, known)
        if known and path and any(not _never_waits(chart.nodes[id]) for id in path):
            sentence = f"{_told(path)} lead to each other, and the second time all that they ask for is known already"
            fix = "Set `afresh` where the question is to be asked again."
            yield found("known-loop", path[0], sentence, fix)
    ids = [id for id in chart.nodes if may_pass(chart.nodes[id]) or isinstance(chart.nodes[id], _Works)]
    for part in circles(ids, {id: _unheard(chart.nodes[id], ids, chart) for id in ids}):
        if any(isinstance(chart.nodes[id], _Works) for id in part):
            sentence = f"{_told(part)} lead to each other, and the caller never gets to speak"
            fix = "Let the caller answer in between, or lead on to an end or a transfer after a failure."
            yield found("silent-loop", part[0], sentence, fix)


def _never_waits(node: Node) -> bool:
    return may_pass(node) and not (isinstance(node, Talk) and node.collect)


def _ways_through(node: Node) -> list[Edge]:
    """The ways that need nobody's words, in the order in which they are looked at."""
    equations = [edge for edge in node.edges if edge.when == "equation"]
    return [*equations, *(edge for edge in node.edges if edge.when == "always")][: len(equations) + 1]


def _passing(node: Node, ids: Collection[str]) -> list[str]:
    return [edge.to for edge in _ways_through(node) if edge.to in ids]


def _unheard(node: Node, ids: Collection[str], chart: Chart) -> list[str]:
    edges = _ways_through(node)
    if isinstance(node, _Works):
        edges = [*edges, *(edge for edge in node.edges if edge.when == "event" and edge.condition.startswith("failed"))]
    return [edge.to for edge in edges if edge.to in ids and not chart.never(edge)]


def _goes_round(part: Collection[str], chart: Chart, known: Collection[str]) -> list[str]:
    """The circle that is walked for some values of its variables, of which these aren't null; empty if none is found.
    Nothing on the way changes the values, so that one round means endless ones."""
    domains = dict[str, dict[Sample, None]]()
    for id in part:
        for edge in chart.nodes[id].edges:
            if edge.when == "equation" and (table := chart.truth(edge.condition)):
                for i, name in enumerate(table.names):
                    values = [row[i] for row in table.rows if row[i] is not None or name not in known]
                    domains.setdefault(name, {}).update(dict.fromkeys(values))
    for row in islice(product(*domains.values()), MOST_CASES):
        case = dict(zip(domains, row, strict=True))
        done = set[str]()
        for start in part:
            path = list[str]()
            id = start
            while id in part and id not in done and id not in path:
                path.append(id)
                id = _next(chart.nodes[id], chart, case)
            if id in path:
                return path[path.index(id) :]
            done.update(path)
    return []


def _next(node: Node, chart: Chart, case: Mapping[str, Sample]) -> str:
    for edge in _ways_through(node):
        if edge.when == "always":
            return edge.to
        if chart.truth(edge.condition) and conditions.holds(edge.condition, chart.known, case):
            return edge.to
    return ""


def _told(path: Collection[str]) -> str:
    return ", ".join(map(repr, path))
