"""Ids: each names one thing."""

from collections import Counter
from collections.abc import Iterator

from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from schemas.finding import Finding


def check(chart: Chart) -> Iterator[Finding]:
    """Nodes and variables of the same name, and where the flow starts."""
    for id, times in Counter(node.id for node in chart.flow.nodes).items():
        if times > 1:
            yield found("duplicate-id", id, "this id is used more than once", "Give each node an id of its own.")
    for name, times in Counter(variable.name for variable in chart.flow.variables).items():
        if times > 1:
            sentence = f"the variable {name!r} is declared more than once"
            yield found("duplicate-variable", "", sentence, "Keep one of the declarations.")
    if (start := chart.flow.start) not in chart.nodes:
        sentence = f"the flow starts at {start!r}, but there is no such node"
        yield found("missing-start", start, sentence, "Let `start` name the node where conversations begin.")
