"""`offhook bench`: how many calls one core holds, how long callers wait, and what a call costs."""

import asyncio
import sys
from collections.abc import Awaitable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from offhook.bench.affinity import share_out, stay_on
from offhook.bench.callers import Progress as Callers
from offhook.bench.endpointing import endpointing
from offhook.bench.google import google
from offhook.bench.report import report, table
from offhook.bench.result import Run

app = typer.Typer(add_completion=False)
app.command()(endpointing)
app.command()(google)

REFERENCE_S = 30.0
"""A single call is measured for at most so long."""
LONGEST_S = 3600.0
SPARE_FILES = 100
SEED = 1
TICK_S = 0.5
NEEDS = {"matplotlib": "bench", "psutil": "bench", "soundfile": "embedded", "soxr": "embedded"}
"""By package: the extra that it comes with."""

out, err = Console(highlight=False), Console(stderr=True, highlight=False)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    calls: Annotated[str, typer.Option(help="How many at once: one number, or several with commas.")] = "50",
    seconds: Annotated[float, typer.Option(help="How long each number is measured.")] = 60.0,
    json: Annotated[Path | None, typer.Option(help="Where the whole result goes.")] = None,
    chart: Annotated[Path | None, typer.Option(help="Where the chart goes: .png, .svg or .pdf.")] = None,
) -> None:
    """Measure calls at once: a server on one core, simulated callers on another, providers at a fixed pace.

    A single call is always measured first. Exits 0 once all is measured, 1 if it couldn't be, 2 for a bad argument."""
    if context.invoked_subcommand is not None:
        return
    numbers = _numbers(calls)
    if not 1 <= seconds <= LONGEST_S:
        _refuse(f"--seconds {seconds:g}: it is at least 1 and at most {LONGEST_S:g}")
    if chart is not None and chart.suffix not in (".png", ".svg", ".pdf"):
        _refuse(f"--chart {chart}: its name ends in .png, .svg or .pdf")
    for name, path in (("--json", json), ("--chart", chart)):
        if path is not None:
            _check_writable(name, path)
    for package, extra in NEEDS.items():
        if find_spec(package) is None:
            err.print(f"offhook bench needs {package}: pip install 'offhook\\[{extra}]'")
            raise typer.Exit(1)
    try:
        _measure(numbers, seconds, json, chart)
    except KeyboardInterrupt:
        err.print("Stopped. The server and the callers are gone; nothing was written.")
        raise typer.Exit(130) from None


def _measure(numbers: list[int], seconds: float, json: Path | None, chart: Path | None) -> None:
    from offhook.bench.run import Failed, run, takes_s  # what it needs isn't installed everywhere

    cores = share_out()
    if cores.why_not:
        err.print(f"Mind: {cores.why_not}.", style="yellow")
    stay_on(cores.callers)  # the server's is its own
    plan = [(1, seconds if 1 in numbers else min(seconds, REFERENCE_S))]
    plan += [(number, seconds) for number in numbers if number != 1]
    runs: list[Run] = []
    bars = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    try:
        with Progress(*bars, console=err, refresh_per_second=2, transient=True) as progress:
            for number, so_long in plan:
                bar = progress.add_task(f"{_calls(number)}: the server starts", total=takes_s(number, so_long))
                single = runs[0].heard.gap.p95 if runs and runs[0].verdict.held is not None else None

                def tell(callers: Callers, number: int = number, bar: TaskID = bar) -> None:
                    progress.update(bar, description=f"{_calls(number)}: {callers.stage}, {callers.on} on")

                runs.append(asyncio.run(_shown(run(number, so_long, SEED, cores, single, tell), progress, bar)))
                progress.remove_task(bar)
    except Failed as problem:
        err.print(f"offhook bench: {problem}", markup=False)
        raise typer.Exit(1) from None
    result = report(runs, cores)
    out.print(table(result.runs), soft_wrap=True)
    out.print(
        "\ngap: from a caller's last word to the reply. clear: from an interruption's first word to silence.\n"
        "incoming lag: of the callers' frames at the server. late pieces: came after all before them was played.",
        style="dim",
    )
    for each in result.runs:
        for why in each.verdict.why:
            out.print(f"{_calls(each.calls)}: {why}", markup=False)
        if each.why_refused:
            out.print(f"{_calls(each.calls)}: the first refusal: {each.why_refused}", markup=False)
    if any(each.verdict.held is None for each in result.runs):
        out.print("Nothing is concluded for the numbers that say unknown.", style="yellow")
    out.print(f"Held on one core: {result.held}.", style="bold")
    if json is not None:
        json.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        err.print(f"Written: {json}", markup=False)
    if chart is not None:
        from offhook.bench.chart import draw

        draw(result, chart)
        err.print(f"Written: {chart}", markup=False)


async def _shown(work: Awaitable[Run], progress: Progress, bar: TaskID) -> Run:
    """The work's result; meanwhile the bar moves with the time. Cancelling cancels the work."""

    async def move() -> None:
        while True:
            await asyncio.sleep(TICK_S)
            progress.advance(bar, TICK_S)

    moving = asyncio.create_task(move())
    try:
        return await work
    finally:
        moving.cancel()


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def _numbers(text: str) -> list[int]:
    """Of calls, rising, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts):
        _refuse(f"--calls {text}: give whole numbers from 1 up, with commas between, such as 1,50,100")
    numbers = sorted({int(part) for part in parts})
    if sys.platform != "win32":
        import resource

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
        if numbers[-1] > most:
            _refuse(f"--calls {numbers[-1]}: this shell lets a process open files for {most}; see ulimit -n")
    return numbers


def _check_writable(name: str, path: Path) -> None:
    """Without leaving a file that wasn't there."""
    new = not path.exists()
    try:
        path.open("ab").close()
    except OSError as problem:
        _refuse(f"{name} {path}: {problem.strerror}")
    if new:
        path.unlink()


def _refuse(why: str) -> NoReturn:
    err.print(why, markup=False, soft_wrap=True)
    raise typer.Exit(2)
