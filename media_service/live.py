"""What one process knows of its live calls."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any


class Histogram:
    """How often a figure was at most so much."""

    def __init__(self, *bounds: int) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, figure: float) -> None:
        self._counts[bisect_left(self._bounds, figure)] += 1
        self._sum += figure

    def cumulative(self) -> dict[str, int]:
        """By upper bound, inclusive: how many figures were not above it; `inf` counts all."""
        names = [*map(str, self._bounds), "inf"]
        return dict(zip(names, accumulate(self._counts), strict=True))

    def prometheus(self, metric: str) -> list[str]:
        """Its lines in Prometheus's text exposition format."""
        found = self.cumulative()
        return [
            f"# TYPE {metric} histogram",
            *(f'{metric}_bucket{{le="{name.replace("inf", "+Inf")}"}} {count}' for name, count in found.items()),
            f"{metric}_sum {self._sum:.3f}",
            f"{metric}_count {found['inf']}",
        ]


class Live:
    """Counters since the start, and the calls that are on."""

    def __init__(self) -> None:
        self.calls: dict[object, tuple[str, float]] = {}
        self.places = 0
        """Taken by calls, and by those that are being let in."""
        self.total = self.refused = self.broken = self.most = 0
        self.frame_lag_ms = Histogram(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000)
        """How late the callers' sound reached the ear: the lines tell it, of every tenth piece."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Takes a place for a call for as long as the block runs."""
        self.places += 1
        try:
            yield
        finally:
            self.places -= 1

    @contextmanager
    def call(self, conversation: str) -> Iterator[None]:
        """Counts a call for as long as the block runs."""
        line = object()  # a conversation may have two for a moment, the lost one and the next
        self.calls[line] = conversation, time.monotonic()
        self.total += 1
        self.most = max(self.most, len(self.calls))
        try:
            yield
        finally:
            del self.calls[line]

    def status(self) -> dict[str, Any]:
        """The open lines, each with its age in seconds."""
        now = time.monotonic()
        lines = [{"conversation": id, "seconds": round(now - since, 1)} for id, since in self.calls.values()]
        return {"status": "ok", "active": len(lines), "connections": lines}

    def _counters(self) -> dict[str, int]:
        return {
            "active_connections": len(self.calls),
            "most_connections": self.most,
            "total_connections": self.total,
            "refused_connections": self.refused,
            "broken_calls": self.broken,
        }

    def metrics(self) -> dict[str, Any]:
        """Every counter by its name; the histogram's buckets are cumulative."""
        return {**self._counters(), "frame_lag_ms": self.frame_lag_ms.cumulative()}

    def prometheus(self) -> str:
        """The same in Prometheus's text exposition format."""
        gauges = {"active_connections", "most_connections"}
        lines: list[str] = []
        for name, value in self._counters().items():
            kind = "gauge" if name in gauges else "counter"
            metric = f"offhook_{name}" if name in gauges else f"offhook_{name}_total".replace("total_", "", 1)
            lines += [f"# TYPE {metric} {kind}", f"{metric} {value}"]
        return "\n".join([*lines, *self.frame_lag_ms.prometheus("offhook_frame_lag_ms")]) + "\n"
