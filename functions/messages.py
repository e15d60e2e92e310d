"""Sends messages that are due: once in effect, however often the queue asks."""

from collections.abc import Callable
from urllib.parse import urlencode

import structlog

from domain import unsubscribe
from domain.appointment_times import begins
from domain.delivery import advance, drop, put_off, taken
from domain.outbox import OPTED_OUT, Outbox
from domain.ports import Outgoing, Ports, Refused, Task, Transaction, Unavailable, Uncertain
from functions.opt_outs import opt_out
from schemas.organisation import Organisation
from schemas.outbound_message import MessageState, OutboundMessage

STATUS_PATH = "/twilio/message-status"
LOST = "the process that was sending it died or lost the store: it may have been sent"
GONE = "the appointment was cancelled"

log = structlog.get_logger()


def outbox(ports: Ports) -> Outbox:
    """Where messages are scheduled."""
    channels = frozenset(ports.messages)
    return Outbox(ports.documents, ports.queue, ports.clock, ports.settings.shared_sms_sender, channels)


async def send_message(ports: Ports, task: Task) -> None:
    """Does a task of the kind `send_message`. That it is being sent is stored before it is; so one that is found so was
    sent or it wasn't, nobody knows, and it isn't sent again: what the provider tells of it later may settle it.
    Cancelling while it is being sent leaves it so."""
    organisation, id = task.body["organisation"], task.body["message"]
    path = f"organisations/{organisation}/messages/{id}"
    stored = await ports.documents.get(path)
    if stored is None:
        return
    message = OutboundMessage.model_validate(stored)
    now = ports.clock.now()
    if message.state == "sending":
        await change(ports, path, lambda message: advance(message, "unknown", now, why=LOST))
        log.error("message_unknown", organisation=organisation, message=id)
    if message.state != "queued":
        return
    if message.due_at > now:  # it was put off, and this task is of before
        await outbox(ports).put_off(organisation, message)
        return
    if why := await _pointless(ports, organisation, message):
        await change(ports, path, lambda message: drop(message, "cancelled", why, now))
    elif await outbox(ports).opted_out(organisation, message):
        await change(ports, path, lambda message: drop(message, "suppressed", OPTED_OUT, now))
    elif claimed := await _claim(ports, path):
        await _send(ports, organisation, path, claimed)


async def _claim(ports: Ports, path: str) -> OutboundMessage | None:
    """Stores that it is being sent; None if it isn't for us to send."""

    async def body(tx: Transaction) -> OutboundMessage | None:
        message = OutboundMessage.model_validate(await tx.get(path))
        if message.state != "queued":
            return None
        message = message.model_copy(update={"state": "sending", "attempts": message.attempts + 1})
        tx.put(path, message.model_dump(mode="json"))
        return message

    return await ports.documents.transact(body)


async def _send(ports: Ports, organisation: str, path: str, message: OutboundMessage) -> None:
    """One attempt, and what came of it."""
    try:
        provider = ports.messages.get(message.channel)
        if provider is None:
            raise Unavailable(f"this deployment sends no {message.channel} any more")
        provider_id = await provider.send(_outgoing(ports, organisation, message))
    except Unavailable as problem:
        why = str(problem)
        log.warning("message_put_off", organisation=organisation, message=message.id, why=why)
        message = await change(ports, path, lambda message: put_off(message, why, ports.clock.now()))
        if message.state == "queued":
            await outbox(ports).put_off(organisation, message)
    except Refused as problem:
        why = str(problem)
        log.warning("message_refused", organisation=organisation, message=message.id, why=why)
        if problem.opted_out:
            await note_opt_out(ports, organisation, message)
        state: MessageState = "suppressed" if problem.opted_out else "failed"
        await change(ports, path, lambda message: advance(message, state, ports.clock.now(), why=why))
    except Uncertain as problem:
        why = str(problem)
        log.error("message_unknown", organisation=organisation, message=message.id, why=why)
        await change(ports, path, lambda message: advance(message, "unknown", ports.clock.now(), why=why))
    else:
        log.info("message_sent", organisation=organisation, message=message.id, channel=message.channel)
        await change(ports, path, lambda message: taken(message, provider_id, ports.clock.now()))


async def note_opt_out(ports: Ports, organisation: str, message: OutboundMessage) -> None:
    """The provider says that the recipient wants no more messages by the number that this one came from."""
    owner = None if outbox(ports).is_shared(message) else organisation
    await opt_out(ports, owner, message.channel, message.to, "provider")


async def change(ports: Ports, path: str, decide: Callable[[OutboundMessage], OutboundMessage]) -> OutboundMessage:
    """The message as it stands then. `decide` may be asked several times. Raises Unavailable, KeyError if there is no
    such message."""

    async def body(tx: Transaction) -> OutboundMessage:
        stored = await tx.get(path)
        if stored is None:
            raise KeyError(path)
        before = OutboundMessage.model_validate(stored)
        after = decide(before)
        if after != before:
            tx.put(path, after.model_dump(mode="json"))
        return after

    return await ports.documents.transact(body)


async def _pointless(ports: Ports, organisation: str, message: OutboundMessage) -> str:
    """Why it needn't be sent any more, or nothing."""
    if not message.appointment:
        return ""
    kept = await ports.documents.get(f"organisations/{organisation}/appointments/{message.appointment}")
    if kept is None or is_cancelled(kept):
        return GONE
    if f"{kept['date']}T{kept['time']}" != message.appointment_at:
        return "the appointment was moved"
    owner = Organisation.model_validate(await ports.documents.get(f"organisations/{organisation}"))
    if begins(kept["date"], kept["time"], owner.time_zone) <= ports.clock.now():
        return "the appointment's time has passed"
    return ""


def is_cancelled(appointment: dict[str, object]) -> bool:
    """Whether a stored appointment no longer stands."""
    return appointment.get("state") == "cancelled"


def _outgoing(ports: Ports, organisation: str, message: OutboundMessage) -> Outgoing:
    settings = ports.settings
    about = {"organisation": organisation, "message": message.id}
    is_mail = message.channel == "email"
    return Outgoing(
        id=message.id,
        to=message.to,
        text=message.text,
        sender=message.sender,
        subject=message.subject,
        reply_to=message.reply_to,
        unsubscribe_url=unsubscribe.link(settings.public_urls[0], organisation, message.id, settings.ticket_secret)
        if is_mail
        else "",
        # Without PUBLIC_URL nobody could call back, and Twilio refuses such an address.
        status_url=f"{settings.public_urls[0]}{STATUS_PATH}?{urlencode(about)}"
        if settings.public_url and not is_mail
        else "",
    )
