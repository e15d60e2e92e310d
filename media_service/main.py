"""The Cloud Run service: `uvicorn media_service.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from adapters.wiring import open_ports, read_settings
from domain.ports import Ports
from domain.reading import warm_up
from media_service.app import MediaService

_opened: list[Ports] = []


async def _ports() -> Ports:
    return _opened[0]


_service = MediaService(_ports)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Opens the adapters before the first call and closes them after the last."""
    async with open_ports(read_settings()) as ports:
        warm_up()
        _opened[:] = [ports]
        async with _service.ready():
            yield


app = Starlette(routes=_service.routes, lifespan=_lifespan)
