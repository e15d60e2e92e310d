"""An appointment that an agent booked."""

from datetime import datetime

from schemas.model import Model


class Appointment(Model):
    """Stored at organisations/{org}/appointments/{id}."""

    id: str
    key: str
    """Names the effect: booking twice with one key books once."""
    conversation: str = ""
    """The one that it was booked in."""
    date: str
    """2026-11-27, in the organisation's time zone."""
    time: str
    """14:30"""
    name: str = ""
    phone: str = ""
    """E.164, or empty when the caller withheld it."""
    booked_at: datetime
