"""Calls with the order desk: look-ups, keys."""

from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold


def test_an_order_is_looked_up() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("my order")
        await caller.listens()
        await caller.says("four seven one two nine")
        await caller.listens()
        await caller.says("no thank you")

    lab = hold(story, agent="orders")
    assert "Order 4 7 1 2 9 left our warehouse this morning and arrives tomorrow." in lab.dialogue()
    assert lab.dialogue().endswith("agent: Thank you for calling. Goodbye.")
    assert [turn.tools for turn in lab.turns() if turn.tools] == [("check_order_status",)]


def test_an_item_s_stock_is_looked_up_and_the_caller_may_go_on() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("the stock")
        await caller.listens()
        await caller.says("a blue kettle")
        await caller.listens()
        await caller.says("yes")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story, agent="orders")
    assert "We have 12 of the blue kettle in stock." in lab.dialogue()
    assert lab.dialogue().endswith("Is it about an order, or whether something is in stock?")


def test_an_order_that_is_not_there_is_spoken_about() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("my order")
        await caller.listens()
        await caller.says("one one one one one")
        await caller.listens()
        await caller.says("no")

    lab = hold(story, agent="orders")
    assert "I can't find an order 1 1 1 1 1." in lab.dialogue()


def test_keys_answer_too() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.presses("1")
        await caller.listens()
        caller.presses("47129")
        await caller.listens()
        caller.presses("2")

    lab = hold(story, agent="orders")
    assert [turn.keys for turn in lab.turns()] == ["", "1", "47129", "2"]
    assert "Order 4 7 1 2 9 left our warehouse" in lab.dialogue()
    assert lab.outcomes[0].act is not None
    assert lab.outcomes[0].act.outcome == "answered"


def test_a_key_interrupts_and_the_number_may_come_slowly() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.until_agent_speaks(ms=700)
        caller.presses("1")
        await caller.listens()
        caller.presses("471")
        caller.presses("29")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story, agent="orders")
    assert lab.turns()[0].interrupted
    assert lab.turns()[0].agent == "Kettle and"
    assert "Order 4 7 1 2 9 left our warehouse" in lab.dialogue()


def test_too_few_keys_are_asked_for_again() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.presses("1")
        await caller.listens()
        caller.presses("47")
        await caller.listens()
        caller.hangs_up()

    lab = hold(story, agent="orders")
    assert lab.turns()[-1].keys == "47"
    assert "please say the five digits one by one" in lab.dialogue()
