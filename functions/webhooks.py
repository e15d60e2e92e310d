"""Twilio's webhooks: a call comes in, a stream or a transfer ended, a person who is put through to is briefed and takes
the call, a call's status changed."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain import next_step
from domain.ended import ended
from domain.flow_check import FlowRefused, refuse_if_broken
from domain.hours import is_open, make_ready, opens_aloud, zone_of
from domain.moment import Moment
from domain.ports import ANY_VOICE, Ports, Task, Transaction, Unavailable, VoiceStyle, Where
from domain.team import pin_team
from domain.template import aloud
from domain.ticket import Ticket, issue
from functions.message_webhooks import MessageWebhooks
from functions.signed import signed_form
from functions.signed import text as _text
from schemas.agent import Agent, AgentVersion
from schemas.call import OVER, CallEntry
from schemas.conversation import Conversation
from schemas.ids import new_id
from schemas.number import Number
from schemas.organisation import Organisation

NOT_IN_SERVICE = "The number you have called is not in service. Goodbye."
OUT_OF_ORDER = "We're sorry, we can't take your call just now. Please try again later. Goodbye."
SOMETHING_WENT_WRONG = "I'm sorry, something went wrong on our side. Please call again. Goodbye."
SOMEBODY_CALLS = "Somebody on the telephone would like to talk to you. Press any key to take the call, or hang up."
"""For a person whose briefing is out of reach."""
LARGEST_FORM = 64 * 1024
"""Bytes; it is read before its signature can be checked."""
AGAIN_S = 2
"""How long the carrier waits before it asks again, while the store is away."""
LEFT_ALONE = timedelta(minutes=2)
"""How long a call may wait for its first stream before it is written off."""
STORE_S = 3.0
"""How long the store may take over an answer that somebody on the phone waits for."""
QUEUE_S = 1.0
"""The queue's part: the call goes on without it."""
TOLD_S = 4.5
"""How long noting what we are told may take, the telling of others included. The carrier says it again if it couldn't
be noted, but gives up after 15 s in all."""
KEY_S = 0.5
"""How long pressing a key takes at most, or waiting once."""

_SID = re.compile(r"[A-Za-z0-9]{2,64}")

log = structlog.get_logger()

GetPorts = Callable[[], Awaitable[Ports]]


def app(get_ports: GetPorts) -> Starlette:
    """The webhooks as one ASGI app."""
    webhooks, messages = Webhooks(get_ports), MessageWebhooks(get_ports)
    return Starlette(
        routes=[
            Route("/twilio/voice", webhooks.voice, methods=["POST"]),
            Route("/twilio/next", webhooks.next, methods=["POST"]),
            Route("/twilio/briefing", webhooks.briefing, methods=["POST"]),
            Route("/twilio/accept", webhooks.accept, methods=["POST"]),
            Route("/twilio/status", webhooks.status, methods=["POST"]),
            Route("/twilio/sms", messages.sms, methods=["POST"]),
            Route("/twilio/message-status", messages.status, methods=["POST"]),
        ],
        max_body_size=LARGEST_FORM,
    )


class _Refused(Exception):
    """The caller is told so, politely. The message is what is said."""

    def __init__(self, words: str, version: AgentVersion | None = None) -> None:
        super().__init__(words)
        self.style = _style(version)


