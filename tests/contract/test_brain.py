"""What every brain does, told over each of them; then what only Gemini's protocol asks for.

A further brain joins by one line in BRAINS."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import pytest

from adapters.gemini_brain import GeminiBrain
from adapters.offline_brain import OfflineBrain
from adapters.paced_brain import PacedBrain
from domain.fallback import FallbackBrain, Provider
from domain.ports import Brain, Prompt, Thought, ToolRequest, Unavailable, Usage, Words
from schemas.remark import Remark
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes.gemini_server import (
    KEY,
    LOCATION,
    PROJECT,
    TOKEN,
    Blocked,
    Calls,
    CutShort,
    Drop,
    ErrorChunk,
    Finish,
    GeminiServer,
    Raw,
    Refusal,
    Step,
    Text,
    Wait,
    complaints,
)

Opened = AbstractAsyncContextManager[Brain]


@asynccontextmanager
async def offline() -> AsyncIterator[Brain]:
    yield OfflineBrain()


@asynccontextmanager
async def paced() -> AsyncIterator[Brain]:
    yield PacedBrain(first_ms=10, every_ms=1)


@asynccontextmanager
async def gemini() -> AsyncIterator[Brain]:
    async with talking_to_gemini([Text("Sure. "), Wait(0.01), Text("Which day?")]) as (brain, _):
        yield brain


@asynccontextmanager
async def fallback() -> AsyncIterator[Brain]:
    brains = [PacedBrain(first_ms=1500), PacedBrain(first_ms=10, every_ms=1)]
    yield FallbackBrain([Provider[Brain]("late", brains[0]), Provider[Brain]("prompt", brains[1])])


BRAINS: dict[str, Callable[[], Opened]] = {
    "offline": offline,
    "paced": paced,
    "gemini": gemini,
    "a fallback": fallback,
}

COSTS = {
    "offline": Usage(),
    "paced": Usage(prompt=3, reply=19),
    "gemini": Usage(prompt=12, reply=7, cached=4),
    "a fallback": Usage(prompt=3, reply=19),
}
"""Of an answer to the shortest question."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fallback doesn't wait long for one that is late anyway."""
    monkeypatch.setattr("domain.fallback.BRAIN_S", 0.1)


every_brain = pytest.mark.parametrize("opened", BRAINS.values(), ids=BRAINS.keys())


@asynccontextmanager
async def talking_to_gemini(*scripts: list[Step], **options: Any) -> AsyncIterator[tuple[GeminiBrain, GeminiServer]]:
    async with GeminiServer() as server:
        server.will_answer(*scripts)
        async with GeminiBrain(KEY, base_url=server.url, **options) as brain:
            yield brain, server


async def thoughts(brain: Brain, prompt: Prompt) -> list[Thought]:
    return [thought async for thought in brain.think(prompt)]


def said(thoughts: list[Thought]) -> str:
    return "".join(thought.text for thought in thoughts if isinstance(thought, Words))


def cost(thoughts: list[Thought]) -> Usage:
    told = [thought for thought in thoughts if isinstance(thought, Usage)]
    return Usage(*(sum(getattr(usage, kind) for usage in told) for kind in ("prompt", "reply", "cached")))


def wishes(thoughts: list[Thought]) -> list[ToolRequest]:
    return [thought for thought in thoughts if isinstance(thought, ToolRequest)]


def caller(text: str) -> Remark:
    return Remark(role="caller", text=text)


def agent(text: str) -> Remark:
    return Remark(role="agent", text=text)


def request(id: str, tool: str, opaque: str = "", **arguments: Any) -> Remark:
    return Remark(role="request", call=ToolCall(id=id, tool=tool, arguments=arguments), opaque=opaque)


def result(id: str, **output: Any) -> Remark:
    call = ToolCall(id=id, tool="a tool", arguments={})
    return Remark(role="result", call=call, result=ToolResult(id=id, output=output))


def ask(*remarks: Remark, **more: Any) -> Prompt:
    return Prompt("You take bookings.", remarks or [caller("I need an appointment")], **more)


# --- Every brain ---------------------------------------------------------------------------------------------------


@every_brain
def test_it_answers_in_words(opened: Callable[[], Opened]) -> None:
    async def story() -> None:
        async with opened() as brain:
            answer = await thoughts(brain, ask(next_question="Which day?"))
        assert said(answer).strip()
        assert all(word.text for word in answer if isinstance(word, Words))
        assert wishes(answer) == []

    asyncio.run(story())


