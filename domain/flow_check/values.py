"""Which variables are set where: a data flow over the graph, with a bit for each variable."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.flow_check.chart import Chart, listens
from domain.truth_table import Truth
from schemas.flow import BACK, Edge, Function, Node, Talk

_HUB, _BACK = "@hub", "@back"
"""Where all nodes that listen meet, to be left for those that are reached from anywhere, and where those return."""


@dataclass(frozen=True, slots=True)
class _Way:
    to: str
    may: int
    """What may be set on it."""
    must: int
    """What is."""


class Values:
    """What is set on entering each reachable node: on some way there, and on every one.

    `closely`: with what equations tell of the variables on the ways that they let through."""

    def __init__(self, chart: Chart, closely: bool = True) -> None:
        self._chart, self._closely = chart, closely
        names = sorted({*chart.known})
        self._bit = {name: 1 << i for i, name in enumerate(names)}
        self._all = (1 << len(names)) - 1
        self._volunteered = self._bits(v.name for v in chart.flow.variables if v.anytime)
        self._may: dict[str, int] = {}
        self._must: dict[str, int] = {}
        if chart.flow.start in chart.nodes:
            self._flow()

    def may(self, node: Node, name: str) -> bool:
        """Whether some way to the node sets it."""
        return bool(self._may.get(node.id, self._all) & ~self._forgotten(node) & self._bit[name])

    def must(self, node: Node, name: str) -> bool:
        """Whether every way does."""
        return bool(self._must.get(node.id, self._all) & ~self._forgotten(node) & self._bit[name])

    def may_anywhere(self, name: str) -> bool:
        """Whether it may be set where some node listens."""
        return bool(self._may.get(_HUB, self._all) & self._bit[name])

    def given_here(self, node: Node) -> frozenset[str]:
        """What may be set at the node itself, before an edge is chosen."""
        bits = self._gains(node)
        return frozenset(name for name, bit in self._bit.items() if bits & bit)

    def surely_here(self, node: Node) -> frozenset[str]:
        """What is set at the node itself once an equation is asked."""
        match node:
            case Talk():
                return frozenset(node.collect)
            case Function():
                return frozenset(node.saves)
        return frozenset()

    # --- inside ---

    def _bits(self, names: Iterable[str]) -> int:
        bits, known = 0, self._bit
        for name in names:
            bits |= known.get(name, 0)
        return bits

    def _forgotten(self, node: Node) -> int:
        return self._bits(node.collect) if isinstance(node, Talk) and node.afresh else 0

    def _gains(self, node: Node) -> int:
        match node:
            case Talk():
                gains = self._bits((*node.collect, *node.welcome))
                tools = [self._chart.tools[name] for name in node.tools if name in self._chart.tools]
                gains |= self._bits(name for tool in tools for name in tool.saves)
                # In a free conversation the caller may tell anything.
                return gains | self._volunteered if node.prompt else gains
            case Function():
                tool = self._chart.tools.get(node.tool)
                return self._bits((*node.saves, *(tool.saves if tool else ())))
        return 0

    def _flow(self) -> None:
        chart, given = self._chart, self._bits(self._chart.given)
        ways = {node.id: self._ways(node) for node in chart.nodes.values() if node.id in chart.reachable}
        ways[_HUB] = [way for node in chart.globals for way in self._ways_in(node)]
        ways[_BACK] = [_Way(id, 0, self._all) for id in chart.listening]
        killed = {id: self._forgotten(chart.nodes[id]) for id in ways if id in chart.nodes}
        self._may[chart.flow.start] = self._must[chart.flow.start] = given
        waiting = [chart.flow.start]
        while waiting:
            id = waiting.pop()
            may, must = (bits[id] & ~killed.get(id, 0) for bits in (self._may, self._must))
            for way in ways.get(id, ()):
                if way.to not in ways:
                    continue
                # Whoever comes back finds what was set when they left: that takes nothing away.
                gained = self._all if id == _BACK else must | way.must
                new_may = self._may.get(way.to, 0) | may | way.may
                new_must = self._must.get(way.to, self._all) & gained
                if way.to not in self._may or new_may != self._may[way.to] or new_must != self._must[way.to]:
                    self._may[way.to], self._must[way.to] = new_may, new_must
                    waiting.append(way.to)

    def _ways(self, node: Node) -> list[_Way]:
        gains = self._gains(node)
        surely = self._bits(self.surely_here(node))
        ways = list[_Way]()
        refused = 0
        for edge in node.edges:
            if self._closely and self._chart.never(edge):
                continue
            to = _BACK if edge.to == BACK else edge.to
            if edge.when in ("always", "equation"):
                told, refused_here = self._told_by(edge)
                ways.append(_Way(to, gains, surely | told | refused))
                refused |= refused_here
            else:
                failed = isinstance(node, Function)
                ways.append(_Way(to, 0 if failed else gains, 0))
        if listens(node):
            ways.append(_Way(_HUB, gains, 0))
        return ways

    def _ways_in(self, node: Node) -> list[_Way]:
        ways = list[_Way]()
        for way in node.anywhere:
            table = self._chart.truth(way.condition) if self._closely and way.when == "equation" else None
            ways.append(_Way(node.id, 0, self._needed(table)))
        return ways

    def _told_by(self, edge: Edge) -> tuple[int, int]:
        """What is set if the edge's equation holds, and if it doesn't."""
        if edge.when != "equation" or not self._closely or not (table := self._chart.truth(edge.condition)):
            return 0, 0
        return self._needed(table), self._bits(name for name in table.names if table.forces(name))

    def _needed(self, table: Truth | None) -> int:
        return self._bits(name for name in table.names if table.needs(name)) if table else 0