class Webhooks:
    """Every answer is computed from stored state, so that a webhook that comes twice is answered twice the same."""

    def __init__(self, get_ports: GetPorts) -> None:
        self._get_ports = get_ports

    async def voice(self, request: Request) -> Response:
        """`POST /twilio/voice`: a call comes in; the answer opens its stream, or puts it through out of hours."""
        ports = await self._get_ports()
        form = await self._signed(ports, request)
        if isinstance(form, Response):
            return form
        sid, called = _text(form, "CallSid"), _text(form, "To")
        try:
            async with asyncio.timeout(STORE_S):
                entry = await self._take(ports, sid, called, _text(form, "From"))
        except (Unavailable, TimeoutError, ValidationError) as problem:
            log.error("call_not_taken", call_sid=sid, why=_why(problem))
            return _twiml(ports.telephony.say_goodbye(OUT_OF_ORDER))
        except _Refused as refusal:
            log.info("call_refused", call_sid=sid, number=called, said=str(refusal))
            return _twiml(ports.telephony.say_goodbye(str(refusal), refusal.style))
        if entry.stage == "dialled":
            return _twiml(self._dial(ports, request, entry, next_step.Dial(entry.dial, entry.briefing)))
        await self._look_after(ports, sid)
        return _twiml(self._stream(ports, request, sid, entry, next_step.Stream()))

    async def next(self, request: Request) -> Response:
        """`POST /twilio/next`: a stream or a transfer has ended; what now? See `domain.next_step`."""
        ports = await self._get_ports()
        form = await self._signed(ports, request)
        if isinstance(form, Response):
            return form
        sid, token = _text(form, "CallSid"), request.headers.get("i-twilio-idempotency-token", "")
        call_status, dial_status = _text(form, "CallStatus"), _text(form, "DialCallStatus")
        bridged = {"true": True, "false": False}.get(_text(form, "DialBridged"))
        try:
            async with asyncio.timeout(STORE_S):
                answer = await self._after(ports, request, sid, token, call_status, dial_status, bridged)
        except (Unavailable, TimeoutError) as problem:
            log.error("call_waits", call_sid=sid, why=_why(problem))
            answer = ports.telephony.ask_again(self._url(ports, request, "/twilio/next"), AGAIN_S)
        except ValidationError as problem:
            log.error("call_unreadable", call_sid=sid, why=_why(problem))
            answer = ports.telephony.say_goodbye(SOMETHING_WENT_WRONG)
        log.info("call_next", call_sid=sid, status=call_status, dial_status=dial_status)
        return _twiml(answer)

    async def _after(
        self,
        ports: Ports,
        request: Request,
        sid: str,
        token: str,
        call_status: str,
        dial_status: str,
        bridged: bool | None,
    ) -> str:
        path = f"calls/{sid}"
        known = await ports.documents.get(path)
        if known is None:
            return ports.telephony.say_goodbye(OUT_OF_ORDER)
        version = await self._version(ports, CallEntry.model_validate(known))

        async def body(tx: Transaction) -> str:
            entry = CallEntry.model_validate(await tx.get(path))
            if token and token in entry.answered:
                return entry.answered[token]
            entry, decision = next_step.decide(entry, call_status, dial_status, version.fallback_number, bridged)
            answer = self._answer(ports, request, sid, entry, decision, version)
            if token:
                entry = entry.model_copy(update={"answered": {token: answer}})
            tx.put(path, entry.model_dump(mode="json"))
            return answer

        answer = await ports.documents.transact(body)
        if call_status in OVER:
            await end(ports, sid, call_status)
        return answer

    async def briefing(self, request: Request) -> Response:
        """`POST /twilio/briefing?stream=…`: from the leg of a person whom a caller is put through to. They are told
        what it is about; without the store only that somebody calls, since the caller is waiting."""
        ports = await self._get_ports()
        form = await self._signed(ports, request)
        if isinstance(form, Response):
            return form
        sid, stream = _parent(form), _stream_of(request)
        text, style = SOMEBODY_CALLS, _style(None)
        try:
            async with asyncio.timeout(STORE_S):
                stored = await ports.documents.get(f"calls/{sid}") if sid else None
                entry = CallEntry.model_validate(stored) if stored else None
                if entry is None or next_step.accept(entry, stream) is None:
                    log.info("briefing_for_nobody", call_sid=sid, stream=stream)
                    return _twiml(ports.telephony.hang_up())
                version = await self._version(ports, entry)
                text, style = f"{entry.briefing} {version.phrases.take_call}", _style(version)
        except (Unavailable, TimeoutError, ValidationError) as problem:
            log.error("briefing_unknown", call_sid=sid, why=_why(problem))
        accept_url = self._url(ports, request, f"/twilio/accept?stream={stream}")
        return _twiml(ports.telephony.brief(text, accept_url, style))

    async def accept(self, request: Request) -> Response:
        """`POST /twilio/accept?stream=…`: the person pressed a key, and is connected with the caller; also if that
        can't be stored, since two people on the line are worth more than our knowing of it, and that they talked is
        told by the carrier once more when it is over."""
        ports = await self._get_ports()
        form = await self._signed(ports, request)
        if isinstance(form, Response):
            return form
        sid, stream = _parent(form), _stream_of(request)
        takes = bool(_text(form, "Digits"))
        try:
            async with asyncio.timeout(STORE_S):
                takes = takes and await _accept(ports, sid, stream)
        except (Unavailable, TimeoutError, ValidationError) as problem:
            log.error("acceptance_not_stored", call_sid=sid, why=_why(problem))
        log.info("call_accepted" if takes else "call_not_accepted", call_sid=sid, stream=stream)
        return _twiml(ports.telephony.bridge() if takes else ports.telephony.hang_up())

    async def status(self, request: Request) -> Response:
        """`POST /twilio/status`: of the call, or of one of its streams. Repetition and disorder change nothing."""
        ports = await self._get_ports()
        form = await self._signed(ports, request)
        if isinstance(form, Response):
            return form
        sid = _text(form, "CallSid")
        try:
            async with asyncio.timeout(TOLD_S):
                if _text(form, "StreamEvent"):
                    if error := _text(form, "StreamError"):
                        log.warning("stream_error", call_sid=sid, error=error)
                        await _keep_stream_error(ports, sid, error[:500])
                elif _text(form, "CallStatus") in OVER:
                    await end(ports, sid, _text(form, "CallStatus"))
        except (Unavailable, TimeoutError, ValidationError) as problem:
            log.error("status_not_stored", call_sid=sid, why=_why(problem))
            return PlainTextResponse("try again\n", status_code=503)
        return Response(status_code=204)

    # --- the pieces ---

    async def _signed(self, ports: Ports, request: Request) -> FormData | Response:
        """The form, or the refusal of a request that Twilio didn't sign."""
        form = await signed_form(ports, request)
        if isinstance(form, FormData) and not _SID.fullmatch(_text(form, "CallSid")):
            return PlainTextResponse("CallSid is missing or isn't one\n", status_code=400)
        return form

    async def _take(self, ports: Ports, sid: str, called: str, caller: str) -> CallEntry:
        """The call's entry, made now unless the webhook came before. Raises _Refused."""
        if known := await ports.documents.get(f"calls/{sid}"):
            return CallEntry.model_validate(known)
        organisation, agent, version = await self._whose(ports, called)
        now = ports.clock.now()
        if not agent.active:
            raise _Refused(OUT_OF_ORDER)
        number = await self._number_when_closed(organisation, version, now)
        if number is None and await self._is_busy(ports, organisation, version):
            raise _Refused(version.phrases.busy, version)
        conversation = Conversation(
            id=new_id("cnv"),
            organisation=organisation.id,
            agent=agent.id,
            version=version.number,
            team=await pin_team(ports.documents, f"organisations/{organisation.id}", version),
            channel="phone",
            call_sid=sid,
            number=called,
            caller=caller,
            started_at=now,
        )
        entry = CallEntry(
            organisation=organisation.id,
            conversation=conversation.id,
            agent=agent.id,
            number=called,
            caller=caller,
            stage="streaming" if number is None else "dialled",
            dial=number or "",
            created_at=now,
        )

        async def body(tx: Transaction) -> CallEntry:
            if known := await tx.get(f"calls/{sid}"):
                return CallEntry.model_validate(known)
            tx.put(f"calls/{sid}", entry.model_dump(mode="json"))
            path = f"organisations/{organisation.id}/conversations/{conversation.id}"
            tx.put(path, conversation.model_dump(mode="json"))
            return entry

        entry = await ports.documents.transact(body)
        log.info("call_taken", call_sid=sid, conversation=entry.conversation, agent=agent.id)
        return entry

    async def _look_after(self, ports: Ports, sid: str) -> None:
        """Sees to it that the call is written off if nothing more is ever heard of it. Without that it goes on, too."""
        task = Task(f"left-alone-{sid}", "left_alone", {"call_sid": sid})
        try:
            async with asyncio.timeout(QUEUE_S):
                await ports.queue.enqueue(task, ports.clock.now() + LEFT_ALONE)
        except (Unavailable, TimeoutError) as problem:
            log.error("call_not_looked_after", call_sid=sid, why=_why(problem))

    async def _whose(self, ports: Ports, called: str) -> tuple[Organisation, Agent, AgentVersion]:
        """Number → organisation, agent, its live version. Raises _Refused."""
        stored = await ports.documents.get(f"numbers/{called}") if called and "/" not in called else None
        if stored is None:
            raise _Refused(NOT_IN_SERVICE)
        try:
            number = Number.model_validate(stored)
            root = f"organisations/{number.organisation}"
            organisation = Organisation.model_validate(await ports.documents.get(root))
            agent = Agent.model_validate(await ports.documents.get(f"{root}/agents/{number.agent}"))
            path = f"{root}/agents/{agent.id}/versions/{agent.live}"
            version = AgentVersion.model_validate(await ports.documents.get(path))
            # A tool that is out of reach fails when it is asked, and the flow has ways on from there.
            refuse_if_broken(version.flow, version.tools)
        except (ValidationError, FlowRefused) as problem:
            log.error("agent_unusable", number=called, why=str(problem))
            raise _Refused(OUT_OF_ORDER) from None
        return organisation, agent, version

    @staticmethod
    async def _number_when_closed(organisation: Organisation, version: AgentVersion, now: datetime) -> str | None:
        """The number that takes the call, if it is out of hours and put through then; None if the agent takes it.
        Raises _Refused if nobody does."""
        if version.out_of_hours.do == "answer":
            return None
        if version.holidays:
            await asyncio.to_thread(make_ready, [version], now)
        local = now.astimezone(zone_of(version, organisation))
        if is_open(version, local):
            return None
        if version.out_of_hours.do == "transfer":
            return version.out_of_hours.number
        moment = Moment(local, organisation.country)
        raise _Refused(aloud(version.phrases.closed, {"opens": opens_aloud(version, moment)}, {}, moment), version)

    async def _is_busy(self, ports: Ports, organisation: Organisation, version: AgentVersion) -> bool:
        limit = version.max_concurrent_calls
        active = [Where("agent", "==", version.agent), Where("state", "==", "active")]
        page = await ports.documents.query(f"organisations/{organisation.id}/conversations", active, limit=limit)
        return len(page.found) >= limit

    async def _version(self, ports: Ports, entry: CallEntry) -> AgentVersion:
        """Of the agent that has the call, as it was pinned."""
        root = f"organisations/{entry.organisation}"
        conversation = await ports.documents.get(f"{root}/conversations/{entry.conversation}")
        assert conversation
        pinned = {**conversation.get("team", {}), conversation["agent"]: conversation["version"]}
        agent = entry.agent if entry.agent in pinned else conversation["agent"]
        path = f"{root}/agents/{agent}/versions/{pinned[agent]}"
        return AgentVersion.model_validate(await ports.documents.get(path))

    def _answer(
        self,
        ports: Ports,
        request: Request,
        sid: str,
        entry: CallEntry,
        decision: next_step.Decision,
        version: AgentVersion,
    ) -> str:
        match decision:
            case next_step.Stream():
                return self._stream(ports, request, sid, entry, decision)
            case next_step.Dial(instead=instead):
                words = version.phrases.trying_another if instead else ""
                return self._dial(ports, request, entry, decision, words, _style(version))
            case next_step.NobodyFree():
                return ports.telephony.say_goodbye(version.phrases.nobody_free, _style(version))
            case next_step.Apologise():
                words = f"{version.phrases.failure} {version.phrases.goodbye}"
                return ports.telephony.say_goodbye(words, _style(version))
            case next_step.HangUp():
                return ports.telephony.hang_up()

    def _dial(
        self,
        ports: Ports,
        request: Request,
        entry: CallEntry,
        decision: next_step.Dial,
        words: str = "",
        style: VoiceStyle = ANY_VOICE,
    ) -> str:
        briefing = f"/twilio/briefing?stream={entry.stream}"
        return ports.telephony.dial(
            decision.number,
            self._url(ports, request, "/twilio/next"),
            briefing_url=self._url(ports, request, briefing) if decision.briefing else "",
            say=words,
            style=style,
        )

    def _stream(self, ports: Ports, request: Request, sid: str, entry: CallEntry, how: next_step.Stream) -> str:
        settings = ports.settings
        ticket = Ticket(
            organisation=entry.organisation, conversation=entry.conversation, call_sid=sid, stream=entry.stream
        )
        wait_s = how.pause_s + KEY_S * len(how.keys)
        return ports.telephony.connect(
            stream_url=f"{settings.media_urls[self._host(ports, request)]}/twilio-stream",
            ticket=issue(ticket, settings.ticket_secret, ports.clock.now() + timedelta(seconds=wait_s)),
            next_url=self._url(ports, request, "/twilio/next"),
            status_url=self._url(ports, request, "/twilio/status"),
            pause_s=how.pause_s,
            keys=how.keys,
        )

    def _url(self, ports: Ports, request: Request, path: str) -> str:
        return ports.settings.public_urls[self._host(ports, request)] + path

    @staticmethod
    def _host(ports: Ports, request: Request) -> int:
        """Which of our own addresses the carrier used: it must find us there again. More than one only on a laptop."""
        hosts = [url.partition("://")[2] for url in ports.settings.public_urls]
        asked = request.headers.get("host", "")
        return hosts.index(asked) if asked in hosts and len(ports.settings.media_urls) == len(hosts) else 0