@pytest.mark.parametrize("name", BRAINS)
def test_all_that_it_tells_of_the_cost_is_the_cost(name: str) -> None:
    async def story() -> None:
        async with BRAINS[name]() as brain:
            answer = await thoughts(brain, ask())
        assert cost(answer) == COSTS[name]
        assert Usage() not in answer  # to tell nothing is to tell nothing

    asyncio.run(story())


@pytest.mark.parametrize("name", ["paced", "gemini", "a fallback"])
def test_who_stops_listening_knows_what_the_beginning_cost(name: str) -> None:
    async def story() -> None:
        async with BRAINS[name]() as brain:
            told: list[Thought] = []
            async with aclosing(brain.think(ask())) as reply:  # type: ignore[type-var]
                async for thought in reply:
                    told.append(thought)
                    if cost(told).prompt and said(told):
                        break
        assert cost(told).prompt == COSTS[name].prompt
        assert cost(told).reply < COSTS[name].reply

    asyncio.run(story())


DIALOGUES = {
    "nothing was said yet": (),
    "the agent has greeted": (agent("Hello, how can I help?"),),
    "the caller spoke twice": (agent("Hello?"), caller("Hi."), caller("It's about my order")),
    "the agent was cut off before it was heard": (caller("Hi"), agent(""), caller("Are you there?")),
    "the agent spoke last": (caller("Hi"), agent("One moment."), agent("Still looking.")),
    "a tool answered": (
        caller("Any news?"),
        request("a", "check_order_status", number="1"),
        result("a", status="sent"),
    ),
    "the caller spoke before a tool's answer was told": (
        caller("Any news?"),
        request("a", "check_order_status"),
        result("a", status="sent"),
        caller("Hello?"),
    ),
    "two tools answered": (
        caller("Any news?"),
        request("a", "check_order_status"),
        request("b", "check_item_stock"),
        result("b", left=3),
        result("a", status="sent"),
    ),
    "a tool never answered": (caller("Book it"), request("a", "book"), caller("Hello?")),
    "a tool failed": (
        caller("Any news?"),
        request("a", "check_order_status"),
        Remark(role="result", result=ToolResult(id="a", error="no such order")),
    ),
    "odd characters": (caller('zażółć \u2028 "😀" </s> \\n'),),
}


@every_brain
@pytest.mark.parametrize("remarks", DIALOGUES.values(), ids=DIALOGUES.keys())
def test_it_answers_wherever_the_dialogue_stands(opened: Callable[[], Opened], remarks: tuple[Remark, ...]) -> None:
    async def story() -> None:
        async with opened() as brain:
            assert said(await thoughts(brain, Prompt("You take bookings.", remarks)))

    asyncio.run(story())


@every_brain
def test_cancelled_in_the_middle_it_lets_go_and_answers_the_next(opened: Callable[[], Opened]) -> None:
    async def story() -> None:
        async with opened() as brain:
            begun = asyncio.Event()

            async def listen() -> None:
                async for _ in brain.think(ask()):
                    begun.set()
                    await asyncio.Event().wait()

            listening = asyncio.create_task(listen())
            await begun.wait()
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
            assert said(await thoughts(brain, ask()))

    asyncio.run(story())


@every_brain
def test_closed_after_the_first_word_it_answers_the_next(opened: Callable[[], Opened]) -> None:
    async def story() -> None:
        async with opened() as brain:
            async with aclosing(brain.think(ask())) as reply:  # type: ignore[type-var]
                while not isinstance(await anext(reply), Words):
                    pass
            assert said(await thoughts(brain, ask()))

    asyncio.run(story())


@every_brain
def test_two_replies_at_once_are_each_whole(opened: Callable[[], Opened]) -> None:
    async def story() -> None:
        async with opened() as brain:
            alone = said(await thoughts(brain, ask()))
            both = await asyncio.gather(thoughts(brain, ask()), thoughts(brain, ask()))
        assert [said(one) for one in both] == [alone, alone]

    asyncio.run(story())


def test_the_offline_brain_asks_what_the_flow_would_ask() -> None:
    prompt = ask(next_question="What day would suit you?")
    assert said(asyncio.run(thoughts(OfflineBrain(), prompt))) == "What day would suit you?"


