"""A measurement's chart: the caller's wait and the cost, against the number of calls."""

from pathlib import Path
from typing import Any

from offhook.bench.report import Report
from offhook.bench.result import SLOWER_MS, Run

INK, PALE, BLUE, ORANGE, GREEN = "#22252b", "#c9ced6", "#2563eb", "#d97706", "#16803c"


def draw(report: Report, path: Path) -> None:
    """Writes a picture, of the kind that the file's name ends with. Needs matplotlib. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = sorted(report.runs, key=lambda run: run.calls)
    heard = [run for run in runs if run.heard.gap.p50 is not None]
    figure, panels = pyplot.subplot_mosaic(
        [["waits", "costs"], ["turn", "turn"]], figsize=(11, 7.2), height_ratios=[1.7, 1], layout="constrained"
    )
    waits, costs = panels["waits"], panels["costs"]

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

    _fall(panels["turn"], runs)
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


def _fall(axes: Any, runs: list[Run]) -> None:
    """Where the time of a typical turn goes, at the most calls that were held."""
    told = [run for run in runs if run.typical_turn and run.verdict.held is not False]
    if not told:
        axes.set_axis_off()
        return
    turn = told[-1].typical_turn
    assert turn
    drafted, ready = turn.drafted_ms or 0, turn.reply_ready_ms or 0
    settled, sent, played = turn.settled_ms or 0, turn.first_audio_sent_ms or 0, turn.first_audio_played_ms or 0
    spoken = min(max(ready, settled), sent)
    rows = (
        ("silence until the turn settles", 0, settled, PALE),
        ("VAD: no more speech", 0, drafted, BLUE),
        ("final transcript", 0, turn.final_ms or 0, BLUE),
        ("brain: the draft's first sentence", drafted, ready, ORANGE),
        ("voice: its first audio, and the gate", min(ready, spoken), sent, GREEN),
        ("on its way to the caller", sent, max(played, sent + 1), INK),
    )
    for place, (name, begins, ends, colour) in enumerate(rows):
        axes.barh(place, max(ends - begins, 1), left=begins, color=colour, height=0.6)
        axes.annotate(
            f"{name}, {ends:.0f} ms",
            (ends, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_xlim(0, max(ends for _, _, ends, _ in rows) * 1.45)
    axes.set_title(
        f"A typical turn at {told[-1].calls} calls, ms from the end of speech", loc="left", fontsize=11, color=INK
    )
    axes.tick_params(colors=INK, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _dress(axes: Any, counts: list[int], most_held: int | None) -> None:
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    axes.set_xticks(counts)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if most_held is not None:
        axes.axvline(most_held, color=GREEN, linestyle=":", label=f"held: {most_held}")
    axes.legend(loc="lower right", facecolor="white", edgecolor="none", framealpha=1, fontsize=9, labelcolor=INK)