async def end(ports: Ports, sid: str, call_status: str) -> None:
    """The call is over: its conversation ends, once, and whoever cares is told."""
    path = f"calls/{sid}"
    now = ports.clock.now()

    async def body(tx: Transaction) -> Conversation | None:
        stored = await tx.get(path)
        if stored is None:
            return None
        entry = CallEntry.model_validate(stored)
        at = f"organisations/{entry.organisation}/conversations/{entry.conversation}"
        conversation = Conversation.model_validate(await tx.get(at))
        if conversation.state == "ended":
            return conversation
        outcome = entry.outcome or ("caller_left" if call_status == "completed" else call_status)
        tx.put(path, entry.model_copy(update={"stage": "over", "outcome": outcome}).model_dump(mode="json"))
        over = conversation.model_copy(update={"state": "ended", "ended_at": now, "outcome": outcome})
        tx.put(at, over.model_dump(mode="json"))
        return over

    over = await ports.documents.transact(body)
    if over is not None:
        log.info("call_ended", call_sid=sid, conversation=over.id, outcome=over.outcome)
        await ports.bus.publish(ended(over.organisation, over.id))


async def left_alone(ports: Ports, task: Task) -> None:
    """Writes off a call whose stream never began and of which the carrier never said anything more."""
    sid = task.body["call_sid"]
    stored = await ports.documents.get(f"calls/{sid}")
    entry = CallEntry.model_validate(stored) if stored else None
    if entry is not None and entry.claimed == 0 and entry.stage == "streaming":
        await end(ports, sid, "failed")


