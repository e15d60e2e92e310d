"""Equations on edges: Google's Common Expression Language over a flow's variables, null while unset; or the words of
other formats, which are put into it (`domain.foreign_equations`).

CEL always ends and sees nothing but the values it is given; `domain.equation_tokens` lets in only what also ends soon.
So an equation from the console is safe to run."""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel

from domain.equation_tokens import BadEquation, refuse, tokens
from domain.foreign_equations import is_foreign, to_cel
from schemas.variable import Value

__all__ = ["GIVEN", "BadEquation", "check", "holds", "names", "outcome"]

GIVEN = frozenset({"caller", "open"})
"""Known in every flow: the caller's number, and whether it is within business hours."""

_EXPECTED = re.compile(r" expecting \{.*")
_PLACE = re.compile(r"<input>:1:(\d+): (?:Syntax error: )?(.*)")


@dataclass(frozen=True, slots=True)
class _Equation:
    names: frozenset[str]
    expression: cel.Expression


@lru_cache(maxsize=4096)
def _read(equation: str) -> _Equation:
    """Depends on nothing but the text: its variables are those that it mentions."""
    found = tokens(equation)
    mentioned = frozenset(token.text for token in found if token.kind == "name")
    foreign = is_foreign(found)
    text = to_cel(equation, found) if foreign else equation
    try:
        expression = cel.NewEnv(variables=dict.fromkeys(mentioned, cel.Type.DYN)).compile(text)
    except Exception as problem:  # the library raises bare exceptions
        place = _PLACE.search(str(problem))
        why = _EXPECTED.sub("", place[2] if place else str(problem).splitlines()[0]).replace("'<EOF>'", "the end")
        if foreign or place is None:
            raise refuse(equation, 0, why) from None
        raise refuse(equation, int(place[1]) - 1, why) from None
    return _Equation(mentioned, expression)


def names(equation: str) -> frozenset[str]:
    """The variables that it reads. Raises BadEquation if it can't be read."""
    return _read(equation).names


def check(equation: str, known: Container[str]) -> None:
    """Raises BadEquation unless it can be read with these variables, and those that are GIVEN."""
    for name in sorted(_read(equation).names):
        if name not in known and name not in GIVEN:
            raise BadEquation(f"{equation!r}: {name!r} is not a variable of the flow")


def holds(equation: str, known: Container[str], values: Mapping[str, Value | None]) -> bool:
    """Whether it is true. An equation that fails on these values (null < 3) doesn't hold.
    Raises BadEquation if it can't be read."""
    return outcome(equation, known, values) is True


def outcome(equation: str, known: Container[str], values: Mapping[str, Value | None]) -> bool | None:
    """True, False, or None if it fails on these values or comes to something else. Raises BadEquation if it can't be
    read."""
    read = _read(equation)
    if not all(name in known or name in GIVEN for name in read.names):
        check(equation, known)
    try:
        result = read.expression.eval(data={name: values.get(name) for name in read.names}).value()
    except Exception:  # a text that is no Unicode: the library raises what it likes
        return None
    return result if isinstance(result, bool) else None
