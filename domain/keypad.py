"""Keys pressed → values."""

from collections.abc import Sequence

from domain.moment import Moment
from domain.reading import read
from schemas.variable import Value, Variable

END = "#"


def enough(asked: Sequence[Variable], keys: str) -> bool:
    """Whether no further key is awaited."""
    if keys.endswith(END):
        return True
    return len(keys) >= max(map(longest, asked), default=1)


def longest(variable: Variable) -> int:
    """How many keys a value may take."""
    match variable.kind:
        case "digits":
            return variable.digits[1]
        case "yes_no":
            return 1
        case "choice" if len(variable.choices) < 10:
            return 1
        case "number" | "phone":
            return 15
        case "date" | "time":
            return 4
        case _:
            return 1


def values(asked: Sequence[Variable], keys: str, moment: Moment) -> dict[str, Value]:
    """What the keys mean for the first variable asked that they fit: 1 and 2 are yes and no, a choice's place is its
    key, a date is month and day, a time is hours and minutes, a number ends with the hash key."""
    digits = keys.removesuffix(END)
    for variable in asked:
        value = _value(variable, digits, moment)
        if value is not None:
            return {variable.name: value}
    return {}


def _value(variable: Variable, digits: str, moment: Moment) -> Value | None:
    match variable.kind:
        case "yes_no":
            return {"1": True, "2": False}.get(digits)
        case "choice":
            place = int(digits) if digits.isdecimal() else 0
            return variable.choices[place - 1].value if 0 < place <= len(variable.choices) else None
        case "date" if len(digits) == 4:
            return read(variable, f"{digits[:2]}/{digits[2:]}", moment)
        case "time" if len(digits) == 4:
            return read(variable, f"{digits[:2]}:{digits[2:]}", moment)
        case "digits" | "number" | "phone":
            return read(variable, digits, moment)
        case _:
            return None
