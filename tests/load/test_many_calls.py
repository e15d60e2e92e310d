"""Fifty calls at once, server and callers in one process: every one of them is answered, to the end."""

import asyncio
from collections import Counter
from pathlib import Path

from offhook.carrier.handset import Handset
from tests.fakes.house import house

CALLS = 50


async def asks_for_an_order(phone: Handset) -> None:
    for keys in ("1", "47129", "2"):
        await phone.listen(300)
        await phone.press(keys)


def test_fifty_calls_at_once_are_all_answered(tmp_path: Path) -> None:
    async def whole() -> None:
        async with house(tmp_path) as here:
            calls = await asyncio.gather(
                *(here.carrier.call("+15005550002", caller=asks_for_an_order) for _ in range(CALLS))
            )
            assert Counter(call.ended for call in calls) == {"agent": CALLS}
            assert [call.violations for call in calls if call.violations] == []
            assert {len(call.streams) for call in calls} == {1}
            for call in calls:
                id = await here.records.find(call.sid)
                assert id is not None
                conversation = await here.records.ended(id)
                assert conversation.outcome == "answered"
                assert [turn.keys for turn in conversation.turns] == ["", "1", "47129", "2"]

    asyncio.run(whole())
