"""A typed value that a flow collects from the caller."""

from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from schemas.model import Model

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]

Value = bool | int | float | str
"""What a variable holds, ready for JSON: yes_no → bool; number → int or float; date → "2026-11-27";
time → "14:30"; phone → E.164; digits, choice, name and text → str."""

Kind = Literal["yes_no", "date", "time", "number", "digits", "choice", "name", "phone", "text"]


class Choice(Model):
    """One of a fixed set of answers."""

    value: str
    """What the variable holds when the caller picks this."""
    says: tuple[str, ...] = ()
    """Other words for it; the value itself always counts."""


class Variable(Model):
    """Read without a model for every kind but `text`, which takes the caller's words as they are."""

    name: Name
    kind: Kind
    description: str = ""
    """For the model, when one extracts it, and for people."""
    ask: str = ""
    """The question that asks for it alone."""
    choices: tuple[Choice, ...] = ()
    """For `choice`: the answers; for `name`: names that are likely (an embedded recogniser hears only these)."""
    digits: tuple[int, int] = (1, 32)
    """For `digits`: fewest and most."""
    earliest: str | None = None
    """For `time` ("09:00"): the first time of day that makes sense; settles whether "four" is 04:00 or 16:00."""
    latest: str | None = None
    """For `time` ("17:00"): the last."""
    anytime: bool = True
    """Whether the caller may give it in any turn, asked for or not, while it is unset. Without a model that works for
    dates, times, numbers, digits, phone numbers and choices, as long as no other unset variable is of the same kind."""
    valid: str = ""
    """An equation that a value must meet to be taken: `party_size <= 8`."""
    invalid: str = ""
    """Said instead of a retry when it doesn't: "We have no tables for more than eight." """

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Variable":
        if self.kind == "choice" and not self.choices:
            raise ValueError(f"variable {self.name!r} is a choice and lists no choices")
        low, high = self.digits
        if not 1 <= low <= high:
            raise ValueError(f"variable {self.name!r} wants {low} to {high} digits")
        return self


class Expectation(Model):
    """What the caller may say next: tells a recogniser what to listen for and endpointing when it is whole."""

    asked: tuple[Variable, ...] = ()
    """What the agent has just asked for."""
    welcome: tuple[Variable, ...] = ()
    """What the caller may volunteer or correct as well."""
    language: str = "en-US"
    """BCP 47."""
