"""Typed conversations."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from httpx2 import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from adapters.offline_brain import OfflineBrain
from domain.conversation import Conversation
from domain.ended import ENDED
from domain.fallback import FallbackBrain, Provider
from domain.past import batch, batch_path, path_of
from domain.ports import Brain, Document, Event, Ports, Prompt, Thought, Transaction, Unavailable, Usage, Words
from domain.state import State
from domain.team import versions_of
from domain.turn import Phase
from functions.admin.app import app
from functions.analyse import analyse
from functions.chat import Busy, Chat, chat_again, chat_with
from offhook.seed import ORGANISATION, seed
from schemas import signals as s
from schemas.conversation import Conversation as Stored
from schemas.organisation import Organisation
from schemas.signals import SIGNALS
from tests.fakes import virtual_time
from tests.fakes.lab import LoopClock
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW, MemoryBus, StoppedClock, paper_ports

T = TypeVar("T")


def chat(
    *lines: str, agent: str = "agt_demo_booking", changes: Document | None = None, **parts: Any
) -> tuple[list[str], Chat, Ports]:
    """What the agent said to these lines, the chat, and where it was kept. `changes` are those of its version, `parts`
    ports of another kind."""

    async def talk() -> tuple[list[str], Chat, Ports]:
        ports = paper_ports(**parts)
        await seed(ports)
        await change(ports, agent, **(changes or {}))
        chat = await chat_with(ports, ORGANISATION, agent)
        assert chat is not None
        said = [sentence async for sentence in chat.open()]
        for line in lines:
            said += [sentence async for sentence in chat.say(line)]
        return said, chat, ports

    return asyncio.run(talk())


def flow(*nodes: Document) -> Document:
    """It greets the caller, and goes on at `t`."""
    begin = {"id": "s", "type": "start", "say": "Hello.", "edges": [{"to": "t"}]}
    kinds = [
        {"name": "ok", "kind": "yes_no"},
        {"name": "pin", "kind": "digits", "digits": [4, 6], "ask": "And the number?"},
        {"name": "size", "kind": "choice", "choices": [{"value": "small"}, {"value": "large"}]},
        {"name": "day", "kind": "date"},
    ]
    return {"start": "s", "variables": kinds, "nodes": [begin, *nodes]}


async def change(ports: Ports, agent: str, **changes: Any) -> None:
    """Its version as it is to be."""
    path = f"organisations/{ORGANISATION}/agents/{agent}/versions/1"
    await ports.documents.put(path, {**(await ports.documents.get(path) or {}), **changes})


def turns(ports: Ports) -> list[Document]:
    documents: Any = ports.documents
    return [d for path, d in sorted(documents.kept.items()) if "/turns/" in path]


class Died(Exception):
    """The process is gone."""


class Mortal(MemoryDocuments):
    """A store of processes that die: the next one as soon as a line with these words is kept."""

    dies_over = ""

    async def create(self, path: str, document: Document) -> None:
        await super().create(path, document)
        if self.dies_over and self.dies_over in str(document):
            self.dies_over = ""
            raise Died


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


def test_nobody_can_be_put_through_so_the_flow_goes_on_as_if_nobody_had_answered() -> None:
    said, _, ports = chat("purple", "green", "blue")
    assert said[-2:] == [
        "I'll put you through to a colleague.",
        "I'm sorry, nobody is free right now. Please call again later. Goodbye.",
    ]
    assert kept(ports)["outcome"] == "nobody_free"


def test_or_the_caller_is_told_the_number() -> None:
    said, talk, ports = chat(changes={"flow": flow({"id": "t", "type": "transfer"})})
    assert said[-1] == "You can reach them at +15005550199."
    assert getattr(talk.outcome, "number", "") == "+15005550199"
    assert kept(ports)["outcome"] == "referred"
    assert turns(ports)[-1]["agent"].endswith("You can reach them at +15005550199.")


def test_a_flow_that_goes_from_transfer_to_transfer_comes_to_an_end() -> None:
    back = {"to": "t", "when": "event", "condition": "failed"}
    said, _, ports = chat(changes={"flow": flow({"id": "t", "type": "transfer", "edges": [back]})})
    assert said[-1] == "You can reach them at +15005550199."
    assert kept(ports)["outcome"] == "referred"


def test_a_key_is_all_that_is_typed_though_more_might_come() -> None:
    asking = {"id": "t", "type": "conversation", "say": "Shall I?", "collect": ["ok", "pin"], "edges": [{"to": "end"}]}
    said, _, ports = chat("1", changes={"flow": flow({**asking, "retries": ["Pardon?"]}, {"id": "end", "type": "end"})})
    assert kept(ports)["variables"]["ok"] is True
    assert said[-1] == "And the number?"


WORDS = ["1", "2", "9", "#", "0", "yes", "no", "next tuesday", "47129", "12", "half past two", "a person", "goodbye", "?",
         "appointments", "the front desk", "cancel", "1234"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    st.sampled_from(["collects", "collects", "collects", "agt_demo_booking", "agt_demo_orders", "agt_demo_reception"]),
    st.permutations(["ok", "pin", "size", "day"]),
)
def test_whatever_is_typed_it_is_the_caller_s_turn_then_or_over(lines: list[str], who: str, asks: list[str]) -> None:
    async def talk() -> None:
        ports = paper_ports()
        await seed(ports)
        agent = "agt_demo_booking" if who == "collects" else who
        if who == "collects":
            asking = {"id": "t", "type": "conversation", "say": "Well?", "collect": asks, "edges": [{"to": "end"}]}
            await change(ports, agent, flow=flow({**asking, "retries": ["Pardon?"]}, {"id": "end", "type": "end"}))
        chat = await chat_with(ports, ORGANISATION, agent)
        assert chat is not None
        assert [sentence async for sentence in chat.open()]
        for line in lines:
            async for _ in chat.say(line):
                pass
            over = chat.stored.state == "ended"
            assert chat._conversation.state.phase is (Phase.GONE if over else Phase.LISTENING)
            assert await folded(ports, chat.stored) == chat._conversation.state
            if over:
                return

    asyncio.run(talk())


async def folded(ports: Ports, stored: Stored) -> State:
    """What all the signals of its journal come to."""
    root = f"organisations/{ORGANISATION}"
    versions = await versions_of(ports.documents, root, {**stored.team, stored.agent: stored.version})
    organisation = Organisation.model_validate(await ports.documents.get(root))
    tools = await ports.tools.offered(organisation)
    conversation = Conversation(stored.id, organisation, versions[stored.agent], tools, None, versions)
    documents: Any = ports.documents
    for path, document in sorted(documents.kept.items()):
        if path.startswith(f"{path_of(ORGANISATION, stored.id)}/journal/"):
            conversation.fold(SIGNALS.validate_json(document["signals"]))
    return conversation.state


@pytest.mark.parametrize("outcome", ["booked", "caller_left"])
def test_whoever_makes_something_of_a_conversation_s_end_is_told(outcome: str) -> None:
    lines = ("next tuesday", "half past two", "yes") if outcome == "booked" else ()
    _, talk, ports = chat(*lines)
    bus: Any = ports.bus
    if outcome == "caller_left":
        assert bus.events == {}
        asyncio.run(talk.hang_up())
    event = bus.events[f"{talk.stored.id}.ended"]
    assert (event.topic, event.body) == (ENDED, {"organisation": ORGANISATION, "conversation": talk.stored.id})
    asyncio.run(analyse(ports, event))
    assert kept(ports)["report"]["turns"] == len(lines)


def test_they_are_told_when_the_caller_leaves_again_if_that_was_not_possible_at_first() -> None:
    class Deaf(MemoryBus):
        deaf = True

        async def publish(self, event: Event) -> None:
            if self.deaf:
                raise Unavailable("the bus is down")
            await super().publish(event)

    async def talk() -> None:
        ports = paper_ports(bus=(bus := Deaf()))
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        with pytest.raises(Unavailable):
            await chat.hang_up()
        bus.deaf = False
        again = await chat_again(ports, ORGANISATION, chat.stored.id)
        assert again is not None
        await again.hang_up()
        assert [*bus.events] == [f"{chat.stored.id}.ended"]

    virtual_time.run(talk())


@pytest.mark.parametrize("changes", [{"active": False}, {"live": 0}, {"live": 7}])
def test_an_agent_that_takes_no_calls_is_none(changes: Document) -> None:
    async def ask() -> Chat | None:
        ports = paper_ports()
        await seed(ports)
        path = f"organisations/{ORGANISATION}/agents/agt_demo_booking"
        await ports.documents.put(path, {**(await ports.documents.get(path) or {}), **changes})
        return await chat_with(ports, ORGANISATION, "agt_demo_booking")

    assert asyncio.run(ask()) is None


def test_what_an_agent_s_hours_need_is_loaded_where_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded_in: list[threading.Thread] = []
    monkeypatch.setattr("functions.chat.make_ready", lambda versions, now: loaded_in.append(threading.current_thread()))
    chat(agent="agt_demo_reception")
    assert len(loaded_in) == 1
    assert loaded_in[0] is not threading.main_thread()


def test_who_has_a_conversation_that_was_handed_over_is_kept_with_it() -> None:
    _, _, ports = chat("2", agent="agt_demo_reception")
    assert (kept(ports)["agent"], kept(ports)["held_by"]) == ("agt_demo_reception", "agt_demo_orders")


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
    _, _, ports = chat("purple", brain=brain, changes={"providers": {"brain": ["second"]}})
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
        clock, documents = StoppedClock(), Mortal()
        ports = paper_ports(clock=clock, documents=documents)
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        assert [sentence async for sentence in chat.open()]
        dying = await chat_again(ports, ORGANISATION, chat.stored.id)
        assert dying is not None
        documents.dies_over = "next tuesday"
        with pytest.raises(Died):
            assert [sentence async for sentence in dying.say("next tuesday")]
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


def test_nor_is_the_next_one_if_its_process_dies_too() -> None:
    async def talk() -> list[str]:
        clock, documents = StoppedClock(), Mortal()
        ports = paper_ports(clock=clock, documents=documents)
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        assert [sentence async for sentence in chat.open()]
        for line in ("next tuesday", "half past two"):
            dying = await chat_again(ports, ORGANISATION, chat.stored.id)
            assert dying is not None
            documents.dies_over = line
            with pytest.raises(Died):
                assert [sentence async for sentence in dying.say(line)]
            clock.time += timedelta(minutes=2)
        last = await chat_again(ports, ORGANISATION, chat.stored.id)
        assert last is not None
        said = [sentence async for sentence in last.say("yes")]
        assert await folded(ports, last.stored) == last._conversation.state
        return said

    confirmation = "That is Tuesday the 24th of November at 2:30 PM. Shall I book it?"
    said = asyncio.run(talk())
    assert said[:2] == ["Sorry about that, where were we?", confirmation]
    assert said[-1].startswith("You are booked for Tuesday the 24th of November at 2:30 PM.")


def test_an_answer_that_was_broken_off_is_begun_again_with_the_next_line() -> None:
    async def talk() -> list[str]:
        ports = paper_ports()
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        assert [sentence async for sentence in chat.open()]
        async with aclosing(chat.say("next tuesday")) as said:  # type: ignore[type-var]
            async for _ in said:
                break
        later = await chat_again(ports, ORGANISATION, chat.stored.id)
        assert later is not None
        return [sentence async for sentence in later.say("half past two")]

    assert asyncio.run(talk()) == [
        "Sorry about that, where were we?",
        "What time would suit you?",
        "That is Tuesday the 24th of November at 2:30 PM. Shall I book it?",
    ]


class Patient:
    """A model that answers after five minutes."""

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        await asyncio.sleep(300)
        yield Words("There you are.")


def test_a_line_over_which_a_process_takes_long_is_taken_over_by_nobody() -> None:
    async def talk() -> None:
        ports = paper_ports(clock=LoopClock(NOW), brain=Patient())
        await seed(ports)
        chat = await chat_with(ports, ORGANISATION, "agt_demo_booking")
        assert chat is not None
        assert [sentence async for sentence in chat.open()]

        async def say() -> list[str]:
            return [sentence async for sentence in chat.say("purple")]

        saying = asyncio.create_task(say())
        for _ in range(4):
            await asyncio.sleep(70)
            with pytest.raises(Busy):
                await chat_again(ports, ORGANISATION, chat.stored.id)
        assert await saying == ["There you are."]
        assert await chat_again(ports, ORGANISATION, chat.stored.id) is not None

    virtual_time.run(talk())


class Overtaken(MemoryDocuments):
    """A store in which another process begins an exchange just before the caller's leaving is written down."""

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        journals = [path for path in self.kept if "/journal/" in path]
        if len(journals) == 2:
            path = journals[0].rpartition("/")[0].removesuffix("/journal")
            await self.create(batch_path(path, 2), batch(2, NOW, [s.Typed(at=1000, text="next tuesday")]))
        return await super().transact(body)


def test_who_leaves_while_a_line_is_answered_is_asked_to_try_again() -> None:
    answers, _ = api(BEGIN, ("POST", "/conversations/{id}/end", {}), documents=Overtaken())
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (409, "busy")


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
