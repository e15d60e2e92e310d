"""The agent that a measurement calls: it never hangs up, and every turn goes to the brain."""

from domain.flow_check import refuse_if_broken
from domain.ports import Ports
from schemas.agent import Agent, AgentVersion, Listening, Patience
from schemas.flow import Edge, Flow, Start, Talk
from schemas.number import Number
from schemas.organisation import Organisation
from schemas.settings import Paced

ORGANISATION = "org_bench"
AGENT = "agt_bench"
NUMBER = "+15005550090"
PACED = Paced(reply_words="Certainly, happy to help. Which day suits you?", spoken_word_ms=275)
"""Two sentences, the first of four words, 2.2 s in all: first word after 300 ms, then one each 20 ms, first audio
100 ms after a sentence."""
LISTENING = Listening(silence_ms=400, shortest_silence_ms=400, minimum_speech_ms=160)
"""Nobody's turn settles sooner because of what they said: that is measured by itself."""
PATIENCE = Patience(filler_ms=60_000, caller_ms=60_000)
"""Without "one moment, please": it would pass for a reply that never came."""

FLOW = Flow(
    start="start",
    nodes=(
        Start(id="start", type="start", edges=(Edge(to="talk"),)),
        Talk(id="talk", type="conversation", prompt="Help the caller.", edges=(Edge(to="talk"),)),
    ),
)


async def publish(ports: Ports, calls: int) -> None:
    """Writes the agent, who takes so many calls at once, and its number."""
    now = ports.clock.now()
    root = f"organisations/{ORGANISATION}"
    organisation = Organisation(id=ORGANISATION, name="Bench", slug="bench", created_at=now)
    version = AgentVersion(
        agent=AGENT,
        number=1,
        published_at=now,
        prompt="You are the booking desk of a dentist.",
        max_concurrent_calls=calls,
        listening=LISTENING,
        patience=PATIENCE,
        flow=FLOW,
    )
    refuse_if_broken(version.flow, ())
    agent = Agent(id=AGENT, organisation=ORGANISATION, name="Bench", live=1)
    for path, model in {
        root: organisation,
        f"{root}/agents/{AGENT}": agent,
        f"{root}/agents/{AGENT}/versions/1": version,
        f"numbers/{NUMBER}": Number(number=NUMBER, organisation=ORGANISATION, agent=AGENT),
    }.items():
        await ports.documents.put(path, model.model_dump(mode="json"))
