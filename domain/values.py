"""Whether a value, from a model or a program, is one that a variable may hold."""

import re
from datetime import date
from typing import Any

from domain.moment import Moment
from domain.phone_number import is_number
from schemas.variable import Variable

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def valid(variable: Variable, value: Any, moment: Moment) -> bool:
    """True if the variable may hold it; see `schemas.variable.Value` for the forms. A date lies not in the past."""
    match variable.kind:
        case "yes_no":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _ if not isinstance(value, str) or not value.strip() or len(value) > 1000:
            return False
        case "date":
            try:
                return date.fromisoformat(value) >= moment.now.date()
            except ValueError:
                return False
        case "time":
            return _TIME.fullmatch(value) is not None
        case "digits":
            return value.isdecimal() and variable.digits[0] <= len(value) <= variable.digits[1]
        case "choice":
            return any(choice.value == value for choice in variable.choices)
        case "phone":
            return is_number(value)
        case _:
            return True
