"""The caller hangs up at any moment: the call ends, and nothing breaks."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.paced_voice import PacedVoice
from domain.ports import Spoken, ToolRequest, VoiceStyle
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

    look_up = ToolRequest("c1", "order_status", {"order_number": "47129"})
    lab = prompted(["Hello."], [0.2, look_up], [0.1, "It arrives tomorrow."])
    lab.voice = SlowToClose(first_ms=100)
    lab.tool_delay_s = 0.1
    hold(story, lab)
    assert [outcome.act for outcome in lab.outcomes] == [None]
