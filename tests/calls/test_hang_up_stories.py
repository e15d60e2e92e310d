"""The caller hangs up at any moment, or goes on: what nobody waits for any more is stopped, and what breaks is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.paced_voice import PacedVoice
from domain.past import path_of, read, take
from domain.ports import Spoken, ToolRequest, VoiceStyle
from domain.reply import run_tool
from media_service.call import Call
from schemas.signals import Overdue, Returned, Signal
from tests.calls.test_draft_stories import prompted
from tests.calls.test_flow_stories import PaperTools, agent, looking, tool
from tests.fakes import virtual_time
from tests.fakes.caller import Caller
from tests.fakes.lab import ORGANISATION, Lab, hold


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


def texting(seconds: float, timeout_ms: int = 5000) -> tuple[Lab, PaperTools]:
    """An agent that sends a text message at once, which takes so long."""
    flow = [
        {"id": "start", "type": "start", "say": "Hello.", "edges": [{"to": "sms"}]},
        {"id": "sms", "type": "sms", "text": "Hi.", "say": "I'm sending it.", "edges": [{"to": "sent"}]},
        {"id": "sent", "type": "end", "say": "Sent."},
    ]
    lab = agent(flow)
    sms = tool("send_sms", acts=True, timeout_ms=timeout_ms)
    lab.tools_of_its_own = tools = PaperTools(sms, seconds=seconds, send_sms={"state": "queued"})
    return lab, tools


async def hangs_up_after_a_second(lab: Lab, caller: Caller) -> None:
    await caller.quiet(1000)
    caller.hangs_up()


def came_back(lab: Lab) -> list[Returned]:
    """What is stored of tools."""
    _, signals, _ = asyncio.run(read(lab.documents, path_of(ORGANISATION.id, lab.id)))
    return [signal for signal in signals if isinstance(signal, Returned)]


def test_a_tool_that_acts_is_not_stopped_by_hanging_up() -> None:
    lab, tools = texting(seconds=4)
    hold(hangs_up_after_a_second, lab)
    assert (len(tools.ran), tools.stopped) == (1, 0)
    assert [(signal.output, signal.error) for signal in came_back(lab)] == [({"state": "queued"}, None)]


@pytest.mark.parametrize(("timeout_ms", "unknown"), [(5000, [True]), (300_000, [])])
def test_but_it_is_not_waited_for_longer_than_it_may_take_or_the_process_can_wait(
    timeout_ms: int, unknown: list[bool]
) -> None:
    lab, tools = texting(seconds=1000, timeout_ms=timeout_ms)
    hold(hangs_up_after_a_second, lab)
    assert (len(tools.ran), tools.stopped) == (1, 1)
    assert [signal.unknown for signal in came_back(lab)] == unknown


def test_what_it_came_to_is_not_added_to_a_conversation_that_goes_on_elsewhere() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await hangs_up_after_a_second(lab, caller)
        await caller.quiet(2000)
        await take(lab.documents, path_of(ORGANISATION.id, lab.id), lab.ports().clock)

    lab, tools = texting(seconds=4)
    hold(story, lab)
    assert (len(tools.ran), tools.stopped) == (1, 0)
    assert came_back(lab) == []


def test_a_long_tool_that_has_returned_is_forgotten() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.quiet(20_000)

    call = virtual_time.run((lab := looking(8)).line(story))
    assert "It costs 12." in lab.dialogue()
    assert call._aside == {}
