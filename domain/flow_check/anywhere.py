"""Ways into a node from anywhere."""

from collections.abc import Iterator

from domain.events import is_event, kind_of
from domain.flow_check.chart import Chart, asks_model
from domain.flow_check.codes import found
from schemas.finding import Finding


def check(chart: Chart) -> Iterator[Finding]:
    """What can't happen where the caller is listened to, and what happens elsewhere first. (That an equation can't be
    read is found with the others.)"""
    asked = any(asks_model(node) for node in chart.flow.nodes)
    events = set[str]()
    for node in chart.flow.nodes:
        for way in node.anywhere:
            match way.when:
                case "event" if not is_event(way.condition) or kind_of(way.condition) in ("failed", "cancelled"):
                    sentence = f"the event {way.condition!r} can't lead here from anywhere"
                    fix = (
                        "Use one that happens while the caller is listened to: human, goodbye, silence, misunderstood."
                    )
                    yield found("event-impossible", node.id, sentence, fix)
                case "event":
                    if way.condition in events:
                        sentence = f"the event {way.condition!r} leads to another node already"
                        yield found("anywhere-taken", node.id, sentence, "Keep one of the two.")
                    events.add(way.condition)
                case "prompt" if not way.condition.strip():
                    sentence = "a way in from anywhere is judged by the model, but says nothing that it could judge"
                    yield found("condition-missing", node.id, sentence, "Write what must be the case, as a sentence.")
                case "prompt" if not asked:
                    sentence = "a way in from anywhere is judged by the model, which no node of this flow ever asks"
                    fix = "Use an event or an equation, or add a conversation that asks something."
                    yield found("anywhere-never-judged", node.id, sentence, fix)
