"""What a request is about, out of the store."""

from domain.ports import Document, Ports
from functions.admin.problems import Problem
from schemas.organisation import Organisation


async def owner_of(ports: Ports, organisation: str) -> Organisation:
    """The organisation that asks. Raises Unavailable."""
    return Organisation.model_validate(await ports.documents.get(f"organisations/{organisation}"))


async def find(ports: Ports, organisation: str, collection: str, id: str, noun: str, param: str = "id") -> Document:
    """One of the organisation's documents. Raises Unavailable, and Problem if there is none."""
    path = f"organisations/{organisation}/{collection}/{id}"
    stored = await ports.documents.get(path) if id.isidentifier() else None
    if stored is None:
        raise Problem(404, "not_found", f"There is no {noun} {id!r}.", param)
    return stored
