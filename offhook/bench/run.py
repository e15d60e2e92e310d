"""One run: a fresh server in one process, callers in another, and what both spent meanwhile."""

import asyncio
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil

from offhook.bench.affinity import Cores
from offhook.bench.agent import NUMBER, PACED
from offhook.bench.callers import Progress
from offhook.bench.figures import spread_between
from offhook.bench.plan import CallersPlan, ServerPlan
from offhook.bench.result import Run, ServerFigures, verdict
from offhook.bench.talk import PATIENCE_MS
from offhook.bench.waterfall import typical_turn
from schemas.conversation import Waterfall
from schemas.model import Model
from schemas.settings import Settings

ALL_PACED: Mapping[str, Any] = {"speech": "paced", "brain": "paced", "voice": "paced"}
PER_SECOND = 25.0
"""So many calls begin each second."""
WARM_UP_S = 5.0
"""At most; no longer than is measured."""
START_S = 60.0
"""The server may take so long to serve."""
END_S = 10.0
"""A process may take so long to end before it is made to."""
SPARE_S = 60.0
"""A run may last so much longer than it should."""
POLL_S = 0.1
LONGEST_LINE = 1024 * 1024
MB = 1_000_000


class Failed(Exception):
    """A run that can't be made. The message says why."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """The server and the machine at one moment."""

    cpu_s: float
    rss: int
    lag: dict[str, int] | None
    broken: int
    core_total_s: float
    """Of the callers' core."""
    core_idle_s: float


def takes_s(calls: int, seconds: float, per_second: float = PER_SECOND) -> float:
    """About how long a run lasts, from the first call to the last."""
    return calls / per_second + min(WARM_UP_S, seconds) + seconds + PATIENCE_MS / 1000


async def run(
    calls: int,
    seconds: float,
    seed: int,
    cores: Cores,
    single: float | None,
    tell: Callable[[Progress], None],
    providers: Mapping[str, Any] = ALL_PACED,
    per_second: float = PER_SECOND,
) -> Run:
    """Measures so many calls for so long. `single` is a single call's gap p95, if that was measured before; without
    it this run's own is taken. `providers` are the server's settings for its speech, brain and voice; so many calls
    begin `per_second`. Raises Failed. Cancelling ends both processes."""
    with TemporaryDirectory(prefix="offhook-bench-") as home:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = Settings(
            home=home,
            port=port,
            ticket_secret=secrets.token_urlsafe(),
            owner_key=secrets.token_urlsafe(),
            paced=PACED,
            **providers,
        )
        plan = CallersPlan(
            server=settings.public_urls[0],
            account_sid=settings.twilio_account_sid,
            auth_token=settings.twilio_auth_token,
            number=NUMBER,
            calls=calls,
            per_second=per_second,
            warm_up_s=min(WARM_UP_S, seconds),
            seconds=seconds,
            seed=seed,
            cores=cores.callers,
        )
        log = Path(home) / "log"
        serving = ServerPlan(settings=settings, calls=calls, cores=cores.server)
        async with process("offhook.bench.server", serving, log) as server, aiohttp.ClientSession(plan.server) as http:
            await _until_it_serves(server, http, log)
            before = await _read(server.pid, cores, http)
            async with process("offhook.bench.callers", plan, log, tells=True) as callers:
                try:
                    async with asyncio.timeout(takes_s(calls, seconds, per_second) + SPARE_S):
                        readings, end = await _follow(callers, lambda: _read(server.pid, cores, http), tell, log)
                except TimeoutError:
                    raise Failed(f"the callers didn't come to an end:\n{tail(log)}") from None
                except (aiohttp.ClientError, psutil.NoSuchProcess):
                    raise Failed(f"the server went away:\n{tail(log)}") from None
        turn = await typical_turn(settings)
    return _result(plan, cores, (before, *readings), end, single, turn)


# --- the processes --------------------------------------------------------------------------------------------