async def _keep_stream_error(ports: Ports, sid: str, error: str) -> None:
    async def body(tx: Transaction) -> None:
        if (stored := await tx.get(f"calls/{sid}")) is not None:
            entry = CallEntry.model_validate(stored).model_copy(update={"stream_error": error})
            tx.put(f"calls/{sid}", entry.model_dump(mode="json"))

    await ports.documents.transact(body)


async def _accept(ports: Ports, sid: str, stream: int) -> bool:
    """Whether the caller still waits for whoever takes the call; that they took it is stored by then."""

    async def body(tx: Transaction) -> bool:
        stored = await tx.get(f"calls/{sid}") if sid else None
        accepted = next_step.accept(CallEntry.model_validate(stored), stream) if stored else None
        if accepted is not None:
            tx.put(f"calls/{sid}", accepted.model_dump(mode="json"))
        return accepted is not None

    return await ports.documents.transact(body)


def _parent(form: FormData) -> str:
    """The caller's call, of which the one that asks is a leg; empty if it is none."""
    sid = _text(form, "ParentCallSid")
    return sid if _SID.fullmatch(sid) else ""


def _stream_of(request: Request) -> int:
    """The stream that led to a transfer: it tells one transfer of a call from another. 0 for none."""
    number = request.query_params.get("stream", "")
    return int(number) if number.isdecimal() and number.isascii() and len(number) < 9 else 0


def _style(version: AgentVersion | None) -> VoiceStyle:
    return VoiceStyle(version.voice, version.language) if version else ANY_VOICE


def _why(problem: Unavailable | TimeoutError | ValidationError) -> str:
    if isinstance(problem, ValidationError):
        return f"what is stored is no {problem.title}"
    return str(problem) or "it took too long"


def _twiml(text: str) -> Response:
    return Response(text, media_type="text/xml")
