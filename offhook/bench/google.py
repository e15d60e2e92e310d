"""`offhook bench google`: how many calls one core holds with Google's real clients, and what each of them costs.

The same measurement as `offhook bench`, but the server reaches its speech, brain and voice over gRPC and HTTP, through
the adapters that production uses. What answers them runs on the callers' core, at the paced stand-ins' pace."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console

from offhook.bench import run as ordinary
from offhook.bench.affinity import Cores, share_out, stay_on
from offhook.bench.agent import PACED
from offhook.bench.callers import Progress
from offhook.bench.report import Report, report, table
from offhook.bench.result import Run
from offhook.bench.services_plan import Served, ServicesAt, ServicesPlan

REFERENCE_S = 15.0
"""A single call is measured for at most so long."""
LONGEST_S = 3600.0
PER_SECOND = 5.0
"""So many calls begin each second: a beginning costs more than a call's other seconds, and the platform, which judges
by the last five of them how many calls it bears, would turn some away in a rush."""
SEED = 1
PORTS = ("speech", "brain", "voice")

out, err = Console(highlight=False), Console(stderr=True, highlight=False)


class GoogleReport(Report):
    """The ordinary report, and whose clients were real."""

    bench: str = "google"
    real: tuple[str, ...]
    served: tuple[Served, ...]
    """By run."""


def google(
    calls: Annotated[str, typer.Option(help="How many at once: one number, or several with commas.")] = "50",
    seconds: Annotated[float, typer.Option(min=1, max=LONGEST_S, help="How long each number is measured.")] = 60.0,
    real: Annotated[str, typer.Option(help="Whose clients are real; the others are paced.")] = ",".join(PORTS),
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="Where the whole result goes.")] = None,
) -> None:
    """Measure calls at once with the clients of Google's services, which local servers answer.

    A single call is always measured first. Exits 0 once all is measured, 1 if it couldn't be, 2 for a bad argument."""
    parts = [part.strip() for part in calls.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{calls}: give whole numbers from 1 up, with commas between", param_hint="--calls")
    ports = tuple(port for port in PORTS if port in real.replace(" ", "").split(","))
    if not ports or len(ports) != len(real.split(",")):
        raise typer.BadParameter(f"{real}: some of {', '.join(PORTS)}", param_hint="--real")
    if json is not None and not json.parent.is_dir():
        raise typer.BadParameter(f"{json.parent} is no directory", param_hint="--json")
    cores = share_out()
    if cores.why_not:
        err.print(f"Mind: {cores.why_not}.", style="yellow")
    stay_on(cores.callers)  # the server's is its own
    try:
        runs, served = asyncio.run(measure(sorted({int(part) for part in parts}), seconds, ports, cores))
    except ordinary.Failed as problem:
        err.print(f"offhook bench google: {problem}", markup=False)
        raise typer.Exit(1) from None
    result = GoogleReport(**report(runs, cores).model_dump(exclude={"bench"}), real=ports, served=served)
    out.print(f"Real clients: {', '.join(ports)}.")
    out.print(table(result.runs), soft_wrap=True)
    for each, asked in zip(result.runs, result.served, strict=True):
        out.print(
            f"{each.calls} at once: {asked.utterances} utterances, {asked.replies} replies on {asked.connections} "
            f"connections, {asked.sentences} sentences.",
            style="dim",
        )
        for why in each.verdict.why:
            out.print(f"{each.calls} at once: {why}", markup=False)
    if any(each.verdict.held is None for each in result.runs):
        out.print("Nothing is concluded for the numbers that say unknown.", style="yellow")
    out.print(f"Held on one core: {result.held}.", style="bold")
    if json is not None:
        json.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")


async def measure(
    numbers: list[int], seconds: float, ports: tuple[str, ...], cores: Cores
) -> tuple[list[Run], list[Served]]:
    """A run for a single call and for each of the numbers. Raises Failed. Cancelling ends all processes."""
    plan = [(1, seconds if 1 in numbers else min(seconds, REFERENCE_S))]
    plan += [(number, seconds) for number in numbers if number != 1]
    runs, served = list[Run](), list[Served]()
    for number, so_long in plan:
        single = runs[0].heard.gap.p95 if runs and runs[0].verdict.held is not None else None
        with err.status(f"{number} at once: the server starts") as status:

            def tell(callers: Progress, number: int = number, show: Callable[[str], None] = status.update) -> None:
                show(f"{number} at once: {callers.stage}, {callers.on} on")

            found, asked = await run(number, so_long, ports, cores, single, tell)
            runs.append(found)
            served.append(asked)
    return runs, served


async def run(
    calls: int,
    seconds: float,
    ports: tuple[str, ...],
    cores: Cores,
    single: float | None,
    tell: Callable[[Progress], None],
) -> tuple[Run, Served]:
    """As the ordinary one's, with those ports real."""
    with TemporaryDirectory(prefix="offhook-bench-") as folder:
        async with _services(cores, Path(folder) / "log") as services:
            real = providers(ports, services)
            found = await ordinary.run(calls, seconds, SEED, cores, single, tell, real, PER_SECOND)
            async with aiohttp.ClientSession(services.http) as http, http.get("/served") as answer:
                return found, Served.model_validate(await answer.json())


def providers(ports: tuple[str, ...], services: ServicesAt) -> Mapping[str, Any]:
    """The settings that make those ports real, and the others paced."""
    real: dict[str, dict[str, str]] = {
        "speech": {"speech": "google", "google_project": "bench", "speech_endpoint": services.grpc},
        "brain": {"brain": "gemini", "gemini_api_key": "bench", "gemini_endpoint": services.http},
        "voice": {"voice": "google", "voice_endpoint": services.grpc},
    }
    chosen: dict[str, str] = {}
    for port in PORTS:
        chosen |= real[port] if port in ports else {port: "paced"}
    return chosen


@asynccontextmanager
async def _services(cores: Cores, log: Path) -> AsyncIterator[ServicesAt]:
    """Google's, while the block runs."""
    plan = ServicesPlan(paced=PACED, cores=cores.callers)
    async with ordinary.process("offhook.bench.google_services", plan, log, tells=True) as process:
        assert process.stdout
        try:
            async with asyncio.timeout(ordinary.START_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise ordinary.Failed(f"the stand-ins for Google's services don't serve:\n{ordinary.tail(log)}")
        yield ServicesAt.model_validate_json(line)
