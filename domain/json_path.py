"""What a JSON path (RFC 9535) finds."""

from functools import lru_cache
from typing import Any


class BadPath(ValueError):
    """The message says where it can't be read."""


class NotFound(LookupError):
    """Nothing is there."""


def check(path: str) -> None:
    """Raises BadPath unless it is a field's name or a JSON path."""
    if path.startswith("$"):
        _compiled(path)
    elif not path:
        raise BadPath("it is empty")


def find(path: str, value: Any) -> Any:
    """What the path leads to; a path that may lead to several places gives a list. Raises NotFound."""
    if not path.startswith("$"):
        if not isinstance(value, dict) or path not in value:
            raise NotFound(path)
        return value[path]
    query = _compiled(path)
    found = query.findall(value)
    if not query.singular_query():
        return found
    if not found:
        raise NotFound(path)
    return found[0]


@lru_cache(maxsize=1000)
def _compiled(path: str) -> Any:
    from jsonpath import JSONPathEnvironment, JSONPathError

    environment = JSONPathEnvironment(strict=True)
    for function in ("match", "search"):  # patterns that take for ever would hold up every call
        environment.function_extensions.pop(function, None)
    try:
        return environment.compile(path)
    except JSONPathError as problem:
        raise BadPath(str(problem).splitlines()[0]) from None
