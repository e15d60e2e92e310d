"""Which processor cores the server and its callers run on."""

import os
from collections.abc import Collection

from schemas.model import Model


class Cores(Model):
    """Empty where a process can't be kept on a core, or has only one."""

    server: tuple[int, ...] = ()
    callers: tuple[int, ...] = ()
    why_not: str = ""
    """Why they share what there is; empty if they don't."""


def share_out() -> Cores:
    """One core for the server, the others for the callers."""
    if not hasattr(os, "sched_setaffinity"):
        return Cores(why_not="this system can't keep a process on a core: server and callers share them all")
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(why_not="there is only one core: server and callers share it")
    return Cores(server=tuple(allowed[-1:]), callers=tuple(allowed[:-1]))


def stay_on(cores: Collection[int]) -> None:
    """Keeps this process, and the threads it starts from now on, on these cores; none: wherever it likes."""
    if cores:
        os.sched_setaffinity(0, cores)
