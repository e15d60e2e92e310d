"""Whether a dependency works, found out seldom: whoever asks needs no key, and a check may cost money."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from domain.ports import Unavailable

CHECK_S = 2
"""How long a dependency may take to show that it works."""
WELL_S, AILING_S = 15, 5
"""How long it counts as working, or not working, until it is checked again."""

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]
"""Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class _Finding:
    why: str
    until: float
    """By the loop's clock."""


class Health:
    """What is known of each dependency. One check serves all who ask while it runs and for some seconds after."""

    def __init__(self) -> None:
        self._checks: dict[str, asyncio.Task[_Finding]] = {}

    async def why_not(self, dependency: str, check: Check) -> str:
        """Why it doesn't work, in words for people; empty if it does. Cancelling leaves the check to the others."""
        known = self._checks.get(dependency)
        if known is None or known.cancelled() or (known.done() and known.result().until <= _now()):
            known = self._checks[dependency] = asyncio.create_task(_examine(dependency, check))
        return (await asyncio.shield(known)).why


async def _examine(dependency: str, check: Check) -> _Finding:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except (Unavailable, TimeoutError) as problem:
        return _Finding(str(problem) or f"no answer within {CHECK_S} s", _now() + AILING_S)
    except Exception as bug:
        log.exception("check_broke", dependency=dependency)
        return _Finding(f"its check broke ({type(bug).__name__})", _now() + AILING_S)
    return _Finding("", _now() + WELL_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
