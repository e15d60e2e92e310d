"""The demo data: one organisation, three agents, three numbers, a calendar, and the owner's key."""

from datetime import datetime
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from domain.flow_check import FlowRefused, refuse_if_broken
from domain.ports import Document, Ports, Transaction, Where
from functions.admin.access import hash_of
from functions.publish import path_of, store
from schemas.agent import Agent, AgentDraft, AgentVersion, Opening
from schemas.calendar import Calendar
from schemas.key import Key
from schemas.number import Number
from schemas.organisation import Organisation

ORGANISATION = "org_demo"
AGENTS = {
    "agt_demo_booking": ("booking", "Booking desk of Willow Dental", "+15005550001"),
    "agt_demo_orders": ("orders", "Order desk of Kettle and Lamp", "+15005550002"),
    "agt_demo_reception": ("reception", "Reception of Market Street Five", "+15005550003"),
}
"""By id: its file, its name, its number."""
ORDERS = {
    "47129": {"status": "left our warehouse this morning and arrives tomorrow"},
    "83051": {"status": "is waiting for the desk lamp, and leaves on Thursday"},
}
CALENDAR = Calendar(
    id="main",
    name="Willow Dental",
    hours=tuple(Opening(day=day, opens="09:00", closes="17:00") for day in ("mon", "tue", "wed", "thu", "fri", "sat")),
    slot_minutes=15,
    capacity=100,  # so that rehearsals don't get in each other's way
    days_ahead=365,
)
ITEMS = {"blue-kettle": {"pieces": 12}, "desk-lamp": {"pieces": 3}}


async def seed(ports: Ports) -> None:
    """Writes what isn't there yet: what was changed since stays changed, unless it is of a release before and can't be
    used any more. The owner's key is always made good."""
    now = ports.clock.now()
    root = f"organisations/{ORGANISATION}"
    demo = Organisation(id=ORGANISATION, name="Demo", slug="demo", time_zone="America/New_York", created_at=now)
    documents: dict[str, Any] = {
        root: demo.model_dump(mode="json"),
        f"{root}/calendars/{CALENDAR.id}": CALENDAR.model_dump(mode="json"),
    }
    for id, (_, _, number) in AGENTS.items():
        line = Number(number=number, organisation=ORGANISATION, agent=id)
        documents[f"numbers/{number}"] = line.model_dump(mode="json")
    documents |= {f"{root}/orders/{number}": order for number, order in ORDERS.items()}
    documents |= {f"{root}/items/{name}": item for name, item in ITEMS.items()}
    for path, document in documents.items():
        if await ports.documents.get(path) is None:
            await ports.documents.put(path, document)
    for id, (file, name, _) in AGENTS.items():
        agent = Agent(id=id, organisation=ORGANISATION, name=name, live=0)
        await _publish(ports, agent, demo_draft(file))
    await _make_good(ports, Key(organisation=ORGANISATION, name="local owner", created_at=now))


async def _publish(ports: Ports, agent: Agent, draft: AgentDraft) -> None:
    """The agent's first version, unless the agent is there; and another if this release can't use the one that is live
    any more."""
    path = path_of(agent.organisation, agent.id)

    async def body(tx: Transaction) -> None:
        stored = await tx.get(path)
        if stored is None:
            await store(tx, agent, draft, ports.clock)
        elif not _is_usable(await tx.get(f"{path}/versions/{stored['live']}")):
            await store(tx, Agent.model_validate(stored), draft, ports.clock)

    await ports.documents.transact(body)


async def _make_good(ports: Ports, owner: Key) -> None:
    """The owner's key of the settings, and no other one that they named before."""
    path = f"keys/{hash_of(ports.settings.owner_key)}"
    await ports.documents.put(path, owner.model_dump(mode="json"))
    for found in (await ports.documents.query("keys", [Where("name", "==", owner.name)])).found:
        if found.path != path:
            await ports.documents.delete(found.path)


def demo_draft(file: str) -> AgentDraft:
    """A demo agent's."""
    return AgentDraft.model_validate_json((files("offhook") / "demo" / "agents" / f"{file}.json").read_text())


def _is_usable(stored: Document | None) -> bool:
    """Whether calls can be held with this version, if its tools are there: another one would have them no sooner."""
    try:
        version = AgentVersion.model_validate(stored)
        refuse_if_broken(version.flow, version.tools)
    except (ValidationError, FlowRefused):
        return False
    return True


def demo_version(agent: str, file: str, now: datetime) -> AgentVersion:
    """The same as a demo agent's first version."""
    return AgentVersion(**dict(demo_draft(file)), agent=agent, number=1, published_at=now)