# --- Gemini: what it says ------------------------------------------------------------------------------------------


def test_words_come_while_gemini_is_still_writing() -> None:
    async def story() -> None:
        async with talking_to_gemini([Text("One "), Wait(60), Text("two")]) as (brain, server):
            async with aclosing(brain.think(ask())) as reply:  # type: ignore[type-var]
                assert await anext(reply) == Words("One ")
            await asyncio.wait_for(server.requests[0].left.wait(), 10)

    asyncio.run(story())


def test_cancelling_closes_the_request_at_once_even_before_the_first_word() -> None:
    async def story() -> None:
        async with talking_to_gemini([Wait(60), Text("too late")]) as (brain, server):
            thinking = asyncio.create_task(thoughts(brain, ask()))
            await server.asked.wait()
            thinking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await thinking
            await asyncio.wait_for(server.requests[0].left.wait(), 10)

    asyncio.run(story())


def test_thinking_aloud_is_not_said() -> None:
    async def story() -> None:
        async with talking_to_gemini([Text("The caller wants…", thought=True), Text("Sure.")]) as (brain, _):
            answer = await thoughts(brain, ask())
            assert said(answer) == "Sure."
            assert cost(answer) == Usage(prompt=12, reply=7, cached=4)

    asyncio.run(story())


def test_an_answer_that_reached_its_length_is_an_answer() -> None:
    async def story() -> None:
        async with talking_to_gemini([Text("And another thing"), Finish("MAX_TOKENS")]) as (brain, _):
            assert said(await thoughts(brain, ask())) == "And another thing"

    asyncio.run(story())


FAILURES: dict[str, list[Step]] = {
    "quota": [Refusal(429, "RESOURCE_EXHAUSTED")],
    "a fault of Google's": [Refusal(500, "INTERNAL")],
    "overload": [Refusal(503, "UNAVAILABLE")],
    "a suspended key": [Refusal(403, "PERMISSION_DENIED", f"Consumer 'api_key:{KEY}' has been suspended.")],
    "an error in the stream": [Text("Well, "), ErrorChunk({"code": 503, "status": "UNAVAILABLE", "message": KEY})],
    "an error without a code": [ErrorChunk({"message": KEY})],
    "only thoughts": [Text("Hm.", thought=True), Finish("MAX_TOKENS")],
    "a blocked prompt": [Blocked("PROHIBITED_CONTENT")],
    "a blocked answer": [Finish("SAFETY")],
    "an answer blocked on the way": [Text("Well, "), Finish("SAFETY")],
    "a recited answer": [Text("To be, or "), Finish("RECITATION")],
    "a call without sense": [
        Raw('{"candidates": [{"content": {"parts": [{"functionCall": {"name": "a", "args": 1}}]}}]}')
    ],
    "a broken connection": [Text("Well, "), Drop()],
    "an answer that just ends": [Text("Well, "), CutShort()],
    "not JSON": [Raw("<html>")],
    "silence": [Wait(60)],
    "silence after the first word": [Text("Well, "), Wait(60)],
}


MISHAPS: dict[str, list[Step]] = {
    "an empty answer": [],
    "white space only": [Text(" \n")],
    "thoughts only": [Text("Hm.", thought=True)],
    "a call that can't be parsed": [Finish("MALFORMED_FUNCTION_CALL")],
    "a call of a tool that there isn't": [Finish("UNEXPECTED_TOOL_CALL")],
    "a call of nothing": [Raw('{"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]}')],
    "not an answer": [Raw("[1, 2]")],
}
"""What the next attempt seldom meets again."""


@pytest.mark.parametrize("script", MISHAPS.values(), ids=MISHAPS.keys())
def test_an_answer_of_nothing_is_asked_for_once_more(script: list[Step]) -> None:
    async def story() -> None:
        async with talking_to_gemini(script, [Text("Sorry, go on.")]) as (brain, _):
            answer = await thoughts(brain, ask())
            assert said(answer).strip() == "Sorry, go on."
            assert cost(answer) == Usage(prompt=24, reply=14, cached=8)  # of both

    asyncio.run(story())


