"""JSON schemas of tools' arguments, which organisations and MCP servers write: untrusted."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
import regex

MOST_BYTES = 16_000
MOST_PARTS = 3000
"""Of a schema whose references were followed: some grow without end."""
MATCH_S = 0.05
"""How long a pattern may take: some take for ever."""


class BadSchema(ValueError):
    """The message says what is wrong with it, for people."""


def settled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to put in place. Raises BadSchema for one that can't be used, or that would have
    to be fetched from elsewhere."""
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, RecursionError) as problem:
        raise BadSchema(f"it isn't JSON: {problem}") from None
    if size > MOST_BYTES:
        raise BadSchema(f"it has {size} bytes, {MOST_BYTES} are allowed")
    whole = _Expansion(schema).root()
    if whole.get("type") != "object":
        raise BadSchema('its "type" must be "object"')
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(whole)
    except SchemaError as problem:
        where = ".".join(map(str, problem.path))
        raise BadSchema(f"{where}: {problem.message[:200]}" if where else problem.message[:200]) from None
    return whole


class _Expansion:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema, self._left = schema, MOST_PARTS

    def root(self) -> dict[str, Any]:
        bare = {name: part for name, part in self._schema.items() if name not in ("$defs", "definitions", "$schema")}
        expanded: dict[str, Any] = self._expand(bare, ())
        return expanded

    def _expand(self, node: Any, within: tuple[str, ...]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise BadSchema("it is too large once its references are followed")
        if isinstance(node, list):
            return [self._expand(each, within) for each in node]
        if not isinstance(node, dict):
            return node
        for word in ("$dynamicRef", "$recursiveRef", "$id", "patternProperties"):
            if word in node and (word != "$id" or isinstance(node[word], str)):
                raise BadSchema(f"{word} can't be used here")
        if isinstance(pattern := node.get("pattern"), str):
            _check_pattern(pattern)
        reference = node.get("$ref")
        rest = {name: self._expand(part, within) for name, part in node.items() if name != "$ref" or reference is None}
        if not isinstance(reference, str):
            return rest if reference is None else {**rest, "$ref": self._expand(reference, within)}
        if not reference.startswith("#/"):
            raise BadSchema(f"$ref {reference!r}: only parts of the schema itself (#/$defs/…) can be referred to")
        if reference in within:
            raise BadSchema(f"$ref {reference!r} contains itself")
        return {**self._expand(self._at(reference), (*within, reference)), **rest}

    def _at(self, reference: str) -> Any:
        part: Any = self._schema
        for step in reference[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            part = part.get(step) if isinstance(part, dict) else None
        if not isinstance(part, dict):
            raise BadSchema(f"$ref {reference!r} leads nowhere")
        return part


def _check_pattern(pattern: str) -> None:
    try:
        regex.compile(pattern)
    except regex.error as problem:
        raise BadSchema(f"the pattern {pattern!r} can't be read: {problem}") from None


def problem_with(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """The first thing that a settled schema doesn't allow, in a sentence that names the argument; None if all is
    well."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator_class()(schema).iter_errors(dict(arguments)))
    if error is None:
        return None
    where = ".".join(map(str, error.absolute_path))
    message = error.message if len(error.message) <= 200 else f"{error.message[:200]}…"
    return f"{where}: {message}" if where else message


@lru_cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import extend

    def in_time(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
        if not isinstance(instance, str):
            return
        try:
            matches = regex.search(pattern, instance, timeout=MATCH_S)
        except TimeoutError:
            matches = None
        if not matches:
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    return extend(Draft202012Validator, {"pattern": in_time})
