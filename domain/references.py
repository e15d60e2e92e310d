"""`{{name}}` and `{{secret:name}}` in what tools send."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

_ARGUMENT = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_SECRET = re.compile(r"\{\{\s*secret:([a-z][a-z0-9_]*)\s*\}\}")
_ANY = re.compile(r"\{\{.*?\}\}")


class BadArgument(ValueError):
    """An argument that can't stand where it should. The message names it, and not its value."""


class NoSecret(ValueError):
    """A secret that isn't set. The message names it."""


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list() | tuple():
            for each in value:
                yield from texts(each)


def arguments_in(value: Any) -> set[str]:
    """The arguments that its texts mention."""
    return {name for text in texts(value) for name in _ARGUMENT.findall(text)}


def secrets_in(value: Any) -> set[str]:
    """The secrets that its texts mention."""
    return {name for text in texts(value) for name in _SECRET.findall(text)}


def misspelt_in(value: Any) -> set[str]:
    """What stands in double braces there and is neither."""
    return {
        found
        for text in texts(value)
        for found in _ANY.findall(text)
        if not _ARGUMENT.fullmatch(found) and not _SECRET.fullmatch(found)
    }


def filled(value: Any, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    """A JSON value with its texts filled in. A text that is a single argument becomes it; one that lacks an argument
    becomes None, and leaves the object or list that it stands in. Raises NoSecret."""
    match value:
        case str():
            return _filled(value, arguments, secrets)
        case dict():
            fields = {name: filled(each, arguments, secrets) for name, each in value.items()}
            return {name: each for name, each in fields.items() if each is not None or value[name] is None}
        case list():
            return [each for each in (filled(one, arguments, secrets) for one in value) if each is not None]
    return value


def _filled(text: str, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    if match := _ARGUMENT.fullmatch(text.strip()):
        return arguments.get(match[1])
    if any(arguments.get(name) is None for name in _ARGUMENT.findall(text)):
        return None
    # Both at once: what was filled in is not looked at again.
    both = re.compile(f"{_ARGUMENT.pattern}|{_SECRET.pattern}")
    return both.sub(lambda match: as_text(arguments[match[1]]) if match[1] else secret(match[2], secrets), text)


def secret(name: str, secrets: Mapping[str, str]) -> str:
    """Raises NoSecret."""
    if name not in secrets:
        raise NoSecret(f"the secret {name!r} isn't set")
    return secrets[name]


def as_text(value: Any) -> str:
    """An argument within a text: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def path_with(url: str, arguments: Mapping[str, Any]) -> str:
    """The URL with its arguments. A value stays within its segment of the path, whatever it holds. Raises
    BadArgument."""

    def quoted(match: re.Match[str]) -> str:
        name = match[1]
        value = arguments.get(name)
        if isinstance(value, dict | list) or value is None or not (text := as_text(value)):
            raise BadArgument(f"{name}: it needs a value here")
        # Some servers decode a slash before they look at the path, and take ".." as they find it.
        if {".", ".."} & {*re.split(r"[/\\]", text)} or not text.isprintable():
            raise BadArgument(f"{name}: this value can't stand in an address")
        return quote(text, safe="")

    return _ARGUMENT.sub(quoted, url)
