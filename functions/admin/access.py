"""Who asks: the organisation of the proven identity, and the ports of this process."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from domain.ports import Ports
from functions.admin.problems import Problem
from schemas.key import Key

GetPorts = Callable[[], Awaitable[Ports]]


async def _ports(request: Request) -> Ports:
    return await request.app.state.get_ports()  # type: ignore[no-any-return]


async def _organisation(request: Request, ports: Annotated[Ports, Depends(_ports)]) -> str:
    """The organisation that the bearer's key belongs to."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Problem(401, "key_missing", "Send an API key: Authorization: Bearer <key>.")
    stored = await ports.documents.get(f"keys/{hash_of(key.strip())}")
    if stored is None:
        raise Problem(401, "key_unknown", "This API key is not known here.")
    return Key.model_validate(stored).organisation


def hash_of(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


Doors = Annotated[Ports, Depends(_ports)]
Organisation = Annotated[str, Depends(_organisation)]
