"""What the carrier has to say or to ask comes again until it is answered. Real webhooks, calls and sockets; a store that
goes away, an instance that isn't there."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from adapters.clock import SystemClock
from domain.ports import Ports
from functions import webhooks
from media_service.app import MediaService
from offhook.carrier.call import Call
from offhook.carrier.carrier import Carrier
from offhook.carrier.handset import Handset
from offhook.main import server
from offhook.seed import ORGANISATION, seed
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import MemoryBus, paper_ports, settings


class Desk:
    """The webhooks and the media service, as one ASGI app that writes down what it was asked."""

    def __init__(self, port: int) -> None:
        self.documents, self.bus = MemoryDocuments(), MemoryBus()
        set_up = settings(port=port)
        self.ports = paper_ports(settings=set_up, clock=SystemClock(), documents=self.documents, bus=self.bus)
        self.asked: list[tuple[str, str, int]] = []
        """Path, idempotency token, and the status of the answer."""
        self.out_of_reach: set[str] = set()
        """The paths that no instance is there for, the next time."""

        async def get_ports() -> Ports:
            return self.ports

        self._app = Starlette(routes=[*MediaService(get_ports).routes, Mount("/", webhooks.app(get_ports))])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = dict(scope.get("headers", [])).get(b"i-twilio-idempotency-token", b"").decode()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.asked.append((scope["path"], token, message["status"]))
                if message["status"] >= 500:
                    self.documents.failing = False  # it is back when it has been missed once
            await send(message)

        if scope["path"] in self.out_of_reach:
            self.out_of_reach.remove(scope["path"])
            return await PlainTextResponse("no instance\n", status_code=503)(scope, receive, note)
        await self._app(scope, receive, note)

    def conversation(self, call: Call) -> dict[str, Any]:
        entry = self.documents.kept[f"calls/{call.sid}"]
        return self.documents.kept[f"organisations/{ORGANISATION}/conversations/{entry['conversation']}"]


def tell(story: Callable[[Desk, Carrier], Awaitable[None]]) -> None:
    async def whole() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        desk = Desk(port)
        await seed(desk.ports)
        serving = server(desk, desk.ports.settings, log_level="critical")
        task = asyncio.create_task(serving.serve())
        while not serving.started:
            await asyncio.sleep(0.02)
        try:
            async with Carrier(f"http://127.0.0.1:{port}") as carrier:
                await story(desk, carrier)
        finally:
            serving.should_exit = True
            await task

    asyncio.run(whole())


def test_the_end_of_a_call_that_the_store_missed_is_told_again() -> None:
    async def story(desk: Desk, carrier: Carrier) -> None:
        async def hangs_up_as_the_store_goes_down(phone: Handset) -> None:
            await phone.hears(0.1)
            desk.documents.failing = True
            phone.hang_up()

        call = await carrier.call("+15005550001", caller=hangs_up_as_the_store_goes_down)
        told = [(token, status) for path, token, status in desk.asked if path == "/twilio/status" and status != 204]
        [(token, status)] = told
        assert status == 503
        assert ("/twilio/status", token, 204) in desk.asked  # the same callback, once more
        assert call.violations == []
        assert (desk.conversation(call)["state"], desk.conversation(call)["outcome"]) == ("ended", "caller_left")
        assert len(desk.bus.events) == 1

    tell(story)


def test_a_caller_waits_for_no_instance_that_was_not_there_when_their_line_broke() -> None:
    async def story(desk: Desk, carrier: Carrier) -> None:
        calls: list[Call] = []

        async def loses_the_line(phone: Handset) -> None:
            await phone.listen(300)
            desk.out_of_reach.add("/twilio/next")
            calls[0].streams[-1].abort()
            await phone.hears(0.1)
            phone.hang_up()

        call = await carrier.call("+15005550001", caller=loses_the_line, watch=lambda call, note: calls.append(call))
        first, second = [(token, status) for path, token, status in desk.asked if path == "/twilio/next"]
        assert (first[1], second[1]) == (503, 200)
        assert first[0] == second[0] != ""
        assert len(call.streams) == 2
        assert desk.conversation(call)["state"] == "ended"

    tell(story)
