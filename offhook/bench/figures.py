"""Samples → the few figures that say how they are spread."""

from collections.abc import Mapping, Sequence
from math import ceil, inf

from schemas.model import Model


class Spread(Model):
    """Percentiles, in the samples' unit; None without samples."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    worst: float | None = None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """By nearest rank, so that it is a sample: the least that `percent` of them don't exceed."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


def spread(samples: Sequence[float]) -> Spread:
    """Of samples in any order."""
    if not samples:
        return Spread(count=0)
    ordered = sorted(samples)
    p50, p95, p99 = (round(percentile(ordered, percent), 2) for percent in (50, 95, 99))
    return Spread(count=len(ordered), p50=p50, p95=p95, p99=p99, worst=round(ordered[-1], 2))


def spread_between(before: Mapping[str, int], after: Mapping[str, int]) -> Spread:
    """Of what two readings of one cumulative histogram differ by: counts by upper bound, as {"1": 70, "inf": 75}.
    A percentile is its bucket's upper bound; one above the last bound is given as that bound's double."""
    bounds = sorted((float(bound), after[bound] - before.get(bound, 0)) for bound in after)
    count = bounds[-1][1] if bounds else 0
    if count <= 0:
        return Spread(count=0)
    last = max((bound for bound, _ in bounds if bound != inf), default=0.0)

    def at(percent: float) -> float:
        bound = next(bound for bound, below in bounds if below >= count * percent / 100)
        return bound if bound != inf else 2 * last

    return Spread(count=count, p50=at(50), p95=at(95), p99=at(99), worst=at(100))
