"""What a measurement found: one run for each number of calls, and what they say together."""

from offhook.bench.callers import Progress
from offhook.bench.figures import Spread
from offhook.bench.tally import Heard
from schemas.conversation import Waterfall
from schemas.model import Model

SLOWER_MS = 100
"""The gap's p95 may be so much above a single call's."""
LAG_MS = 10
"""The p99 of incoming lag, and of the callers' own lateness, may be so much."""
BUSY = 0.9
"""Callers whose core is busier may be late for their own reasons."""


class ServerFigures(Model):
    """What the server spent. Memory is resident, in MB of a million bytes."""

    cpu_ms_per_call_second: float
    core_busy: float
    """Of 1: the server's own share of one core."""
    idle_mb: float
    """Before the first call."""
    loaded_mb: float
    """With every call on."""
    mb_per_call: float
    incoming_lag_ms: Spread | None
    """From a frame's sending to its taking, by the server's own account; None if it gives none."""
    broken_calls: int
    """By the server's own account."""


class Verdict(Model):
    """Whether so many calls are held."""

    held: bool | None
    """None: that can't be concluded."""
    why: tuple[str, ...] = ()
    """Why not, one phrase each."""


class Run(Model):
    """So many calls at once, measured."""

    calls: int
    seconds: float
    on: int
    """Calls that were on to the end."""
    refused: int
    broken: int
    why_refused: str
    heard: Heard
    callers_cpu_ms_per_call_second: float
    callers_busy: float
    """Of 1: their core's, whoever used it, or where they have no core of their own their own share of one."""
    server: ServerFigures
    typical_turn: Waterfall | None
    """By the server's own account; None if too few turns went through all stages."""
    verdict: Verdict


def verdict(
    calls: int, end: Progress, heard: Heard, callers_busy: float, server: ServerFigures, single: float | None
) -> Verdict:
    """`single` is a single call's gap p95 in ms; None if that couldn't be measured."""
    late = heard.frames_late.p99
    doubts = [
        f"the callers were the bottleneck: their own frames left up to {late:.0f} ms late (p99)"
        if late is not None and late > LAG_MS
        else "",
        f"the callers were the bottleneck: their core was {callers_busy:.0%} busy" if callers_busy > BUSY else "",
        "nothing was said in so short a time" if not heard.turns and not end.refused and not end.broken else "",
        "a single call's gap couldn't be measured" if single is None else "",
    ]
    if any(doubts):
        return Verdict(held=None, why=tuple(filter(None, doubts)))
    gap, lag = heard.gap.p95, server.incoming_lag_ms.p99 if server.incoming_lag_ms else None
    assert single is not None
    faults = [
        f"{end.refused} of {calls} refused" if end.refused else "",
        f"{end.broken} broke" if end.broken else "",
        f"{heard.unanswered} turns without a reply" if heard.unanswered else "",
        f"gap p95 {gap:.0f} ms, more than {SLOWER_MS} ms above a single call's {single:.0f}"
        if gap is not None and gap > single + SLOWER_MS
        else "",
        f"{heard.late_audio.count} pieces of a reply late, up to {heard.late_audio.worst:.0f} ms"
        if heard.late_audio.count
        else "",
        f"incoming lag p99 {lag:g} ms" if lag is not None and lag > LAG_MS else "",
        f"{heard.frames_dropped} frames not taken" if heard.frames_dropped else "",
    ]
    unmeasured = [
        "the gap couldn't be measured" if gap is None else "",
        "the server's incoming lag couldn't be measured" if lag is None else "",
    ]
    held = False if any(faults) else None if any(unmeasured) else True
    return Verdict(held=held, why=tuple(filter(None, faults if any(faults) else unmeasured)))


def most_held(runs: list[Run]) -> int | None:
    """The largest number of calls that were held; None if none was."""
    return max((run.calls for run in runs if run.verdict.held), default=None)
