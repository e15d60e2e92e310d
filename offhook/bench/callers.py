"""`python -m offhook.bench.callers`: every caller of a measurement, in one process.

Its plan is the first line of standard input; it ends when that is closed. On standard output it tells, a JSON object a
line, how far it is, and in the end what was heard."""

import asyncio
import gc
import os
import sys
from collections.abc import Mapping
from email.utils import format_datetime, localtime
from itertools import count
from random import Random
from time import monotonic, process_time
from typing import Literal
from uuid import uuid4

from domain.mulaw import FRAME_MS
from offhook.bench.affinity import stay_on
from offhook.bench.caller import Caller, Refused
from offhook.bench.lifeline import end_with_parent
from offhook.bench.plan import CallersPlan
from offhook.bench.talk import PATIENCE_MS, Talk
from offhook.bench.tally import Heard, Tally
from offhook.bench.voices import HISSES, hiss, utterances
from offhook.carrier import twiml
from offhook.carrier.messages import Writer
from offhook.carrier.violation import Breach
from offhook.carrier.webhooks import Webhooks
from schemas.model import Model

SLOT_MS = 2
SLOTS = FRAME_MS // SLOT_MS
"""Callers' frames are spread over so many moments: waking up costs more than a frame does."""
STRIDE = 3
"""Neighbours in the order of calling lie so many slots apart: the first few spread too."""
OPEN_S = 5.0
CLOSE_S = 3.0
AT_ONCE = 20
"""Status callbacks."""


Stage = Literal["calling", "warming up", "measuring", "measured", "done"]


class Progress(Model):
    """How far the callers are."""

    stage: Stage
    on: int = 0
    """Calls that are going on."""
    refused: int = 0
    """By a webhook's answer or at the handshake."""
    broken: int = 0
    """Ended by the server, or by a lost connection."""
    why: str = ""
    """What the first of those was told."""
    heard: Heard | None = None
    """When done."""


class Ticker:
    """One clock for all: tells each caller when the time of its next frame has come."""

    def __init__(self) -> None:
        self.callers: tuple[list[Caller], ...] = tuple([] for _ in range(SLOTS))

    async def run(self) -> None:
        """Ticks until cancelled. A tick that comes late makes up for those it missed."""
        zero = monotonic()
        for tick in count():
            slot = self.callers[tick % SLOTS]
            if not slot and tick % SLOTS:
                continue
            due = zero + tick * SLOT_MS / 1000
            await asyncio.sleep(max(due - monotonic(), 0))
            for caller in slot:
                if caller.on:
                    caller.frame(due)


