"""What Gemini signed comes back to it as it was, whichever way the conversation took: its server refuses anything else,
and then the agent would have nothing to say. The real client talks to it, without a network and in virtual time."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.gemini_brain import GeminiBrain
from functions.chat import chat_with
from offhook.seed import ORGANISATION, seed
from tests.calls.test_trouble_stories import PROMPTED, folded, stored_state
from tests.fakes import virtual_time
from tests.fakes.caller import Caller
from tests.fakes.gemini_server import KEY, UNSIGNED, Calls, GeminiServer, Step, Text
from tests.fakes.lab import Lab, Story
from tests.fakes.ports import paper_ports

TALK: Any = {**PROMPTED["nodes"][1], "tools": ["check_order_status", "check_item_stock"]}  # type: ignore[index]
FLOW = {**PROMPTED, "nodes": [TALK if node["id"] == "talk" else node for node in PROMPTED["nodes"]]}  # type: ignore[index, attr-defined]
SIGNATURE = b"\x00signed\xfe\xff"
STATUS = ("check_order_status", {"order_number": "47129"})
STOCK = ("check_item_stock", {"item": "blue kettle"})


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    server = GeminiServer()
    with server.on_paper():
        yield server


def hold(lab: Lab, *lines: Story) -> Lab:
    """One line after the other; each is another process, which has only what was stored."""

    async def story() -> None:
        for line in lines:
            async with GeminiBrain(KEY, base_url="http://gemini") as lab.brain:
                await lab.line(line)

    lab.change(flow=FLOW, tools=["check_order_status", "check_item_stock"])
    virtual_time.run(story())
    return lab


def signed(gemini: GeminiServer) -> list[tuple[str, bytes | None]]:
    """The function calls of the last request, each with its signature."""
    parts = [part for content in gemini.requests[-1].body["contents"] for part in content["parts"]]
    return [
        (part["functionCall"]["name"], _bytes(part["thoughtSignature"]) if "thoughtSignature" in part else None)
        for part in parts
        if "functionCall" in part
    ]


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"))


async def asks(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("where is my parcel")
    await caller.listens(quiet_ms=3000)
    caller.hangs_up()


async def asks_twice(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    for words in ("where is my parcel", "and when does it come"):
        await caller.says(words)
        await caller.listens()
    caller.hangs_up()


async def asks_on(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("and when does it come")
    await caller.listens()
    caller.hangs_up()


@pytest.mark.parametrize("drafts", [0, 4])
def test_in_a_call_drafted_or_not(gemini: GeminiServer, drafts: int) -> None:
    gemini.will_answer([Text("Hello.")], [Calls([STATUS], SIGNATURE)], [Text("On its way.")], [Text("Tomorrow.")])
    lab = Lab("orders")
    lab.change(listening={"shortest_silence_ms": 600, "drafts": drafts})
    hold(lab, asks_twice)
    assert [turn.agent for turn in lab.turns()] == ["Hello.", "On its way.", "Tomorrow."]
    assert bool(lab.turns()[1].waterfall.drafted_ms) == bool(drafts)
    assert signed(gemini) == [("check_order_status", SIGNATURE)]


def test_after_a_line_was_lost(gemini: GeminiServer) -> None:
    gemini.will_answer(
        [Text("Hello.")], [Calls([STATUS], SIGNATURE)], [Text("On its way.")], [Text("Where were we?")], [Text("Soon.")]
    )
    lab = hold(Lab("orders"), asks, asks_on)
    assert lab.turns()[-1].agent == "Soon."
    assert signed(gemini) == [("check_order_status", SIGNATURE)]
    assert folded(lab) == stored_state(lab)


ROUNDS: dict[str, tuple[Calls, dict[str, float]]] = {
    "as they were asked for": (Calls([STATUS, STOCK], SIGNATURE), {"check_item_stock": 0.3}),
    "the other way round": (Calls([STATUS, STOCK], SIGNATURE), {"check_order_status": 0.3}),
    "one of them refused at once": (Calls([STATUS, ("go_on", {"which": "0"})], SIGNATURE), {"check_order_status": 0.3}),
    "the signed one refused at once": (
        Calls([("go_on", {"which": "0"}), STATUS], SIGNATURE),
        {"check_order_status": 0.3},
    ),
}


@pytest.mark.parametrize(("calls", "takes_s"), ROUNDS.values(), ids=ROUNDS.keys())
def test_of_calls_made_at_once_the_first_stays_the_first_however_they_return(
    gemini: GeminiServer, calls: Calls, takes_s: dict[str, float]
) -> None:
    gemini.will_answer([Text("Hello.")], [calls], [Text("All is well.")], [Text("Tomorrow.")])
    lab = Lab("orders")
    lab.tool_delays_s = takes_s
    hold(lab, asks_twice)
    assert [turn.agent for turn in lab.turns()] == ["Hello.", "All is well.", "Tomorrow."]
    first, second = (name for name, _ in calls.calls)
    assert signed(gemini) == [(first, SIGNATURE), (second, None)]


async def interrupts(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("where is my parcel")
    await caller.until_agent_speaks(ms=300)
    await caller.says("never mind the kettle")
    await caller.listens()
    caller.hangs_up()


@pytest.mark.parametrize("slow", ["check_order_status", "check_item_stock"])
@pytest.mark.parametrize("lost", [False, True])
def test_of_a_round_that_was_broken_off_what_answered_is_kept_with_what_was_signed(
    gemini: GeminiServer, slow: str, lost: bool
) -> None:
    calls = Calls([STATUS, STOCK], SIGNATURE)
    gemini.will_answer([Text("Hello.")], [Text("One moment, I am looking. "), calls], [Text("As you like.")])
    lab = Lab("orders")
    lab.tool_delays_s = {slow: 4.9}

    async def loses_the_line(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("where is my parcel")
        await caller.until_agent_speaks(ms=300)
        caller.hangs_up()

    hold(lab, *((loses_the_line, asks_on) if lost else (interrupts,)))
    assert lab.turns()[-1].agent == "As you like."
    assert signed(gemini) == [("check_order_status", SIGNATURE), ("check_item_stock", None)]
    contents = gemini.requests[-1].body["contents"]
    told = [part["functionResponse"] for content in contents for part in content["parts"] if "functionResponse" in part]
    assert [response["name"] for response in told if "error" in response["response"]] == [slow]


def test_in_a_chat(gemini: GeminiServer) -> None:
    gemini.will_answer([Calls([STATUS, STOCK], SIGNATURE)], [Text("Both.")], [Text("Tomorrow.")])

    async def talk() -> list[str]:
        async with GeminiBrain(KEY, base_url="http://gemini") as brain:
            ports = paper_ports(brain=brain)
            await seed(ports)
            path = f"organisations/{ORGANISATION}/agents/agt_demo_orders/versions/1"
            version = {
                **(await ports.documents.get(path) or {}),
                "flow": FLOW,
                "tools": ["check_order_status", "check_item_stock"],
            }
            await ports.documents.put(path, version)
            chat = await chat_with(ports, ORGANISATION, "agt_demo_orders")
            assert chat is not None
            said = [sentence async for sentence in chat.open()]
            for line in ("is it there", "and when"):
                said += [sentence async for sentence in chat.say(line)]
            return said

    assert asyncio.run(talk())[-1] == "Tomorrow."
    assert signed(gemini) == [("check_order_status", SIGNATURE), ("check_item_stock", None)]


def test_a_call_that_was_not_signed_has_google_s_own_mark_for_one(gemini: GeminiServer) -> None:
    gemini.will_answer(
        [Text("Hello.")],
        [Text("Let me see. ", signature=b"of the text"), Calls([STATUS], signature=None)],
        [Text("On its way.")],
    )
    lab = hold(Lab("orders"), asks)
    assert lab.turns()[-1].agent == "Let me see. On its way."
    assert signed(gemini) == [("check_order_status", UNSIGNED)]


TEXTS: dict[str, list[Step]] = {
    "with the last words": [Text("From nine "), Text("to five.", signature=b"of the text")],
    "behind them": [Text("From nine to five."), Text("", signature=b"of the text")],
}


@pytest.mark.parametrize("answer", TEXTS.values(), ids=TEXTS.keys())
def test_the_signature_of_a_text_is_not_for_words_that_were_only_half_heard(
    gemini: GeminiServer, answer: list[Step]
) -> None:
    gemini.will_answer([Text("Hello.")], answer, [Text("Indeed.")])
    lab = hold(Lab("orders"), asks_twice)
    assert [turn.agent for turn in lab.turns()] == ["Hello.", "From nine to five.", "Indeed."]
    assert "From nine to five." in gemini.requests[-1].texts
    assert "thoughtSignature" not in str(gemini.requests[-1].body)
