"""Calendars and appointments in the admin API: for the console, and for programs that book as agents do."""

from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field

from domain import slots
from domain.ports import Declined, Offer, Taken
from functions.admin.access import Doors, Organisation
from functions.admin.listing import Cursor, Limit, Listing, listing, matching, query
from functions.admin.problems import Problem
from functions.admin.stored import owner_of
from schemas.appointment import Appointment, Booking
from schemas.calendar import Calendar, Minutes

router = APIRouter(prefix="/api/v1")
LONGEST_RANGE = timedelta(days=31)


class Times(BaseModel):
    """What a calendar has to offer, in the organisation's time zone."""

    data: list[datetime]
    why: str = ""
    """Why there is nothing, in a sentence."""
    instead: list[datetime] = []
    """With that: some free times after it."""


class NewAppointment(Booking):
    """With an optional `key`; instead of it there may be a header `Idempotency-Key`. Asked with the same key, the same
    appointment comes back."""

    key: str = Field("", max_length=200)


@router.get("/calendars")
async def calendars(
    ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None
) -> Listing[Calendar]:
    """The organisation's calendars."""
    return listing(await query(ports, f"organisations/{organisation}/calendars", (), "", limit, cursor), Calendar)


@router.post("/calendars", status_code=201)
async def create_calendar(ports: Doors, organisation: Organisation, calendar: Calendar) -> Calendar:
    """A new one."""
    _check(calendar)
    try:
        await ports.documents.create(_path(organisation, calendar.id), calendar.model_dump(mode="json"))
    except Taken:
        raise Problem(409, "exists", f"There is a calendar {calendar.id!r} already.", "id") from None
    return calendar


@router.get("/calendars/{id}")
async def calendar(ports: Doors, organisation: Organisation, id: str) -> Calendar:
    """One calendar."""
    stored = await ports.documents.get(_path(organisation, id)) if _fits(id) else None
    if stored is None:
        raise Problem(404, "not_found", f"There is no calendar {id!r}.", "id")
    return Calendar.model_validate(stored)


@router.put("/calendars/{id}")
async def replace_calendar(ports: Doors, organisation: Organisation, id: str, wanted: Calendar) -> Calendar:
    """Changes it whole. What is booked stays booked, also where the calendar has no such times any more."""
    await calendar(ports, organisation, id)
    if wanted.id != id:
        raise Problem(422, "invalid", "A calendar's id can't be changed.", "id")
    _check(wanted)
    await ports.documents.put(_path(organisation, id), wanted.model_dump(mode="json"))
    return wanted


@router.delete("/calendars/{id}", status_code=204)
async def delete_calendar(ports: Doors, organisation: Organisation, id: str) -> Response:
    """Nothing can be booked in it any more. Its appointments stay."""
    await calendar(ports, organisation, id)
    await ports.documents.delete(_path(organisation, id))
    return Response(status_code=204)


@router.get("/calendars/{id}/free")
async def free(
    ports: Doors,
    organisation: Organisation,
    id: str,
    first: Annotated[date, Query(alias="from")],
    last: Annotated[date | None, Query(alias="to")] = None,
    minutes: Minutes | None = None,
) -> Times:
    """When an appointment can begin, from one day to another (a month at most)."""
    if last is not None and not timedelta() <= last - first <= LONGEST_RANGE:
        raise Problem(422, "invalid", "Ask for a month at most, from one day to a later one.", "to")
    owner = await owner_of(ports, organisation)
    try:
        offer: Offer = await ports.calendars.offer(owner, id, first, last or first, minutes=minutes or 0)
    except Declined as problem:
        raise Problem(404, "not_found", str(problem), "id") from None
    return Times(data=[*offer.times], why=offer.why, instead=[*offer.instead])


@router.post("/appointments", status_code=201)
async def book(
    ports: Doors,
    organisation: Organisation,
    wanted: NewAppointment,
    idempotency_key: Annotated[str, Header(max_length=200)] = "",
) -> Appointment:
    """Books, once per key. 409 `declined` says why it can't be booked, and when it could be."""
    booking = Booking(**wanted.model_dump(exclude={"key"}))
    key = wanted.key or idempotency_key
    owner = await owner_of(ports, organisation)
    try:
        return await ports.calendars.book(owner, booking, f"api:{key}" if key else "")
    except Declined as problem:
        raise Problem(409, "declined", _with_others(problem)) from None


@router.get("/appointments/{id}")
async def appointment(ports: Doors, organisation: Organisation, id: str) -> Appointment:
    """One appointment."""
    if found := await ports.calendars.get(await owner_of(ports, organisation), id):
        return found
    raise Problem(404, "not_found", f"There is no appointment {id!r}.", "id")


@router.post("/appointments/{id}/cancel")
async def cancel(ports: Doors, organisation: Organisation, id: str) -> Appointment:
    """Cancels it. One that is cancelled already comes back as it is."""
    await appointment(ports, organisation, id)
    try:
        return await ports.calendars.cancel(await owner_of(ports, organisation), id)
    except Declined as problem:
        raise Problem(409, "declined", str(problem)) from None


def _with_others(problem: Declined) -> str:
    others = ", ".join(each.isoformat() for each in problem.instead)
    return f"{problem} Free: {others}" if others else str(problem)


def _check(wanted: Calendar) -> None:
    try:
        slots.hours(wanted, date(2026, 1, 1))
    except ValueError as problem:
        raise Problem(422, "invalid", f"{problem}.", "holidays") from None


def _path(organisation: str, id: str) -> str:
    return f"organisations/{organisation}/calendars/{id}"


def _fits(id: str) -> bool:
    return bool(id) and "/" not in id


@router.get("/appointments")
async def appointments(
    ports: Doors,
    organisation: Organisation,
    date: str | None = None,
    conversation: str | None = None,
    phone: str | None = None,
    calendar: str | None = None,
    state: str | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Listing[Appointment]:
    """The organisation's appointments, the last booked first."""
    where = matching(date=date, conversation=conversation, phone=phone, calendar=calendar, state=state)
    page = await query(ports, f"organisations/{organisation}/appointments", where, "-booked_at", limit, cursor)
    return listing(page, Appointment)
