"""The flow's compiler: finds what would go wrong before it takes a call. Pure; nothing in it asks the world."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from domain import conditions
from domain.flow_check import (
    anywhere,
    edges,
    equations,
    hours,
    ids,
    loops,
    menus,
    numbers,
    paths,
    texts,
    tools,
    variables,
)
from domain.flow_check.chart import Chart
from schemas.agent import AgentVersion
from schemas.finding import Finding
from schemas.flow import Flow
from schemas.tool import Tool

Check = Callable[[Chart], Iterator[Finding]]

_MAY_REFUSE: tuple[Check, ...] = (
    ids.check,
    edges.check,
    equations.unreadable,
    texts.names,
    variables.declared,
    variables.never_set,
    tools.check,
    numbers.check,
    menus.check,
    anywhere.check,
    loops.endless,
)
"""Those that may find errors: few enough to be asked as a call comes in."""
_ADVISE: tuple[Check, ...] = (
    texts.lengths,
    edges.missing,
    variables.sometimes_unset,
    tools.arguments,
    numbers.agents,
    hours.check,
    equations.undecided,
    equations.choices,
    paths.check,
    loops.check,
)


class FlowRefused(ValueError):
    """A flow that can't be used. The message names the nodes."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(map(str, self.findings)))


def check(
    flow: Flow,
    tools: Mapping[str, Tool] | Collection[str] | None,
    agent: AgentVersion | None = None,
    *,
    agents: Collection[str] | None = None,
    given: Collection[str] = (),
) -> list[Finding]:
    """Every finding, node by node in the flow's order; what concerns the whole comes first.

    `tools` are those that the agent may use: with their schemas, by name alone, or None if they aren't known. `agent`
    is the one that the flow belongs to, `agents` the ids of those that a call can be handed to, None if they aren't
    known. `given` are variables that are set before the flow begins."""
    return _found(Chart(flow, tools, agent, agents, frozenset(given)), (*_MAY_REFUSE, *_ADVISE))


def refuse_if_broken(flow: Flow, tools: Collection[str]) -> None:
    """Raises FlowRefused with every error; warnings refuse nothing. `tools` are the names that the agent may use."""
    digest = hashlib.sha256(flow.model_dump_json().encode()).digest()
    if errors := _errors(_Asked(digest, frozenset(tools), flow)):
        raise FlowRefused(errors)


def warm_up() -> None:
    """What the first flow would wait for."""
    conditions.names("open")


@dataclass(frozen=True, slots=True)
class _Asked:
    digest: bytes
    tools: frozenset[str]
    flow: Flow = field(compare=False)


@lru_cache(maxsize=256)
def _errors(asked: _Asked) -> tuple[Finding, ...]:
    """Of the same flow with the same tools always the same: it is asked with every call that comes in."""
    findings = _found(Chart(asked.flow, asked.tools, None, None, frozenset()), _MAY_REFUSE)
    return tuple(finding for finding in findings if finding.level == "error")


def _found(chart: Chart, checks: Iterable[Check]) -> list[Finding]:
    order = {"": -1} | {id: i for i, id in enumerate(chart.nodes)}
    findings = dict.fromkeys(finding for each in checks for finding in each(chart))
    return sorted(findings, key=lambda finding: order.get(finding.node, -1))
