"""What the carrier has to say or to ask comes again until it is answered. Real webhooks, calls and sockets; a store that
goes away, an instance that isn't there."""

import asyncio

from offhook.carrier.call import Call
from offhook.carrier.handset import Handset
from offhook.seed import ORGANISATION
from tests.fakes.desk import desk
from tests.fakes.memory_documents import MemoryDocuments


def test_the_end_of_a_call_that_the_store_missed_is_told_again() -> None:
    documents = MemoryDocuments()

    async def hangs_up_as_the_store_goes_down(phone: Handset) -> None:
        await phone.hears(0.1)
        documents.failing = True
        phone.hang_up()

    def comes_back() -> None:
        documents.failing = False

    async def story() -> None:
        async with desk(documents) as here:
            here.has_failed = comes_back
            call = await here.carrier.call("+15005550001", caller=hangs_up_as_the_store_goes_down)
            [token] = [token for path, token, status in here.asked if (path, status) == ("/twilio/status", 503)]
            assert ("/twilio/status", token, 204) in here.asked  # the same callback, once more
            assert call.violations == []
            conversation = documents.kept[f"calls/{call.sid}"]["conversation"]
            stored = documents.kept[f"organisations/{ORGANISATION}/conversations/{conversation}"]
            assert (stored["state"], stored["outcome"]) == ("ended", "caller_left")
            assert len(here.bus.events) == 1

    asyncio.run(story())


def test_a_caller_waits_for_no_instance_that_was_not_there_when_their_line_broke() -> None:
    async def story() -> None:
        calls: list[Call] = []

        async def loses_the_line(phone: Handset) -> None:
            await phone.listen(300)
            here.out_of_reach.add("/twilio/next")
            calls[0].streams[-1].abort()
            await phone.hears(0.1)
            phone.hang_up()

        async with desk(MemoryDocuments()) as here:
            call = await here.carrier.call(
                "+15005550001", caller=loses_the_line, watch=lambda call, note: calls.append(call)
            )
            first, second = [(token, status) for path, token, status in here.asked if path == "/twilio/next"]
            assert (first[1], second[1]) == (503, 200)
            assert first[0] == second[0] != ""
            assert len(call.streams) == 2

    asyncio.run(story())
