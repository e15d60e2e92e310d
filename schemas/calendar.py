"""A calendar: when appointments can be had, and how many at a time."""

from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.agent import Holidays, Opening, SpecialDay
from schemas.model import Model

STEP_MINUTES = 5
"""Appointments begin and end at multiples of it."""
LONGEST_MINUTES = 480

Minutes = Annotated[int, Field(ge=STEP_MINUTES, le=LONGEST_MINUTES, multiple_of=STEP_MINUTES)]


class Calendar(Model):
    """Stored at organisations/{org}/calendars/{id}. Its times of day are in the organisation's time zone."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    name: str = ""
    """For people: "Dr. Willow"."""
    kind: Literal["own", "google"] = "own"
    """google: appointments are entered into a calendar of Google's as well, and what else is in it keeps its times."""
    google_calendar: str = ""
    """Its id there, which looks like an e-mail address."""
    hours: tuple[Opening, ...]
    """When appointments can be had."""
    special_days: tuple[SpecialDay, ...] = ()
    """They come before `hours` and `holidays`."""
    holidays: Holidays | None = None
    slot_minutes: Minutes = 30
    """From one possible beginning to the next, counted from when the day's hours begin; and how long an appointment
    takes unless it says otherwise."""
    capacity: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many appointments there can be at a time."""
    lead_minutes: Annotated[int, Field(ge=0, le=60 * 24 * 60)] = 0
    """How soon from now the first one can be."""
    days_ahead: Annotated[int, Field(ge=1, le=730)] = 90
    """How many days from today the last one can be."""

    @model_validator(mode="after")
    def _holds_together(self) -> "Calendar":
        if self.kind == "google" and not self.google_calendar:
            raise ValueError("a calendar of the kind google needs google_calendar, its id there")
        if self.kind == "google" and self.capacity != 1:
            raise ValueError("a Google calendar has one appointment at a time: make a calendar for each person or room")
        for day, openings in groupby(sorted(self.hours, key=lambda each: each.day), lambda each: each.day):
            _check(day, [(each.opens, each.closes) for each in openings])
        for special in self.special_days:
            if special.opens and special.closes:
                _check(str(special.date), [(special.opens, special.closes)])
        return self


def _check(day: str, stretches: Iterable[tuple[str, str]]) -> None:
    ended = ""
    for opens, closes in sorted(stretches):
        if not opens < closes <= "24:00":
            raise ValueError(f"{day}: it can't open at {opens} and close at {closes} of the same day")
        if opens < ended:
            raise ValueError(f"{day}: its hours overlap at {opens}")
        if any(int(time[3:]) % STEP_MINUTES for time in (opens, closes)):
            raise ValueError(f"{day}: hours begin and end at multiples of {STEP_MINUTES} minutes")
        ended = closes
