"""The media service: its routes, and what it knows of the calls that are on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from domain import acts as a
from domain.conversation import Conversation
from domain.ended import ended
from domain.hours import make_ready
from domain.past import path_of, take
from domain.phrases import PhraseBook
from domain.ports import BadStart, Ports, Stream, Transaction, Unavailable
from domain.team import versions_of
from domain.ticket import Ticket, open_ticket
from media_service.alongside import alongside
from media_service.call import Call
from media_service.capacity import Capacity
from media_service.garbage import out_of_the_way
from media_service.health import Health
from media_service.live import Live
from schemas.call import CallEntry
from schemas.conversation import Conversation as Stored
from schemas.organisation import Organisation
from schemas.signals import Opened

POLICY_VIOLATION = 1008
LONGEST_REASON = 100
"""Characters; a close frame takes 123 bytes."""
STORE_S = 3
"""How long the store may take before and after a call, while the caller waits."""

log = structlog.get_logger()

GetPorts = Callable[[], Awaitable[Ports]]


class MediaService:
    """One process's calls."""

    def __init__(self, get_ports: GetPorts) -> None:
        self._get_ports = get_ports
        self._live = Live()
        self._phrases = PhraseBook()
        self._capacity = Capacity()
        self._health = Health()

    @property
    def routes(self) -> list[BaseRoute]:
        """For an app of its own or for the whole platform on one port."""
        return [
            WebSocketRoute("/twilio-stream", self.stream),
            Route("/health", self.health),
            Route("/health/{dependency}", self.health_of),
            Route("/websocket-status", self.status),
            Route("/websocket-metrics", self.metrics),
        ]

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """What the process does while it serves: it watches how many calls it bears, and collects garbage when that
        hurts least. Enter it once all is loaded."""
        with out_of_the_way():
            async with alongside(self._capacity.watch(lambda: len(self._live.calls))):
                yield

    # --- a call ---

    async def stream(self, socket: WebSocket) -> None:
        """`/twilio-stream`: a signed handshake, a ticket, and then the call. Cancelling ends the line; the
        conversation can go on over another."""
        ports = await self._get_ports()
        urls = [f"{url}{socket.url.path}" for url in ports.settings.media_urls]
        signature = socket.headers.get("x-twilio-signature", "")
        if not any(ports.telephony.verify(url, {}, signature) for url in urls):
            log.warning("stream_refused", why="signature", validated=urls)
            self._live.refused += 1
            return await socket.send_denial_response(PlainTextResponse("wrong signature\n", status_code=403))
        if not self._capacity.has_room(calls := self._live.places, ports.settings.most_calls):
            log.warning("stream_refused", why="full", calls=calls)
            self._live.refused += 1
            return await socket.send_denial_response(PlainTextResponse("no room for a call\n", status_code=503))
        with self._live.place():  # at once: others ask while this one is let in
            await self._let_in(ports, socket)

    async def _let_in(self, ports: Ports, socket: WebSocket) -> None:
        await socket.accept()
        try:
            stream = await ports.streams.begin(socket)
        except BadStart as problem:
            return await self._refuse(socket, str(problem))
        try:
            async with asyncio.timeout(STORE_S):
                claimed = await self._claim(ports, stream)
                call = await self._prepare(ports, stream, *claimed) if claimed else None
        except (Unavailable, TimeoutError) as problem:
            return await self._refuse(socket, f"the store: {problem or 'no answer in time'}")
        if claimed is None or call is None:
            return await self._refuse(socket, "its ticket is used, stale or another call's")
        await self._hold(ports, call, stream, claimed[0].stream)

    async def _refuse(self, socket: WebSocket, why: str) -> None:
        log.warning("stream_refused", why=why)
        self._live.refused += 1
        await socket.close(POLICY_VIOLATION, why[:LONGEST_REASON])

    async def _claim(self, ports: Ports, stream: Stream) -> tuple[Ticket, CallEntry] | None:
        """Uses the ticket up. None if it isn't good for this call, or was used."""
        ticket = open_ticket(stream.ticket, ports.settings.ticket_secret, ports.clock.now())
        if ticket is None or ticket.call_sid != stream.call_sid:
            return None

        async def body(tx: Transaction) -> CallEntry | None:
            stored = await tx.get(f"calls/{stream.call_sid}")
            entry = CallEntry.model_validate(stored) if stored else None
            if entry is None or entry.conversation != ticket.conversation or entry.stage != "streaming":
                return None
            if not entry.claimed < ticket.stream == entry.stream:
                return None
            claimed = entry.model_copy(update={"claimed": ticket.stream})
            tx.put(f"calls/{stream.call_sid}", claimed.model_dump(mode="json"))
            return entry

        entry = await ports.documents.transact(body)
        return (ticket, entry) if entry else None

    async def _prepare(self, ports: Ports, stream: Stream, ticket: Ticket, entry: CallEntry) -> Call:
        """The conversation as its journal left it, on this line."""
        root = f"organisations/{ticket.organisation}"
        path = path_of(ticket.organisation, ticket.conversation)
        stored = Stored.model_validate(await ports.documents.get(path))
        pinned = {**stored.team, stored.agent: stored.version}
        versions = await versions_of(ports.documents, root, pinned)
        if any(version.holidays for version in versions.values()):
            await asyncio.to_thread(make_ready, versions.values(), ports.clock.now())
        organisation = Organisation.model_validate(await ports.documents.get(root))
        state, journal, number = await take(ports.documents, path, ports.clock)
        conversation = Conversation(
            stored.id,
            organisation,
            versions[stored.agent],
            await ports.tools.offered(organisation),
            state,
            versions,
        )
        conversation.fold(journal)
        now = ports.clock.now()
        at = round((now - stored.started_at).total_seconds() * 1000)
        caller = entry.caller if entry.caller.startswith("+") else ""
        opened = Opened(at=at, now=now, caller=caller, dial_status=entry.dial_status)
        return Call(conversation, stream.line, ports, opened, number, self._phrases)

    async def _hold(self, ports: Ports, call: Call, stream: Stream, claimed: int) -> None:
        """Runs the call, and stores what it came to before the line is closed, since the carrier asks then. What acts
        goes on behind it for a while."""
        try:
            await self._run(ports, call, stream, claimed)
        finally:
            await call.see_through()

    async def _run(self, ports: Ports, call: Call, stream: Stream, claimed: int) -> None:
        id = call.conversation.id
        stream.line.late = self._live.frame_lag_ms.add
        with self._live.call(id), structlog.contextvars.bound_contextvars(conversation=id, call_sid=stream.call_sid):
            log.info("line_opened", resumed=call.batch > 0)
            try:
                await call.run()
            except* Exception as bugs:
                # One place for what nobody foresaw: this call goes to another stream or its fallback, all others go on.
                log.exception("call_broke", exc_info=bugs)
                self._live.broken += 1
            try:
                await self._settle(ports, call, stream, claimed)
            finally:
                await stream.line.close()
                log.info("line_closed", outcome=str(call.outcome.act or call.outcome.why or "lost"))

    async def _settle(self, ports: Ports, call: Call, stream: Stream, claimed: int) -> None:
        """Stores what this line came to, unless another line of the call has begun meanwhile."""
        path = f"calls/{stream.call_sid}"
        turned = call.conversation.state.turn is not None and call.conversation.state.turn.at_ms > call.opened.at

        async def body(tx: Transaction) -> None:
            stored = await tx.get(path)
            if stored is None:
                return
            entry = CallEntry.model_validate(stored)
            changes: dict[str, object] = {"agent": call.conversation.version.agent, **({"tries": 0} if turned else {})}
            match call.outcome.act:
                case a.HangUp(outcome=came_to):
                    changes |= {"stage": "over", "outcome": entry.outcome or came_to}
                case a.PutThrough() as act:
                    changes |= {"stage": "transfer", "dial": act.number, "outcome": act.outcome}
                    changes |= {"briefing": act.briefing, "accepted": False}
                    changes |= {"way_back": act.way_back, "way_on": act.way_on}
                case a.PressKeys(digits=digits):
                    changes |= {"stage": "keys", "dial": digits}
            if entry.stage == "streaming" and entry.claimed == claimed:
                tx.put(path, entry.model_copy(update=changes).model_dump(mode="json"))

        try:
            async with asyncio.timeout(STORE_S):
                await ports.documents.transact(body)
                await self._tell_of_late_turns(ports, call)
        except (Unavailable, TimeoutError) as problem:
            log.error("outcome_not_stored", why=str(problem))

    async def _tell_of_late_turns(self, ports: Ports, call: Call) -> None:
        """A caller who hung up may have ended the conversation before this line's last turn was stored: whoever made
        something of its end is told again."""
        organisation, id = call.conversation.organisation.id, call.conversation.id
        stored = await ports.documents.get(path_of(organisation, id))
        if stored is not None and stored["state"] == "ended":
            await ports.bus.publish(ended(organisation, id, again=str(call.batch)))

    # --- health and live figures ---

    async def health(self, request: Request) -> Response:
        """200 while this process serves."""
        return JSONResponse({"status": "ok", "calls": len(self._live.calls)})

    async def health_of(self, request: Request) -> Response:
        """One dependency, by its port's name: 200 or 503, as it was found some seconds ago at most."""
        name = request.path_params["dependency"]
        ports = await self._get_ports()
        if name not in ports.adapters:
            known = sorted(ports.adapters)
            return JSONResponse({"status": "unknown", "dependencies": known}, status_code=404)
        answer = {"dependency": name, "adapter": ports.adapters[name]}
        check = getattr(getattr(ports, name), "check", None)
        if check and (why := await self._health.why_not(name, check)):
            return JSONResponse({"status": "unavailable", "why": why, **answer}, status_code=503)
        return JSONResponse({"status": "ok", **answer})

    async def status(self, request: Request) -> Response:
        """`/websocket-status`: the lines that are open, and how many calls this process bears."""
        ports = await self._get_ports()
        bears = self._capacity.bears(len(self._live.calls), ports.settings.most_calls)
        return JSONResponse({**self._live.status(), "bears": bears})

    async def metrics(self, request: Request) -> Response:
        """`/websocket-metrics`: counters, as JSON, or in Prometheus's text form for those who ask for text."""
        if "text/plain" in request.headers.get("accept", ""):
            return PlainTextResponse(self._live.prometheus(), media_type="text/plain; version=0.0.4")
        return JSONResponse(self._live.metrics())
