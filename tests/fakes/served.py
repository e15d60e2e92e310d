"""An HTTP server on a local port that is there at once and gone at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Its URL. uvicorn's protocol without uvicorn's Server, which minds signals and takes its time to stop."""
    config = uvicorn.Config(app, log_config=None)
    config.load()
    connected = ServerState()

    def connect() -> asyncio.Protocol:
        return H11Protocol(config, connected, app_state={})

    listening = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for connection in list(connected.connections):
            connection.shutdown()
        await asyncio.gather(*connected.tasks, return_exceptions=True)
        await listening.wait_closed()