@pytest.mark.parametrize("script", MISHAPS.values(), ids=MISHAPS.keys())
def test_one_that_stays_nothing_is_unavailable(script: list[Step]) -> None:
    async def story() -> None:
        async with talking_to_gemini(script, script, [Text("Sorry, go on.")]) as (brain, server):
            with pytest.raises(Unavailable, match="Gemini gave no answer"):
                await thoughts(brain, ask())
            assert len(server.requests) == 2
            assert said(await thoughts(brain, ask())) == "Sorry, go on."

    asyncio.run(story())


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES.keys())
def test_whatever_goes_wrong_is_said_in_one_safe_sentence(script: list[Step]) -> None:
    async def story() -> None:
        impatient = 1 if any(isinstance(step, Wait) for step in script) else 15
        async with talking_to_gemini(script, [Text("Sorry, go on.")], timeout_s=impatient) as (brain, _):
            with pytest.raises(Unavailable) as failure:
                await thoughts(brain, ask())
            sentence = str(failure.value)
            assert sentence.startswith("Gemini")
            assert KEY not in sentence
            assert "\n" not in sentence
            assert said(await thoughts(brain, ask())) == "Sorry, go on."

    asyncio.run(story())


def test_a_slow_beginning_and_a_pause_each_have_their_limit() -> None:
    async def story() -> None:
        late: list[Step] = [Wait(60), Text("Well.")]
        broken: list[Step] = [Text("Well, "), Wait(60), Text("yes.")]
        limits = {"first_words_s": 0.3, "next_words_s": 0.3, "timeout_s": 60}
        async with talking_to_gemini(late, broken, **limits) as (brain, server):
            for seen in range(2):
                with pytest.raises(Unavailable, match="fell silent"):
                    await thoughts(brain, ask())
                await asyncio.wait_for(server.requests[seen].left.wait(), 10)

    asyncio.run(story())


def test_a_slow_answer_without_pauses_is_whole() -> None:
    async def story() -> None:
        slow: list[Step] = [Text("and "), Wait(0.1, jitter_s=0.1)]
        async with talking_to_gemini([*slow * 6, Text("so on.")], first_words_s=5, next_words_s=5) as (brain, _):
            assert said(await thoughts(brain, ask())) == "and " * 6 + "so on."

    asyncio.run(story())


BEGUN = Usage(prompt=12, reply=1, cached=4)
"""What an answer has cost by its first words."""
FOR_NOTHING: dict[str, tuple[list[Step], Usage]] = {
    "blocked on the way": ([Text("Well, "), Finish("SAFETY")], Usage(prompt=12, reply=7, cached=4)),
    "a blocked prompt": ([Blocked("PROHIBITED_CONTENT")], Usage(prompt=7)),
    "an error in the stream": ([Text("Well, "), ErrorChunk({"code": 503, "status": "UNAVAILABLE"})], BEGUN),
    "a broken connection": ([Text("Well, "), Drop()], BEGUN),
    "an answer that just ends": ([Text("Well, "), CutShort()], BEGUN),
    "silence after the first word": ([Text("Well, "), Wait(60)], BEGUN),
    "silence": ([Wait(60)], Usage()),
    "refused": ([Refusal(429, "RESOURCE_EXHAUSTED")], Usage()),
}


@pytest.mark.parametrize(("script", "spent"), FOR_NOTHING.values(), ids=FOR_NOTHING.keys())
def test_what_was_spent_on_an_answer_that_is_none_is_told(script: list[Step], spent: Usage) -> None:
    async def story() -> None:
        async with talking_to_gemini(script, next_words_s=0.5, first_words_s=0.5) as (brain, _):
            told: list[Thought] = []

            async def listen() -> None:
                async for thought in brain.think(ask()):
                    told.append(thought)

            with pytest.raises(Unavailable):
                await listen()
            assert cost(told) == spent

    asyncio.run(story())


def test_vertex_tells_it_in_the_end_and_says_little_before() -> None:
    from google.oauth2.credentials import Credentials

    async def story() -> None:
        way = {"project": PROJECT, "location": LOCATION, "credentials": Credentials(token=TOKEN)}  # type: ignore[no-untyped-call]
        async with GeminiServer(vertex=True) as server, GeminiBrain(**way, base_url=server.url) as brain:
            server.will_answer([Text("Sure. "), Text("Which day?")])
            answer = await thoughts(brain, ask())
        assert [type(thought) for thought in answer] == [Words, Words, Usage]
        assert cost(answer) == Usage(prompt=12, reply=7, cached=4)

    asyncio.run(story())


