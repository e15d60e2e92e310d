"""An agent's draft becomes its next version, which takes the calls from then on; or it is refused, with the reasons."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import structlog

from domain import flow_check
from domain.controls import CONTROLS
from domain.ports import Clock, Document, Ports, Transaction
from domain.team import handed_to
from functions.agent_check import UNREACHABLE, check_agent
from schemas.agent import Agent, AgentDraft, AgentVersion
from schemas.finding import Finding
from schemas.flow import Handoff
from schemas.organisation import Organisation

MOST_BYTES = 900_000
"""Of a draft as JSON: Firestore keeps no document of more than a mebibyte."""

log = structlog.get_logger()


class NoSuchAgent(LookupError):
    """The organisation has no agent of this id. The message is a sentence."""


class DraftRefused(ValueError):
    """A draft that wasn't published, and all that speaks against it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(map(str, findings)))
        self.findings = findings


async def publish(ports: Ports, organisation: str, agent: str, draft: AgentDraft, force: bool = False) -> AgentVersion:
    """Stores the agent's next version and makes it live: calls under way keep theirs, the next one has this.

    Raises DraftRefused with everything that is wrong with the draft, and with every provider that could not be asked
    about it; with `force` those alone don't matter. Raises NoSuchAgent, Unavailable. Cancelled, it has published or
    not; done twice, it publishes two versions."""
    await find(ports.documents, organisation, agent)
    found = await check(ports, organisation, agent, draft)
    findings = [finding for finding in found if finding.level == "error"]
    if any(finding.code != UNREACHABLE or not force for finding in findings):
        raise DraftRefused(findings)

    async def body(tx: Transaction) -> AgentVersion:
        return await store(tx, await find(tx, organisation, agent), draft, ports.clock)

    version = await ports.documents.transact(body)
    log.info("version_published", agent=agent, version=version.number, unasked=[str(each) for each in findings])
    return version


async def check(ports: Ports, organisation: str, agent: str, draft: AgentDraft) -> list[Finding]:
    """Whatever would go wrong in the draft's calls, as far as that can be told beforehand: in its flow, its tools, and
    what it asks of its providers (see `check_agent`); and warnings. Raises Unavailable; cancelling abandons it."""
    root = f"organisations/{organisation}"
    owner = Organisation.model_validate(await ports.documents.get(root))
    offered = {**CONTROLS, **await ports.tools.offered(owner)}
    mine = {name: offered[name] for name in draft.tools if name in offered}
    version = AgentVersion(**dict(draft), agent=agent, number=1, published_at=ports.clock.now())
    known = [await ports.documents.get(f"{root}/agents/{id}") for id in handed_to(version)]
    agents = {agent.id: agent for agent in (Agent.model_validate(stored) for stored in known if stored is not None)}
    found = [
        *flow_check.check(draft.flow, mine, version, agents=agents),
        *_handoffs(draft, agents),
        *_tools(draft, offered),
        *_size(draft),
    ]
    return found + await check_agent(draft, ports.speech, ports.brain, ports.voice)


async def store(tx: Transaction, agent: Agent, draft: AgentDraft, clock: Clock) -> AgentVersion:
    """Writes the draft as the agent's next version, and the agent with it live. `agent` was read in the transaction, or
    isn't there yet: so of two who publish at once the second has the next number."""
    path = path_of(agent.organisation, agent.id)
    number = agent.live + 1
    while await tx.get(f"{path}/versions/{number}") is not None:  # an earlier one is live again
        number += 1
    version = AgentVersion(**dict(draft), agent=agent.id, number=number, published_at=clock.now())
    tx.create(f"{path}/versions/{number}", version.model_dump(mode="json"))
    tx.put(path, agent.model_copy(update={"live": number}).model_dump(mode="json"))
    return version


class Reader(Protocol):
    """The documents, or a transaction on them."""

    async def get(self, path: str) -> Document | None: ...


async def find(documents: Reader, organisation: str, agent: str) -> Agent:
    """Raises NoSuchAgent, Unavailable."""
    stored = await documents.get(path_of(organisation, agent)) if agent.isidentifier() else None
    if stored is None:
        raise NoSuchAgent(f"There is no agent {agent!r}.")
    return Agent.model_validate(stored)


def path_of(organisation: str, agent: str) -> str:
    """Where an agent is stored."""
    return f"organisations/{organisation}/agents/{agent}"


# --- What may be wrong with it ---


def _tools(draft: AgentDraft, offered: Collection[str]) -> Iterator[Finding]:
    for tool in draft.tools:
        if tool not in offered:
            fix = f"choose of {', '.join(offered)}"
            yield Finding(code="tool-unknown", sentence=f"there is no tool {tool!r}", fix=fix)


def _handoffs(draft: AgentDraft, agents: Mapping[str, Agent]) -> Iterator[Finding]:
    for node in draft.flow.nodes:
        if not isinstance(node, Handoff) or node.agent not in agents or agents[node.agent].takes_calls:
            continue
        unpublished = not agents[node.agent].live
        sentence = f"the agent {node.agent!r} {'has no version yet' if unpublished else 'is switched off'}"
        fix = f"{'Publish it' if unpublished else 'Switch it on'}; until then the node's edge for `failed` is taken."
        yield Finding(code="agent-takes-no-calls", level="warning", node=node.id, sentence=sentence, fix=fix)


def _size(draft: AgentDraft) -> Iterator[Finding]:
    if (size := len(draft.model_dump_json().encode())) > MOST_BYTES:
        sentence = f"it has {size} bytes; {MOST_BYTES} are the most"
        yield Finding(code="draft-too-large", sentence=sentence, fix="shorten its texts")
