"""An equation cut into tokens, as far as is safe to evaluate.

Google's Common Expression Language always ends, but its macros may cost n^k, its regular expressions a tenth of a
second each, and its lexer knows more kinds of strings than anybody needs on an edge. What isn't listed is refused."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

LONGEST = 1000
"""Characters of an equation."""
DEEPEST = 20
"""Brackets within brackets; the library gives up at 32 levels of any kind."""

# fmt: off
FUNCTIONS = frozenset({
    "size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string", "bool", "type", "dyn",
    "timestamp", "duration", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds",
})
"""Those that an equation may call."""
WORDS = frozenset({"and", "or", "not", "exists", "not_exist", "not_exists", "contains", "not_contains"})
"""What other formats write where CEL has signs, in any case."""
LITERALS = frozenset({"true", "false", "null"})
_TYPES = frozenset({"bool", "int", "uint", "double", "bytes", "string", "list", "map", "type", "null_type", "dyn"})
_CEL_WORDS = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})
"""CEL keeps them for later."""
RESERVED = LITERALS | WORDS | _TYPES | _CEL_WORDS | {"in"}
"""Names that no equation can read a variable by."""
# fmt: on

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|\{\{(?P<braced>[^{}]*)\}\}"
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"|(?P<number>(?:0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)u?)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>&&|\|\||[=!<>]=|[-<>!+*/%?:.,()\[\]])",
    re.ASCII,
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PAIRS = {")": "(", "]": "["}


class BadEquation(ValueError):
    """The equation can't be read. The message says where."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Literal["name", "string", "number", "literal", "function", "type", "in", "word", "sign"]
    """name: a variable's, with or without braces. word: one of WORDS, in lower case."""
    text: str
    """As CEL writes it."""
    at: int
    """Where it begins in the equation, from 0."""
    braced: bool = False


def refuse(equation: str, at: int, why: str) -> BadEquation:
    """The error that names a place."""
    shown = equation if len(equation) <= 120 else f"{equation[:120]}…"
    return BadEquation(f"{shown!r}, at character {at + 1}: {why}")


@lru_cache(maxsize=4096)
def tokens(equation: str) -> tuple[Token, ...]:
    """Raises BadEquation."""
    if len(equation) > LONGEST:
        raise refuse(equation, LONGEST, f"it is longer than {LONGEST} characters")
    found = list[Token]()
    open_brackets = list[str]()
    at = end = 0
    while at < len(equation):
        match = _TOKEN.match(equation, at)
        if match is None:
            raise refuse(equation, at, f"{equation[at]!r} isn't understood here")
        kind, text, start, adjoins = match.lastgroup, match[0], at, found and end == at
        at = match.end()
        if kind == "space":
            continue
        before = found[-1] if found else None
        if adjoins and before is not None:
            if kind == "string" and before.kind != "sign":
                raise refuse(equation, start, "a string of this kind can't be used; use plain 'quotes'")
            if text == before.text == "/":
                raise refuse(equation, start, "an equation has no comments")
        end = at
        match kind:
            case "braced":
                name = match["braced"].strip()
                if not _NAME.fullmatch(name) or name in RESERVED:
                    raise refuse(equation, start, f"{name!r} is not the name of a variable")
                found.append(Token("name", name, start, braced=True))
            case "word":
                found.append(_word(equation, text, start, before, equation[at:].lstrip()[:1] == "("))
            case "number" if _is_sign_of_a_number(found):
                found[-1] = Token("number", f"-{text}", before.at if before else start)
            case "string" | "number":
                found.append(Token(kind, text, start))
            case _:
                if text in ("(", "["):
                    open_brackets.append(text)
                    if len(open_brackets) > DEEPEST:
                        raise refuse(equation, start, f"there are more than {DEEPEST} brackets within each other")
                elif text in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[text]):
                    raise refuse(equation, start, f"{text!r} closes nothing")
                found.append(Token("sign", text, start))
        if before is not None and before.text == "." and before.kind == "sign" and found[-1].kind != "function":
            raise refuse(equation, before.at, "a value has no parts")
    if open_brackets:
        raise refuse(equation, len(equation), f"{open_brackets[-1]!r} isn't closed")
    if not found:
        raise refuse(equation, 0, "it is empty")
    return tuple(found)


def _is_sign_of_a_number(found: list[Token]) -> bool:
    """Whether the last token is a minus that takes nothing away from anything."""
    if not found or found[-1].text != "-":
        return False
    return len(found) == 1 or (found[-2].kind in ("sign", "word", "in") and found[-2].text not in (")", "]", "-"))


def _word(equation: str, text: str, at: int, before: Token | None, called: bool) -> Token:
    selected = before is not None and before.text == "." and before.kind == "sign"
    if text.lower() in WORDS and not selected:
        return Token("word", text.lower(), at)
    if text == "in":
        return Token("in", text, at)
    if called:
        if text == "matches":
            raise refuse(equation, at, "regular expressions can't be used; use startsWith, endsWith or contains")
        if text not in FUNCTIONS:
            raise refuse(equation, at, f"there is no function {text!r}")
        return Token("function", text, at)
    if text in LITERALS:
        return Token("literal", text, at)
    if text in _CEL_WORDS:
        raise refuse(equation, at, f"no variable can be called {text!r}")
    return Token("type" if text in _TYPES else "name", text, at)
