"""What is said and what the model is told."""

from collections.abc import Iterator

from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.template import placeholders
from schemas.finding import Finding
from schemas.flow import End, Function, Handoff, Menu, Node, Sms, Start, Talk, Transfer

LONGEST_SAY = 300
"""Characters: some twenty seconds."""
LONGEST_PROMPT = 4000


def said(node: Node) -> list[str]:
    """What the node says, as far as it is written there."""
    match node:
        case Start() | End() | Sms() | Transfer() | Handoff():
            return [node.say]
        case Talk() | Menu():
            return [node.say, *node.retries]
        case Function():
            return [node.meanwhile]
    return []


def read(node: Node) -> list[str]:
    """Every text of the node in which variables stand."""
    match node:
        case Talk():
            return [*said(node), node.prompt]
        case Function():
            return [*said(node), *node.arguments.values()]
        case Sms():
            return [*said(node), node.text, node.to]
        case Transfer():
            return [*said(node), node.number, node.briefing]
    return said(node)


def names(chart: Chart) -> Iterator[Finding]:
    """Variables that the flow doesn't declare, and words to say beside a prompt."""
    fix = "Declare it among the flow's variables, or correct the name."
    for variable in chart.flow.variables:
        for text in (variable.ask, variable.invalid):
            for name in sorted(placeholders(text) - chart.known):
                sentence = (
                    f"what is said about {variable.name!r} names {{{{{name}}}}}, which is not a variable of the flow"
                )
                yield found("unknown-variable", "", sentence, fix)
    for node in chart.flow.nodes:
        for name in dict.fromkeys(name for text in read(node) for name in sorted(placeholders(text))):
            if name not in chart.known:
                sentence = f"{{{{{name}}}}} is not a variable of the flow"
                yield found("unknown-variable", node.id, sentence, fix)
        if isinstance(node, Talk) and node.say and node.prompt:
            sentence = "it has both words to say and a prompt"
            yield found("say-with-prompt", node.id, sentence, "Keep one; let the prompt ask for the words.")


def lengths(chart: Chart) -> Iterator[Finding]:
    """What nobody wants to listen to, and callers who aren't helped on."""
    for node in chart.flow.nodes:
        for text in said(node):
            if len(text) > LONGEST_SAY:
                sentence = f"{len(text)} characters are said in one go; after {LONGEST_SAY} nobody listens any more"
                yield found("say-too-long", node.id, sentence, "Say less, or let the caller answer in between.")
        if isinstance(node, Talk) and len(node.prompt) > LONGEST_PROMPT:
            sentence = f"the prompt has {len(node.prompt)} characters; every answer waits until it is read"
            yield found("prompt-too-long", node.id, sentence, "Put facts into documents, and keep to the task here.")
        asks = isinstance(node, Menu) or (isinstance(node, Talk) and node.collect and not node.prompt)
        if asks and isinstance(node, Talk | Menu) and not node.retries:
            sentence = "nothing is said to a caller who wasn't understood"
            yield found("no-retries", node.id, sentence, "Add one or two `retries`, each with an example of an answer.")
    if chart.agent and len(chart.agent.prompt) > LONGEST_PROMPT:
        sentence = f"the agent's prompt has {len(chart.agent.prompt)} characters; every answer waits until it is read"
        yield found("prompt-too-long", "", sentence, "Put facts into documents.")
