"""Tools: they exist, and are called as they want to be."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.flow_check.chart import Chart
from domain.flow_check.codes import found
from domain.template import placeholders
from schemas.finding import Finding
from schemas.flow import Function, Talk
from schemas.tool import Tool
from schemas.variable import Kind

_TYPES: dict[Kind, tuple[str, ...]] = {"yes_no": ("boolean",), "number": ("number", "integer")}


def check(chart: Chart) -> Iterator[Finding]:
    """Tools that there aren't, and what they can't be called with or give."""
    for node in chart.flow.nodes:
        wanted = node.tools if isinstance(node, Talk) else (node.tool,) if isinstance(node, Function) else ()
        for name in wanted:
            if chart.tool_names is not None and name not in chart.tool_names:
                fix = "Add the tool to the agent, or correct the name."
                yield found("unknown-tool", node.id, f"the tool {name!r} doesn't exist", fix)
        if isinstance(node, Function):
            if tool := chart.tools.get(node.tool):
                yield from _required(node, tool)
            for path in node.saves.values():
                if path.startswith("$") and not _is_path(path):
                    fix = "Write a JSON path (RFC 9535), such as $.items[0].price, or the name of a field."
                    yield found("bad-path", node.id, f"{path!r} can't be read", fix)


def _required(node: Function, tool: Tool) -> Iterator[Finding]:
    for name in tool.parameters.get("required", ()):
        if name not in node.arguments:
            sentence = f"the tool {tool.name!r} requires the argument {name!r}"
            yield found("argument-missing", node.id, sentence, f"Add {name!r} to the arguments.")
    properties = tool.parameters.get("properties")
    refuses = tool.parameters.get("additionalProperties") is False
    if properties is not None or refuses:
        for name in node.arguments:
            if name not in (properties or {}):
                sentence = f"the tool {tool.name!r} has no argument {name!r}"
                fix = f"Use one of its arguments: {', '.join(properties or {}) or 'it has none'}."
                yield found("argument-unknown", node.id, sentence, fix, "error" if refuses else None)


def arguments(chart: Chart) -> Iterator[Finding]:
    """Values that the tool's schema doesn't allow."""
    for node in chart.flow.nodes:
        if not isinstance(node, Function) or not (tool := chart.tools.get(node.tool)):
            continue
        properties = tool.parameters.get("properties")
        for name, text in node.arguments.items():
            schema = properties.get(name) if isinstance(properties, Mapping) else None
            if isinstance(schema, Mapping) and (why := _misfit(text, schema, chart)):
                fix = "Give it a value, or a variable of a kind, that the tool takes."
                yield found("argument-invalid", node.id, f"the argument {name!r} of {tool.name!r}: {why}", fix)


def _misfit(text: str, schema: Mapping[str, Any], chart: Chart) -> str:
    names = placeholders(text)
    if not names:
        return _refusal(text, schema)
    name = text.strip().strip("{} ")
    kind = chart.variables[name].kind if name in names and name in chart.variables else "text"
    types = _TYPES.get(kind, ("string",))
    wanted = schema.get("type")
    wanted = {wanted} if isinstance(wanted, str) else set(wanted or types)
    return "" if wanted.intersection(types) else f"it wants {' or '.join(sorted(wanted))}, and {name!r} is {kind}"


def _refusal(text: str, schema: Mapping[str, Any]) -> str:
    import jsonschema  # heavy, and rarely needed

    try:
        problem = next(jsonschema.Draft202012Validator(dict(schema)).iter_errors(text), None)
    except Exception:  # a schema that is none, or refers to what isn't here: not this flow's fault
        return ""
    return str(problem.message) if problem else ""


def _is_path(path: str) -> bool:
    import jsonpath  # heavy, and rarely needed

    try:
        jsonpath.compile(path)
    except jsonpath.JSONPathError:
        return False
    return True
