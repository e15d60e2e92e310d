"""Paths: every node is reached, and leads to an end."""

from collections.abc import Iterator

from domain.flow_check.chart import Chart, Terminal, circles, goes_on_talking, listens
from domain.flow_check.codes import found
from schemas.finding import Finding


def check(chart: Chart) -> Iterator[Finding]:
    """Nodes that nothing leads to, and those from which nothing leads on."""
    for id, node in chart.nodes.items():
        if id not in chart.reachable:
            if node.anywhere and not chart.listening:
                sentence = "it is reached from anywhere, but no node listens"
            else:
                sentence = "no way leads here"
            yield found("unreachable-node", id, sentence, "Lead an edge here, or remove the node.")
    yield from _dead_ends(chart)


def _dead_ends(chart: Chart) -> Iterator[Finding]:
    leads = {id: chart.ways(chart.nodes[id]) for id in chart.nodes if id in chart.reachable}
    entered = dict[str, list[str]]()
    for id, ways in leads.items():
        for to in ways:
            entered.setdefault(to, []).append(id)
    ends = [id for id in leads if isinstance(chart.nodes[id], Terminal)]
    safe = set(ends)
    while ends:
        for id in entered.get(ends.pop(), ()):
            if id not in safe:
                safe.add(id)
                ends.append(id)
    stuck = {id: [to for to in ways if to not in safe] for id, ways in leads.items() if id not in safe}
    fix = "Add an edge to an end, a transfer or a handoff; or let an end be reached from anywhere by `goodbye`."
    for part in circles(list(stuck), stuck):
        if all(to in part for id in part for to in stuck[id]):
            others = f", {', '.join(map(repr, part[1:]))}" if len(part) > 1 else ""
            where = f"from here{others} no way leads to an end, a transfer or another agent"
            how = "only the caller can hang up" if any(listens(chart.nodes[id]) for id in part) else "it goes round"
            yield found("dead-end", part[0], f"{where}: {how}", fix)
    for id, ways in stuck.items():
        node = chart.nodes[id]
        # Without any edge at all, or with one into nothing or back, it is said already or no matter.
        told = any(edge.to not in chart.nodes for edge in node.edges) or not (node.edges or listens(node))
        # And of an `always` that isn't gone domain.flow_check.edges tells.
        told = told or (goes_on_talking(node) and all(edge.when == "always" for edge in node.edges))
        if not ways and not told:
            yield found("dead-end", id, "no way that can ever be taken leads on from here", fix)
