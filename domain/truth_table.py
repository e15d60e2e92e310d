"""What an equation comes to for every kind of value that its variables may have.

Each variable is sampled: all values of a finite kind, and on either side of every constant that it is compared with;
null included. For an equation that only compares variables with constants these are all the cases that there are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import prod

from domain import conditions
from domain.equation_tokens import Token, tokens
from schemas.variable import Value, Variable

MOST_ROWS = 128
"""Combinations that are tried for one equation."""
MOST_CHOICES = 20
LONGEST_TEXT = 50

Sample = Value | None
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Truth:
    """`rows`: for a value of each of `names`, in their order, what the equation comes to; None if it fails."""

    names: tuple[str, ...]
    rows: Mapping[tuple[Sample, ...], bool | None]
    whole: bool
    """Whether these are all the cases: what holds in none of them never does."""
    unset: Mapping[str, frozenset[bool | None]]
    """By name: what it comes to while that variable is null, as far as it was tried."""
    never: bool
    """Whether it is false whatever its variables are."""

    def needs(self, name: str) -> bool:
        """Whether it can't hold while the variable is unset."""
        return self._while_unset(name).isdisjoint({True})

    def forces(self, name: str) -> bool:
        """Whether it always holds while the variable is unset."""
        return self._while_unset(name) == {True}

    def fails_without(self, name: str) -> bool:
        """Whether it can't even be told while the variable is unset."""
        return self._while_unset(name) == {None}

    def _while_unset(self, name: str) -> frozenset[bool | None]:
        return self.unset.get(name, frozenset({True, False}))


def truth(equation: str, variables: Mapping[str, Variable], beside: Sequence[str] = (), most: int = MOST_ROWS) -> Truth:
    """Sampled so finely that it can be laid beside other equations. Raises BadEquation. Bounded: at most so many
    evaluations, and none that was made before."""
    names = tuple(sorted(conditions.names(equation)))
    compared = [constants(other) for other in (equation, *beside)]
    sampled = tuple(
        samples(name, variables.get(name), [value for each in compared for value in each.get(name, ())])
        for name in names
    )
    return _truth(equation, names, sampled, most)


@lru_cache(maxsize=4096)
def _truth(equation: str, names: tuple[str, ...], sampled: tuple[tuple[Sample, ...], ...], most: int) -> Truth:
    cases = prod(map(len, sampled))
    whole = cases <= most and _only_compares(tokens(equation))
    tried = list(product(*sampled)) if cases <= most else _spread(sampled, most)
    rows = dict(zip(tried, conditions.outcomes(equation, names, tried), strict=True))
    unset = {name: {outcome for row, outcome in rows.items() if row[i] is None} for i, name in enumerate(names)}
    return Truth(
        names,
        rows,
        whole,
        unset={name: frozenset(outcomes) for name, outcomes in unset.items() if outcomes},
        never=whole and True not in rows.values(),
    )


def _spread(sampled: Sequence[Sequence[Sample]], most: int) -> list[tuple[Sample, ...]]:
    """Some of too many cases: each variable unset in turn, then each one's values in turn, with all others set; then
    the same with all others unset."""
    rows = dict[tuple[Sample, ...], None]()
    for others in (-1, 0):
        base = tuple(values[others] for values in sampled)
        for one_by_one in ([values[:1] for values in sampled], sampled):
            for i, values in enumerate(one_by_one):
                rows |= dict.fromkeys((*base[:i], value, *base[i + 1 :]) for value in values)
    return list(rows)[:most]


def samples(name: str, variable: Variable | None, compared: Iterable[Value]) -> tuple[Sample, ...]:
    """Null first; then values of its kind that differ in how they compare with these constants."""
    if name == "open":
        return (True, False)
    kind = variable.kind if variable else "text"
    if kind == "yes_no":
        return (None, True, False)
    if variable and kind == "choice":
        return (None, *(choice.value for choice in variable.choices[:MOST_CHOICES]))
    if kind == "number":
        numbers = sorted(
            {value for value in compared if isinstance(value, int | float) and not isinstance(value, bool)}
        )
        if not numbers:
            return (None, 1)
        between = [(low + high) / 2 for low, high in pairwise(numbers)]
        return (None, numbers[0] - 1, *numbers, *between, numbers[-1] + 1)
    texts = sorted({value for value in compared if isinstance(value, str)})
    lengths = {value for value in compared if isinstance(value, int) and not isinstance(value, bool)}
    sized = {"1" * n for low in lengths for n in (low - 1, low, low + 1) if 0 < n <= LONGEST_TEXT}
    return (None, "!", *dict.fromkeys([*texts, *(f"{text}!" for text in texts), *sorted(sized)]), "~")


@lru_cache(maxsize=4096)
def constants(equation: str) -> Mapping[str, tuple[Value, ...]]:
    """By variable: what it is compared with. Raises BadEquation."""
    found = tokens(equation)
    names = [token.text for token in found if token.kind == "name"]
    if len(set(names)) == 1:  # whatever stands there is meant for it
        values = tuple(value for token in found if (value := _constant(token)) is not None)
        return {names[0]: values}
    result: dict[str, tuple[Value, ...]] = {}
    for i, token in enumerate(found):
        if token.kind != "name":
            continue
        near = (*found[max(i - 2, 0) : i], *found[i + 1 : i + 4])
        if i + 1 < len(found) and found[i + 1].kind == "in":
            near = found[i + 1 : _closing(found, i + 2)]
        values = tuple(value for other in near if (value := _constant(other)) is not None)
        result[token.text] = (*result.get(token.text, ()), *values)
    return result


def _closing(found: Sequence[Token], start: int) -> int:
    for i in range(start, len(found)):
        if found[i].text == "]":
            return i
    return len(found)


def _constant(token: Token) -> Value | None:
    match token.kind:
        case "literal" if token.text != "null":
            return token.text == "true"
        case "number":
            text = token.text.rstrip("u")
            try:
                return int(text, 0) if text.startswith("0x") or text.isdecimal() else float(text)
            except ValueError:
                return float(text)
        case "string":
            return token.text[1:-1]
    return None


def _only_compares(found: Sequence[Token]) -> bool:
    """Whether every comparison is of one variable with a constant, and nothing is reckoned."""
    for i, token in enumerate(found):
        before, after = found[i - 1] if i else None, found[i + 1] if i + 1 < len(found) else None
        if token.kind in ("function", "type") or token.text in ("contains", "not_contains"):
            return False
        if token.kind == "string" and "\\" in token.text:
            return False
        if token.kind == "sign":
            if token.text in ("+", "-", "*", "/", "%"):
                return False
            if token.text in _COMPARISONS:
                sides = {side.kind for side in (before, after) if side}
                if not ("name" in sides and sides & {"string", "number", "literal"}):
                    return False
        if token.kind == "in" and not (before and before.kind == "name" and after and after.text == "["):
            return False
        if token.text == "[" and not (before and before.kind == "in"):
            return False
    return True
