"""What the server did that Twilio's protocols don't allow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """As Twilio's debugger would list it."""

    at_ms: int
    """Since the call began."""
    code: int
    """Twilio's error code."""
    what: str
    """One sentence."""

    def __str__(self) -> str:
        return f"{self.code}: {self.what}"


class Breach(Exception):
    """A violation found where nobody knows the time."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f"{code}: {what}")
        self.code = code
        self.what = what
