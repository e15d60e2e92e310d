"""`offhook import` and `offhook export`: flows from and for other systems."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from rich.text import Text

from domain.flow_export import write_f, write_v
from offhook.check import err, refuse
from offhook.flow_file import BadFile, load
from schemas.finding import Finding

Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Where it goes, .json or .yaml; standard output if none.")
]


def import_flow(
    file: Annotated[Path, typer.Argument(help="A flow in one of the two foreign formats; JSON or YAML.")],
    out: Out = None,
) -> None:
    """Make a flow of another system one of ours. What couldn't be carried over goes to standard error.

    Exits 0 if there is a flow, 2 if the file can't be read or written."""
    try:
        loaded = load(file)
    except BadFile as problem:
        refuse(str(problem))
    if loaded.format not in ("v", "f"):
        refuse(f"{file}: this is ours already")
    _write(loaded.flow.model_dump(mode="json", exclude_defaults=True), out)
    _tell(loaded.losses)


def export_flow(
    file: Annotated[Path, typer.Argument(help="A flow, or an agent with one; JSON or YAML.")],
    to: Annotated[Literal["v", "f"], typer.Option(help="v: nodes on a canvas; f: instructions with conditions.")],
    out: Out = None,
) -> None:
    """Write a flow for another system. What it can't say goes to standard error.

    Exits 0 if it is written, 2 if the file can't be read or written."""
    try:
        loaded = load(file)
    except BadFile as problem:
        refuse(str(problem))
    exported = write_v(loaded.flow) if to == "v" else write_f(loaded.flow, id=file.stem)
    _write(exported.document, out)
    _tell([*loaded.losses, *exported.losses])


def _write(document: dict[str, Any], out: Path | None) -> None:
    if out is not None and out.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    else:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        refuse(f"{out}: {problem.strerror or problem}")


def _tell(losses: Iterable[Finding]) -> None:
    losses = list(losses)
    for finding in losses:
        err.print(Text(str(finding)), soft_wrap=True)
    if losses:
        err.print(Text(f"{_count(len(losses))} differently, or not at all", style="bold"), soft_wrap=True)


def _count(n: int) -> str:
    return "1 thing comes" if n == 1 else f"{n} things come"
