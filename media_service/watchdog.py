"""No dead air: one watch at a time, counted from when it was set or from the end of what is playing."""

import asyncio
from collections.abc import Callable

from domain.acts import Watch


class Watchdog:
    """`audible_until` tells, in seconds of the loop's clock, when what was sent will have been played."""

    def __init__(self, audible_until: Callable[[], float], overdue: Callable[[Watch], None]) -> None:
        self._audible_until = audible_until
        self._overdue = overdue
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, watch: Watch) -> None:
        """Replaces the watch before it."""
        self.unwatch()
        self._set(watch, asyncio.get_running_loop().time())

    def unwatch(self) -> None:
        """Forgets the watch."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _set(self, watch: Watch, since: float) -> None:
        due = max(since, self._audible_until()) + watch.after_ms / 1000
        self._timer = asyncio.get_running_loop().call_at(due, self._check, watch, due)

    def _check(self, watch: Watch, due: float) -> None:
        self._timer = None
        if self._audible_until() + watch.after_ms / 1000 > due:
            self._set(watch, 0)  # something was played since
        else:
            self._overdue(watch)
