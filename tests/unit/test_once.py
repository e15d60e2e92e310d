"""Acting tools act once per key, whatever happens between the effect and its record."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal

import pytest

from domain.once import KEPT, NotBegun, Once, decide
from domain.ports import Transaction, Unavailable
from schemas.effect import Effect
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes import virtual_time
from tests.fakes.lab import LoopClock
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW

CALL = ToolCall(id="1", tool="order", arguments={}, key="cnv_1:ask:1:ab")
IfUnknown = Literal["retry", "verify", "escalate"]


def tool(if_unknown: IfUnknown = "escalate") -> Tool:
    return Tool(name="order", description="", parameters={}, acts=True, if_unknown=if_unknown, verify="find_order")


class Shop:
    """What acts: it counts the orders that it has, by key."""

    def __init__(self, honours_keys: bool = False) -> None:
        self.orders: list[str] = []
        self.honours_keys = honours_keys
        self.takes_s = 1.0
        self.loses_answers = self.declines = self.breaks = self.cannot_be_asked = False
        self.asked = 0

    async def order(self, key: str) -> ToolResult:
        self.asked += 1
        await asyncio.sleep(self.takes_s / 2)
        if self.declines:
            return ToolResult(id="?", error="sold out")
        if not (self.honours_keys and key in self.orders):
            self.orders.append(key)
        await asyncio.sleep(self.takes_s / 2)
        if self.breaks:
            raise RuntimeError("a bug")
        if self.loses_answers:
            raise Unavailable("the answer was lost")
        return ToolResult(id="?", output={"order": len(self.orders)})

    async def find(self, key: str) -> ToolResult:
        if self.cannot_be_asked:
            raise Unavailable("it is down")
        if key in self.orders:
            return ToolResult(id="?", output={"order": 1})
        return ToolResult(id="?", error="no such order", absent=True)


class Process:
    """One of those that may run the tool. They share nothing but the documents."""

    def __init__(self, documents: MemoryDocuments, shop: Shop, if_unknown: IfUnknown = "escalate") -> None:
        self.once, self.shop, self.tool = Once(documents, LoopClock(NOW)), shop, tool(if_unknown)

    async def run(self, id: str = "1") -> ToolResult:
        call = CALL.model_copy(update={"id": id})
        order = lambda: self.shop.order(call.key)  # noqa: E731
        return await self.once.run("org_test", self.tool, call, order, lambda: self.shop.find(call.key))


def kept(documents: MemoryDocuments) -> Effect:
    [stored] = [each for path, each in documents.kept.items() if path.startswith("organisations/org_test/effects/")]
    return Effect.model_validate(stored)


def test_what_was_done_is_told_again_and_not_done_again() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        first = await Process(documents, shop).run()
        again = await Process(documents, shop).run("2")
        assert (first.output, again) == ({"order": 1}, ToolResult(id="2", output={"order": 1}))
        assert len(shop.orders) == 1
        effect = kept(documents)
        assert (effect.key, effect.tool, effect.state) == (CALL.key, "order", "done")
        assert effect.expires_at - effect.at == KEPT

    virtual_time.run(story())


def test_what_surely_was_not_done_may_be_tried_again() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        shop.declines = True
        assert (await Process(documents, shop).run()).error == "sold out"
        assert kept(documents).state == "failed"
        shop.declines = False
        assert (await Process(documents, shop).run()).output == {"order": 1}
        assert kept(documents).attempts == 2

    virtual_time.run(story())


@pytest.mark.parametrize("trouble", ["loses_answers", "breaks"])
def test_nobody_orders_twice_when_nobody_can_tell(trouble: str) -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        setattr(shop, trouble, True)
        for _ in range(2):
            with pytest.raises(Unavailable) as problem:
                await Process(documents, shop).run()
            assert not isinstance(problem.value, NotBegun)
        assert (shop.asked, kept(documents).state) == (1, "unknown")

    virtual_time.run(story())


def test_one_that_honours_the_key_is_simply_asked_again() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop(honours_keys=True)
        shop.loses_answers = True
        with pytest.raises(Unavailable):
            await Process(documents, shop, "retry").run()
        shop.loses_answers = False
        assert (await Process(documents, shop, "retry").run()).output == {"order": 1}
        assert (shop.asked, len(shop.orders)) == (2, 1)

    virtual_time.run(story())


def test_one_that_can_be_verified_is_looked_up() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        shop.loses_answers = True
        with pytest.raises(Unavailable):
            await Process(documents, shop, "verify").run()
        shop.cannot_be_asked = True
        with pytest.raises(Unavailable, match="down"):
            await Process(documents, shop, "verify").run()
        shop.cannot_be_asked = False
        assert (await Process(documents, shop, "verify").run()).output == {"order": 1}
        assert (shop.asked, kept(documents).state) == (1, "done")

    virtual_time.run(story())


def test_and_is_run_again_only_if_the_look_up_finds_nothing() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        shop.loses_answers = True
        with pytest.raises(Unavailable):
            await Process(documents, shop, "verify").run()
        shop.orders.clear()  # it never got that far
        shop.loses_answers = False
        assert (await Process(documents, shop, "verify").run()).output == {"order": 1}
        assert shop.asked == 2

    virtual_time.run(story())


def test_a_look_up_that_fails_otherwise_tells_nothing() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        shop.loses_answers = True
        process = Process(documents, shop, "verify")
        with pytest.raises(Unavailable):
            await process.run()

        async def misconfigured() -> ToolResult:
            return ToolResult(id="?", error="reference: is a required property")

        with pytest.raises(Unavailable, match="can't tell"):
            await process.once.run("org_test", process.tool, CALL, lambda: shop.order(CALL.key), misconfigured)
        assert shop.asked == 1

    virtual_time.run(story())


@pytest.mark.parametrize("if_unknown", ["retry", "verify", "escalate"])
def test_killed_anywhere_it_acts_once_at_most(if_unknown: IfUnknown) -> None:
    """Cancelled at every point where it waits, then asked again by another process."""

    async def story(at: int) -> bool:
        documents, shop = MemoryDocuments(), Shop(honours_keys=if_unknown == "retry")
        shop.takes_s = 0
        running = asyncio.ensure_future(Process(documents, shop, if_unknown).run())
        for _ in range(at):
            if running.done():
                break
            await asyncio.sleep(0)
        died = not running.done()
        running.cancel()
        await asyncio.wait([running])
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # a process that dies records nothing any more
            await asyncio.wait([task])
        acted = bool(shop.orders)
        try:
            result = await Process(documents, shop, if_unknown).run()
            assert result.output == {"order": 1}
        except Unavailable:
            assert if_unknown == "escalate"
            assert len(shop.orders) == acted
        assert len(shop.orders) <= 1
        return died

    async def all_points() -> int:
        at = 0
        while await story(at):
            at += 1
        return at

    assert virtual_time.run(all_points()) >= 8


@pytest.mark.parametrize("if_unknown", ["retry", "verify", "escalate"])
def test_killed_between_the_effect_and_its_record(if_unknown: IfUnknown) -> None:
    class Dying(MemoryDocuments):
        acted = False

        async def transact(self, body: Callable[[Transaction], Awaitable[Any]]) -> Any:
            if self.acted:
                await asyncio.Event().wait()
            return await super().transact(body)

    async def story() -> None:
        documents, shop = Dying(), Shop(honours_keys=if_unknown == "retry")

        async def act() -> ToolResult:
            result = await shop.order(CALL.key)
            documents.acted = True
            return result

        process = Process(documents, shop, if_unknown)
        running = asyncio.ensure_future(
            process.once.run("org_test", process.tool, CALL, act, lambda: shop.find(CALL.key))
        )
        while not documents.acted:
            await asyncio.sleep(0.1)
        everything = asyncio.all_tasks() - {asyncio.current_task()}
        for task in everything:
            task.cancel()
        await asyncio.wait(everything)
        assert running.cancelled()
        documents.acted = False  # the store itself lives
        assert kept(documents).state == "intended"
        again = Process(documents, shop, if_unknown)
        if if_unknown == "escalate":
            with pytest.raises(Unavailable, match="nobody can tell"):
                await again.run()
        else:
            assert (await again.run()).output == {"order": 1}
        assert len(shop.orders) == 1

    virtual_time.run(story())


@pytest.mark.parametrize("if_unknown", ["retry", "verify", "escalate"])
def test_of_two_who_ask_at_once_only_one_has_the_effect(if_unknown: IfUnknown) -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop(honours_keys=if_unknown == "retry")
        both = [Process(documents, shop, if_unknown).run(), Process(documents, shop, if_unknown).run()]
        results = await asyncio.gather(*both)
        assert [result.output for result in results] == [{"order": 1}] * 2  # the second waits for what the first finds
        assert len(shop.orders) == 1

    virtual_time.run(story())


def test_of_two_who_verify_at_once_only_one_runs_it_again() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        shop.loses_answers = True
        with pytest.raises(Unavailable):
            await Process(documents, shop, "verify").run()
        shop.orders.clear()
        shop.loses_answers = False
        await asyncio.gather(*(Process(documents, shop, "verify").run() for _ in range(3)))
        assert len(shop.orders) == 1

    virtual_time.run(story())


def test_what_was_looked_up_says_nothing_of_an_attempt_that_came_after() -> None:
    """While one still looks it up, another has, and has tried again: and that attempt's answer was lost, too."""

    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        shop.loses_answers = True
        with pytest.raises(Unavailable):
            await Process(documents, shop, "verify").run()
        shop.orders.clear()
        slow, fast = Process(documents, shop, "verify"), Process(documents, shop, "verify")

        async def find_slowly() -> ToolResult:
            found = await shop.find(CALL.key)
            await asyncio.sleep(10)
            return found

        looking = asyncio.ensure_future(
            slow.once.run("org_test", slow.tool, CALL, lambda: shop.order(CALL.key), find_slowly)
        )
        await asyncio.sleep(1)
        with pytest.raises(Unavailable):
            await fast.run()
        assert (await looking).output == {"order": 1}
        assert len(shop.orders) == 1

    virtual_time.run(story())


