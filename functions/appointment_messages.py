"""What appointments bring: a confirmation when one is booked, reminders before it."""

from datetime import datetime

import structlog

from domain.appointment_times import begins, earlier
from domain.delivery import drop
from domain.outbox import Unsendable, fill, message_id
from domain.ports import Document, Event, Ports, Where
from functions.messages import GONE, change, is_cancelled, outbox
from schemas.appointment_messages import AppointmentMessages
from schemas.message_template import MessageTemplate
from schemas.organisation import Organisation
from schemas.variable import Kind

BOOKED, CANCELLED = "appointment.booked", "appointment.cancelled"
"""The topics: {organisation, appointment}. An appointment that was moved is booked once more."""

KINDS: dict[str, Kind] = {"name": "name", "date": "date", "time": "time", "phone": "phone", "email": "text"}
"""What a template may name of an appointment."""

log = structlog.get_logger()


async def appointment_booked(ports: Ports, event: Event) -> None:
    """Schedules its confirmation for now and its reminders for later. The same event again changes nothing; once it was
    moved, those for the time before are dropped as they fall due. Cancelled, some may be scheduled; taking the event
    again completes them."""
    organisation, id = event.body["organisation"], event.body["appointment"]
    root = f"organisations/{organisation}"
    wanted = AppointmentMessages.model_validate(await ports.documents.get(f"{root}/messaging/appointments") or {})
    appointment = await ports.documents.get(f"{root}/appointments/{id}")
    if appointment is None or is_cancelled(appointment):
        return
    owner = Organisation.model_validate(await ports.documents.get(root))
    start = begins(appointment["date"], appointment["time"], owner.time_zone)
    now = ports.clock.now()
    due = [(wanted.confirmation, now, "")] if wanted.confirmation else []
    due += [(each.template, earlier(start, each.before, owner.time_zone), each.before) for each in wanted.reminders]
    for template, at, before in due:
        if now <= at < start:
            try:
                await _schedule(ports, owner, appointment, template, at, before)
            except Unsendable as problem:
                log.warning("message_unsendable", organisation=organisation, appointment=id, why=str(problem))


async def _schedule(
    ports: Ports, owner: Organisation, appointment: Document, template: str, at: datetime, before: str
) -> None:
    """Raises Unsendable."""
    stored = await ports.documents.get(f"organisations/{owner.id}/templates/{template}")
    if stored is None:
        raise Unsendable("template", f"there is no template {template!r}")
    by = MessageTemplate.model_validate(stored)
    if not (to := appointment.get("phone" if by.channel == "sms" else "email")):
        return  # the caller left none
    slot = f"{appointment['date']}T{appointment['time']}"
    message = fill(
        by,
        message_id(owner.id, "appointment", appointment["id"], slot, template, before),
        to,
        {name: appointment.get(name) or "" for name in KINDS},
        KINDS,
        owner,
        ports.clock.now(),
        conversation=appointment.get("conversation") or "",
        appointment=appointment["id"],
        appointment_at=slot,
    )
    await outbox(ports).schedule(owner.id, message, at)


async def appointment_cancelled(ports: Ports, event: Event) -> None:
    """Drops the messages about it that aren't sent yet."""
    organisation, id = event.body["organisation"], event.body["appointment"]
    messages = f"organisations/{organisation}/messages"
    where = [Where("appointment", "==", id), Where("state", "==", "queued")]
    now, cursor = ports.clock.now(), None
    while True:
        page = await ports.documents.query(messages, where, cursor=cursor)
        for found in page.found:
            await change(ports, found.path, lambda message: drop(message, "cancelled", GONE, now))
        if (cursor := page.next_cursor) is None:
            return