def test_a_reply_may_take_so_long_and_no_longer_even_if_it_has_begun() -> None:
    async def story() -> None:
        dripping: list[Step] = [Text("and "), Wait(0.1)]
        dripping *= 100
        async with talking_to_gemini(dripping, timeout_s=0.5) as (brain, _):
            with pytest.raises(Unavailable, match=r"took more than 0\.5 s"):
                await thoughts(brain, ask())

    asyncio.run(story())


def test_a_wrong_key_is_named_as_such_but_not_repeated() -> None:
    async def story() -> None:
        async with GeminiServer() as server, GeminiBrain("AIza-another-key", base_url=server.url) as brain:
            with pytest.raises(Unavailable, match="API_KEY_INVALID") as failure:
                await thoughts(brain, ask())
            assert "AIza" not in str(failure.value)

    asyncio.run(story())


def test_a_lost_connection_is_reported_without_trying_again_behind_our_back() -> None:
    async def story() -> None:
        tries = 0

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal tries
            tries += 1
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with GeminiBrain(KEY, base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as brain:
            async with server:
                with pytest.raises(Unavailable):
                    await thoughts(brain, ask())
            with pytest.raises(Unavailable):  # nobody listens there any more
                await thoughts(brain, ask())
        assert tries == 1

    asyncio.run(story())


def test_a_connection_is_used_again() -> None:
    async def story() -> None:
        async with talking_to_gemini([Text("Yes.")]) as (brain, server):
            for _ in range(3):
                await thoughts(brain, ask())
        assert len({seen.client for seen in server.requests}) == 1

    asyncio.run(story())


# --- Gemini: what it is asked --------------------------------------------------------------------------------------

STATUS = Tool(
    name="check_order_status",
    description="Where an order is.",
    parameters={"type": "object", "properties": {"order_number": {"type": "string"}}, "required": ["order_number"]},
)
HUMAN = Tool(
    name="transfer_to_human", description="They want a person.", parameters={"type": "object", "properties": {}}
)


async def asked(prompt: Prompt, **options: Any) -> dict[str, Any]:
    async with talking_to_gemini([Text("Yes.")], **options) as (brain, server):
        await thoughts(brain, prompt)
        return server.requests[0].body


def test_it_is_told_who_it_is_what_was_said_and_what_it_may_do() -> None:
    prompt = ask(agent("Hello?"), caller("Hi."), caller("Any news?"), tools=[STATUS, HUMAN], temperature=0.7)
    body = asyncio.run(asked(prompt))
    assert body["systemInstruction"]["parts"] == [{"text": "You take bookings."}]
    assert [(turn["role"], [part["text"] for part in turn["parts"]]) for turn in body["contents"]] == [
        ("user", ["(The call begins.)"]),
        ("model", ["Hello?"]),
        ("user", ["Hi.", "Any news?"]),
    ]
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "check_order_status",
                    "description": "Where an order is.",
                    "parametersJsonSchema": STATUS.parameters,
                },
                {"name": "transfer_to_human", "description": "They want a person."},
            ]
        }
    ]
    assert body["generationConfig"]["temperature"] == 0.7


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-3.8-flash", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro-preview", {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", {"thinkingLevel": "MINIMAL"}),
        ("gemini-2.5-flash-lite", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"thinkingBudget": 128}),
        ("gemini-2.0-flash", None),
        ("gemma-3-27b-it", None),
    ],
)
def test_it_thinks_as_little_as_the_model_can(model: str, thinking: dict[str, Any] | None) -> None:
    for body in (asyncio.run(asked(ask(model=model))), asyncio.run(asked(ask(), model=model))):
        assert body["generationConfig"].get("thinkingConfig") == thinking


def test_a_tool_is_asked_for_and_its_answer_told() -> None:
    async def story() -> None:
        calls = Calls([("check_order_status", {"order_number": "47129"})], signature=bytes(range(256)))
        async with talking_to_gemini([calls], [Text("It was sent.")]) as (brain, server):
            question = caller("Where is order 47129?")
            [wish] = wishes(await thoughts(brain, ask(question, tools=[STATUS])))
            assert (wish.tool, wish.arguments) == ("check_order_status", {"order_number": "47129"})
            # The server refuses any signature but its own.
            history = [
                question,
                request(wish.id, wish.tool, wish.opaque, **wish.arguments),
                result(wish.id, status="sent"),
            ]
            assert said(await thoughts(brain, ask(*history, tools=[STATUS]))) == "It was sent."
            answer = server.requests[1].body["contents"][2]["parts"][0]["functionResponse"]
            assert answer == {"id": wish.id, "name": "check_order_status", "response": {"output": {"status": "sent"}}}

    asyncio.run(story())


