"""`{{name}}` in texts."""

import re
from collections.abc import Mapping

from domain.moment import Moment
from domain.saying import say
from domain.writing import write
from schemas.variable import Kind, Value

_PLACEHOLDER = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")


def placeholders(text: str) -> set[str]:
    """The names that a text mentions."""
    return set(_PLACEHOLDER.findall(text))


def aloud(text: str, values: Mapping[str, Value], kinds: Mapping[str, Kind], moment: Moment) -> str:
    """The text with each value as it is said; a name without a value leaves nothing behind."""

    def spoken(match: re.Match[str]) -> str:
        name = match[1]
        return say(kinds.get(name, "text"), values[name], moment) if name in values else ""

    return _PLACEHOLDER.sub(spoken, text)


def written(
    text: str, values: Mapping[str, Value], kinds: Mapping[str, Kind], moment: Moment, language: str = "en-US"
) -> str:
    """The text with each value in writing; a name without a value leaves nothing behind."""

    def in_writing(match: re.Match[str]) -> str:
        name = match[1]
        return write(kinds.get(name, "text"), values[name], moment, language) if name in values else ""

    return _PLACEHOLDER.sub(in_writing, text)


def misspelt(text: str) -> str:
    """The first thing in a text that looks like a placeholder and is none, or nothing."""
    rest = _PLACEHOLDER.sub("", text)
    found = re.search(r"\{\{.{0,40}|.{0,40}\}\}", rest)
    return found[0] if found else ""


def plain(text: str, values: Mapping[str, Value]) -> Value | None:
    """The text with each value as it is stored. A text that is one single `{{name}}` gives the value itself, None
    while it is unset."""
    if match := _PLACEHOLDER.fullmatch(text.strip()):
        return values.get(match[1])
    return _PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")), text)
