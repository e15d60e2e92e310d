"""The caller hangs up at any moment, or goes on: what nobody waits for any more is stopped, and what breaks is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.paced_voice import PacedVoice
from domain.ports import Spoken, ToolRequest, VoiceStyle
from domain.reply import run_tool
from media_service.call import Call
from schemas.signals import Overdue, Signal
from tests.calls.test_draft_stories import prompted
from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold


class SlowToClose(PacedVoice):
    """Its stream takes a moment to be closed, as a vendor's does."""

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        try:
            async for piece in super().speak(text, style):
                yield piece
        finally:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("moment_ms", range(0, 1600, 50))
def test_hanging_up_during_a_turn_breaks_nothing(moment_ms: int) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my parcel")
        await caller.quiet(moment_ms)
        caller.hangs_up()

    look_up = ToolRequest("c1", "check_order_status", {"order_number": "47129"})
    lab = prompted(["Hello."], [0.2, look_up], [0.1, "It arrives tomorrow."])
    lab.voice = SlowToClose(first_ms=100)
    lab.tool_delay_s = 0.1
    hold(story, lab)
    assert [outcome.act for outcome in lab.outcomes] == [None]


def test_a_look_up_ends_with_the_draft_that_wanted_it(monkeypatch: pytest.MonkeyPatch) -> None:
    came_to: list[str] = []

    async def watched(*what: Any) -> Any:
        try:
            return await run_tool(*what)
        except asyncio.CancelledError:
            came_to.append("cancelled")
            raise

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my parcel")
        await caller.quiet(300)
        await caller.says("no my letter")
        assert came_to == ["cancelled"]
        await caller.listens()
        caller.hangs_up()

    monkeypatch.setattr("media_service.call.run_tool", watched)
    look_up = ToolRequest("c1", "check_order_status", {"order_number": "47129"})
    lab = prompted(["Hello."], [look_up], ["Your letter, then."])
    lab.tool_delay_s = 5.0
    hold(story, lab)
    assert lab.turns()[1].agent == "Your letter, then."


def test_a_call_that_is_too_far_behind_breaks_also_when_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    emit = Call._emit

    def full(call: Call, signal: Signal) -> None:
        if isinstance(signal, Overdue):
            raise asyncio.QueueFull
        emit(call, signal)

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.quiet(60_000)

    monkeypatch.setattr(Call, "_emit", full)
    with pytest.raises(ExceptionGroup) as broken:
        hold(story, prompted(["Hello."]))
    assert broken.group_contains(asyncio.QueueFull)
