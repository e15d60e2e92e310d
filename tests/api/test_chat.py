"""Typed conversations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from adapters.offline_brain import OfflineBrain
from domain.fallback import FallbackBrain, Provider
from domain.ports import Brain, Document, Ports, Prompt, Thought, Transaction, Unavailable, Usage, Words
from functions.chat import Chat, chat_with
from offhook.seed import ORGANISATION, seed
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import paper_ports

T = TypeVar("T")


def chat(
    *lines: str, agent: str = "agt_demo_booking", providers: Document | None = None, **parts: Any
) -> tuple[list[str], Chat, Ports]:
    """What the agent said to these lines, the chat, and where it was kept. `parts` are ports of another kind."""

    async def talk() -> tuple[list[str], Chat, Ports]:
        ports = paper_ports(**parts)
        await seed(ports)
        if providers:
            path = f"organisations/{ORGANISATION}/agents/{agent}/versions/1"
            await ports.documents.put(path, {**(await ports.documents.get(path) or {}), "providers": providers})
        chat = await chat_with(ports, ORGANISATION, agent)
        assert chat is not None
        said = await chat.open()
        for line in lines:
            said += await chat.say(line)
        return said, chat, ports

    return asyncio.run(talk())


def kept(ports: Ports) -> dict[str, Any]:
    documents: Any = ports.documents
    [conversation] = [d for path, d in documents.kept.items() if path.split("/")[-2:-1] == ["conversations"]]
    return conversation  # type: ignore[no-any-return]


def test_the_booking_conversation_typed() -> None:
    said, talk, ports = chat("next tuesday", "half past two", "no, on thursday", "yes")
    assert said[-1].startswith("You are booked for Thursday the 26th of November at 2:30 PM.")
    assert talk.outcome is not None
    conversation = kept(ports)
    assert (conversation["channel"], conversation["state"], conversation["outcome"]) == ("chat", "ended", "booked")
    documents: Any = ports.documents
    turns = [d["caller"] for path, d in sorted(documents.kept.items()) if "/turns/" in path]
    assert turns == ["", "next tuesday", "half past two", "no, on thursday", "yes"]
    [appointment] = [d for path, d in documents.kept.items() if "/appointments/" in path]
    assert appointment["conversation"] == conversation["id"]


def test_a_single_digit_is_a_key_where_keys_are_offered() -> None:
    said, _, _ = chat("1", "47129", "2", agent="agt_demo_orders")
    assert any(line.startswith("Order 4 7 1 2 9 left our warehouse") for line in said)
    assert said[-1] == "Thank you for calling. Goodbye."


def test_nonsense_ends_with_a_person() -> None:
    _, talk, _ = chat("purple", "green", "blue")
    assert getattr(talk.outcome, "number", "") == "+15005550199"


def test_a_caller_who_leaves_is_written_down() -> None:
    async def talk() -> str:
        ports = paper_ports()
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        await chat.open()
        await chat.hang_up()
        return str(kept(ports)["outcome"])

    assert asyncio.run(talk()) == "caller_left"


class Forgetful(MemoryDocuments):
    """A store that books and loses its answer, once."""

    def __init__(self) -> None:
        super().__init__()
        self.forgot = False

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        result = await super().transact(body)
        if not self.forgot:
            self.forgot = True
            raise Unavailable("the answer was lost")
        return result


def test_a_booking_whose_answer_was_lost_is_not_called_a_failure() -> None:
    documents = Forgetful()
    said, _, _ = chat("next tuesday", "half past two", "yes", documents=documents)
    assert documents.forgot
    assert said[-1].startswith("You are booked for Tuesday the 24th of November at 2:30 PM.")
    assert len([path for path in documents.kept if "/appointments/" in path]) == 1


class Broken:
    """A model that is away."""

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        raise Unavailable("it is away")
        yield


def test_what_fell_back_is_written_down() -> None:
    brain = FallbackBrain([Provider[Brain]("first", Broken()), Provider[Brain]("second", OfflineBrain())])
    said, _, ports = chat("purple", "tomorrow", brain=brain)
    assert said[-1] == "What time would suit you?"
    documents: Any = ports.documents
    turns = [d["fell_back"] for path, d in sorted(documents.kept.items()) if "/turns/" in path]
    assert turns == [[], ["brain: second instead of first"], []]


def test_an_agent_s_own_choice_of_providers_holds_in_a_chat() -> None:
    brain = FallbackBrain([Provider[Brain]("first", Broken()), Provider[Brain]("second", OfflineBrain())])
    _, _, ports = chat("purple", brain=brain, providers={"brain": ["second"]})
    documents: Any = ports.documents
    assert [d["fell_back"] for path, d in documents.kept.items() if "/turns/" in path] == [[], []]


def test_an_agent_that_is_not_there_is_none() -> None:
    async def ask(agent: str) -> Chat | None:
        ports = paper_ports()
        await seed(ports)
        return await chat_with(ports, ORGANISATION, agent)

    assert asyncio.run(ask("agt_nobody")) is None
    assert asyncio.run(ask("../x")) is None


class Slow:
    """A model that has told what it cost, and takes for ever over its words."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        yield Usage(prompt=40, reply=3)
        self.begun.set()
        await asyncio.Event().wait()
        yield Words("Never said.")


def test_an_answer_that_the_caller_does_not_wait_for_costs_what_was_told_by_then() -> None:
    async def talk() -> tuple[int, int]:
        brain = Slow()
        ports = paper_ports(brain=brain)
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        await chat.open()
        saying = asyncio.create_task(chat.say("purple"))
        await brain.begun.wait()
        saying.cancel()
        await asyncio.wait([saying])
        await chat.hang_up()
        documents: Any = ports.documents
        turn = [d for path, d in sorted(documents.kept.items()) if "/turns/" in path][-1]
        return turn["prompt_tokens"], turn["reply_tokens"]

    assert asyncio.run(talk()) == (40, 3)
