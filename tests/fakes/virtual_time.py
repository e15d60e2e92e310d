"""An event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        if not ready and timeout:
            self.now = round(self.now + timeout, 9)  # or it would drift
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Nothing in it may wait for a thread or a socket: time would run away meanwhile."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def pass_by(self, seconds: float) -> None:
        """So much time goes by in which the loop does nothing else."""
        self._jumping.now += seconds


async def busy(turn_s: float) -> None:
    """Something else in the loop takes so long at each of its turns, until cancelled."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    while True:
        loop.pass_by(turn_s)
        await asyncio.sleep(0)


def run(story: Coroutine[Any, Any, T]) -> T:
    """Runs it in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)
