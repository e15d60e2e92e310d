"""Equations: they can be read, can hold, and don't get in each other's way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from domain import conditions
from domain.conditions import BadEquation
from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.truth_table import MOST_CHOICES, Sample, Truth
from schemas.finding import Finding
from schemas.flow import Edge, Node

MOST_CASES = 512
"""Combinations of values for which the equations of one node are laid beside each other."""


def unreadable(chart: Chart) -> Iterator[Finding]:
    """What can't be read, or reads what isn't there."""
    for variable in chart.flow.variables:
        if not variable.valid:
            continue
        yield from _unreadable("", f"the equation for valid {variable.name!r}", variable.valid, chart)
        for name in sorted(chart.names(variable.valid) - {variable.name}):
            sentence = f"the equation for valid {variable.name!r} reads {name!r}, which it can't see"
            fix = f"Compare {variable.name!r} with constants only."
            yield found("valid-reads-others", "", sentence, fix)
    for node in chart.flow.nodes:
        for edge in node.edges:
            if edge.when == "equation":
                yield from _unreadable(node.id, f"the equation to {edge.to!r}", edge.condition, chart)
        for way in node.anywhere:
            if way.when == "equation":
                yield from _unreadable(node.id, "the equation that leads here from anywhere", way.condition, chart)


def _unreadable(node: str, what: str, equation: str, chart: Chart) -> Iterator[Finding]:
    try:
        names = conditions.names(equation)
    except BadEquation as problem:
        fix = "Correct it: docs/flows.md says what an equation may hold."
        yield found("equation-unreadable", node, f"{what} can't be read: {problem}", fix)
        return
    for name in sorted(names - chart.known):
        sentence = f"{what} can't be read with {name!r}, which is not a variable of the flow"
        yield found("unknown-variable", node, sentence, "Declare it among the flow's variables, or correct the name.")


def undecided(chart: Chart) -> Iterator[Finding]:
    """What never holds, is never asked, or holds beside another."""
    for variable in chart.flow.variables:
        if variable.valid and (table := chart.truth(variable.valid)) and table.never:
            sentence = f"no value of {variable.name!r} is ever valid: {variable.valid!r} can't hold"
            yield found("equation-never-holds", "", sentence, "Correct the equation.")
    for node in chart.flow.nodes:
        edges = [edge for edge in node.edges if edge.when == "equation"]
        equations = [edge.condition for edge in edges]
        tables = [chart.truth(equation, [e for e in equations if e != equation]) for equation in equations]
        for edge, table in zip(edges, tables, strict=True):
            if table and table.never:
                yield _never(node, f"{edge.condition!r}, which leads to {edge.to!r}")
        for way in node.anywhere:
            if way.when == "equation" and (table := chart.truth(way.condition)) and table.never:
                yield _never(node, f"{way.condition!r}, which leads here from anywhere")
        readable = [(edge, table) for edge, table in zip(edges, tables, strict=True) if table and not table.never]
        if readable and (beside := _lay(readable)):
            yield from _rivals(node, readable, beside)


def _never(node: Node, what: str) -> Finding:
    return found("equation-never-holds", node.id, f"{what}, can't hold", "Correct the equation, or remove the edge.")


@dataclass(frozen=True, slots=True)
class _Beside:
    """What becomes of every case."""

    first: frozenset[int]
    """Equations that are the first to hold in some case."""
    both: Mapping[tuple[int, int], Mapping[str, Sample]]
    """By two equations: a case in which both hold and the first of them wins."""
    covered: bool
    """Whether one of them holds in every case."""


def _lay(readable: Sequence[tuple[Edge, Truth]]) -> _Beside | None:
    """None if there are too many cases."""
    if len(readable) == 1:
        return _Beside(frozenset({0}), {}, all(readable[0][1].rows.values()))
    domains = dict[str, dict[Sample, None]]()
    cases = 1
    for _, table in readable:
        for i, name in enumerate(table.names):
            if name not in domains:
                domains[name] = dict.fromkeys(row[i] for row in table.rows)
                cases *= len(domains[name])
    if cases > MOST_CASES:
        return None
    place = {name: i for i, name in enumerate(domains)}
    tables = [(j, table.rows, [place[name] for name in table.names]) for j, (_, table) in enumerate(readable)]
    first, both, covered = set[int](), dict[tuple[int, int], Mapping[str, Sample]](), True
    for case in product(*domains.values()):
        holding = [j for j, rows, places in tables if rows.get(tuple([case[i] for i in places])) is True]
        if not holding:
            covered = False
            continue
        first.add(holding[0])
        for j in holding[1:]:
            if (holding[0], j) not in both:
                both[holding[0], j] = dict(zip(domains, case, strict=True))
    return _Beside(frozenset(first), both, covered)


def _rivals(node: Node, readable: Sequence[tuple[Edge, Truth]], beside: _Beside) -> Iterator[Finding]:
    whole = True
    for j, (edge, table) in enumerate(readable):
        whole = whole and table.whole
        if whole and j not in beside.first:
            sentence = f"the edge to {edge.to!r} is never taken: those before it cover all of {edge.condition!r}"
            yield found("edge-never-taken", node.id, sentence, "Put it before them, or remove it.")
            continue
        for i, (other, _) in enumerate(readable[:j]):
            if (case := beside.both.get((i, j))) and other.to != edge.to:
                sentence = (
                    f"both {other.condition!r} and {edge.condition!r} hold for {_told(case)};"
                    f" the first one wins, and leads to {other.to!r}"
                )
                fix = "Let only one of them hold, or leave it if that order is meant."
                yield found("equations-overlap", node.id, sentence, fix)
                break
    if whole and beside.covered and (last := next((edge for edge in node.edges if edge.when == "always"), None)):
        sentence = f"the edge to {last.to!r} is never taken: one of the equations before it always holds"
        yield found(
            "edge-never-taken", node.id, sentence, "Let the last equation's edge be the one for everything else."
        )


def _told(case: Mapping[str, Sample]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in case.items())


def _value(value: Sample) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def choices(chart: Chart) -> Iterator[Finding]:
    """Answers that nothing tells apart. A single one that is left over is what `always` is for."""
    handled = dict[str, set[Sample]]()
    where = dict[str, str]()
    for node in chart.flow.nodes:
        for edge in node.edges:
            if edge.when != "equation" or not (table := chart.truth(edge.condition)):
                continue
            for i, name in enumerate(table.names):
                if (variable := chart.variables.get(name)) and variable.kind == "choice":
                    where.setdefault(name, node.id)
                    handled.setdefault(name, set()).update(row[i] for row, holds in table.rows.items() if holds)
    for name, node_id in where.items():
        values = [choice.value for choice in chart.variables[name].choices]
        left = [value for value in values if value not in handled[name]]
        # Those that the sampling left out are no one's fault.
        if len(left) > 1 and len(values) <= MOST_CHOICES:
            shown = ", ".join(map(repr, left))
            fix = "Add an equation for each, or remove the answers that make no difference."
            yield found("choice-unhandled", node_id, f"no equation that looks at {name!r} is for {shown}", fix)
