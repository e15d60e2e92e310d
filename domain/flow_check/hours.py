"""The agent's hours."""

from collections.abc import Iterator

from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.hours import problems
from schemas.finding import Finding


def check(chart: Chart) -> Iterator[Finding]:
    """Public holidays that nobody knows. Not asked as a call comes in: the first time may take a second."""
    if chart.agent:
        for problem in problems(chart.agent):
            fix = "Write the country as two letters, and the region as ISO 3166-2 does, without the country."
            yield found("unknown-holidays", "", problem, fix)
