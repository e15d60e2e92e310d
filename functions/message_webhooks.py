"""Twilio's webhooks about text messages: one came in, or one's state changed."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from domain.delivery import advance
from domain.opt_out_words import wish_of
from domain.ports import Ports, Unavailable
from functions.messages import change, note_opt_out
from functions.opt_outs import opt_in, opt_out
from functions.signed import signed_form, text
from schemas.outbound_message import MessageState, OutboundMessage

TOLD_S = 10.0
"""How long noting what we are told may take: the carrier gives up after 15 s."""
STOPPED = "21610"
"""Twilio's code for a recipient who answered STOP."""
STATES: dict[str, MessageState] = {
    "accepted": "sent",
    "scheduled": "sent",
    "queued": "sent",
    "sending": "sent",
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
"""By Twilio's status: ours."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NOTHING = "<Response/>"
"""Nothing is answered: Twilio itself answers STOP, START and HELP."""

log = structlog.get_logger()


class MessageWebhooks:
    """Repetition and disorder change nothing that is settled."""

    def __init__(self, get_ports: Callable[[], Awaitable[Ports]]) -> None:
        self._get_ports = get_ports

    async def sms(self, request: Request) -> Response:
        """`POST /twilio/sms`: a text message came in. STOP and START, and words like them, are heeded; nothing else
        is done with it."""
        ports = await self._get_ports()
        form = await signed_form(ports, request)
        if isinstance(form, Response):
            return form
        sender, number = text(form, "From"), text(form, "To")
        wish = wish_of(text(form, "Body"), text(form, "OptOutType"))
        try:
            async with asyncio.timeout(TOLD_S):
                if wish in ("STOP", "START") and _E164.fullmatch(sender):
                    owners = await self._owners(ports, number, text(form, "MessagingServiceSid"))
                    for owner in owners:
                        if wish == "STOP":
                            await opt_out(ports, owner, "sms", sender, "reply")
                        else:
                            await opt_in(ports, owner, "sms", sender)
                    log.info("opt_out_told", wish=wish, number=number, heeded=bool(owners))
        except (Unavailable, TimeoutError) as problem:
            log.error("text_not_noted", number=number, why=str(problem) or "it took too long")
            return PlainTextResponse("try again\n", status_code=503)
        return Response(_NOTHING, media_type="text/xml")

    async def _owners(self, ports: Ports, number: str, service: str) -> list[str | None]:
        """Whose messages come from this number: an organisation's, or those of all who share it (None)."""
        stored = await ports.documents.get(f"numbers/{number}") if _E164.fullmatch(number) else None
        owners: list[str | None] = [stored["organisation"]] if stored else []
        shared = ports.settings.shared_sms_sender
        return [*owners, None] if shared and shared in (number, service) else owners

    async def status(self, request: Request) -> Response:
        """`POST /twilio/message-status?organisation=…&message=…`: what becomes of a message that was sent."""
        ports = await self._get_ports()
        form = await signed_form(ports, request)
        if isinstance(form, Response):
            return form
        organisation, id = (request.query_params.get(name, "") for name in ("organisation", "message"))
        state = STATES.get(text(form, "MessageStatus"))
        if state is None or not (organisation.isidentifier() and id.isidentifier()):
            return Response(status_code=204)
        try:
            async with asyncio.timeout(TOLD_S):
                await _note(ports, organisation, id, state, text(form, "MessageSid"), text(form, "ErrorCode"))
        except KeyError:
            log.warning("message_not_known", organisation=organisation, message=id)
        except (Unavailable, TimeoutError) as problem:
            log.error("message_status_not_stored", message=id, why=str(problem) or "it took too long")
            return PlainTextResponse("try again\n", status_code=503)
        return Response(status_code=204)


async def _note(ports: Ports, organisation: str, id: str, state: MessageState, sid: str, error: str) -> None:
    now = ports.clock.now()

    def decide(message: OutboundMessage) -> OutboundMessage:
        if message.provider_id not in ("", sid):
            return message  # of an attempt before, which was thought to have come to nothing
        why = f"Twilio could not deliver it (error {error})" if state == "failed" and error else ""
        if state == "failed" and error == STOPPED:
            return advance(message, "suppressed", now, why=why, provider_id=sid)
        return advance(message, state, now, why=why, provider_id=sid)

    message = await change(ports, f"organisations/{organisation}/messages/{id}", decide)
    if error == STOPPED:
        await note_opt_out(ports, organisation, message)