def test_without_its_intent_stored_nothing_is_done() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        documents.failing = True
        with pytest.raises(NotBegun, match="order was not run"):
            await Process(documents, shop).run()
        assert shop.asked == 0

    virtual_time.run(story())


def test_a_result_is_told_though_it_can_t_be_stored_and_is_stored_later() -> None:
    async def story() -> None:
        documents, shop = MemoryDocuments(), Shop()
        process = Process(documents, shop)
        running = asyncio.ensure_future(process.run())
        await asyncio.sleep(0.7)
        documents.failing = True
        began = asyncio.get_running_loop().time()
        assert (await running).output == {"order": 1}
        assert asyncio.get_running_loop().time() - began < 1, "it doesn't wait for the store"
        documents.failing = False
        async with process.once:  # leaving waits
            pass
        assert kept(documents).state == "done"

    virtual_time.run(story())


def test_decisions() -> None:
    def effect(state: str, until_s: int = 5) -> Effect:
        until = NOW + timedelta(seconds=until_s)
        return Effect.model_validate(
            {"key": "k", "tool": "t", "state": state, "at": NOW, "until": until, "attempts": 1, "expires_at": NOW}
        )

    known = {"none": None, "failed": effect("failed"), "done": effect("done"), "unknown": effect("unknown")}
    known |= {"under way": effect("intended"), "given up": effect("intended", -1)}
    table = {
        name: [decide(each, tool(how), NOW) for how in ("retry", "verify", "escalate")] for name, each in known.items()
    }  # type: ignore[arg-type]
    assert table == {
        "none": ["act"] * 3,
        "failed": ["act"] * 3,
        "done": ["tell"] * 3,
        "under way": ["act", "wait", "wait"],
        "unknown": ["act", "verify", "escalate"],
        "given up": ["act", "verify", "escalate"],
    }
