"""`{{name}}` in texts."""

import re
from collections.abc import Mapping

from domain.moment import Moment
from domain.saying import say
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


def plain(text: str, values: Mapping[str, Value]) -> Value | None:
    """The text with each value as it is stored. A text that is one single `{{name}}` gives the value itself, None
    while it is unset."""
    if match := _PLACEHOLDER.fullmatch(text.strip()):
        return values.get(match[1])
    return _PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")), text)
