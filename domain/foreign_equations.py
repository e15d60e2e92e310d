"""Equations in the words of other formats, put into CEL and back: `{{name}} exists AND {{date}} exists`."""

from collections.abc import Sequence

from domain.equation_tokens import Token, refuse

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_ENDS = _COMPARISONS | {"&&", "||", "?", ":", ",", ")", "]"}
_CLOSING = {"(": ")", "[": "]"}


def is_foreign(tokens: Sequence[Token]) -> bool:
    """Whether CEL as it is wouldn't read it."""
    return any(token.kind == "word" or token.braced for token in tokens)


def to_cel(equation: str, tokens: Sequence[Token]) -> str:
    """The same in CEL. NOT reaches as far as the next AND or OR; AND goes before OR. Raises BadEquation."""
    return _Translation(equation, tokens).whole()


class _Translation:
    """Reads as much of CEL as it takes to find where a value begins and ends; values are copied."""

    def __init__(self, equation: str, tokens: Sequence[Token]) -> None:
        self._equation, self._tokens, self._next = equation, tokens, 0

    def whole(self) -> str:
        text = self._either()
        if self._next < len(self._tokens):
            raise self._bad(f"{self._tokens[self._next].text!r} isn't expected here")
        return text

    def _either(self) -> str:
        parts = [self._both()]
        while self._take("or", "||"):
            parts.append(self._both())
        text = " || ".join(parts)
        if self._take("?"):
            yes = self._either()
            if not self._take(":"):
                raise self._bad("a ':' is missing")
            text = f"{text} ? {yes} : {self._either()}"
        return text

    def _both(self) -> str:
        parts = [self._negated()]
        while self._take("and", "&&"):
            parts.append(self._negated())
        return " && ".join(parts)

    def _negated(self) -> str:
        negations = 0
        while self._take("not"):
            negations += 1
        text = self._comparison()
        return f"{'!' * negations}({text})" if negations else text

    def _comparison(self) -> str:
        left = self._value()
        while True:
            if token := self._take(*_COMPARISONS, "in"):
                left = f"{left} {token.text} {self._value()}"
            elif self._take("exists"):
                left = _on_value(left, "({} != null)")
            elif self._take("not_exist", "not_exists"):
                left = _on_value(left, "({} == null)")
            elif self._take("contains"):
                left = _on_value(left, f"({{0}} != null && string({{0}}).contains({self._value()}))")
            elif self._take("not_contains"):
                left = _on_value(left, f"!({{0}} != null && string({{0}}).contains({self._value()}))")
            elif self._take("not"):
                if self._take("exists"):
                    left = _on_value(left, "({} == null)")
                elif self._take("contains"):
                    left = _on_value(left, f"!({{0}} != null && string({{0}}).contains({self._value()}))")
                else:
                    raise self._bad("'exists' or 'contains' is missing after 'not'")
            else:
                return left

    def _value(self) -> str:
        parts = list[str]()
        while self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.kind in ("word", "in") or (token.kind == "sign" and token.text in _ENDS):
                break
            self._next += 1
            parts.append(token.text)
            if token.kind == "sign" and token.text in _CLOSING:
                parts.append(self._list(_CLOSING[token.text]))
        if not parts:
            raise self._bad("a value is missing")
        return " ".join(parts)

    def _list(self, closing: str) -> str:
        if self._take(closing):
            return closing
        parts = [self._either()]
        while self._take(","):
            parts.append(self._either())
        if not self._take(closing):
            raise self._bad(f"{closing!r} is missing")
        return f"{', '.join(parts)} {closing}"

    def _take(self, *texts: str) -> Token | None:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.text in texts and token.kind in ("word", "sign", "in"):
                self._next += 1
                return token
        return None

    def _bad(self, why: str) -> Exception:
        end = self._next >= len(self._tokens)
        return refuse(self._equation, len(self._equation) if end else self._tokens[self._next].at, why)


def _on_value(value: str, form: str) -> str:
    """`!` binds tighter than CEL's own comparisons, but nobody means "(not x) exists"."""
    bare = value.lstrip("! ")
    negations = value[: len(value) - len(bare)].count("!")
    text = form.format(bare if " " not in bare else f"({bare})")
    return f"{'!' * negations}({text})" if negations else text


# --- and back ---

_SAME = _COMPARISONS | {"(", ")"}
_INTO_WORDS = {"&&": "AND", "||": "OR"}


def from_cel(tokens: Sequence[Token]) -> str | None:
    """A CEL equation in the words of other formats; None if they have none for something in it."""
    words = list[str]()
    skip = False
    for i, token in enumerate(tokens):
        if skip:
            skip = False
            continue
        before = tokens[i - 1].text if i else ""
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if token.kind == "name":
            words.append(f"{{{{{token.text}}}}}")
        elif token.kind in ("string", "number") or token.text in ("true", "false"):
            words.append(token.text)
        elif token.text in ("==", "!=") and after == "null":
            if not i or tokens[i - 1].kind != "name" or (i > 1 and tokens[i - 2].text in _COMPARISONS):
                return None
            words.append("exists" if token.text == "!=" else "not exists")
            skip = True
        elif token.text in _INTO_WORDS:
            words.append(_INTO_WORDS[token.text])
        elif token.text == "!" and after == "(" and before not in _COMPARISONS:
            words.append("NOT")
        elif token.text in _SAME and not (token.text == "(" and i and tokens[i - 1].kind == "function"):
            if token.text in _COMPARISONS and before == ")":
                return None
            words.append(token.text)
        else:
            return None
    return " ".join(words).replace("( ", "(").replace(" )", ")")
