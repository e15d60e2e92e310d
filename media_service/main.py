"""The Cloud Run service: `uvicorn media_service.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from adapters.wiring import open_ports, read_settings
from domain.ports import Ports
from domain.reading import warm_up
from media_service.app import routes
from media_service.garbage import out_of_the_way

_opened: list[Ports] = []


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Opens the adapters before the first call and closes them after the last."""
    async with open_ports(read_settings()) as ports:
        warm_up()
        _opened[:] = [ports]
        with out_of_the_way():
            yield


async def _ports() -> Ports:
    return _opened[0]


app = Starlette(routes=routes(_ports), lifespan=_lifespan)
