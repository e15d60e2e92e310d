"""An appointment that somebody booked."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.calendar import Minutes
from schemas.model import Model


class Booking(Model):
    """What somebody wants to have booked."""

    calendar: str = "main"
    date: str
    """2026-11-27, in the organisation's time zone."""
    time: str
    """14:30"""
    minutes: Minutes | None = None
    """How long it takes; None for a slot of the calendar."""
    name: Annotated[str, Field(max_length=200)] = ""
    phone: Annotated[str, Field(max_length=40)] = ""
    """E.164, or empty when the caller withheld it."""
    email: Annotated[str, Field(max_length=320)] = ""
    note: Annotated[str, Field(max_length=1000)] = ""
    """What it is about, for people."""
    conversation: str = ""
    """The one that it was booked in."""
    agent: str = ""
    instead_of: str = ""
    """The id of the appointment that it replaces: that one is cancelled in the same instant, or neither happens."""


class Appointment(Booking):
    """Stored at organisations/{org}/appointments/{id}."""

    id: str
    key: str
    """Names the effect: booking twice with one key books once."""
    minutes: Minutes
    begins: datetime
    """In UTC; `date` and `time` say the same."""
    state: Literal["booked", "cancelled"] = "booked"
    booked_at: datetime
    cancelled_at: datetime | None = None
    cancelled_by: str = ""
    """The key of what cancelled it, if that had one."""
    google_calendar: str = ""
    """The calendar of Google's that it is entered into, if any."""
    external_id: str = ""
    """The event's id there."""
    settled: bool = False
    """Whether its state is known to everybody: entered into or struck from Google's calendar, and told on the bus."""