class Callers:
    """All of them."""

    def __init__(self, plan: CallersPlan, webhooks: Webhooks) -> None:
        self._plan, self._webhooks = plan, webhooks
        self._tally, self._ticker = Tally(), Ticker()
        self._callers: dict[str, Caller] = {}
        """By CallSid."""
        self._refused = 0
        self._why = ""

    async def run(self) -> None:
        """Calls, talks, hangs up, and tells what was heard. Cancelling drops every connection."""
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(self._ticker.run())
            try:
                heard = await self._measure()
                done = self._progress("done", heard)
            finally:
                ticking.cancel()
                for caller in self._callers.values():
                    caller.hang_up()
        await self._leave()
        print(done.model_dump_json(), flush=True)

    async def _measure(self) -> Heard:
        plan, tally = self._plan, self._tally
        async with asyncio.TaskGroup() as calling:
            for number in range(plan.calls):
                calling.create_task(self._call(number))
                self._tell("calling")
                await asyncio.sleep(1 / plan.per_second)
        self._tell("warming up")
        await asyncio.sleep(plan.warm_up_s)
        gc.collect()
        gc.freeze()
        gc.disable()  # what it collects in a minute isn't worth its pauses
        self._tell("measuring")
        cpu = process_time()
        tally.open(monotonic())
        await asyncio.sleep(plan.seconds)
        tally.close(monotonic())
        cpu = process_time() - cpu
        self._tell("measured")
        await asyncio.sleep(PATIENCE_MS / 1000)  # for the replies to the last turns
        return tally.heard(cpu)

    async def _call(self, number: int) -> None:
        """One call, until its stream has begun or was refused."""
        plan = self._plan
        sid, stream_sid = f"CA{uuid4().hex}", f"MZ{uuid4().hex}"
        answer, _ = await self._webhooks.ask(f"{plan.server}/twilio/voice", self._form(sid, "ringing"))
        try:
            if answer.status != 200:
                raise Refused(f"the voice webhook answered {answer.status or answer.why}")
            stream = _stream(answer.body)
            dice = Random(f"{plan.seed}.{number}")
            talk = Talk(utterances(), hiss(number % HISSES), dice)
            writer = Writer(plan.account_sid, sid, stream_sid)
            caller = Caller(stream, self._webhooks.sign(stream.url), writer, talk, self._tally)
            host, _, port = stream.url.split("/")[2].partition(":")
            async with asyncio.timeout(OPEN_S):
                await asyncio.get_running_loop().create_connection(lambda: caller, host, int(port))
                await caller.begin()
        except (Refused, OSError) as problem:
            self._refused += 1
            self._why = self._why or str(problem) or "no answer in time"
            return
        self._callers[sid] = caller
        self._ticker.callers[number * STRIDE % SLOTS].append(caller)

    async def _leave(self) -> None:
        """Waits for the connections to close, and tells that the calls are over."""
        if not self._callers:
            return
        closed = [caller.lost for caller in self._callers.values()]
        await asyncio.wait(closed, timeout=CLOSE_S)
        for caller in self._callers.values():
            caller.abort()
        gate = asyncio.Semaphore(AT_ONCE)

        async def report(sid: str) -> None:
            async with gate:
                await self._webhooks.ask(f"{self._plan.server}/twilio/status", self._form(sid, "completed"))

        await asyncio.gather(*map(report, self._callers))

    def _form(self, sid: str, status: str) -> Mapping[str, str]:
        form = {
            "CallSid": sid,
            "AccountSid": self._plan.account_sid,
            "From": "+15005550100",
            "To": self._plan.number,
            "CallStatus": status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
        }
        if status == "completed":
            form |= {"CallDuration": str(round(self._plan.seconds)), "Timestamp": format_datetime(localtime())}
        return form

    def _progress(self, stage: Stage, heard: Heard | None = None) -> Progress:
        on = sum(caller.on for caller in self._callers.values())
        return Progress(
            stage=stage,
            on=on,
            refused=self._refused,
            broken=len(self._callers) - on,
            why=self._why,
            heard=heard,
        )

    def _tell(self, stage: Stage) -> None:
        print(self._progress(stage).model_dump_json(), flush=True)


def _stream(document: bytes) -> twiml.Stream:
    """The stream that a TwiML document connects to. Raises Refused."""
    try:
        verbs = twiml.parse(document.decode())
    except Breach as breach:
        raise Refused(str(breach)) from None
    for verb in verbs:
        if isinstance(verb, twiml.Connect):
            return verb.stream
    said = " ".join(verb.text for verb in verbs if isinstance(verb, twiml.Say))
    raise Refused(f"the platform said: {said}")


async def run(plan: CallersPlan) -> None:
    """The whole measurement. Cancelling drops every connection."""
    async with Webhooks(plan.auth_token) as webhooks:
        await Callers(plan, webhooks).run()


def main() -> None:
    """Runs to the end of the plan, or until standard input is closed."""
    plan = CallersPlan.model_validate_json(sys.stdin.buffer.readline())
    stay_on(plan.cores)
    end_with_parent(lambda: os._exit(1))  # connections end with their process
    utterances()  # made before the first call, not during it
    for line in range(HISSES):
        hiss(line)
    if sys.platform == "win32":
        asyncio.run(run(plan))
    else:
        import uvloop

        uvloop.run(run(plan))


if __name__ == "__main__":
    main()
