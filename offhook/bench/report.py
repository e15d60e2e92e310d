"""A measurement's whole report: for programs as JSON, for people as a table and a chart."""

import platform
from collections.abc import Callable
from email.utils import localtime
from importlib.metadata import version
from os import cpu_count
from pathlib import Path

from rich.table import Table

from offhook.bench.affinity import Cores
from offhook.bench.agent import LISTENING, PACED
from offhook.bench.figures import Spread
from offhook.bench.result import LAG_MS, SLOWER_MS, Run, most_held
from schemas.agent import Listening
from schemas.model import Model
from schemas.settings import Paced

PACKAGES = ("offhook", "uvicorn", "uvloop", "starlette", "websockets", "orjson", "webrtcvad-wheels")


class Machine(Model):
    """Where it was measured."""

    system: str
    processor: str
    cores: int
    python: str
    packages: dict[str, str]
    """Versions."""
    kept_on: Cores


class Report(Model):
    """All runs, in the order in which they were made. Times are in ms unless named otherwise."""

    bench: str = "calls"
    date: str
    machine: Machine
    listening: Listening = LISTENING
    paced: Paced = PACED
    held_means: str = (
        f"gap p95 within {SLOWER_MS} ms of a single call's, no late piece of a reply, incoming lag p99 within "
        f"{LAG_MS} ms, no turn without a reply, no call refused or broken"
    )
    single_gap_p95_ms: float | None
    runs: tuple[Run, ...]
    most_held: int | None
    """The largest number of calls that were held; None if none was."""

    @property
    def held(self) -> str:
        """The same in words."""
        if self.most_held is not None:
            return f"{self.most_held} call{'s' * (self.most_held != 1)}"
        return "unknown" if any(run.verdict.held is None for run in self.runs) else "none of these numbers"


def report(runs: list[Run], cores: Cores) -> Report:
    """Of runs of which the first is a single call's."""
    machine = Machine(
        system=platform.platform(),
        processor=_processor(),
        cores=cpu_count() or 1,
        python=platform.python_version(),
        packages={package: version(package) for package in PACKAGES},
        kept_on=cores,
    )
    return Report(
        date=localtime().isoformat(timespec="seconds"),
        machine=machine,
        single_gap_p95_ms=runs[0].heard.gap.p95,
        runs=tuple(runs),
        most_held=most_held(runs),
    )


def _processor() -> str:
    """As the system calls it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def table(runs: tuple[Run, ...]) -> Table:
    """A column for each run."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    made.add_column("calls at once", no_wrap=True)
    for run in runs:
        made.add_column(str(run.calls), justify="right", no_wrap=True)
    for name, figure in ROWS.items():
        made.add_row(name, *map(figure, runs))
    return made


def _plain(figure: float | None, digits: int = 0) -> str:
    return "–" if figure is None else f"{figure:,.{digits}f}"


def _held(run: Run) -> str:
    return {True: "[green]yes[/green]", False: "[red]no[/red]", None: "[yellow]unknown[/yellow]"}[run.verdict.held]


def _lag(run: Run) -> Spread:
    return run.server.incoming_lag_ms or Spread(count=0)


ROWS: dict[str, Callable[[Run], str]] = {
    "held": _held,
    "gap p50, ms": lambda run: _plain(run.heard.gap.p50),
    "gap p95": lambda run: _plain(run.heard.gap.p95),
    "gap p99": lambda run: _plain(run.heard.gap.p99),
    "clear p50, ms": lambda run: _plain(run.heard.clear.p50),
    "clear p95": lambda run: _plain(run.heard.clear.p95),
    "incoming lag p50, ms": lambda run: _plain(_lag(run).p50),
    "incoming lag p99": lambda run: _plain(_lag(run).p99),
    "turns": lambda run: _plain(run.heard.turns),
    "turns without a reply": lambda run: _plain(run.heard.unanswered),
    "replies before the end": lambda run: _plain(run.heard.cut_ins),
    "interruptions not heard": lambda run: _plain(run.heard.unheard_interruptions),
    "late pieces of a reply": lambda run: _plain(run.heard.late_audio.count),
    "latest of them, ms": lambda run: _plain(run.heard.late_audio.worst, 1),
    "calls refused": lambda run: _plain(run.refused),
    "calls broken": lambda run: _plain(run.broken),
    "server CPU, ms a call·second": lambda run: _plain(run.server.cpu_ms_per_call_second, 2),
    "server's core, % busy": lambda run: _plain(100 * run.server.core_busy),
    "server memory idle, MB": lambda run: _plain(run.server.idle_mb),
    "server memory a call, MB": lambda run: _plain(run.server.mb_per_call, 2),
    "callers' CPU, ms a call·second": lambda run: _plain(run.callers_cpu_ms_per_call_second, 2),
    "callers' core, % busy": lambda run: _plain(100 * run.callers_busy),
    "callers' own lateness p50, ms": lambda run: _plain(run.heard.frames_late.p50, 1),
    "callers' own lateness p99": lambda run: _plain(run.heard.frames_late.p99, 1),
}
"""By name: a figure of a run's."""
