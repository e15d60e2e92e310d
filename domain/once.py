"""Acting tools act once per key: what is known of an effect, and what to do when nobody knows.

An intent is stored before the effect, its outcome after it. Whoever finds an intent without an outcome can't tell
whether it was acted upon; the tool says what to do then.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Literal, Self

import structlog

from domain.ports import Clock, Documents, Transaction, Unavailable
from schemas.effect import Effect
from schemas.tool import Tool, ToolCall, ToolResult

KEPT = timedelta(days=7)
"""How long it is known what came of an effect: longer than any conversation goes on, or asks again."""
POLL_S = 0.25
RECORD_S = 0.5
"""How long a result waits for its outcome to be stored, before it is told all the same."""
RECORD_AGAIN_S = (0.2, 1, 3, 10)
"""Pauses between attempts to store an outcome."""

log = structlog.get_logger()

Decision = Literal["act", "tell", "wait", "verify", "escalate"]
Act = Callable[[], Awaitable[ToolResult]]


class NotBegun(Unavailable):
    """The tool surely did not act this time."""


def decide(effect: Effect | None, tool: Tool, now: datetime) -> Decision:
    """What to do when an effect is asked for. act: nothing happened so far, or the tool honours the key. tell: what
    came of it. wait: somebody is at it."""
    if effect is None or effect.state == "failed":
        return "act"
    if effect.state == "done":
        return "tell"
    if tool.if_unknown == "retry":
        return "act"
    if effect.state == "intended" and now < effect.until:
        return "wait"
    return "verify" if tool.if_unknown == "verify" else "escalate"


class Once:
    """`async with` it: leaving waits for outcomes that are still to be stored."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents, self._clock = documents, clock
        self._recording = set[asyncio.Task[None]]()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._recording:
            await asyncio.wait(self._recording)

    async def run(self, organisation: str, tool: Tool, call: ToolCall, act: Act, look_up: Act) -> ToolResult:
        """What came of the effect, now or the first time. `act` has it, and raises Unavailable if it can't tell what
        came of it; `look_up` runs what `tool.verify` names.

        Raises NotBegun if the intent can't be stored, Unavailable if nobody knows whether it acted. Cancelling
        abandons it; it may still have acted, and who asks again is told what the tool's `if_unknown` allows."""
        path = f"organisations/{organisation}/effects/{hashlib.sha256(call.key.encode()).hexdigest()}"
        verified: int | None = None
        begun = False
        while True:
            try:
                decision, effect = await self._claim(path, tool, call, verified)
            except Unavailable as problem:
                why = f"{tool.name} was not run, for its intent could not be stored: {problem}"
                raise (Unavailable if begun else NotBegun)(why) from problem
            begun = True
            match decision:
                case "act":
                    return await self._act(path, effect, act)
                case "tell":
                    assert effect.result
                    return effect.result.model_copy(update={"id": call.id})
                case "wait":
                    await asyncio.sleep(POLL_S)
                case "verify":
                    result = await look_up()
                    if result.error is None:
                        log.info("effect_verified", tool=tool.name, key=call.key)
                        await self._record(path, effect, "done", ToolResult(id=call.id, output=result.output))
                        return result.model_copy(update={"id": call.id})
                    if not result.absent:
                        raise Unavailable(f"{tool.verify} can't tell whether {tool.name} acted: {result.error}")
                    verified = effect.attempts
                case "escalate":
                    raise Unavailable(f"nobody can tell whether {tool.name} acted")

    async def _claim(self, path: str, tool: Tool, call: ToolCall, verified: int | None) -> tuple[Decision, Effect]:
        """Decides and, if it is to act, stores the intent; of several who ask at once only one gets it. `verified` is
        the attempt that is known not to have acted."""
        now = self._clock.now()

        async def body(tx: Transaction) -> tuple[Decision, Effect]:
            stored = await tx.get(path)
            effect = Effect.model_validate(stored) if stored else None
            decision = decide(effect, tool, now)
            if decision == "act" or (decision == "verify" and effect and effect.attempts == verified):
                effect = Effect(
                    key=call.key,
                    tool=tool.name,
                    state="intended",
                    at=now,
                    until=now + timedelta(milliseconds=tool.timeout_ms),
                    attempts=effect.attempts + 1 if effect else 1,
                    expires_at=now + KEPT,
                )
                tx.put(path, effect.model_dump(mode="json"))
                return "act", effect
            assert effect
            return decision, effect

        return await self._documents.transact(body)

    async def _act(self, path: str, effect: Effect, act: Act) -> ToolResult:
        try:
            result = await act()
        except Unavailable:
            await self._record(path, effect, "unknown")
            raise
        except Exception as problem:  # a tool's bug: it may have acted before
            log.exception("tool_broke", tool=effect.tool)
            await self._record(path, effect, "unknown")
            raise Unavailable(f"{effect.tool} broke") from problem
        await self._record(path, effect, "done" if result.error is None else "failed", result)
        return result

    async def _record(self, path: str, effect: Effect, state: Any, result: ToolResult | None = None) -> None:
        """Stores the outcome. A store that is slow or down is tried again in the background: nobody waits for it."""
        outcome = effect.model_copy(update={"state": state, "result": result})

        async def body(tx: Transaction) -> None:
            stored = await tx.get(path)
            known = Effect.model_validate(stored) if stored else effect
            if known.state != "done" and (state == "done" or known.attempts == effect.attempts):
                tx.put(path, outcome.model_dump(mode="json"))

        async def insist() -> None:
            for pause in (*RECORD_AGAIN_S, None):
                try:
                    return await self._documents.transact(body)
                except Unavailable as problem:
                    log.warning("outcome_not_stored", tool=effect.tool, key=effect.key, why=str(problem))
                    if pause is not None:
                        await asyncio.sleep(pause)

        recording = asyncio.create_task(insist())
        self._recording.add(recording)
        recording.add_done_callback(self._recording.discard)
        await asyncio.wait({recording}, timeout=RECORD_S)
