"""The agents that a conversation may be handed to: those that its agent's flow leads to, and theirs, all pinned."""

import asyncio
from collections.abc import Mapping

from domain.ports import Documents
from schemas.agent import Agent, AgentVersion
from schemas.flow import Handoff

LARGEST = 20
"""Agents; what lies beyond can't be handed to."""


async def pin_team(documents: Documents, root: str, version: AgentVersion) -> dict[str, int]:
    """The live versions' numbers, by agent, of those that take calls; `root` is the organisation's path.
    Raises Unavailable. Cancelling changes nothing."""
    team: dict[str, int] = {}
    ahead = handed_to(version)
    while ahead and len(team) < LARGEST:
        known = await asyncio.gather(*(documents.get(f"{root}/agents/{id}") for id in ahead))
        agents = [Agent.model_validate(stored) for stored in known if stored is not None]
        found = {agent.id: agent.live for agent in agents if agent.takes_calls}
        versions = await versions_of(documents, root, found)
        team |= {agent: found[agent] for agent in versions}
        further = {id: None for each in versions.values() for id in handed_to(each)}
        ahead = [id for id in further if id not in team and id != version.agent][: LARGEST - len(team)]
    return team


async def versions_of(documents: Documents, root: str, pinned: Mapping[str, int]) -> dict[str, AgentVersion]:
    """Those of the versions that are there, by agent. Raises Unavailable. Cancelling changes nothing."""
    paths = [f"{root}/agents/{agent}/versions/{number}" for agent, number in pinned.items()]
    stored = await asyncio.gather(*map(documents.get, paths))
    found = {agent: each for agent, each in zip(pinned, stored, strict=True) if each is not None}
    return {agent: AgentVersion.model_validate(each) for agent, each in found.items()}


def handed_to(version: AgentVersion) -> list[str]:
    """Ids of the agents that a version's flow leads to."""
    ids = {node.agent: None for node in version.flow.nodes if isinstance(node, Handoff)}
    return [id for id in ids if id != version.agent and id.isidentifier()]
