"""What a tool came to, when it doesn't say so."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal

import pytest

from domain.acts import RunTool
from domain.ports import Unavailable
from domain.reply import run_tool
from schemas.organisation import Organisation
from schemas.signals import Returned
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes import virtual_time
from tests.fakes.lab import ORGANISATION

CALL = ToolCall(id="1", tool="book", arguments={}, key="cnv_1:ask:1:ab")
LOST, DONE, HANGS = "lost", "done", "hangs"


class Desk:
    """One tool that does these, one after the other."""

    def __init__(self, *outcomes: str, if_unknown: Literal["retry", "escalate"] = "retry", takes_s: float = 1) -> None:
        self._outcomes = [*outcomes]
        self._takes_s = takes_s
        self._tool = Tool(name="book", description="", parameters={}, if_unknown=if_unknown)
        self.keys: list[str] = []
        """Of the calls that reached it."""

    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        return {"book": self._tool}

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        self.keys.append(call.key)
        await asyncio.sleep(self._takes_s)
        match self._outcomes.pop(0):
            case "lost":
                raise Unavailable("the answer was lost")
            case "hangs":
                await asyncio.Event().wait()
        return ToolResult(id=call.id, output={"id": "apt_1"})


def came_to(desk: Desk, acts: bool = True) -> Returned:
    return virtual_time.run(run_tool(desk, ORGANISATION, RunTool(CALL, acts=acts, timeout_ms=5000)))


def test_a_tool_that_acted_and_could_not_say_so_is_asked_again_with_the_same_key() -> None:
    desk = Desk(LOST, DONE)
    assert came_to(desk) == Returned(at=0, id="1", output={"id": "apt_1"})
    assert desk.keys == [CALL.key, CALL.key]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Desk(LOST, LOST),
        lambda: Desk(HANGS),
        lambda: Desk(LOST, HANGS),
        lambda: Desk(LOST, DONE, takes_s=3),
        lambda: Desk(LOST, if_unknown="escalate"),
    ],
    ids=["lost twice", "hangs", "lost, then hangs", "lost, and no time left", "lost, and honours no key"],
)
def test_an_outcome_that_nobody_can_tell_is_called_unknown(make: Callable[[], Desk]) -> None:
    returned = came_to(make())
    assert (returned.error or "").startswith("the outcome of book is unknown: "), returned


def test_a_tool_that_looks_something_up_has_failed() -> None:
    desk = Desk(LOST)
    assert came_to(desk, acts=False).error == "the answer was lost"
    assert len(desk.keys) == 1
