"""Equations on edges: Google's Common Expression Language over a flow's variables, null while unset.

CEL always ends and sees nothing but the values it is given, so an equation from the console is safe to run."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from cel_expr_python import cel

from schemas.variable import Value


class BadEquation(ValueError):
    """The equation can't be read. The message says where."""


@lru_cache(maxsize=4096)
def _compiled(equation: str, names: frozenset[str]) -> cel.Expression:
    try:
        return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN)).compile(equation)
    except Exception as problem:  # the library raises bare exceptions
        raise BadEquation(f"{equation!r}: {str(problem).splitlines()[0]}") from None


def check(equation: str, names: Iterable[str]) -> None:
    """Raises BadEquation unless it can be read with these variables."""
    _compiled(equation, frozenset(names))


def holds(equation: str, names: Iterable[str], values: Mapping[str, Value]) -> bool:
    """Whether it is true. An equation that fails on these values (null < 3) doesn't hold.
    Raises BadEquation if it can't be read."""
    names = frozenset(names)
    result = _compiled(equation, names).eval(data={name: values.get(name) for name in names})
    return result.value() is True
