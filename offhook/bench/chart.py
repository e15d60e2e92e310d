"""A measurement's chart: the caller's wait and the cost, against the number of calls."""

from pathlib import Path
from typing import Any

from offhook.bench.report import Report
from offhook.bench.result import SLOWER_MS

INK, PALE, BLUE, ORANGE, GREEN = "#22252b", "#c9ced6", "#2563eb", "#d97706", "#16803c"


def draw(report: Report, path: Path) -> None:
    """Writes a picture, of the kind that the file's name ends with. Needs matplotlib. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = sorted(report.runs, key=lambda run: run.calls)
    heard = [run for run in runs if run.heard.gap.p50 is not None]
    figure, (waits, costs) = pyplot.subplots(1, 2, figsize=(11, 4.6), layout="constrained")

    calls = [run.calls for run in heard]
    for name, label, colour in (
        ("p50", "p50: half of the turns wait less", BLUE),
        ("p95", "p95: 95 of 100 wait less", ORANGE),
    ):
        waits.plot(calls, [getattr(run.heard.gap, name) for run in heard], "o-", color=colour, label=label)
    if report.single_gap_p95_ms is not None:
        limit = report.single_gap_p95_ms + SLOWER_MS
        waits.axhline(limit, color=PALE, linestyle="--", label=f"a single call's + {SLOWER_MS} ms")
    waits.set_title("From the caller's last word to the reply", loc="left", fontsize=11, color=INK)
    waits.set_ylabel("ms")

    # A single call bears the whole process: beside its cost the others' would look alike.
    loaded = [run for run in runs if run.calls > 1] or runs
    counts = [run.calls for run in loaded]
    spent = [run.server.cpu_ms_per_call_second for run in loaded]
    costs.plot(counts, spent, "o-", color=BLUE, label="server")
    for at, ms in zip(counts, spent, strict=True):
        costs.annotate(f"{ms:.2f}", (at, ms), (0, 7), textcoords="offset points", ha="center", fontsize=9, color=INK)
    costs.set_title("Processor time for a second of a call", loc="left", fontsize=11, color=INK)
    costs.set_ylabel("ms")

    _dress(waits, [run.calls for run in runs], report.most_held)
    _dress(costs, counts, report.most_held)
    figure.suptitle(f"Held on one core: {report.held}", x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)
    machine = report.machine
    figure.supxlabel(
        f"calls at once   ·   {machine.processor}, Python {machine.python}, {report.date[:10]}", fontsize=9, color=INK
    )
    try:
        figure.savefig(path, dpi=160)
    finally:
        pyplot.close(figure)


def _dress(axes: Any, counts: list[int], most_held: int | None) -> None:
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.set_xticks(counts)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if most_held is not None:
        axes.axvline(most_held, color=GREEN, linestyle=":", label=f"held: {most_held}")
    axes.legend(loc="lower right", facecolor="white", edgecolor="none", framealpha=1, fontsize=9, labelcolor=INK)