@asynccontextmanager
async def process(
    module: str, plan: Model, log: Path, tells: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a module while the block runs; the standard output of one that `tells` is read. It has a session of its
    own, so that Ctrl-C reaches only us."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE if tells else errors,
            stderr=errors,
            start_new_session=True,
            limit=LONGEST_LINE,
        )
    try:
        assert process.stdin
        process.stdin.write(plan.model_dump_json().encode() + b"\n")
        yield process
    finally:
        assert process.stdin
        process.stdin.close()  # what ends it, should we be gone ourselves
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until_it_serves(server: asyncio.subprocess.Process, http: aiohttp.ClientSession, log: Path) -> None:
    try:
        async with asyncio.timeout(START_S):
            while True:
                if server.returncode is not None:
                    raise Failed(f"the server ended at once:\n{tail(log)}")
                try:
                    async with http.get("/health") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise Failed(f"the server doesn't serve:\n{tail(log)}") from None


async def _follow(
    callers: asyncio.subprocess.Process,
    read: Callable[[], Awaitable[_Reading]],
    tell: Callable[[Progress], None],
    log: Path,
) -> tuple[list[_Reading], Progress]:
    """Follows the callers to their end, reading the server's figures as the measuring begins and ends."""
    readings: list[_Reading] = []
    assert callers.stdout
    async for line in callers.stdout:
        progress = Progress.model_validate_json(line)
        if progress.stage in ("measuring", "measured"):
            readings.append(await read())
        tell(progress)
        if progress.stage == "done":
            return readings, progress
    raise Failed(f"the callers broke off:\n{tail(log)}")


def tail(log: Path) -> str:
    """The log's last lines."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) or "it said nothing"


# --- the figures ----------------------------------------------------------------------------------------------


async def _read(pid: int, cores: Cores, http: aiohttp.ClientSession) -> _Reading:
    family = [server := psutil.Process(pid), *server.children(recursive=True)]
    times = [process.cpu_times() for process in family]
    core = psutil.cpu_times(percpu=True)[cores.callers[0] if cores.callers else 0]
    rss = sum(process.memory_info().rss for process in family)
    async with http.get("/websocket-metrics") as answer:
        metrics = await answer.json()
    return _Reading(
        cpu_s=sum(time.user + time.system for time in times),
        rss=rss,
        lag=metrics.get("frame_lag_ms"),
        broken=metrics["broken_calls"],
        core_total_s=sum(core),
        core_idle_s=core.idle + getattr(core, "iowait", 0.0),
    )


def _result(
    plan: CallersPlan,
    cores: Cores,
    readings: Sequence[_Reading],
    end: Progress,
    single: float | None,
    turn: Waterfall | None,
) -> Run:
    idle, start, stop = readings
    heard = end.heard
    assert heard
    call_seconds = max(end.on, 1) * heard.seconds
    busy = heard.cpu_s / heard.seconds
    if len(cores.callers) == 1 and stop.core_total_s > start.core_total_s:
        busy = max(busy, 1 - (stop.core_idle_s - start.core_idle_s) / (stop.core_total_s - start.core_total_s))
    lag = None if start.lag is None or stop.lag is None else spread_between(start.lag, stop.lag)
    server = ServerFigures(
        cpu_ms_per_call_second=round((stop.cpu_s - start.cpu_s) * 1000 / call_seconds, 3),
        core_busy=round((stop.cpu_s - start.cpu_s) / heard.seconds, 3),
        idle_mb=round(idle.rss / MB, 1),
        loaded_mb=round(stop.rss / MB, 1),
        mb_per_call=round((stop.rss - idle.rss) / MB / max(end.on, 1), 3),
        incoming_lag_ms=lag,
        broken_calls=stop.broken,
    )
    single = heard.gap.p95 if single is None and plan.calls == 1 else single
    return Run(
        calls=plan.calls,
        seconds=plan.seconds,
        on=end.on,
        refused=end.refused,
        broken=end.broken,
        why_refused=end.why,
        heard=heard,
        callers_cpu_ms_per_call_second=round(heard.cpu_s * 1000 / call_seconds, 3),
        callers_busy=round(busy, 3),
        server=server,
        typical_turn=turn,
        verdict=verdict(plan.calls, end, heard, busy, server, single),
    )
