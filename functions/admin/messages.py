"""The admin API of messages: templates, what was sent and what will be, who wants none, what appointments bring."""

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import AwareDatetime, Field

from domain.outbox import Unsendable, address_of, fill, message_id
from domain.ports import Ports, Taken
from domain.template import misspelt, placeholders
from functions.admin.access import Doors, Organisation
from functions.admin.listing import Cursor, Limit, Listing, listing, matching, query
from functions.admin.problems import Problem
from functions.admin.stored import find, owner_of
from functions.appointment_messages import KINDS
from functions.messages import outbox
from functions.opt_outs import opt_out, path_of
from schemas import organisation as stored
from schemas.appointment_messages import AppointmentMessages
from schemas.ids import new_id
from schemas.message_template import Channel, Line, MessageTemplate
from schemas.model import Model
from schemas.opt_out import OptOut
from schemas.outbound_message import OutboundMessage
from schemas.variable import Kind, Name, Value

router = APIRouter(prefix="/api/v1")

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SHA = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d\d:\d\d")


class Wanted(Model):
    """A message to be sent: by a template, or as it is given."""

    to: Annotated[str, Field(max_length=254)]
    """A phone number (without a country code, of the organisation's country), or an e-mail address."""
    template: str = ""
    variables: dict[Name, Value] = {}
    """What the template names; all of it. Dates (2026-11-27), times (14:30) and numbers (E.164) are put in writing."""
    channel: Channel = "sms"
    """Without a template; so are the next four."""
    subject: Line = ""
    text: Annotated[str, Field(max_length=20_000)] = ""
    sender: Line = ""
    reply_to: Line = ""
    conversation: str = ""
    """The one that it belongs to: its number is where the message comes from, unless a sender is named."""
    at: AwareDatetime | None = None
    """When; None for now."""


class WantedOptOut(Model):
    """Somebody who is to get no messages."""

    channel: Channel
    address: str


# --- templates ---


@router.get("/templates")
async def templates(
    ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None
) -> Listing[MessageTemplate]:
    """The organisation's templates, by name."""
    page = await query(ports, f"organisations/{organisation}/templates", (), "", limit, cursor)
    return listing(page, MessageTemplate)


@router.post("/templates", status_code=201)
async def create_template(ports: Doors, organisation: Organisation, template: MessageTemplate) -> MessageTemplate:
    """Refused if there is one of this name."""
    _check(template)
    path = f"organisations/{organisation}/templates/{template.name}"
    try:
        await ports.documents.create(path, template.model_dump(mode="json"))
    except Taken:
        raise Problem(409, "taken", f"There is a template {template.name!r} already.", "name") from None
    return template


@router.get("/templates/{name}")
async def template(ports: Doors, organisation: Organisation, name: str) -> MessageTemplate:
    """One of them."""
    return await _template(ports, organisation, name, "name", 404)


@router.put("/templates/{name}")
async def put_template(
    ports: Doors, organisation: Organisation, name: str, template: MessageTemplate
) -> MessageTemplate:
    """Replaces it whole, or creates it. Messages that are scheduled keep their text."""
    if template.name != name:
        raise Problem(422, "invalid", f"The template's name is {template.name!r}, not {name!r}.", "name")
    _check(template)
    await ports.documents.put(f"organisations/{organisation}/templates/{name}", template.model_dump(mode="json"))
    return template


@router.delete("/templates/{name}", status_code=204)
async def delete_template(ports: Doors, organisation: Organisation, name: str) -> Response:
    """What names it sends nothing from then on."""
    await _template(ports, organisation, name, "name", 404)
    await ports.documents.delete(f"organisations/{organisation}/templates/{name}")
    return Response(status_code=204)


def _check(template: MessageTemplate) -> None:
    for field, text in (("subject", template.subject), ("text", template.text)):
        if wrong := misspelt(text):
            detail = f"{wrong!r} is no placeholder: write {{{{name}}}}, in small letters, digits and underscores."
            raise Problem(422, "placeholder_invalid", detail, field)
    if template.reply_to:
        _address("email", template.reply_to, "US", "reply_to")


async def _template(ports: Ports, organisation: str, name: str, param: str, status: int) -> MessageTemplate:
    known = None
    if _NAME.fullmatch(name):
        known = await ports.documents.get(f"organisations/{organisation}/templates/{name}")
    if known is None:
        raise Problem(status, "not_found", f"There is no template {name!r}.", param)
    return MessageTemplate.model_validate(known)


# --- messages ---


