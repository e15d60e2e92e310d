"""Which messages an organisation's appointments bring."""

from typing import Annotated

from pydantic import Field

from schemas.message_template import TemplateName
from schemas.model import Model


class Reminder(Model):
    """One message before each appointment."""

    before: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}[mhd]$")]
    """How long before: minutes and hours (`90m`, `24h`) as they pass, days (`1d`) by the calendar, at the same time of
    day. They differ where the clocks change in between."""
    template: TemplateName


class AppointmentMessages(Model):
    """Stored at organisations/{org}/messaging/appointments. Templates may name `name`, `date`, `time`, `phone`, `email`
    and `organisation`."""

    confirmation: TemplateName | None = None
    """Sent as soon as it is booked, or moved."""
    reminders: Annotated[tuple[Reminder, ...], Field(max_length=10)] = ()
    """One whose time has passed when the appointment is booked isn't sent."""
