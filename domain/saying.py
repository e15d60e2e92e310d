"""Says typed values aloud, in words and figures that every voice reads well.

English only so far. What is said is read again as the same value (see `domain.reading`)."""

from datetime import date, timedelta

from domain.moment import Moment
from domain.phone_number import as_written
from schemas.variable import Kind, Value, Variable

_NEXT_TIME = timedelta(days=300)
"""A day farther away than this is said with its year."""


def say(what: Kind | Variable, value: Value, moment: Moment) -> str:
    """`"2026-11-27"` → "Friday the 27th of November", `"14:30"` → "2:30 PM", `"47129"` → "4 7 1 2 9". A value not of
    its kind is said as it is."""
    kind = what.kind if isinstance(what, Variable) else what
    try:
        match kind:
            case "date":
                return _date(date.fromisoformat(str(value)), moment.now.date())
            case "time":
                return _time(str(value))
            case "digits":
                return " ".join(str(value))
            case "phone":
                return _phone(str(value), moment.country)
            case "number" if not isinstance(value, bool | str):
                return _number(value)
    except ValueError:
        pass
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _date(day: date, today: date) -> str:
    match (day - today).days:
        case 0:
            return "today"
        case 1:
            return "tomorrow"
    said = f"{day:%A} the {_ordinal(day.day)} of {day:%B}"
    return said if abs(day - today) < _NEXT_TIME else f"{said} {day.year}"


def _ordinal(number: int) -> str:
    ending = "th" if 11 <= number <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _time(clock: str) -> str:
    hour, minute = (int(part) for part in clock.split(":"))
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError(clock)
    match hour, minute:
        case 0, 0:
            return "midnight"
        case 12, 0:
            return "noon"
    minutes = f":{minute:02}" if minute else ""
    return f"{(hour - 1) % 12 + 1}{minutes} {'PM' if hour >= 12 else 'AM'}"


def _phone(e164: str, country: str) -> str:
    """Digit by digit, a comma (a short pause) between the groups that the country writes; from abroad with its code."""
    written, is_domestic = as_written(e164, country)
    groups = "".join(sign if sign.isdigit() else " " for sign in written).split()
    spoken = ", ".join(" ".join(group) for group in groups)
    return spoken if is_domestic else f"plus {spoken}"


def _number(number: int | float) -> str:
    plain = f"{abs(number):.15g}" if isinstance(number, float) else str(abs(number))
    return f"minus {plain}" if number < 0 else plain
