"""Telephone numbers, and the agents that calls are handed to."""

from collections.abc import Iterator

from domain.controls import TRANSFER_CALL
from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.phone_number import is_number
from domain.template import placeholders
from schemas.finding import Finding
from schemas.flow import Handoff, Sms, Transfer

_FIX = "Write it as E.164: +, country code, number, without blanks; or {{name}} for a variable that holds one."


def check(chart: Chart) -> Iterator[Finding]:
    """Numbers that aren't any, and agents that a call can't be handed to."""
    if agent := chart.agent:
        for what, number in (
            ("transfer_number", agent.transfer_number),
            ("fallback_number", agent.fallback_number),
            ("out_of_hours.number", agent.out_of_hours.number),
        ):
            if number and not is_number(number):
                yield found("bad-number", "", f"the agent's {what} {number!r} is no telephone number", _FIX)
    for node in chart.flow.nodes:
        match node:
            case Transfer(number=text) | Sms(to=text) if text:
                names = placeholders(text)
                if not names and not is_number(text):
                    yield found("bad-number", node.id, f"{text!r} is no telephone number", _FIX)
                elif names and text.strip().strip("{} ") not in names:
                    yield found("bad-number", node.id, f"{text!r} is a number only in part", _FIX)
                for name in names & chart.variables.keys():
                    if chart.variables[name].kind not in ("phone", "text"):
                        sentence = (
                            f"{name!r} holds no telephone numbers: it is of the kind {chart.variables[name].kind}"
                        )
                        yield found("number-kind", node.id, sentence, "Use a variable of the kind phone.")
            case Handoff():
                if chart.agent and node.agent == chart.agent.agent:
                    sentence = "the call is handed to the agent that it is with already"
                    yield found("handoff-to-itself", node.id, sentence, "Lead to a node of this flow instead.")
                elif chart.agents is not None and node.agent not in chart.agents:
                    sentence = f"there is no agent {node.agent!r}"
                    yield found("unknown-agent", node.id, sentence, "Use the id of an agent of this organisation.")


def agents(chart: Chart) -> Iterator[Finding]:
    """Transfers to nobody."""
    if chart.agent and not chart.agent.transfer_number:
        fix = "Give the agent a transfer number."
        if TRANSFER_CALL in chart.agent.tools:
            sentence = f"the model may use {TRANSFER_CALL!r}, and the agent has no transfer number"
            yield found("no-number", "", sentence, fix)
        if chart.agent.guardrails.then == "transfer":
            sentence = "the agent's guardrails put the caller through, and it has no transfer number"
            yield found("no-number", "", sentence, fix)
    for node in chart.flow.nodes:
        if isinstance(node, Transfer) and not node.number and chart.agent and not chart.agent.transfer_number:
            sentence = "the transfer names no number, and the agent has no transfer number either"
            yield found("no-number", node.id, sentence, "Give the node a number, or the agent a transfer number.")
