"""Which prompts' beginnings Gemini keeps for us, from when on, and what happens when it doesn't any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.gemini_brain import GeminiBrain
from adapters.gemini_caches import WORTH
from domain.ports import Prompt, Usage, Words
from schemas.remark import Remark
from schemas.tool import Tool
from tests.fakes import virtual_time
from tests.fakes.gemini_server import (
    KEY,
    LOCATION,
    PROJECT,
    TOKEN,
    GeminiServer,
    Refusal,
    Text,
)

AGENT = "You are the booking desk of a dentist. " * 500
LONG = f"{AGENT}\n\nYou are on the phone."
STATUS = Tool(
    name="check_order_status",
    description="Where an order is.",
    parameters={"type": "object", "properties": {"number": {"type": "string"}}},
)


@asynccontextmanager
async def thinking(
    worth: int = 3, steady_s: float = 0, **vertex: Any
) -> AsyncIterator[tuple[GeminiBrain, GeminiServer]]:
    """With a brain that finds a cache worth its while soon."""
    async with GeminiServer(vertex=bool(vertex)) as server:
        server.will_answer([Text("Which day?")])
        async with GeminiBrain(**(vertex or {"api_key": KEY}), base_url=server.url) as brain:
            brain._caches._worth, brain._caches._steady_s = worth, steady_s
            yield brain, server


async def ask(brain: GeminiBrain, minute: int, system: str = LONG, tool: Tool = STATUS, **more: Any) -> Usage:
    prompt = Prompt(f"{system}\n\nIt is 10:{minute:02}.", [Remark(role="caller", text="Hello")], [tool], **more)
    answer = [thought async for thought in brain.think(prompt)]
    assert [word for word in answer if isinstance(word, Words)] == [Words("Which day?")]
    spent = [usage for usage in answer if isinstance(usage, Usage)]
    return Usage(sum(usage.prompt for usage in spent), cached=sum(usage.cached for usage in spent))


async def ask_until_cached(brain: GeminiBrain, server: GeminiServer) -> None:
    for minute in range(4):
        await ask(brain, minute)
    await asyncio.wait_for(server.caching.wait(), 10)
    await settled(brain)


async def settled(brain: GeminiBrain) -> None:
    """Every cache that was to be made is made, or was refused."""
    await asyncio.gather(*brain._caches._making)


def test_what_prompts_begin_with_is_kept_once_that_pays() -> None:
    async def story() -> None:
        async with thinking() as (brain, server):
            await ask_until_cached(brain, server)
            [cache] = server.caches.values()
            text = cache.body["systemInstruction"]["parts"][0]["text"]
            assert text.startswith(LONG)
            assert "10:" not in text
            assert [f["name"] for tool in cache.body["tools"] for f in tool["functionDeclarations"]] == [
                "check_order_status"
            ]
            usage = await ask(brain, 9)
            assert usage.cached > 4096
            body = server.requests[-1].body
            assert body["cachedContent"] == cache.name
            assert not {"systemInstruction", "tools"} & body.keys()
            assert server.requests[-1].texts == ["It is 10:09.", "Understood.", "Hello"]

    asyncio.run(story())


def test_vertex_keeps_them_too() -> None:
    from google.oauth2.credentials import Credentials

    async def story() -> None:
        credentials = Credentials(token=TOKEN)  # type: ignore[no-untyped-call]
        async with thinking(project=PROJECT, location=LOCATION, credentials=credentials) as (brain, server):
            await ask_until_cached(brain, server)
            assert (await ask(brain, 9)).cached > 4096

    asyncio.run(story())


def test_nobody_waits_for_a_cache() -> None:
    async def story() -> None:
        async with thinking() as (brain, server):
            server.caches_may_be_made.clear()
            for minute in range(8):
                await ask(brain, minute)
            await asyncio.wait_for(server.caching.wait(), 10)
            await ask(brain, 9)
            assert all("cachedContent" not in request.body for request in server.requests)
            server.caches_may_be_made.set()
            await settled(brain)
            await ask(brain, 10)
            assert "cachedContent" in server.requests[-1].body
            assert len(server.caches) == 1

    asyncio.run(story())


def test_leaving_abandons_a_cache_that_is_being_made() -> None:
    async def story() -> None:
        async with GeminiServer() as server:
            server.will_answer([Text("Which day?")])
            server.caches_may_be_made.clear()
            before = asyncio.all_tasks()
            async with GeminiBrain(KEY, base_url=server.url) as brain:
                brain._caches._worth, brain._caches._steady_s = 3, 0
                for minute in range(5):
                    await ask(brain, minute)
                await asyncio.wait_for(server.caching.wait(), 10)
            assert not [task for task in asyncio.all_tasks() - before if "GeminiCaches" in repr(task)]
            server.caches_may_be_made.set()

    asyncio.run(story())


NOT_WORTH_IT: dict[str, dict[str, Any]] = {
    "too short": {"system": "You take bookings."},
    "never the same": {"system": "{minute} " + LONG},
    "a model without caches": {"model": "gemini-2.0-flash"},
    "a beginning that was the same for a minute only": {"steady_s": 60.0},
    "too few calls": {"worth": 100},
}


@pytest.mark.parametrize("case", NOT_WORTH_IT.values(), ids=NOT_WORTH_IT.keys())
def test_none_is_made_that_does_not_pay(case: dict[str, Any]) -> None:
    async def story() -> None:
        more = dict(case)
        system = more.pop("system", LONG)
        limits = {name: more.pop(name) for name in ("worth", "steady_s") if name in more}
        async with thinking(**limits) as (brain, server):
            for minute in range(8):
                await ask(brain, minute, system.replace("{minute}", str(minute)), **more)
            await settled(brain)
            assert not server.caching.is_set()

    asyncio.run(story())


def test_older_models_need_fewer_words() -> None:
    async def story() -> None:
        async with thinking() as (brain, server):
            for minute in range(4):
                await ask(brain, minute, "You take bookings. " * 500, model="gemini-2.5-flash")
            await settled(brain)
            assert len(server.caches) == 1

    asyncio.run(story())


def test_what_gemini_caches_by_itself_is_not_cached_again() -> None:
    async def story() -> None:
        async with thinking() as (brain, server):
            server.cached_by_itself = 5000
            for minute in range(8):
                await ask(brain, minute)
            await settled(brain)
            assert not server.caching.is_set()

    asyncio.run(story())


def test_calls_of_one_version_share_a_cache_and_other_tools_have_another() -> None:
    other = Tool(name="hang_up", description="They said goodbye.", parameters={"type": "object", "properties": {}})

    async def story() -> None:
        async with thinking() as (brain, server):
            for minute in range(8):
                await asyncio.gather(ask(brain, minute), ask(brain, minute), ask(brain, minute, tool=other))
                await settled(brain)
            assert len(server.caches) == 2

    asyncio.run(story())


def test_a_cache_that_vanished_costs_one_more_request_and_is_made_again() -> None:
    async def story() -> None:
        async with thinking() as (brain, server):
            await ask_until_cached(brain, server)
            server.caches.clear()
            before = len(server.requests)
            await ask(brain, 9)
            assert len(server.requests) == before + 2
            await ask_until_cached(brain, server)
            assert (await ask(brain, 10)).cached > 4096

    asyncio.run(story())


def test_what_pays_shows_in_an_hour_whatever_the_night_was_like() -> None:
    server = GeminiServer()
    server.will_answer([Text("Which day?")])

    async def until_cached(brain: GeminiBrain) -> int:
        """How many requests it takes, one a minute."""
        for asked in range(100):
            if (await ask(brain, asked)).cached > 4096:
                return asked
            await asyncio.sleep(60)
        raise AssertionError("never")

    async def seldom(brain: GeminiBrain) -> None:
        for asked in range(100):
            assert (await ask(brain, asked)).cached < 4096
            await asyncio.sleep(3600 / (WORTH - 2))

    async def story() -> None:
        async with GeminiBrain(KEY, base_url="http://gemini") as brain:
            assert await until_cached(brain) == WORTH + 1  # the first two tell what they have in common
            await asyncio.sleep(8 * 3600)
            assert await until_cached(brain) == WORTH
            await asyncio.sleep(3600)
            await seldom(brain)
            assert len(server.caches) == 2

    with server.on_paper():
        virtual_time.run(story())


def test_one_that_gemini_refuses_to_make_is_not_asked_for_again_and_again() -> None:
    async def story() -> None:
        async with thinking() as (brain, server):
            server.refuses = Refusal(429, "RESOURCE_EXHAUSTED")
            await ask_until_cached(brain, server)
            server.caching.clear()
            for minute in range(8):
                await ask(brain, minute)
            await settled(brain)
            assert not server.caching.is_set()

    asyncio.run(story())
