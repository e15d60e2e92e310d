"""What agents do with appointments: look for free times, book, find, cancel.

A caller sees and cancels only the appointments of the phone number that they call from, and those that were booked in
the same conversation. Every refusal is a sentence that can be said to them, with other times where there are any."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from domain import slots
from domain.caller_id import caller_id, is_withheld
from domain.moment import Moment
from domain.ports import Calendars, Clock, Declined
from domain.saying import say
from schemas.appointment import Appointment, Booking
from schemas.organisation import Organisation
from schemas.tool import ToolCall

_YOURS = ("You have an appointment", "Your next appointment is")
MOST = 20
"""Times that a model is told of."""


class BookAppointment(BaseModel):
    date: dt.date
    time: dt.time
    name: str = Field("", max_length=200)
    phone: str = Field("", description="E.164; empty for the number that the caller calls from", max_length=40)
    email: str = Field("", pattern=r"^$|^[^@\s]+@[^@\s]+$", max_length=320)
    note: str = Field("", description="what it is about", max_length=1000)
    calendar: str = "main"
    instead_of: str = Field("", description="the id of an appointment of the caller's that is moved to the new time")


class FreeTimes(BaseModel):
    date: dt.date
    to_date: dt.date | None = Field(None, description="the last day, to ask for several days")
    time: dt.time | None = Field(None, description="to ask whether this time of the day is free")
    part_of_day: Literal["any", "morning", "afternoon", "evening"] = "any"
    calendar: str = "main"


class ListAppointments(BaseModel):
    pass


class CancelAppointment(BaseModel):
    id: str = Field("", description="the appointment's; or give its date and time")
    date: dt.date | None = None
    time: dt.time | None = None


class AppointmentTools:
    """Each takes its arguments and the call, and returns its output. All raise Declined, with a whole sentence, and
    Unavailable."""

    def __init__(self, calendars: Calendars, clock: Clock) -> None:
        self._calendars, self._clock = calendars, clock

    async def book(self, organisation: Organisation, wanted: BookAppointment, call: ToolCall) -> dict[str, Any]:
        moment = self._moment(organisation)
        if wanted.instead_of:
            await self._own(organisation, call, wanted.instead_of)
        booking = Booking(
            calendar=wanted.calendar,
            date=wanted.date.isoformat(),
            time=_clock(wanted.time),
            name=wanted.name,
            phone=_phone(wanted.phone, organisation) or caller_id(call.caller),
            email=wanted.email,
            note=wanted.note,
            conversation=_conversation(call),
            agent=call.agent,
            instead_of=wanted.instead_of,
        )
        try:
            appointment = await self._calendars.book(organisation, booking, call.key)
        except Declined as problem:
            raise Declined(_with_others(problem, moment)) from None
        return {**_told(appointment), "says": f"You are booked for {_when(appointment, moment)}."}

    async def free(self, organisation: Organisation, wanted: FreeTimes, call: ToolCall) -> dict[str, Any]:
        """Output: `fits`, whether there is what was asked for; `day_fits`, whether there is anything on those days;
        `times`, some that are free; `says`, the same in words."""
        moment = self._moment(organisation)
        last = wanted.to_date or wanted.date
        clock = _clock(wanted.time) if wanted.time else ""
        offer = await self._calendars.offer(organisation, wanted.calendar, wanted.date, last, clock)
        times = slots.within(offer.times, wanted.part_of_day)
        if offer.why:
            fits, says, told = False, _with_others(Declined(offer.why, offer.instead), moment), offer.instead
        elif clock:
            at = slots.named(wanted.date, clock, moment.now.tzinfo)  # type: ignore[arg-type]
            fits, says, told = True, f"{_upper(slots.spoken([at], moment))} is free.", [at]
        elif times:
            few = slots.a_few([each for each in times if each.date() == times[0].date()])
            fits, says, told = True, f"We could offer {slots.spoken(few, moment)}.", slots.a_few(times, MOST)
        else:
            why = f"We have nothing free in the {wanted.part_of_day} then."
            few = slots.a_few(offer.times)
            fits, says, told = False, _with_others(Declined(why, few), moment), few
        return {
            "fits": fits,
            "day_fits": bool(offer.times),
            "times": [f"{each:%Y-%m-%d %H:%M}" for each in told],
            "says": says,
        }

    async def list(self, organisation: Organisation, _: ListAppointments, call: ToolCall) -> dict[str, Any]:
        """Output: `count` and `appointments`; `says`; and of the next one its `id`, `date`, `time`."""
        moment = self._moment(organisation)
        found = await self._upcoming(organisation, call)
        if not found:
            return {"count": 0, "appointments": [], "says": "I can't find an appointment under your number."}
        return {
            "count": len(found),
            "appointments": [_told(each) for each in found],
            **_told(found[0]),
            "says": f"{_YOURS[len(found) > 1]} {_on(found[0], moment)}.",
        }

    async def cancel(self, organisation: Organisation, wanted: CancelAppointment, call: ToolCall) -> dict[str, Any]:
        """Without arguments: the caller's only one."""
        moment = self._moment(organisation)
        if wanted.id:
            own = await self._own(organisation, call, wanted.id)
        else:
            clock = _clock(wanted.time) if wanted.time else ""
            day = wanted.date.isoformat() if wanted.date else ""
            upcoming = await self._calendars.upcoming(organisation, caller_id(call.caller), _conversation(call))
            named = [each for each in upcoming if day in ("", each.date) and clock in ("", each.time)]
            fitting = [each for each in named if each.state == "booked"]
            fitting = fitting or [each for each in named if call.key and each.cancelled_by == call.key]
            if not fitting:
                raise Declined("I can't find such an appointment under your number.")
            if len(fitting) > 1:
                raise Declined(f"You have more than one appointment: {_listed(fitting, moment)}. Which one is it?")
            own = fitting[0]
        cancelled = await self._calendars.cancel(organisation, own.id, call.key)
        if cancelled.cancelled_by != call.key:  # the same call may ask twice
            raise Declined("That appointment has been cancelled already.")
        return {**_told(cancelled), "says": f"Your appointment {_on(cancelled, moment)} is cancelled."}

    # --- inside ---

    async def _upcoming(self, organisation: Organisation, call: ToolCall) -> Sequence[Appointment]:
        found = await self._calendars.upcoming(organisation, caller_id(call.caller), _conversation(call))
        return [each for each in found if each.state == "booked"]

    async def _own(self, organisation: Organisation, call: ToolCall, id: str) -> Appointment:
        """Raises Declined for anybody else's, as if it didn't exist."""
        known = await self._calendars.get(organisation, id)
        is_callers = known is not None and "" != known.phone == caller_id(call.caller)
        if known and (is_callers or "" != known.conversation == _conversation(call)):
            return known
        raise Declined("I can't find such an appointment under your number.")

    def _moment(self, organisation: Organisation) -> Moment:
        return Moment(self._clock.now().astimezone(ZoneInfo(organisation.time_zone)), organisation.country)


def _told(appointment: Appointment) -> dict[str, Any]:
    return {"id": appointment.id, "date": appointment.date, "time": appointment.time}


def _when(appointment: Appointment, moment: Moment) -> str:
    return f"{say('date', appointment.date, moment)} at {say('time', appointment.time, moment)}"


def _on(appointment: Appointment, moment: Moment) -> str:
    said = _when(appointment, moment)
    return said if said.startswith(("today", "tomorrow")) else f"on {said}"


def _listed(found: Sequence[Appointment], moment: Moment) -> str:
    return ", and ".join(_on(each, moment) for each in found)


def _with_others(problem: Declined, moment: Moment) -> str:
    if not problem.instead:
        return str(problem)
    return f"{problem} We could offer {slots.spoken(problem.instead, moment)}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _clock(at: dt.time) -> str:
    return f"{at:%H:%M}"


def _conversation(call: ToolCall) -> str:
    return call.key.partition(":")[0]


def _phone(text: str, organisation: Organisation) -> str:
    """In E.164. Empty for what a flow passes on of a caller who withholds their number."""
    number = caller_id(text, organisation.country)
    if not number and not is_withheld(text):
        raise Declined("That is no phone number.")
    return number
