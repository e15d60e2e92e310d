"""Appointments in an organisation's own documents.

**No time is booked beyond its capacity**, however many callers want it at once: for each five minutes in which a
calendar has appointments a document lists them, and one transaction writes those documents and the appointment. Callers
get in each other's way only where they want the same five minutes, and as often as somebody gets them: the rest find
them taken. They are steps of a fixed length rather than slots, so that a calendar's hours and slots may change while it
is booked.

**Nothing is left untold.** An appointment is written down as one that isn't settled, and only once a calendar elsewhere
and the bus know of it as one that is. A task of the queue, put there before, looks after it if the process dies in
between or one of them is down. Only if the queue is down as well does it stay untold, until it is cancelled or asked
for again with its key; it is booked all the same.

**A calendar elsewhere** (a diary) comes second: first the time is ours, then it is entered there. If somebody entered
something of their own at the same moment and was first, ours is taken out again, here and there."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from domain import slots
from domain.moment import Moment
from domain.ports import (
    Bus,
    Clock,
    Declined,
    Diary,
    Document,
    Documents,
    Event,
    Offer,
    Queue,
    Task,
    Transaction,
    Unavailable,
    Where,
)
from domain.slots import Span
from schemas.appointment import Appointment, Booking
from schemas.calendar import LONGEST_MINUTES, Calendar
from schemas.ids import new_id
from schemas.organisation import Organisation

SETTLE = "settle_appointment"
"""The kind of the task that settles one."""
SETTLE_AFTER = timedelta(minutes=1)
"""How long after a booking, which is over by then."""
QUEUE_S = 0.5
"""How long somebody on the phone waits for the queue at most, and then for the bus."""
BUS_S = 0.5
SEARCH_DAYS = 14
"""How far beyond the day that was asked for other times are looked for."""
LONGEST_RANGE = timedelta(days=62)
"""Of one question."""
BEGUN = "That appointment has begun already."

log = structlog.get_logger()


class AppointmentBook:
    """See `domain.ports.Calendars`."""

    def __init__(
        self, documents: Documents, clock: Clock, bus: Bus, queue: Queue, diaries: Mapping[str, Diary] | None = None
    ) -> None:
        """`diaries` by the kind of calendar that they are for."""
        self._documents, self._clock, self._bus, self._queue = documents, clock, bus, queue
        self._diaries = diaries or {}

    # --- Looking -----------------------------------------------------------------------------------------------------

    async def offer(
        self, organisation: Organisation, calendar: str, first: date, last: date, time: str = "", minutes: int = 0
    ) -> Offer:
        at = await self._calendar(organisation, calendar)
        if last - first > LONGEST_RANGE:
            last = first + LONGEST_RANGE
        return await self._offer(organisation, at, first, last, time, minutes or at.slot_minutes)

    async def _offer(
        self, organisation: Organisation, calendar: Calendar, first: date, last: date, time: str, minutes: int
    ) -> Offer:
        zone, moment = _zone(organisation), self._moment(organisation)
        found = await self._free(organisation, calendar, first, last, minutes)
        objection = slots.objection(calendar, first, time, zone, minutes, moment) if time or first >= last else ""
        if time:
            if not objection and slots.named(first, time, zone) in found:
                return Offer(found)
            same_day = [each for each in found if each.date() == first]
            instead: Sequence[datetime] = []
            if same_day:
                instead = slots.nearest(same_day, slots.named(first, time, zone))
            return Offer(
                found, objection or slots.TAKEN, instead or await self._next(organisation, calendar, first, minutes)
            )
        if found:
            return Offer(found)
        why = objection or "We have nothing free then."
        return Offer(found, why, await self._next(organisation, calendar, last, minutes))

    async def _next(
        self, organisation: Organisation, calendar: Calendar, after: date, minutes: int
    ) -> Sequence[datetime]:
        """A few times of the next day that has any; soon ones, if that day is past what the calendar takes."""
        today = self._moment(organisation).now.date()
        first = today
        if today <= after < today + timedelta(days=calendar.days_ahead):
            first = after + timedelta(days=1)
        found = await self._free(organisation, calendar, first, first + timedelta(days=SEARCH_DAYS), minutes)
        return slots.a_few([each for each in found if each.date() == found[0].date()])

    async def _free(
        self, organisation: Organisation, calendar: Calendar, first: date, last: date, minutes: int
    ) -> list[datetime]:
        zone, now = _zone(organisation), self._clock.now()
        today = now.astimezone(zone).date()
        first, last = max(first, today), min(last, today + timedelta(days=calendar.days_ahead))
        if last < first:
            return []
        begins, ends = slots.named(first, "00:00", zone), slots.named(last, "24:00", zone)
        ours = await self._spans(organisation, calendar, begins, ends)
        others = await self._others(calendar, begins, ends)
        return slots.free(calendar, first, last, zone, minutes, now, slots.taken(ours, others))

    async def _spans(
        self, organisation: Organisation, calendar: Calendar, begins: datetime, ends: datetime
    ) -> list[Span]:
        """Those of the calendar's appointments."""
        earliest = begins - timedelta(minutes=LONGEST_MINUTES)
        where = [
            Where("calendar", "==", calendar.id),
            Where("begins", ">=", _written(earliest)),
            Where("begins", "<", _written(ends)),
        ]
        return [
            slots.span(each.begins, each.minutes)
            for each in await self._find(organisation, where)
            if each.state == "booked"
        ]

    async def _others(self, calendar: Calendar, begins: datetime, ends: datetime) -> list[Span]:
        if (diary := self._diary(calendar)) is None:
            return []
        busy = await diary.busy(calendar.google_calendar, begins.astimezone(UTC), ends.astimezone(UTC))
        return [Span(*each) for each in busy]

    async def upcoming(self, organisation: Organisation, phone: str = "", conversation: str = "") -> list[Appointment]:
        soonest = Where("begins", ">", _written(self._clock.now()))
        found: dict[str, Appointment] = {}
        for field, value in (("phone", phone), ("conversation", conversation)):
            if value:
                for each in await self._find(organisation, [Where(field, "==", value), soonest]):
                    found[each.id] = each
        return sorted(found.values(), key=lambda each: each.begins)

    async def _find(self, organisation: Organisation, where: Sequence[Where]) -> list[Appointment]:
        """All of them, sorted by when they begin."""
        found: list[Appointment] = []
        cursor = None
        while True:
            page = await self._documents.query(f"{_root(organisation.id)}/appointments", where, "begins", 300, cursor)
            found += [Appointment.model_validate(each.document) for each in page.found]
            if (cursor := page.next_cursor) is None:
                return found

    # --- Booking -----------------------------------------------------------------------------------------------------

    async def book(self, organisation: Organisation, booking: Booking, key: str) -> Appointment:
        key = key or new_id("key")
        id = f"apt_{hashlib.sha256(key.encode()).hexdigest()[:20]}"
        if known := await self.get(organisation, id):
            return await self._settle_now(organisation, _again(known))
        appointment, calendar = await self._made(organisation, booking, key, id)
        await self._check(organisation, calendar, appointment)
        for each in filter(None, (id, booking.instead_of)):
            await self._remind(organisation, each)

        async def body(tx: Transaction) -> tuple[Appointment, Appointment | None]:
            if stored := await tx.get(_path(organisation.id, id)):
                return _again(Appointment.model_validate(stored)), None
            replaced = await self._replaced(tx, organisation, booking.instead_of)
            wanted = _steps(organisation.id, appointment)
            given_up = _steps(organisation.id, replaced) if replaced else []
            lists = await _read(tx, [*dict.fromkeys([*wanted, *given_up])])
            for step in given_up:
                lists[step] = [each for each in lists[step] if each != booking.instead_of]
            for step in wanted:
                if len(lists[step]) >= calendar.capacity:
                    raise Declined(slots.TAKEN)
                lists[step].append(id)
            _write(tx, lists)
            tx.put(_path(organisation.id, id), appointment.model_dump(mode="json"))
            if replaced:
                replaced = self._cancelled(replaced, key)
                tx.put(_path(organisation.id, replaced.id), replaced.model_dump(mode="json"))
            return appointment, replaced

        try:
            booked, replaced = await self._documents.transact(body)
        except Declined as problem:
            raise await self._with_others(organisation, calendar, appointment, str(problem)) from None
        if replaced:
            await self._settle_later(organisation, replaced)
        return await self._settle_now(organisation, booked)

    async def _made(
        self, organisation: Organisation, booking: Booking, key: str, id: str
    ) -> tuple[Appointment, Calendar]:
        """What would be booked, and where. Raises Declined for what could never be."""
        calendar = await self._calendar(organisation, booking.calendar)
        try:
            day, clock = date.fromisoformat(booking.date), _clock(booking.time)
            begins = slots.named(day, clock, _zone(organisation)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Declined("That is no day and time.") from None
        diary = self._diary(calendar)
        appointment = Appointment(
            **booking.model_dump(exclude={"minutes", "date", "time"}),
            id=id,
            key=key,
            date=day.isoformat(),
            time=clock,
            minutes=booking.minutes or calendar.slot_minutes,
            begins=begins,
            booked_at=self._clock.now(),
            google_calendar=calendar.google_calendar if diary else "",
            # Letters and figures that Google takes in an event's id.
            external_id=hashlib.sha256(f"{organisation.id}/{id}".encode()).hexdigest() if diary else "",
        )
        return appointment, calendar

    async def _check(self, organisation: Organisation, calendar: Calendar, wanted: Appointment) -> None:
        """Raises Declined, with other times, unless the calendar has that time and nobody else is in the way."""
        zone, moment, day = _zone(organisation), self._moment(organisation), date.fromisoformat(wanted.date)
        if why := slots.objection(calendar, day, wanted.time, zone, wanted.minutes, moment):
            raise await self._with_others(organisation, calendar, wanted, why)
        span = slots.span(wanted.begins, wanted.minutes)
        others = await self._others(calendar, span.begins, span.ends)
        in_the_way = [each.within(span) for each in others if each.overlaps(span)]
        if in_the_way and wanted.instead_of and (replaced := await self.get(organisation, wanted.instead_of)):
            given_up = slots.span(replaced.begins, replaced.minutes)
            in_the_way = [each for each in in_the_way if each.within(given_up) != each]
        if in_the_way:
            raise await self._with_others(organisation, calendar, wanted, slots.TAKEN)

    async def _with_others(
        self, organisation: Organisation, calendar: Calendar, wanted: Appointment, why: str
    ) -> Declined:
        """The refusal with other times. If they can't be had now, without."""
        day = date.fromisoformat(wanted.date)
        try:
            offer = await self._offer(organisation, calendar, day, day, wanted.time, wanted.minutes)
        except Unavailable:
            return Declined(why)
        return Declined(why, offer.instead)

    async def _replaced(self, tx: Transaction, organisation: Organisation, id: str) -> Appointment | None:
        if not id:
            return None
        stored = await tx.get(_path(organisation.id, id)) if id.isidentifier() else None
        if stored is None or stored["state"] != "booked":
            raise Declined("There is no such appointment any more.")
        replaced = Appointment.model_validate(stored)
        if replaced.begins <= self._clock.now():
            raise Declined(BEGUN)
        return replaced

    # --- Cancelling --------------------------------------------------------------------------------------------------

    async def cancel(self, organisation: Organisation, appointment: str, key: str = "") -> Appointment:
        known = await self.get(organisation, appointment)
        if known is None:
            raise Declined("There is no such appointment.")
        if known.state == "cancelled":
            return known
        if known.begins <= self._clock.now():
            raise Declined(BEGUN)
        await self._remind(organisation, known.id)
        cancelled = await self._give_up(organisation, known, key, settled=False)
        return await self._settle_later(organisation, cancelled)

    async def _give_up(self, organisation: Organisation, known: Appointment, key: str, settled: bool) -> Appointment:
        """Cancels it in the book, once."""

        async def body(tx: Transaction) -> Appointment:
            stored = Appointment.model_validate(await tx.get(_path(organisation.id, known.id)))
            if stored.state == "cancelled":
                return stored
            lists = await _read(tx, _steps(organisation.id, stored))
            _write(tx, {step: [each for each in ids if each != stored.id] for step, ids in lists.items()})
            cancelled = self._cancelled(stored, key).model_copy(update={"settled": settled})
            tx.put(_path(organisation.id, stored.id), cancelled.model_dump(mode="json"))
            return cancelled

        return await self._documents.transact(body)

    def _cancelled(self, appointment: Appointment, key: str) -> Appointment:
        at = self._clock.now()
        return appointment.model_copy(
            update={"state": "cancelled", "cancelled_at": at, "cancelled_by": key, "settled": False}
        )

    # --- Settling ----------------------------------------------------------------------------------------------------

    async def settle(self, organisation: str, appointment: str) -> None:
        stored = await self._documents.get(_path(organisation, appointment))
        owner = await self._documents.get(_root(organisation))
        if stored is None or owner is None:
            return  # it was never booked
        at, known = Organisation.model_validate(owner), Appointment.model_validate(stored)
        if not known.settled and not await self._enter(at, known):
            known = await self._give_up(at, known, "", settled=False)
            log.warning("appointment_withdrawn", appointment=appointment, organisation=organisation)
        await self._tell(organisation, known)

    async def _settle_now(self, organisation: Organisation, booked: Appointment) -> Appointment:
        """Raises Declined if a diary has something else then; Unavailable if it can't be entered, which may have
        happened."""
        if booked.settled:
            return booked
        if not await self._enter(organisation, booked):
            await self._give_up(organisation, booked, "", settled=True)  # nobody was told of it
            calendar = await self._calendar(organisation, booked.calendar)
            raise await self._with_others(organisation, calendar, booked, slots.TAKEN)
        return await self._settle_later(organisation, booked, entered=True)

    async def _settle_later(
        self, organisation: Organisation, appointment: Appointment, entered: bool = False
    ) -> Appointment:
        """At once if that goes well. Else the task does it: nobody on the phone need know."""
        try:
            if not entered:
                await self._enter(organisation, appointment)
            async with asyncio.timeout(BUS_S):
                return await self._tell(organisation.id, appointment)
        except (Unavailable, TimeoutError) as problem:
            log.warning(
                "appointment_unsettled", appointment=appointment.id, why=str(problem) or "the bus took too long"
            )
            return appointment

    async def _enter(self, organisation: Organisation, appointment: Appointment) -> bool:
        """Into the diary, or out of it. False if something else was there first."""
        diary = self._diaries.get("google") if appointment.google_calendar else None
        if diary is None or appointment.settled:
            return True
        if appointment.state == "booked":
            if not await diary.enter(organisation, appointment):
                return False
            now = await self.get(organisation, appointment.id)
            if now is None or now.state == "booked":
                return True
        await diary.strike(appointment)  # also one that was cancelled while it was entered
        return True

    async def _tell(self, organisation: str, appointment: Appointment) -> Appointment:
        """On the bus, and notes it."""
        if appointment.settled:
            return appointment
        id, state = appointment.id, appointment.state
        body: Document = {"organisation": organisation, "appointment": id}
        await self._bus.publish(Event(f"{id}:{state}", f"appointment.{state}", body))

        async def note(tx: Transaction) -> None:
            stored = await tx.get(_path(organisation, id))
            if stored and stored["state"] == state:
                tx.put(_path(organisation, id), {**stored, "settled": True})

        await self._documents.transact(note)
        return appointment.model_copy(update={"settled": True})

    async def _remind(self, organisation: Organisation, appointment: str) -> None:
        """Has somebody see in a minute whether it is settled."""
        # A name of its own: a queue may remember one for long, and the next attempt needs its own reminder.
        body: Document = {"organisation": organisation.id, "appointment": appointment}
        task = Task(new_id(f"settle_{appointment}"), SETTLE, body)
        try:
            async with asyncio.timeout(QUEUE_S):
                await self._queue.enqueue(task, self._clock.now() + SETTLE_AFTER)
        except (Unavailable, TimeoutError) as problem:
            log.warning("appointment_unwatched", appointment=appointment, why=str(problem) or "the queue took too long")

    # --- Documents ---------------------------------------------------------------------------------------------------

    async def _calendar(self, organisation: Organisation, id: str) -> Calendar:
        stored = await self._documents.get(f"{_root(organisation.id)}/calendars/{id}") if _fits(id) else None
        if stored is None:
            raise Declined("There is no such calendar.")
        return Calendar.model_validate(stored)

    async def get(self, organisation: Organisation, appointment: str) -> Appointment | None:
        known = appointment.isidentifier()
        stored = await self._documents.get(_path(organisation.id, appointment)) if known else None
        return None if stored is None else Appointment.model_validate(stored)

    def _diary(self, calendar: Calendar) -> Diary | None:
        if calendar.kind == "own":
            return None
        if calendar.kind not in self._diaries:
            raise Unavailable(f"nothing here knows calendars of the kind {calendar.kind}")
        return self._diaries[calendar.kind]

    def _moment(self, organisation: Organisation) -> Moment:
        return Moment(self._clock.now().astimezone(_zone(organisation)), organisation.country)


def _again(known: Appointment) -> Appointment:
    """What a key that was used before comes to."""
    if known.state == "cancelled":
        raise Declined("That appointment was booked and has been cancelled since.")
    return known


def _root(organisation: str) -> str:
    return f"organisations/{organisation}"


def _path(organisation: str, appointment: str) -> str:
    return f"{_root(organisation)}/appointments/{appointment}"


def _steps(organisation: str, appointment: Appointment) -> list[str]:
    """The documents of the steps that it takes."""
    root = f"{_root(organisation)}/calendars/{appointment.calendar}/taken"
    return [
        f"{root}/{step:%Y-%m-%dT%H%MZ}" for step in slots.steps(slots.span(appointment.begins, appointment.minutes))
    ]


async def _read(tx: Transaction, paths: Sequence[str]) -> dict[str, list[str]]:
    """By step: the ids of its appointments."""
    get: Callable[[str], Awaitable[Document | None]] = tx.get
    found = await asyncio.gather(*map(get, paths), return_exceptions=True)
    lists: dict[str, list[str]] = {}
    for path, document in zip(paths, found, strict=True):
        if isinstance(document, BaseException):
            raise document
        lists[path] = list(document["appointments"]) if document else []
    return lists


def _write(tx: Transaction, lists: Mapping[str, list[str]]) -> None:
    for path, ids in lists.items():
        if ids:
            begins = datetime.strptime(path.rpartition("/")[2], "%Y-%m-%dT%H%MZ").replace(tzinfo=UTC)
            tx.put(path, {"appointments": ids, "expires_at": (begins + timedelta(days=1)).isoformat()})
        else:
            tx.delete(path)


def _zone(organisation: Organisation) -> ZoneInfo:
    return ZoneInfo(organisation.time_zone)


def _written(at: datetime) -> str:
    """As an appointment's `begins` is stored: sorted as text it is sorted by time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clock(text: str) -> str:
    return f"{datetime.strptime(text, '%H:%M'):%H:%M}"


def _fits(id: str) -> bool:
    return bool(id) and "/" not in id
