"""`offhook check`: what a flow's compiler finds in a file."""

import json
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from domain.flow_check import check as findings_in
from offhook.flow_file import BadFile, FlowFile, load, load_tools
from offhook.sarif import sarif
from schemas.finding import Finding
from schemas.flow import Flow

out, err = Console(highlight=False), Console(stderr=True, highlight=False)

NAMES = {"flow": "a flow", "agent": "an agent", "v": "a flow of the format v", "f": "a flow of the format f"}
STYLES = {"error": "bold red", "warning": "yellow"}


def check(
    file: Annotated[
        Path | None, typer.Argument(help="A flow, or an agent with one; JSON or YAML; ours or foreign.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="The findings as SARIF 2.1.0.")] = False,
    tools: Annotated[Path | None, typer.Option(help="The tools that there are: a list, with their schemas.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of flows instead.")] = False,
) -> None:
    """Check a flow before it takes a call.

    Exits 0 if it may, warnings or not; 1 if there are errors; 2 if the file can't be read."""
    if schema:
        typer.echo(schema_text(), nl=False)
        return
    if file is None:
        refuse("name the file to check, or --schema")
    if as_json and as_sarif:
        refuse("--json or --sarif, not both")
    try:
        loaded = load(file)
        known = load_tools(tools) if tools else None
    except BadFile as problem:
        refuse(str(problem))
    agent = loaded.agent
    began = perf_counter()
    if known is not None and agent is not None:
        known = {name: tool for name, tool in known.items() if name in agent.tools}
    names = agent.tools if agent else None
    findings = [*loaded.losses, *findings_in(loaded.flow, names if known is None else known, agent)]
    took_ms = (perf_counter() - began) * 1000
    if as_json:
        told = [finding.model_dump() for finding in findings]
        typer.echo(json.dumps({"file": str(file), "format": loaded.format, "findings": told}, indent=2))
    elif as_sarif:
        typer.echo(json.dumps(sarif(loaded, findings), indent=2))
    else:
        _show(loaded, findings, took_ms)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def refuse(why: str) -> NoReturn:
    """Ends the command with 2."""
    err.print(Text.assemble(("offhook: ", "red"), why), soft_wrap=True)
    raise typer.Exit(2)


def _show(file: FlowFile, findings: list[Finding], took_ms: float) -> None:
    for finding in findings:
        line = Text.assemble((f"{finding.level:<8}", STYLES[finding.level]), str(finding), ("  " + finding.code, "dim"))
        out.print(line, soft_wrap=True)
        out.print(Text(f"        {finding.fix}", style="dim"), soft_wrap=True)
    errors = sum(finding.level == "error" for finding in findings)
    counts = [_count(errors, "error"), _count(len(findings) - errors, "warning")]
    told = f"{file.path}: {NAMES[file.format]}, {_count(len(file.flow.nodes), 'node')}; {', '.join(counts)}"
    out.print(Text.assemble(told, (f"  {took_ms:.1f} ms", "dim")), soft_wrap=True)


def _count(n: int, noun: str) -> str:
    return f"{n or 'no'} {noun}{'' if n == 1 else 's'}"


def schema_text() -> str:
    """The JSON schema of flows; docs/flow.schema.json holds it."""
    told: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Flow.model_json_schema()}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
