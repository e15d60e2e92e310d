"""A flow as the checks look at it: what leads where, and what is known of its surroundings."""

from collections.abc import Collection, Mapping
from functools import cached_property

from domain import conditions
from domain.conditions import GIVEN, BadEquation
from domain.truth_table import MOST_ROWS, Truth, truth
from schemas.agent import AgentVersion
from schemas.flow import BACK, Branch, Edge, End, Flow, Function, Handoff, Menu, Node, Sms, Talk, Transfer
from schemas.tool import Tool
from schemas.variable import Variable

ROWS = 5000
"""Evaluations of equations after which a flow's others are tried for a few cases only."""
FEW_ROWS = 8

Terminal = End | Transfer | Handoff
"""Where a conversation may leave the flow."""


def listens(node: Node) -> bool:
    """Whether the caller may speak here."""
    judged = any(edge.when == "prompt" for edge in node.edges)
    asks = isinstance(node, Talk) and bool(node.prompt or node.collect or node.welcome or judged)
    return isinstance(node, Menu) or asks


def asks_model(node: Node) -> bool:
    """Whether a model is asked here: always, or after an answer that wasn't understood."""
    judges = any(edge.when == "prompt" for edge in node.edges)
    match node:
        case Talk():
            return bool(node.prompt or node.collect) or judges
        case Menu():
            return True
        case Branch():
            return judges
    return False


def goes_on_talking(node: Node) -> bool:
    """Whether the model answers here again and again, until something else than `always` leads on."""
    return isinstance(node, Talk) and bool(node.prompt) and not node.collect


def may_pass(node: Node) -> bool:
    """Whether a conversation may go through without anybody's being waited for."""
    match node:
        case Talk():
            return not listens(node) or bool(node.collect and not node.afresh)
        case Menu() | Function() | Sms() | End() | Transfer() | Handoff():
            return False
    return True


class Chart:
    """Everything is worked out at most once, and only if a check asks for it."""

    def __init__(
        self,
        flow: Flow,
        tools: Mapping[str, Tool] | Collection[str] | None,
        agent: AgentVersion | None,
        agents: Collection[str] | None,
        given: frozenset[str],
    ) -> None:
        self.flow, self.agent, self.agents = flow, agent, agents
        self.tools: Mapping[str, Tool] = tools if isinstance(tools, Mapping) else {}
        self.tool_names = None if tools is None else frozenset(tools)
        self.given = given | GIVEN
        self.nodes: dict[str, Node] = {}
        for node in flow.nodes:
            self.nodes.setdefault(node.id, node)
        self.variables: dict[str, Variable] = {variable.name: variable for variable in flow.variables}
        self._rows = 0
        self._truths: dict[tuple[str, ...], Truth | None] = {}
        self.known = self.variables.keys() | self.given

    def truth(self, equation: str, beside: Collection[str] = ()) -> Truth | None:
        """None if it can't be read."""
        key = (equation, *beside)
        if key not in self._truths:
            try:
                conditions.check(equation, self.known)
                most = MOST_ROWS if self._rows < ROWS else FEW_ROWS
                self._truths[key] = table = truth(equation, self.variables, key[1:], most)
                self._rows += len(table.rows)
            except BadEquation:
                self._truths[key] = None
        return self._truths[key]

    def names(self, equation: str) -> frozenset[str]:
        """The variables that it reads; none if it can't be read."""
        try:
            return conditions.names(equation)
        except BadEquation:
            return frozenset()

    @cached_property
    def reachable(self) -> frozenset[str]:
        """By edges, and by ways in from anywhere if anybody listens on the way."""
        ordinary = self._from(self.flow.start)
        seen = set(ordinary)
        if any(listens(self.nodes[id]) for id in ordinary):
            for node in self.flow.nodes:
                if node.anywhere:
                    seen |= self._from(node.id)
        return frozenset(seen)

    @cached_property
    def ordinary(self) -> frozenset[str]:
        """What edges alone lead to."""
        return self._from(self.flow.start)

    def _from(self, start: str) -> frozenset[str]:
        seen = {start} & self.nodes.keys()
        waiting = list(seen)
        while waiting:
            for edge in self.nodes[waiting.pop()].edges:
                if edge.to in self.nodes and edge.to not in seen:
                    seen.add(edge.to)
                    waiting.append(edge.to)
        return frozenset(seen)

    @cached_property
    def listening(self) -> tuple[str, ...]:
        """The reachable nodes that are left for those that are reached from anywhere."""
        return tuple(id for id in self.nodes if id in self.reachable and listens(self.nodes[id]))

    @cached_property
    def globals(self) -> tuple[Node, ...]:
        """The nodes that are reached from anywhere."""
        return tuple(node for node in self.nodes.values() if node.anywhere)

    def ways(self, node: Node) -> list[str]:
        """Where a conversation may go from here, by whatever way, as far as it can ever be taken."""
        if isinstance(node, End):
            return []
        edges = [edge for edge in node.edges if edge.to in self.nodes and not self.never(edge)]
        if goes_on_talking(node):
            edges = [edge for edge in edges if edge.when != "always" or edge.to == node.id]
        targets = [edge.to for edge in edges]
        if any(edge.to == BACK for edge in node.edges):
            targets += self.listening
        if listens(node):
            targets += [other.id for other in self.globals]
        return targets

    def never(self, edge: Edge) -> bool:
        """Whether its equation is false whatever happens."""
        if edge.when != "equation":
            return False
        table = self.truth(edge.condition)
        return table is not None and table.never


def circles(ids: Collection[str], leads: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The strongly connected parts of a graph that have a circle in them, each in the order of `ids`; without
    recursion, for flows of any length (Tarjan)."""
    order = {id: i for i, id in enumerate(ids)}
    index, low = dict[str, int](), dict[str, int]()
    stack, on_stack, found = list[str](), set[str](), list[list[str]]()
    for root in ids:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(leads.get(root, ())))]
        while work:
            id, ways = work[-1]
            for to in ways:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on_stack.add(to)
                    work.append((to, iter(leads.get(to, ()))))
                    break
                if to in on_stack:
                    low[id] = min(low[id], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[id])
                if low[id] == index[id]:
                    part = list[str]()
                    while not part or part[-1] != id:
                        part.append(stack.pop())
                        on_stack.discard(part[-1])
                    if len(part) > 1 or id in leads.get(id, ()):
                        found.append(sorted(part, key=order.__getitem__))
    return sorted(found, key=lambda part: order[part[0]])
