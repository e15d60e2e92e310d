"""What one process knows of its live calls."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Live:
    """Counters since the start, and the calls that are on."""

    def __init__(self) -> None:
        self.calls: dict[object, tuple[str, float]] = {}
        self.total = self.refused = self.broken = self.most = 0

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

    def metrics(self) -> dict[str, int]:
        """Every counter by its name."""
        return {
            "active_connections": len(self.calls),
            "most_connections": self.most,
            "total_connections": self.total,
            "refused_connections": self.refused,
            "broken_calls": self.broken,
        }

    def prometheus(self) -> str:
        """The same in Prometheus's text exposition format."""
        gauges = {"active_connections", "most_connections"}
        lines: list[str] = []
        for name, value in self.metrics().items():
            kind = "gauge" if name in gauges else "counter"
            metric = f"offhook_{name}" if name in gauges else f"offhook_{name}_total".replace("total_", "", 1)
            lines += [f"# TYPE {metric} {kind}", f"{metric} {value}"]
        return "\n".join(lines) + "\n"
