"""Names from elsewhere, made into ours: ids of nodes, and variables in texts and equations."""

import re
from collections.abc import Iterator

from domain import conditions
from domain.conditions import GIVEN, BadEquation
from domain.equation_tokens import RESERVED, tokens
from domain.truth_table import constants
from schemas.flow import BACK

LONGEST_ID = 80
LONGEST_NAME = 40
_BRACED = re.compile(r"\{\{([^{}]*)\}\}")


class Ids:
    """Foreign id → ours: not empty, not too long, no @ at its beginning, and two different ones stay different."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}

    def of(self, foreign: str) -> str:
        """The same for the same."""
        if foreign not in self._ours:
            plain = foreign.lstrip("@")[:LONGEST_ID] or "node"
            self._ours[foreign] = _free(plain, set(self._ours.values()) | {BACK}, LONGEST_ID)
        return self._ours[foreign]

    def new(self, wanted: str) -> str:
        """One that no foreign id becomes, as long as they were all asked for before."""
        id = _free(wanted[:LONGEST_ID], set(self._ours.values()), LONGEST_ID)
        self._ours[f"@new {id}"] = id
        return id

    def renamed(self) -> Iterator[tuple[str, str]]:
        """Those that aren't what they were."""
        return ((old, new) for old, new in self._ours.items() if old != new and not old.startswith("@new "))


class Variables:
    """Foreign names → ours, with what is known of each."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}
        self.declared: dict[str, dict[str, object]] = {}
        """By our name: a variable, as its schema wants it."""
        self._guessed = dict[str, str]()

    def of(self, foreign: str) -> str:
        """Our name for it."""
        if foreign not in self._ours:
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", foreign.strip())
            plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
            if not plain[:1].isalpha() or not plain.isascii():
                plain = f"v_{plain}".rstrip("_")
            if plain in RESERVED:
                plain = f"{plain}_value"
            self._ours[foreign] = _free(plain[:LONGEST_NAME], set(self._ours.values()), LONGEST_NAME)
        return self._ours[foreign]

    def declare(self, foreign: str, **known: object) -> str:
        """What is declared first stays."""
        name = self.of(foreign)
        self.declared.setdefault(name, {"name": name, **known})
        return name

    def text(self, text: str | None) -> str:
        """With our names."""

        def ours(match: re.Match[str]) -> str:
            name = match[1].strip()
            return f"{{{{{self.of(name)}}}}}" if name else match[0]

        return _BRACED.sub(ours, text or "")

    def equation(self, equation: str) -> str:
        """With our names, bare ones too; what can't be read stays, but for names in braces."""
        text = self.text(equation)
        try:
            conditions.names(text)
        except BadEquation:
            return text
        for token in reversed(tokens(text)):
            if token.kind == "name" and not token.braced:
                text = text[: token.at] + self.of(token.text) + text[token.at + len(token.text) :]
        found = constants(text)
        for name, values in found.items():
            kinds = {type(value) for value in values}
            if kinds:
                kind = "yes_no" if kinds == {bool} else "number" if kinds <= {int, float} else "text"
                self._guessed.setdefault(name, kind)
        return text

    def undeclared(self) -> list[str]:
        """Those that nothing declares; they are declared by this, as what they seem to be."""
        names = sorted(name for name in self._ours.values() if name not in self.declared and name not in GIVEN)
        for name in names:
            self.declared[name] = {"name": name, "kind": self._guessed.get(name, "text")}
        return names

    def renamed(self) -> Iterator[tuple[str, str]]:
        """Those that aren't what they were."""
        return ((old, new) for old, new in self._ours.items() if old != new)


def _free(wanted: str, taken: set[str], longest: int) -> str:
    name, n = wanted, 1
    while name in taken:
        n += 1
        name = f"{wanted[: longest - len(str(n)) - 1]}_{n}"
    return name
