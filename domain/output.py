"""What a variable takes of a tool's output."""

from collections.abc import Mapping
from typing import Any

import jsonpath

from schemas.variable import Value


class BadPath(ValueError):
    """Not a JSON path. The message says where."""


def check_path(path: str) -> None:
    """Raises BadPath for a path that isn't one; a field's name always is."""
    if path.startswith("$"):
        try:
            jsonpath.compile(path)
        except jsonpath.JSONPathError as problem:
            raise BadPath(f"{path!r}: {str(problem).splitlines()[0]}") from None


def taken(output: Mapping[str, Any], path: str) -> Value | None:
    """What lies at a field's name or a JSON path (RFC 9535): the first match; several plain values of a list are joined
    by commas. None if there is nothing, or nothing that a variable can hold."""
    if not path.startswith("$"):
        return _plain(output.get(path))
    try:
        found = jsonpath.findall(path, dict(output))
    except jsonpath.JSONPathError:
        return None
    return _plain(found[0] if len(found) == 1 else found)


def _plain(value: Any) -> Value | None:
    match value:
        case bool() | int() | float() | str():
            return value
        case list() if value and all(isinstance(each, bool | int | float | str) for each in value):
            return ", ".join(str(each) for each in value)
    return None