@router.get("/messages")
async def messages(
    ports: Doors,
    organisation: Organisation,
    state: str | None = None,
    conversation: str | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Listing[OutboundMessage]:
    """What was sent, and what will be: the last scheduled first."""
    where = matching(state=state, conversation=conversation)
    page = await query(ports, f"organisations/{organisation}/messages", where, "-created_at", limit, cursor)
    return listing(page, OutboundMessage)


@router.get("/messages/{id}")
async def message(ports: Doors, organisation: Organisation, id: str) -> OutboundMessage:
    """One of them, as it stands."""
    return OutboundMessage.model_validate(await find(ports, organisation, "messages", id, "message"))


@router.post("/messages", status_code=202)
async def schedule(
    ports: Doors,
    organisation: Organisation,
    wanted: Wanted,
    idempotency_key: Annotated[str, Header(max_length=200)] = "",
) -> OutboundMessage:
    """Has a message sent. With an `Idempotency-Key`, asking again with the same one sends nothing more. A recipient who
    wants no messages makes it `suppressed`."""
    if wanted.conversation and not wanted.conversation.isidentifier():
        raise Problem(422, "invalid", f"There is no conversation {wanted.conversation!r}.", "conversation")
    id = message_id(organisation, "api", idempotency_key or new_id("once"))
    owner = await owner_of(ports, organisation)
    now = ports.clock.now()
    try:
        if wanted.template:
            by = await _filled_by(ports, organisation, wanted)
            kinds = {name: _kind(value) for name, value in wanted.variables.items()}
            made = fill(by, id, wanted.to, wanted.variables, kinds, owner, now, conversation=wanted.conversation)
        else:
            made = _as_given(wanted, id, owner, now)
        return await outbox(ports).schedule(organisation, made, wanted.at or now)
    except Unsendable as problem:
        raise Problem(422, "unsendable", f"{problem}.", problem.param) from None


def _as_given(wanted: Wanted, id: str, owner: stored.Organisation, now: datetime) -> OutboundMessage:
    """Without a template. Raises Unsendable."""
    if wanted.variables:
        raise Problem(422, "invalid", "Variables are for a template.", "variables")
    if not wanted.text.strip():
        raise Problem(422, "invalid", "Name a template, or give a text.", "text")
    if (wanted.channel == "email") != bool(wanted.subject.strip()):
        raise Problem(422, "invalid", "An e-mail needs a subject, and nothing else has one.", "subject")
    if wanted.reply_to:
        _address("email", wanted.reply_to, owner.country, "reply_to")
    return OutboundMessage(
        id=id,
        channel=wanted.channel,
        to=address_of(wanted.channel, wanted.to, owner.country),
        sender=wanted.sender,
        reply_to=wanted.reply_to,
        subject=wanted.subject,
        text=wanted.text,
        conversation=wanted.conversation,
        due_at=now,
        created_at=now,
    )


async def _filled_by(ports: Ports, organisation: str, wanted: Wanted) -> MessageTemplate:
    """The template that is named, with the sender that is."""
    by = await _template(ports, organisation, wanted.template, "template", 422)
    if wanted.text or wanted.subject:
        raise Problem(422, "invalid", "Give a template or a text, not both.", "text")
    missing = placeholders(by.subject + by.text) - {"organisation", *wanted.variables}
    if missing:
        detail = f"The template {by.name!r} also names {', '.join(sorted(missing))}."
        raise Problem(422, "variables_missing", detail, "variables")
    return by.model_copy(update={"sender": wanted.sender or by.sender})


def _kind(value: Value) -> Kind:
    """What a value looks like."""
    text = value if isinstance(value, str) else ""
    if _DATE.fullmatch(text):
        return "date"
    if _TIME.fullmatch(text):
        return "time"
    return "phone" if text.startswith("+") else "text"


# --- opt-outs ---


@router.get("/opt-outs")
async def opt_outs(
    ports: Doors, organisation: Organisation, channel: str | None = None, limit: Limit = 20, cursor: Cursor = None
) -> Listing[OptOut]:
    """Who wants no messages."""
    where = matching(channel=channel or None)
    page = await query(ports, f"organisations/{organisation}/optouts", where, "", limit, cursor)
    return listing(page, OptOut)


@router.post("/opt-outs", status_code=201)
async def add_opt_out(ports: Doors, organisation: Organisation, wanted: WantedOptOut) -> OptOut:
    """From now on nothing is sent there. Once more changes nothing."""
    owner = await owner_of(ports, organisation)
    address = _address(wanted.channel, wanted.address, owner.country, "address")
    return await opt_out(ports, organisation, wanted.channel, address, "api")


@router.delete("/opt-outs/{id}", status_code=204)
async def delete_opt_out(ports: Doors, organisation: Organisation, id: str) -> Response:
    """Messages may be sent there again. What the carrier itself blocks stays blocked until its START."""
    path = path_of(organisation, id)
    if not _SHA.fullmatch(id) or await ports.documents.get(path) is None:
        raise Problem(404, "not_found", f"There is no opt-out {id!r}.", "id")
    await ports.documents.delete(path)
    return Response(status_code=204)


def _address(channel: Channel, text: str, country: str, param: str) -> str:
    try:
        return address_of(channel, text, country)
    except Unsendable as problem:
        raise Problem(422, "invalid", f"{problem}.", param) from None


# --- what appointments bring ---


@router.get("/messaging/appointments")
async def appointment_messages(ports: Doors, organisation: Organisation) -> AppointmentMessages:
    """Nothing, unless it was set."""
    known = await ports.documents.get(f"organisations/{organisation}/messaging/appointments")
    return AppointmentMessages.model_validate(known or {})


@router.put("/messaging/appointments")
async def put_appointment_messages(
    ports: Doors, organisation: Organisation, wanted: AppointmentMessages
) -> AppointmentMessages:
    """For appointments that are booked from now on. The templates must exist, and name nothing but what appointments
    have."""
    named = [("confirmation", wanted.confirmation)] if wanted.confirmation else []
    for param, name in [*named, *(("reminders", reminder.template) for reminder in wanted.reminders)]:
        by = await _template(ports, organisation, name, param, 422)
        if unknown := placeholders(by.subject + by.text) - {"organisation", *KINDS}:
            detail = f"The template {name!r} names {', '.join(sorted(unknown))}, which appointments don't have."
            raise Problem(422, "placeholder_unknown", detail, param)
    path = f"organisations/{organisation}/messaging/appointments"
    await ports.documents.put(path, wanted.model_dump(mode="json"))
    return wanted
