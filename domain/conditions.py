"""Equations on edges: Google's Common Expression Language over a flow's variables, null while unset; or the words of
other formats, which are put into it (`domain.foreign_equations`).

CEL always ends and sees nothing but the values it is given; `domain.equation_tokens` lets in only what also ends soon.
So an equation from the console is safe to run."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from cel_expr_python import cel

from domain.equation_tokens import LONGEST, BadEquation, refuse, tokens
from domain.foreign_equations import is_foreign, to_cel
from schemas.variable import Value

__all__ = ["GIVEN", "BadEquation", "check", "holds", "names", "outcome", "outcomes"]

GIVEN = frozenset({"caller", "open"})
"""Known in every flow: the caller's number, and whether it is within business hours."""

_EXPECTED = re.compile(r" expecting (\{.*|<EOF>)")
_PLACE = re.compile(r"<input>:1:(\d+): (?:Syntax error: )?(.*)")


@dataclass(frozen=True, slots=True)
class _Equation:
    places: Mapping[str, str]
    """By the name of a variable: what it is called in the expression."""
    expression: cel.Expression


@cache
def _environment() -> cel.Env:
    """One for all equations, whose variables are numbered: the first equation of an environment costs ten others."""
    return cel.NewEnv(variables={f"v{i}": cel.Type.DYN for i in range(LONGEST // 2)})


@lru_cache(maxsize=4096)
def _read(equation: str) -> _Equation:
    """Depends on nothing but the text: its variables are those that it mentions."""
    found = tokens(equation)
    mentioned = dict.fromkeys(token.text for token in found if token.kind == "name")
    places = {name: f"v{i}" for i, name in enumerate(mentioned)}
    numbered = [replace(token, text=places[token.text]) if token.kind == "name" else token for token in found]
    foreign = is_foreign(found)
    text = to_cel(equation, numbered) if foreign else " ".join(token.text for token in numbered)
    try:
        return _Equation(places, _environment().compile(text))
    except Exception:  # the library raises bare exceptions
        raise _refusal(equation, to_cel(equation, found) if foreign else equation, mentioned) from None


def _refusal(equation: str, text: str, mentioned: Iterable[str]) -> BadEquation:
    """Its CEL is read once more with the real names, to say what is wrong, and where if it was written so."""
    try:
        cel.NewEnv(variables=dict.fromkeys(mentioned, cel.Type.DYN)).compile(text)
    except Exception as problem:
        place = _PLACE.search(str(problem))
        return refuse(equation, int(place[1]) - 1 if place and text == equation else 0, _why(problem))
    return refuse(equation, 0, "it can't be read")


def _why(problem: Exception) -> str:
    place = _PLACE.search(str(problem))
    why = place[2] if place else str(problem).splitlines()[0]
    return _EXPECTED.sub("", why).replace("'<EOF>'", "the end")


def names(equation: str) -> frozenset[str]:
    """The variables that it reads. Raises BadEquation if it can't be read."""
    return frozenset(_read(equation).places)


def check(equation: str, known: Container[str]) -> None:
    """Raises BadEquation unless it can be read with these variables, and those that are GIVEN."""
    for name in sorted(_read(equation).places):
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
    if not all(name in known or name in GIVEN for name in read.places):
        check(equation, known)
    return _evaluated(read.expression, {place: values.get(name) for name, place in read.places.items()})


def outcomes(equation: str, names: Sequence[str], rows: Iterable[Sequence[Value | None]]) -> list[bool | None]:
    """The outcome for each row of values, in the order of the equation's names. Raises BadEquation."""
    read = _read(equation)
    places = [read.places[name] for name in names]
    return [_evaluated(read.expression, dict(zip(places, row, strict=True))) for row in rows]


def _evaluated(expression: cel.Expression, values: Mapping[str, Value | None]) -> bool | None:
    try:
        result = expression.eval(data=values).value()
    except Exception:  # a text that is no Unicode: the library raises what it likes
        return None
    return result if isinstance(result, bool) else None
