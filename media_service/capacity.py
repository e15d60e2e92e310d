"""How many calls this process bears: judged by how late its loop runs and how much of its core that takes, so that the
next call is sent to another instance before all suffer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from statistics import fmean, median

SAMPLE_S = 0.25
WINDOW = 20
"""Samples that are judged: five seconds. One stall among them means nothing."""
LATE_MS = 10.0
"""A loop that is late by so much at most of its samples has too many calls; if it has none, that is not why."""
BUSY = 0.85
"""The share of the loop's core that calls may take; the rest is for what comes at once."""
FIRST_GUESS = 0.005
"""The share of a core that a call takes, until there are enough of them to tell."""
ENOUGH_CALLS = 10


class Capacity:
    """One process's. `most`, below: never more calls than these, however light they are."""

    def __init__(self) -> None:
        self._late = deque[float](maxlen=WINDOW)
        self._busy = deque[float](maxlen=WINDOW)
        self._calls = deque[int](maxlen=WINDOW)

    def sample(self, late_ms: float, busy: float, calls: int) -> None:
        """How late the loop was, the share of the core that it used since the last sample, and for how many calls."""
        self._late.append(late_ms)
        self._busy.append(busy)
        self._calls.append(calls)

    def bears(self, calls: int, most: int) -> int:
        """How many calls at once, as far as can be told while there are so many."""
        if len(self._late) < WINDOW // 2:
            return most
        felt = [late for late, on in zip(self._late, self._calls, strict=True) if on]
        if len(felt) >= WINDOW // 2 and median(felt) > LATE_MS:
            return min(most, max(1, calls))
        busy, measured = fmean(self._busy), fmean(self._calls)
        each = busy / measured if measured >= ENOUGH_CALLS else FIRST_GUESS
        idle = max(0.0, busy - each * measured)
        return min(most, max(1, int((BUSY - idle) / max(each, 1e-6))))

    def has_room(self, calls: int, most: int) -> bool:
        """Whether one more is borne, with so many under way; those just begun, which no sample shows yet, count too."""
        return calls < self.bears(calls, most)

    async def watch(self, calls: Callable[[], int]) -> None:
        """Samples until cancelled."""
        loop = asyncio.get_running_loop()
        due, used = loop.time(), time.thread_time()
        while True:
            due += SAMPLE_S
            await asyncio.sleep(due - loop.time())
            now, spent = loop.time(), time.thread_time()
            late = now - due
            self.sample(late * 1000, (spent - used) / (SAMPLE_S + late), calls())
            due, used = now, spent