@pytest.mark.parametrize("order", ["request request result result", "request result request result"])
def test_calls_made_at_once_stay_together_however_their_answers_came(order: str) -> None:
    async def story() -> None:
        calls = Calls([("check_order_status", {"order_number": "1"}), ("check_order_status", {"order_number": "2"})])
        async with talking_to_gemini([calls], [Text("Both were sent.")]) as (brain, server):
            question = caller("Where are my orders?")
            made = wishes(await thoughts(brain, ask(question)))
            waiting = {
                "request": [request(wish.id, wish.tool, wish.opaque, **wish.arguments) for wish in made],
                "result": [result(wish.id, status="sent") for wish in made],
            }
            history = [question, *(waiting[role].pop(0) for role in order.split())]
            assert said(await thoughts(brain, ask(*history))) == "Both were sent."
            assert [len(turn["parts"]) for turn in server.requests[1].body["contents"]] == [1, 2, 2]

    asyncio.run(story())


def test_one_call_after_the_other_stays_one_after_the_other() -> None:
    async def story() -> None:
        first, second = Calls([("find", {})], signature=b"one"), Calls([("book", {})], signature=b"two")
        async with talking_to_gemini([first], [second], [Text("Booked.")]) as (brain, server):
            history = [caller("Book it")]
            for _ in range(2):
                [wish] = wishes(await thoughts(brain, ask(*history)))
                history += [request(wish.id, wish.tool, wish.opaque), result(wish.id, done=True)]
            assert said(await thoughts(brain, ask(*history))) == "Booked."
            assert len(server.requests[2].body["contents"]) == 5

    asyncio.run(story())


def test_older_models_number_and_sign_no_calls() -> None:
    async def story() -> None:
        calls = Calls([("check_order_status", {}), ("check_order_status", {})], signature=None, ids=False)
        async with talking_to_gemini([calls], [Text("Both.")], model="gemini-2.5-flash") as (brain, server):
            one, other = wishes(await thoughts(brain, ask()))
            assert one.id != other.id
            history = [caller("Hi")]
            for wish in (one, other):
                history += [request(wish.id, wish.tool, wish.opaque), result(wish.id, done=True)]
            assert said(await thoughts(brain, ask(*history))) == "Both."
            assert "thoughtSignature" not in str(server.requests[1].body)

    asyncio.run(story())


def test_a_call_that_never_returned_is_told_as_of_unknown_outcome() -> None:
    body = asyncio.run(asked(ask(caller("Book it"), request("a", "book"), caller("Hello?"))))
    response = body["contents"][2]["parts"][0]["functionResponse"]["response"]
    assert "unknown" in response["error"]


# --- Gemini: what it takes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "  "])
def test_without_a_key_there_is_no_gemini(key: str) -> None:
    with pytest.raises(Unavailable, match="key"):
        GeminiBrain(key)


def test_without_its_packages_it_says_which_extra_to_install() -> None:
    program = """
import sys
sys.modules["google.genai"] = None  # as if it weren't installed
from adapters.gemini_brain import GeminiBrain
GeminiBrain("key")
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Unavailable: Gemini needs the `google` extra" in run.stderr


BROKEN = {
    "no contents": {"contents": []},
    "the model speaks first": {"contents": [{"role": "model", "parts": [{"text": "a"}]}]},
    "an unanswered call": {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "skip"}]},
            {"role": "user", "parts": [{"text": "b"}]},
        ]
    },
    "an unsigned call": {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ]
    },
    "an empty part": {"contents": [{"role": "user", "parts": [{"text": ""}]}]},
    "an unknown field": {"contents": [{"role": "user", "parts": [{"text": "a"}]}], "systemPrompt": {}},
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_the_fake_gemini_refuses_what_the_real_one_would(body: dict[str, Any]) -> None:
    assert list(complaints("gemini-3.8-flash", body, {}))
