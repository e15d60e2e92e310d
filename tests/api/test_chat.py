"""Typed conversations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from adapters.offline_brain import OfflineBrain
from domain.fallback import FallbackBrain, Provider
from domain.ports import Brain, Document, Ports, Prompt, Thought, Transaction, Unavailable, Usage, Words
from functions.admin.app import app
from functions.chat import Busy, Chat, chat_again, chat_with
from offhook.seed import ORGANISATION, seed
from schemas import signals as s
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import StoppedClock, paper_ports

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
        said = [sentence async for sentence in chat.open()]
        for line in lines:
            said += [sentence async for sentence in chat.say(line)]
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
        assert [sentence async for sentence in chat.open()]
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
        if not self.forgot and any("/appointments/" in path for path in self.kept):
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
    said, _, ports = chat("purple", "thursday", brain=brain)
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


# --- over the API, one process after another ---


def api(*requests: tuple[str, str, dict[str, Any]], accept: str = "", **parts: Any) -> tuple[list[Response], Ports]:
    """The answers to these requests; `{id}` in a path is the first conversation that was begun."""
    ports = paper_ports(**parts)
    asyncio.run(seed(ports))

    async def get_ports() -> Ports:
        return ports

    client = TestClient(app(get_ports), headers={"Authorization": "Bearer owner", "Accept": accept or "*/*"})
    answers: list[Response] = []
    id = ""
    for method, path, body in requests:
        answer = client.request(method, f"/api/v1{path.format(id=id)}", json=body)
        answers.append(answer)
        if not id and answer.status_code == 201 and not accept:
            id = answer.json()["conversation"]["id"]
    return answers, ports


BEGIN = ("POST", "/conversations", {"agent": "agt_demo_booking"})


def says(text: str) -> tuple[str, str, dict[str, Any]]:
    return ("POST", "/conversations/{id}/messages", {"text": text})


def test_each_line_is_a_request_of_its_own_and_the_conversation_goes_on() -> None:
    answers, ports = api(BEGIN, says("next tuesday"), says("half past two"), says("yes"), says("hello?"))
    begun, asked, confirmed, booked, late = answers
    assert begun.json()["sentences"] == ["Thank you for calling Willow Dental.", "What day would you like to come in?"]
    assert asked.json()["sentences"] == ["What time would suit you?"]
    assert confirmed.json()["conversation"]["variables"]["time"] == "14:30"
    assert booked.json()["conversation"]["state"] == "ended"
    assert booked.json()["conversation"]["outcome"] == "booked"
    assert (late.status_code, late.json()["code"]) == (409, "conversation_ended")
    documents: Any = ports.documents
    assert len([path for path in documents.kept if "/appointments/" in path]) == 1


def test_an_answer_comes_sentence_by_sentence_to_who_wants_it_so() -> None:
    [begun], _ = api(BEGIN, accept="text/event-stream")
    assert begun.headers["content-type"].startswith("text/event-stream")
    events = [line for line in begun.text.splitlines() if line]
    assert events[:4] == [
        "event: sentence",
        'data: {"text": "Thank you for calling Willow Dental."}',
        "event: sentence",
        'data: {"text": "What day would you like to come in?"}',
    ]
    assert events[4] == "event: conversation"


def test_the_caller_may_leave_twice() -> None:
    end = ("POST", "/conversations/{id}/end", {})
    answers, _ = api(BEGIN, end, end)
    assert [answer.json().get("outcome") for answer in answers[1:]] == ["caller_left", "caller_left"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (("POST", "/conversations", {"agent": "agt_nobody"}), 422, "agent_unknown"),
        (("POST", "/conversations", {"agent": "../x"}), 422, "agent_unknown"),
        (("POST", "/conversations", {}), 422, "invalid"),
        (("POST", "/conversations", {"agent": "agt_demo_booking", "organisation": "org_x"}), 422, "invalid"),
        (("POST", "/conversations/cnv_nothing/messages", {"text": "hello"}), 404, "not_found"),
        (says(""), 422, "invalid"),
        (says("   "), 422, "invalid"),
        (says("x" * 4001), 422, "invalid"),
    ],
)
def test_bad_requests_are_named(request_: tuple[str, str, dict[str, Any]], status: int, code: str) -> None:
    answers, _ = api(BEGIN, request_)
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (status, code)


def test_a_phone_call_is_no_chat() -> None:
    stored = {"id": "cnv_phone", "organisation": ORGANISATION, "agent": "a", "version": 1, "channel": "phone"}
    documents = MemoryDocuments()
    documents.kept[f"organisations/{ORGANISATION}/conversations/cnv_phone"] = stored
    [answer], _ = api(("POST", "/conversations/cnv_phone/messages", {"text": "hello"}), documents=documents)
    assert answer.status_code == 404


def test_two_lines_at_once_are_answered_one_after_the_other() -> None:
    async def talk() -> list[str]:
        ports = paper_ports()
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        assert [sentence async for sentence in chat.open()]
        first, second = [await chat_again(ports, ORGANISATION, chat.stored.id) for _ in range(2)]
        assert first is not None
        assert second is not None
        told = [sentence async for sentence in first.say("next tuesday")]
        with pytest.raises(Busy):
            told += [sentence async for sentence in second.say("next friday")]
        return told

    assert asyncio.run(talk()) == ["What time would suit you?"]


def test_a_line_whose_process_died_is_not_lost_but_answered_with_the_next() -> None:
    async def talk() -> list[str]:
        clock = StoppedClock()
        ports = paper_ports(clock=clock)
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        assert [sentence async for sentence in chat.open()]
        dying = await chat_again(ports, ORGANISATION, chat.stored.id)
        assert dying is not None
        await dying._claim([s.Typed(at=1000, text="next tuesday")])  # and no more
        with pytest.raises(Busy):
            await chat_again(ports, ORGANISATION, chat.stored.id)
        clock.time += timedelta(minutes=2)
        later = await chat_again(ports, ORGANISATION, chat.stored.id)
        assert later is not None
        return [sentence async for sentence in later.say("half past two")]

    assert asyncio.run(talk()) == [
        "Sorry about that, where were we?",
        "What time would suit you?",
        "That is Tuesday the 24th of November at 2:30 PM. Shall I book it?",
    ]


def test_a_card_number_that_is_typed_is_kept_nowhere() -> None:
    _, ports = api(BEGIN, says("my card is 4111 1111 1111 1111"))
    documents: Any = ports.documents
    assert "4111" not in str(documents.kept)
    assert "[card number]" in str(documents.kept)


def test_a_card_number_that_is_typed_in_several_lines_is_not_kept_whole() -> None:
    _, ports = api(BEGIN, says("4111"), says("2222"), says("3333"), says("4444"))
    documents: Any = ports.documents
    assert "2222" in str(documents.kept)
    assert "3333" not in str(documents.kept)
    assert "4444" not in str(documents.kept)


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
        assert [sentence async for sentence in chat.open()]

        async def say() -> list[str]:
            return [sentence async for sentence in chat.say("purple")]

        saying = asyncio.create_task(say())
        await brain.begun.wait()
        saying.cancel()
        await asyncio.wait([saying])
        await chat.hang_up()
        documents: Any = ports.documents
        turn = [d for path, d in sorted(documents.kept.items()) if "/turns/" in path][-1]
        return turn["prompt_tokens"], turn["reply_tokens"]

    assert asyncio.run(talk()) == (40, 3)
