"""Agents and their published versions."""

from fastapi import APIRouter

from functions import publish as publishing
from functions.admin.access import Doors, Organisation
from functions.admin.listing import Cursor, Limit, Listing, listing, query
from functions.admin.problems import Problem
from schemas.agent import Agent, AgentDraft, AgentVersion
from schemas.finding import Finding

router = APIRouter(prefix="/api/v1")


@router.get("/agents")
async def agents(ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None) -> Listing[Agent]:
    """The organisation's agents, by id."""
    page = await query(ports, f"organisations/{organisation}/agents", (), "", limit, cursor)
    return listing(page, Agent)


@router.get("/agents/{id}")
async def agent(ports: Doors, organisation: Organisation, id: str) -> Agent:
    """One agent; `live` is the number of the version that takes its calls."""
    return await publishing.find(ports.documents, organisation, id)


@router.get("/agents/{id}/versions/{number}")
async def version(ports: Doors, organisation: Organisation, id: str, number: int) -> AgentVersion:
    """A published version, as it will always be."""
    known = await publishing.find(ports.documents, organisation, id)
    stored = await ports.documents.get(f"{publishing.path_of(organisation, known.id)}/versions/{number}")
    if stored is None:
        raise Problem(404, "not_found", f"Agent {id!r} has no version {number}.", "number")
    return AgentVersion.model_validate(stored)


@router.post("/agents/{id}/check")
async def check(ports: Doors, organisation: Organisation, id: str, draft: AgentDraft) -> list[Finding]:
    """What would speak against publishing a draft, and what somebody should look at; nothing is published."""
    known = await publishing.find(ports.documents, organisation, id)
    return await publishing.check(ports, organisation, known.id, draft)


@router.post("/agents/{id}/versions", status_code=201, responses={422: {"description": "What speaks against it."}})
async def publish(
    ports: Doors, organisation: Organisation, id: str, draft: AgentDraft, force: bool = False
) -> AgentVersion:
    """Publishes a draft: it becomes the agent's next version and takes the calls from now on, those under way
    excepted. One that would go wrong is refused with `findings`. `force` publishes it all the same if nothing is wrong
    but that a provider could not be asked about it."""
    return await publishing.publish(ports, organisation, id, draft, force)
