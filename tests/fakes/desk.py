"""The webhooks and the media service on a free port of this machine, over any store, and a carrier that calls them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from adapters.clock import SystemClock
from domain.ports import Documents, Ports
from functions import webhooks
from media_service.app import MediaService
from offhook.carrier.carrier import Carrier
from offhook.main import server
from offhook.seed import seed
from tests.fakes.ports import MemoryBus, paper_ports, settings


class Desk:
    """An ASGI app that writes down what it was asked."""

    def __init__(self, port: int, documents: Documents) -> None:
        self.bus = MemoryBus()
        self.ports = paper_ports(settings=settings(port=port), clock=SystemClock(), documents=documents, bus=self.bus)
        self.carrier = Carrier(f"http://127.0.0.1:{port}")
        self.asked: list[tuple[str, str, int]] = []
        """Path, idempotency token, and the status of the answer."""
        self.out_of_reach: set[str] = set()
        """The paths that no instance is there for, the next time."""
        self.has_failed: Callable[[], None] = lambda: None
        """Called as an answer of 500 or more goes out."""

        async def get_ports() -> Ports:
            return self.ports

        self._app = Starlette(routes=[*MediaService(get_ports).routes, Mount("/", webhooks.app(get_ports))])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = dict(scope.get("headers", [])).get(b"i-twilio-idempotency-token", b"").decode()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.asked.append((scope["path"], token, message["status"]))
                if message["status"] >= 500:
                    self.has_failed()
            await send(message)

        if scope["path"] in self.out_of_reach:
            self.out_of_reach.remove(scope["path"])
            return await PlainTextResponse("no instance\n", status_code=503)(scope, receive, note)
        await self._app(scope, receive, note)


@asynccontextmanager
async def desk(documents: Documents) -> AsyncIterator[Desk]:
    """Runs, with the demo agents in its store, while the block does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    here = Desk(port, documents)
    await seed(here.ports)
    serving = server(here, here.ports.settings, log_level="critical")
    task = asyncio.create_task(serving.serve())
    while not serving.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.02)
    try:
        async with here.carrier:
            yield here
    finally:
        serving.should_exit = True
        await task
