"""The whole platform on a port, called by the simulated carrier: webhooks, WebSocket, store, all real."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2

from domain.ports import BadStart, Ports
from media_service.app import MediaService
from offhook.carrier.carrier import Forgery
from offhook.carrier.handset import Handset
from offhook.carrier.person import Human
from offhook.seed import ORGANISATION
from tests.fakes import virtual_time
from tests.fakes.desk import desk
from tests.fakes.house import House, house
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import paper_ports, settings


def visit(home: Path, story: Callable[[House], Awaitable[None]], **changes: Any) -> None:
    """Runs a story in a house of its own."""

    async def whole() -> None:
        async with house(home, **changes) as here:
            await story(here)

    asyncio.run(whole())


async def orders_by_keys(phone: Handset) -> None:
    for keys in ("1", "47129", "2"):
        await phone.listen(300)
        await phone.press(keys)


async def hangs_up(phone: Handset) -> None:
    await phone.hears(0.2)
    phone.hang_up()


def test_a_whole_call_keeps_to_the_protocol_and_is_written_down(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        call = await here.carrier.call("+15005550002", caller=orders_by_keys)
        assert call.violations == []
        assert call.ended == "agent"
        id = await here.records.find(call.sid)
        assert id is not None
        conversation = await here.records.ended(id)
        assert (conversation.state, conversation.outcome) == ("ended", "answered")
        assert [turn.number for turn in conversation.turns] == [0, 1, 2, 3]
        said = [message.text for message in await here.records.messages(id) if message.role == "caller"]
        assert said == ["[keys 1]", "[keys 47129]", "[keys 2]"]
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer owner"}) as http:
            for _ in range(50):
                report = (await http.get(f"{here.url}/api/v1/conversations/{id}")).json()["report"]
                if report:
                    break
                await asyncio.sleep(0.1)
            assert report["turns"] == 3

    visit(tmp_path, story)


def test_who_has_a_call_that_was_handed_over_is_kept_with_it() -> None:
    async def orders(phone: Handset) -> None:
        for keys in ("2", "1", "47129", "2"):
            await phone.listen(300)
            await phone.press(keys)

    async def story() -> None:
        async with desk(documents := MemoryDocuments()) as here:
            call = await here.carrier.call("+15005550003", caller=orders)
            assert call.ended == "agent"
            entry = documents.kept[f"calls/{call.sid}"]
            conversation = documents.kept[f"organisations/{ORGANISATION}/conversations/{entry['conversation']}"]
            assert (entry["agent"], entry["outcome"]) == ("agt_demo_orders", "answered")
            assert (conversation["agent"], conversation["held_by"]) == ("agt_demo_reception", "agt_demo_orders")

    asyncio.run(story())


def test_forged_webhooks_handshakes_and_tickets_get_nowhere(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        used: list[str] = []

        async def healthy(phone: Handset) -> None:
            await phone.hears(0.3)
            async with httpx2.AsyncClient() as http:
                live = (await http.get(f"{here.url}/websocket-status")).json()
            assert live["active"] == 1
            ticket = here_call.streams[0].parameters["ticket"] if here_call else ""
            used.append(ticket)
            for forgery in (
                Forgery(parameters={"ticket": "nonsense"}),
                Forgery(parameters={"ticket": ticket}),
                Forgery(stream_signature="wrong"),
                Forgery(signature="wrong"),
            ):
                other = await here.carrier.call("+15005550002", caller=hears_nothing, forgery=forgery, longest_s=1.5)
                assert other.phone.heard == [] or forgery.signature == "wrong"
            await orders_by_keys(phone)

        here_call: Any = None

        def watch(call: Any, note: Any) -> None:
            nonlocal here_call
            here_call = call

        call = await here.carrier.call("+15005550002", caller=healthy, watch=watch)
        assert call.violations == []
        assert call.ended == "agent"
        assert used != [""]

    visit(tmp_path, story)


async def hears_nothing(phone: Handset) -> None:
    await asyncio.sleep(1.2)
    phone.hang_up()


def test_an_unknown_number_is_refused_in_words(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        async def listens(phone: Handset) -> None:
            await asyncio.sleep(0.1)

        call = await here.carrier.call("+15005559999", caller=listens)
        assert call.ended == "agent"
        assert call.violations == []
        assert call.streams == []

    visit(tmp_path, story)


def test_junk_on_one_line_disturbs_no_other(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        bad: Any = None

        def watch(call: Any, note: Any) -> None:
            nonlocal bad
            bad = call

        async def throws_junk(phone: Handset) -> None:
            await phone.hears(0.2)
            stream = bad.streams[-1]
            for number in range(80):
                junk: list[str | bytes] = [
                    b"\x00binary",
                    "not json",
                    "[]",
                    json.dumps({"event": "media", "streamSid": "MZother", "sequenceNumber": str(number)}),
                    "x" * 70_000,
                ]
                await stream.send_raw(junk[number % 5])
                await asyncio.sleep(0.01)
            await asyncio.sleep(20)

        healthy = [here.carrier.call("+15005550002", caller=orders_by_keys) for _ in range(3)]
        thrown, *others = await asyncio.gather(
            here.carrier.call("+15005550002", caller=throws_junk, watch=watch, human=Human(seconds=0.1)), *healthy
        )
        assert [call.ended for call in others] == ["agent"] * 3
        assert [call.violations for call in others] == [[], [], []]
        id = await here.records.find(thrown.sid)
        assert id is not None
        assert (await here.records.ended(id)).outcome == "failed: garbled_line"

    visit(tmp_path, story)


def test_a_line_that_dies_is_opened_again_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async def story(here: House) -> None:
        mine: Any = None

        def watch(call: Any, note: Any) -> None:
            nonlocal mine
            mine = call

        async def loses_the_line(phone: Handset) -> None:
            await phone.listen(300)
            await phone.press("1")
            await phone.listen(300)
            mine.streams[-1].abort()
            await phone.listen(300)
            await phone.press("47129")
            await phone.listen(300)
            await phone.press("2")

        call = await here.carrier.call("+15005550002", caller=loses_the_line, watch=watch)
        assert call.ended == "agent"
        assert len(call.streams) == 2
        id = await here.records.find(call.sid)
        assert id is not None
        text = " ".join(message.text for message in await here.records.messages(id))
        assert "Sorry about that, where were we?" in text
        assert "Order 4 7 1 2 9" in text

    visit(tmp_path, story)


def test_a_full_instance_sends_the_next_call_elsewhere_and_keeps_its_own(tmp_path: Path) -> None:
    """Here there is no other instance: the caller is asked for patience, and gets the first place that is free."""

    async def story(here: House) -> None:
        first_is_on = asyncio.Event()

        async def takes_the_only_place(phone: Handset) -> None:
            await phone.listen(300)
            first_is_on.set()
            await asyncio.sleep(1.5)
            phone.hang_up()

        first = asyncio.create_task(here.carrier.call("+15005550002", caller=takes_the_only_place))
        await first_is_on.wait()
        second = await here.carrier.call("+15005550002", caller=orders_by_keys)
        assert (await first).ended == "caller"
        refused, *served = second.streams
        assert "503" in refused.error
        assert served[-1].error == ""
        assert second.ended == "agent"
        async with httpx2.AsyncClient() as http:
            figures = (await http.get(f"{here.url}/websocket-metrics")).json()
            assert figures["refused_connections"] >= 1
            assert figures["most_connections"] == 1

    visit(tmp_path, story, most_calls=1)


def test_callers_who_come_at_once_get_no_more_than_the_places_that_there_are() -> None:
    begun: list[Any] = []
    refused: list[Any] = []

    class Streams:
        async def begin(self, socket: Any) -> Any:
            begun.append(socket)
            await asyncio.sleep(1)
            raise BadStart("it never said who it was")

    class Socket:
        url = SimpleNamespace(path="/twilio-stream")
        headers: dict[str, str] = {}

        async def accept(self) -> None:
            await asyncio.sleep(0.1)

        async def close(self, code: int, reason: str) -> None:
            pass

        async def send_denial_response(self, response: Any) -> None:
            refused.append(response.status_code)

    telephony = SimpleNamespace(verify=lambda *what: True)
    ports = paper_ports(settings=settings(most_calls=5), streams=Streams(), telephony=telephony)

    async def get_ports() -> Ports:
        return ports

    async def story() -> None:
        service = MediaService(get_ports)
        await asyncio.gather(*(service.stream(cast(Any, Socket())) for _ in range(50)))
        assert len(begun) == 5
        assert refused == [503] * 45
        await service.stream(cast(Any, Socket()))  # their places are free again
        assert len(begun) == 6

    virtual_time.run(story())


def test_a_call_survives_a_restart_of_the_platform(tmp_path: Path) -> None:
    """What was written down stays, and is served by the next process."""

    async def first(here: House) -> None:
        call = await here.carrier.call("+15005550002", caller=hangs_up)
        sids.append(call.sid)

    async def second(here: House) -> None:
        id = await here.records.find(sids[0])
        assert id is not None
        assert (await here.records.ended(id)).outcome == "caller_left"

    sids: list[str] = []
    visit(tmp_path, first)
    visit(tmp_path, second)
