"""What a variable takes of a tool's output."""

from collections.abc import Mapping
from typing import Any

from domain.json_path import BadPath, NotFound, find
from schemas.variable import Value


def taken(output: Mapping[str, Any], path: str) -> Value | None:
    """What lies at a field's name or a JSON path; several plain values of a list are joined by commas. None if there is
    nothing, or nothing that a variable can hold."""
    try:
        return _plain(find(path, dict(output)))
    except (NotFound, BadPath):
        return None


def _plain(value: Any) -> Value | None:
    match value:
        case bool() | int() | float() | str():
            return value
        case [single]:
            return _plain(single)
        case list() if value and all(isinstance(each, bool | int | float | str) for each in value):
            return ", ".join(str(each) for each in value)
    return None
