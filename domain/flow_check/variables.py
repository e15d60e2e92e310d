"""Variables: declared, named so that they can be read, and set before they are."""

from collections.abc import Iterator

from domain.equation_tokens import RESERVED
from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.flow_check.texts import read
from domain.flow_check.values import Values
from domain.template import placeholders
from schemas.finding import Finding
from schemas.flow import Function, Handoff, Node, Talk


def declared(chart: Chart) -> Iterator[Finding]:
    """Names that nodes use for variables that there aren't. (Texts and equations are looked at elsewhere.)"""
    for variable in chart.flow.variables:
        if variable.name in RESERVED:
            sentence = f"no equation can read {variable.name!r}: the word means something else there"
            yield found("reserved-name", "", sentence, "Give the variable another name.")
        if variable.invalid and not variable.valid:
            sentence = f"{variable.name!r} has words for invalid values, but none is invalid"
            yield found("invalid-never-said", "", sentence, "Add `valid`, an equation such as `party_size <= 8`.")
    for node in chart.flow.nodes:
        for name in _named(node):
            if name not in chart.variables:
                sentence = f"{name!r} is not a variable of the flow"
                fix = "Declare it among the flow's variables, or correct the name."
                yield found("unknown-variable", node.id, sentence, fix)


def _named(node: Node) -> dict[str, None]:
    match node:
        case Talk():
            return dict.fromkeys((*node.collect, *node.welcome))
        case Function():
            return dict.fromkeys(node.saves)
        case Handoff():
            return dict.fromkeys(node.variables or ())
    return {}


def never_set(chart: Chart) -> Iterator[Finding]:
    """Variables that are read though no way there sets them."""
    values = Values(chart, closely=False)
    fix = "Collect it, or save it from a tool, on the way here; or don't read it."
    for node in _reachable(chart):
        here = values.given_here(node)
        for name in _read_in_texts(node, chart):
            if not values.may(node, name) and not (isinstance(node, Talk) and name in here):
                yield found("never-set", node.id, f"{{{{{name}}}}} is read, but nothing on any way here sets it", fix)
        for equation in (edge.condition for edge in node.edges if edge.when == "equation"):
            for name in sorted(chart.names(equation) & chart.known):
                if not values.may(node, name) and name not in here and _needs(equation, name, chart):
                    sentence = f"{equation!r} needs {name!r}, but nothing on any way here sets it"
                    yield found("never-set", node.id, sentence, fix)
        for way in node.anywhere:
            for name in sorted(chart.names(way.condition) & chart.known) if way.when == "equation" else ():
                if not values.may_anywhere(name) and _needs(way.condition, name, chart):
                    sentence = f"the equation that leads here from anywhere reads {name!r}, which nothing sets"
                    yield found("never-set", node.id, sentence, fix)


def sometimes_unset(chart: Chart) -> Iterator[Finding]:
    """Variables that are read though some way there doesn't set them. An equation that asks for null, or is false then,
    is what such variables are for."""
    values = Values(chart)
    for node in _reachable(chart):
        for name in _read_in_texts(node, chart):
            if values.may(node, name) and not values.must(node, name):
                sentence = f"{{{{{name}}}}} is read, but isn't set on every way here; it leaves a gap then"
                fix = "Collect it on every way here, or branch on `!= null` before."
                yield found("sometimes-unset", node.id, sentence, fix)
        surely = values.surely_here(node)
        for edge in node.edges:
            if edge.when != "equation" or not (table := chart.truth(edge.condition)):
                continue
            for name in table.names:
                unset = name not in surely and not values.must(node, name)
                if unset and values.may(node, name) and table.fails_without(name):
                    sentence = f"{edge.condition!r} fails while {name!r} is unset, as it is on some way here"
                    fix = f"Write `{name} != null && …`, or collect it on every way here."
                    yield found("sometimes-unset", node.id, sentence, fix)


def _reachable(chart: Chart) -> Iterator[Node]:
    for node in chart.nodes.values():
        if node.id in chart.reachable:
            yield node


def _read_in_texts(node: Node, chart: Chart) -> dict[str, None]:
    names = [name for text in read(node) for name in sorted(placeholders(text))]
    if isinstance(node, Talk):
        for name in node.collect:
            if variable := chart.variables.get(name):
                names += sorted(placeholders(variable.ask))
    return dict.fromkeys(name for name in names if name in chart.known)


def _needs(equation: str, name: str, chart: Chart) -> bool:
    """Whether it can't hold while the variable is unset: to ask whether it is, is no mistake."""
    table = chart.truth(equation)
    return table is not None and table.needs(name)
