"""A file with a flow in it: ours, an agent that holds one, or a foreign format; JSON or YAML."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from domain.flow_import import BadFlow, Format, format_of, read_flow
from domain.unfit import why_unfit
from schemas.agent import Agent, AgentVersion
from schemas.finding import Finding
from schemas.flow import Flow
from schemas.tool import Tool

LARGEST = 10 * 1024 * 1024
"""Bytes."""
NEITHER = (
    "this is no flow: ours has `start` and `nodes`, an agent has `flow`; the other formats have `nodes` and `edges`, or"
    " `nodes` and `start_node_id`"
)


class BadFile(Exception):
    """It can't be read. The message says why."""


@dataclass(frozen=True, slots=True)
class FlowFile:
    path: Path
    text: str
    format: Format
    flow: Flow
    agent: AgentVersion | None = None
    losses: tuple[Finding, ...] = ()
    """What a foreign format has that we haven't."""

    def line_of(self, node: str) -> int | None:
        """Where the node is named by its id, from 1."""
        for number, line in enumerate(self.text.splitlines(), 1):
            for key in ('"id"', "id"):
                name, _, rest = line.strip().lstrip("-{ ").partition(":")
                if name.strip() == key and rest.split(",")[0].strip(" \"'{}") == node:
                    return number
        return None


def load(path: Path) -> FlowFile:
    """Raises BadFile."""
    text = read(path)
    data = parsed(path, text)
    kind = format_of(data)
    try:
        match kind:
            case "flow":
                return FlowFile(path, text, kind, Flow.model_validate(data))
            case "agent":
                agent = _agent(data)
                return FlowFile(path, text, kind, agent.flow, agent)
            case "v" | "f":
                imported = read_flow(data)
                return FlowFile(path, text, kind, imported.flow, losses=imported.losses)
    except ValidationError as problem:
        raise BadFile(f"{path}: {why_unfit(problem)}") from None
    except BadFlow as problem:
        raise BadFile(f"{path}: {problem}") from None
    raise BadFile(f"{path}: {NEITHER}")


def load_tools(path: Path) -> dict[str, Tool]:
    """A list of tools, or an object with one under `tools`. Raises BadFile."""
    data = parsed(path, read(path))
    listed = data.get("tools") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise BadFile(f"{path}: this is no list of tools")
    try:
        tools = [Tool.model_validate(each) for each in listed]
    except ValidationError as problem:
        raise BadFile(f"{path}: {why_unfit(problem)}") from None
    return {tool.name: tool for tool in tools}


def read(path: Path) -> str:
    """The file's text. Raises BadFile."""
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            raise BadFile(f"{path}: it is larger than {LARGEST // 1024 // 1024} MB")
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise BadFile(f"{path}: {problem.strerror or problem}") from None
    except ValueError:
        raise BadFile(f"{path}: it is no text in UTF-8") from None


def parsed(path: Path, text: str) -> Any:
    """JSON by the name .json, else YAML, of which JSON is a part. Raises BadFile."""
    try:
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except json.JSONDecodeError as problem:
        raise BadFile(f"{path}: line {problem.lineno}, column {problem.colno}: {problem.msg}") from None
    except (yaml.YAMLError, ValueError) as problem:
        mark = getattr(problem, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadFile(f"{path}: {place}{getattr(problem, 'problem', None) or problem}") from None
    except RecursionError:
        raise BadFile(f"{path}: it is nested too deeply") from None


def _agent(data: dict[str, Any]) -> AgentVersion:
    """A version, or a draft, which has no number yet."""
    others = Agent.model_fields.keys() - AgentVersion.model_fields.keys()
    known = {name: value for name, value in data.items() if name not in others}
    return AgentVersion.model_validate({"agent": "", "number": 0, "published_at": "1970-01-01T00:00:00Z", **known})
