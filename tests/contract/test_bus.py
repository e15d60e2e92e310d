"""What every bus does. An adapter joins by its line in ADAPTERS."""

import asyncio
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.iam.v1 import iam_policy_pb2
from google.protobuf import empty_pb2
from google.pubsub_v1.services.publisher import PublisherAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import AcknowledgeRequest, StreamingPullRequest, StreamingPullResponse
from grpc.aio import insecure_channel

from adapters import pubsub_bus
from adapters.google_request import GoogleRequests
from adapters.pubsub_bus import PubsubBus
from adapters.sqlite_bus import SqliteBus
from adapters.sqlite_outbox import ATTEMPTS, CONCURRENCY, LEASE_S
from domain.ports import Bus, Event, Unavailable
from schemas.ids import new_id
from tests.fakes.grpc_proxy import proxy
from tests.fakes.hand_set_clock import HandSetClock


def sqlite(folder: Path, clock: HandSetClock, grace_s: float) -> SqliteBus:
    return SqliteBus(folder / "bus.db", clock, poll_s=0.01, grace_s=grace_s)


Open = Callable[[Path, HandSetClock, float], AbstractAsyncContextManager[Bus]]
"""Opens the bus that belongs to a folder; opened again, it holds what it held. Left, it waits for receivers that are
under way for so many seconds."""


def pubsub(folder: Path, clock: HandSetClock, grace_s: float) -> PubsubBus:
    return PubsubBus(project(folder), endpoint=emulators["pubsub"], insecure=True, timeout_s=60, grace_s=grace_s)


@cache
def project(folder: Path) -> str:
    """A Google Cloud project, which the emulator keeps apart from others."""
    return new_id("project").replace("_", "-")


emulators: dict[str, str] = {}
"""Their host:port, once they run."""
ADAPTERS: dict[str, Open] = {"sqlite": sqlite, "pubsub": pubsub}


class Place:
    """Where a test's bus is kept."""

    def __init__(self, open: Open, folder: Path) -> None:
        self.clock = HandSetClock()
        self._open, self._folder = open, folder

    def bus(self, *, grace_s: float = 10) -> AbstractAsyncContextManager[Bus]:
        return self._open(self._folder, self.clock, grace_s)


@pytest.fixture(params=ADAPTERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "pubsub":
        emulators["pubsub"] = request.getfixturevalue("pubsub_emulator")
    return Place(ADAPTERS[request.param], tmp_path)


deduplicating = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
"""A bus that drops what it already has. The others' subscribers recognise it by its id."""


class Mailbox:
    """A receiver that keeps what it gets, and fails as often as it was told to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.events: list[Event] = []
        self.tries = 0
        self._failures = failures

    async def __call__(self, event: Event) -> None:
        self.tries += 1
        if self.tries <= self._failures:
            raise LookupError(f"failure {self.tries}")
        self.events.append(event)


async def until(condition: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Waits for it; fails after a time that no machine needs."""
    async with asyncio.timeout(20):
        while not condition():
            meanwhile()
            await asyncio.sleep(0.005)


def ended(id: str) -> Event:
    return Event(id, "conversation.ended", {"conversation": "cnv_1", "seconds": 12.5, "notes": ["ä", None]})


def started(id: str) -> Event:
    return Event(id, "conversation.started", {})


def test_an_event_reaches_every_subscriber_of_its_topic_and_nobody_else(place: Place) -> None:
    async def story() -> None:
        analyst, biller, greeter = Mailbox(), Mailbox(), Mailbox()
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            bus.subscribe("conversation.ended", "bill", biller)
            bus.subscribe("conversation.started", "greet", greeter)
            await bus.publish(ended("1"))
            await bus.publish(started("2"))
            await bus.publish(Event("3", "nobody.listens", {}))
            await until(lambda: bool(analyst.events and biller.events and greeter.events))
        assert analyst.events == biller.events == [ended("1")]
        assert greeter.events == [started("2")]

    asyncio.run(story())


def test_many_events_arrive_once_each(place: Place) -> None:
    async def story() -> None:
        analyst = Mailbox()
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await asyncio.gather(*(bus.publish(ended(str(n))) for n in range(3 * CONCURRENCY)))
            await until(lambda: len(analyst.events) >= 3 * CONCURRENCY)
        assert sorted(int(event.id) for event in analyst.events) == list(range(3 * CONCURRENCY))

    asyncio.run(story())


def test_an_event_published_twice_has_the_same_id(place: Place) -> None:
    async def story() -> None:
        analyst = Mailbox()
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await asyncio.gather(bus.publish(ended("1")), bus.publish(ended("1")), bus.publish(ended("2")))
            await until(lambda: ended("1") in analyst.events and ended("2") in analyst.events)
        assert {event.id for event in analyst.events} == {"1", "2"}

    asyncio.run(story())


@deduplicating
def test_an_event_published_twice_is_one_while_it_is_known(place: Place) -> None:
    async def story() -> None:
        analyst = Mailbox()
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await asyncio.gather(bus.publish(ended("1")), bus.publish(ended("1")), bus.publish(ended("2")))
            await until(lambda: ended("2") in analyst.events)
        assert sorted(event.id for event in analyst.events) == ["1", "2"]

    asyncio.run(story())


def test_a_subscriber_that_raises_gets_the_event_again_and_others_go_on(place: Place) -> None:
    async def story() -> None:
        forgetful, biller = Mailbox(failures=3), Mailbox()
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", forgetful)
            bus.subscribe("conversation.ended", "bill", biller)
            await bus.publish(ended("1"))
            await until(lambda: forgetful.tries == 1 and len(biller.events) == 1)
            await bus.publish(ended("2"))
            await until(lambda: len(biller.events) == 2)
            await until(lambda: len(forgetful.events) == 2, meanwhile=lambda: place.clock.move_on(0.1))
        assert sorted(event.id for event in forgetful.events) == ["1", "2"]
        assert forgetful.tries == 5
        assert len(biller.events) == 2

    asyncio.run(story())


def test_a_slow_receiver_holds_up_nobody(place: Place) -> None:
    async def story() -> None:
        analyst, finish = Mailbox(), asyncio.Event()

        async def receive(event: Event) -> None:
            if event.id == "slow":
                await finish.wait()
            await analyst(event)

        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", receive)
            await bus.publish(ended("slow"))
            await bus.publish(ended("quick"))
            await until(lambda: analyst.events == [ended("quick")])
            finish.set()
        assert analyst.events == [ended("quick"), ended("slow")]

    asyncio.run(story())


def test_no_more_than_so_many_are_received_at_once(place: Place) -> None:
    async def story() -> None:
        now = most = done = 0

        async def receive(event: Event) -> None:
            nonlocal now, most, done
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1
            done += 1

        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", receive)
            await asyncio.gather(*(bus.publish(ended(str(n))) for n in range(4 * CONCURRENCY)))
            await until(lambda: done == 4 * CONCURRENCY)
        assert most <= CONCURRENCY

    asyncio.run(story())


def test_what_is_published_while_a_subscriber_is_down_waits_for_it(place: Place) -> None:
    async def story() -> None:
        analyst = Mailbox()
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
        async with place.bus() as bus:
            await bus.publish(ended("1"))
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await until(lambda: analyst.events == [ended("1")])
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await bus.publish(ended("2"))
            await until(lambda: ended("2") in analyst.events)
        assert analyst.events == [ended("1"), ended("2")]

    asyncio.run(story())


def test_a_subscription_begins_when_it_is_made(place: Place) -> None:
    async def story() -> None:
        late = Mailbox()
        async with place.bus() as bus:
            await bus.publish(ended("1"))
            bus.subscribe("conversation.ended", "analyse", late)
            await bus.publish(ended("2"))
            await until(lambda: bool(late.events))
        assert late.events == [ended("2")]

    asyncio.run(story())


def test_a_name_is_subscribed_once(place: Place) -> None:
    async def story() -> None:
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", Mailbox())
            with pytest.raises(ValueError, match="analyse"):
                bus.subscribe("conversation.started", "analyse", Mailbox())

    asyncio.run(story())


def test_another_process_s_events_arrive(place: Place) -> None:
    async def story() -> None:
        analyst = Mailbox()
        async with place.bus() as bus, place.bus() as of_another_process:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await of_another_process.publish(ended("1"))
            await until(lambda: analyst.events == [ended("1")])

    asyncio.run(story())


def test_processes_share_a_subscription(place: Place) -> None:
    async def story() -> None:
        here, there = Mailbox(), Mailbox()
        async with place.bus() as bus, place.bus() as of_another_process:
            bus.subscribe("conversation.ended", "analyse", here)
            of_another_process.subscribe("conversation.ended", "analyse", there)
            for n in range(20):
                await bus.publish(ended(str(n)))
            await until(lambda: len(here.events) + len(there.events) >= 20)
        assert sorted(int(event.id) for event in here.events + there.events) == list(range(20))

    asyncio.run(story())


def test_leaving_waits_for_receivers_under_way(place: Place) -> None:
    async def story() -> None:
        analyst, begun = Mailbox(), asyncio.Event()

        async def receive(event: Event) -> None:
            begun.set()
            await asyncio.sleep(0.05)
            await analyst(event)

        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", receive)
            await bus.publish(ended("1"))
            await begun.wait()
        assert analyst.events == [ended("1")]

    asyncio.run(story())


def test_a_receiver_too_slow_to_wait_for_is_cancelled_and_gets_the_event_again(place: Place) -> None:
    async def story() -> None:
        analyst, begun, cancelled = Mailbox(), asyncio.Event(), asyncio.Event()

        async def receive_forever(event: Event) -> None:
            begun.set()
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()

        async with place.bus(grace_s=0) as bus:
            bus.subscribe("conversation.ended", "analyse", receive_forever)
            await bus.publish(ended("1"))
            await begun.wait()
        assert cancelled.is_set()
        place.clock.move_on(1)
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await until(lambda: analyst.events == [ended("1")])

    asyncio.run(story())


def test_an_exception_inside_comes_out_as_it_is(place: Place) -> None:
    async def story() -> None:
        async with place.bus() as bus:
            bus.subscribe("conversation.ended", "analyse", Mailbox())
            raise LookupError("out of the block")

    with pytest.raises(LookupError, match="out of the block"):
        asyncio.run(story())


# --- Pub/Sub's own ----------------------------------------------------------------------------------------------------


def test_a_pubsub_that_can_t_be_reached_is_unavailable() -> None:
    async def story() -> None:
        async with PubsubBus("offhook", endpoint="127.0.0.1:1", insecure=True, timeout_s=0.2) as bus:
            with pytest.raises(Unavailable, match=r"^Pub/Sub could not be reached$"):
                await bus.publish(ended("1"))
            with pytest.raises(Unavailable, match=r"^Pub/Sub could not be reached$"):
                await bus.check()
            with pytest.raises(Unavailable, match=r"^Pub/Sub could not be reached$"):
                bus.subscribe("conversation.ended", "analyse", Mailbox())

    asyncio.run(story())


def test_a_pubsub_that_hangs_is_unavailable_in_time() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:  # and never accepting
            host, port = listening.getsockname()
            async with PubsubBus("offhook", endpoint=f"{host}:{port}", insecure=True, timeout_s=0.2) as bus:
                with pytest.raises(Unavailable, match=r"^Pub/Sub took more than 0\.2 s$"):
                    await bus.publish(ended("1"))

    asyncio.run(story())


def test_the_environment_s_emulator_is_none_of_its_business(
    pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")

    async def story() -> None:
        analyst = Mailbox()
        async with PubsubBus(project(tmp_path), endpoint=pubsub_emulator, insecure=True, timeout_s=60) as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await bus.publish(ended("1"))
            await bus.check()
            await until(lambda: analyst.events == [ended("1")])

    asyncio.run(story())


def test_a_subscription_that_is_gone_is_missed_by_the_check(pubsub_emulator: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            PubsubBus(project(tmp_path), endpoint=pubsub_emulator, insecure=True, timeout_s=60) as bus,
            insecure_channel(pubsub_emulator) as channel,
        ):
            bus.subscribe("conversation.ended", "analyse", Mailbox())
            subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            path = f"projects/{project(tmp_path)}/subscriptions/analyse"
            await subscriber.delete_subscription({"subscription": path})
            with pytest.raises(
                Unavailable, match=r"^Pub/Sub has no subscription 'analyse' in this project: deploy it$"
            ):
                await bus.check()

    asyncio.run(story())


GRANTED = iam_policy_pb2.TestIamPermissionsResponse(permissions=["pubsub.topics.publish"]).SerializeToString()
REFUSED = iam_policy_pb2.TestIamPermissionsResponse().SerializeToString()


def test_a_topic_that_may_not_be_published_to_is_told_with_the_role(pubsub_emulator: str, tmp_path: Path) -> None:
    """Nothing is published for that: Google is asked what is allowed, of which the emulator knows nothing."""

    async def story() -> None:
        analyst = Mailbox()
        answers = {"TestIamPermissions": GRANTED}
        async with (
            proxy(pubsub_emulator, answers.get) as endpoint,
            PubsubBus(project(tmp_path), endpoint=endpoint, insecure=True, timeout_s=60) as bus,
            PubsubBus(project(tmp_path), endpoint=pubsub_emulator, insecure=True, timeout_s=60) as at_the_emulator,
        ):
            at_the_emulator.subscribe("conversation.ended", "analyse", analyst)
            await bus.check_topics(["conversation.ended"])
            await at_the_emulator.check_topics(["conversation.ended"])
            answers["TestIamPermissions"] = REFUSED
            with pytest.raises(
                Unavailable, match=r"'conversation\.ended': grant `roles/pubsub\.publisher` on it to the account"
            ):
                await bus.check_topics(["conversation.ended"])
            await bus.publish(ended("1"))
            await until(lambda: bool(analyst.events))
            assert analyst.events == [ended("1")]

    asyncio.run(story())


def test_a_function_s_topic_wants_somebody_whom_it_is_pushed_to(pubsub_emulator: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            PubsubBus(project(tmp_path), endpoint=pubsub_emulator, insecure=True, timeout_s=60) as bus,
            insecure_channel(pubsub_emulator) as channel,
        ):
            bus.subscribe("conversation.ended", "analyse", Mailbox())
            await bus.check_topics(["conversation.ended"])
            with pytest.raises(
                Unavailable,
                match=r"to nobody, and functions don't pull \(there is only analyse\): deploy the function .*"
                r"`--trigger-topic=conversation\.ended`$",
            ):
                await bus.check_topics(["conversation.ended"], pushed=True)
            subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))
            trigger = {
                "name": f"projects/{project(tmp_path)}/subscriptions/eventarc-europe-west1-analyse-1-sub-2",
                "topic": f"projects/{project(tmp_path)}/topics/conversation.ended",
                "push_config": {"push_endpoint": "http://127.0.0.1:1/"},
            }
            await subscriber.create_subscription(trigger)
            await bus.check_topics(["conversation.ended"], pushed=True)

    asyncio.run(story())


def test_what_is_no_event_holds_up_nobody(pubsub_emulator: str, tmp_path: Path) -> None:
    async def story() -> None:
        analyst = Mailbox()
        async with (
            PubsubBus(project(tmp_path), endpoint=pubsub_emulator, insecure=True, timeout_s=60) as bus,
            insecure_channel(pubsub_emulator) as channel,
        ):
            bus.subscribe("conversation.ended", "analyse", analyst)
            publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
            topic = f"projects/{project(tmp_path)}/topics/conversation.ended"
            garbage = [{"data": b"{"}, {"data": b"[]", "attributes": {"id": "2"}}]
            answer = await publisher.publish({"topic": topic, "messages": [*garbage, {"data": b'{"n": 1}'}]})
            await until(lambda: bool(analyst.events))
            # By whom an event was published without an id, it's known by the message's.
            assert analyst.events == [Event(answer.message_ids[2], "conversation.ended", {"n": 1})]

    asyncio.run(story())


class MovingServer:
    """A Pub/Sub that ends its first stream to have it opened elsewhere, as Google's does. Each brings an event."""

    moves = True

    def __init__(self) -> None:
        self.streams = 0
        self.settled: list[str] = []
        self.hung_up = False

    def pull(self, requests: Iterator[StreamingPullRequest], context: Any) -> Iterator[bytes]:
        self.streams += 1
        yield self.answer(str(self.streams))
        if self.moves and self.streams == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "moved")
        self.hung_up = bool(list(requests))  # which end when the other side hangs up

    def answer(self, n: str) -> bytes:
        message = {"ack_id": f"ack {n}", "message": {"data": b"{}", "attributes": {"id": n}}}
        answer: bytes = StreamingPullResponse.serialize(StreamingPullResponse(received_messages=[message]))
        return answer

    def acknowledge(self, request: AcknowledgeRequest, context: Any) -> Any:
        self.settled += request.ack_ids
        return empty_pb2.Empty()

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Its host:port."""
        pull = grpc.stream_stream_rpc_method_handler(self.pull, StreamingPullRequest.deserialize)
        acknowledge = grpc.unary_unary_rpc_method_handler(
            self.acknowledge, AcknowledgeRequest.deserialize, empty_pb2.Empty.SerializeToString
        )
        echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        with ThreadPoolExecutor(4) as threads:
            server = grpc.server(threads)
            for service, methods in {
                "Publisher": {"CreateTopic": echo},
                "Subscriber": {"CreateSubscription": echo, "StreamingPull": pull, "Acknowledge": acknowledge},
            }.items():
                handler = grpc.method_handlers_generic_handler(f"google.pubsub.v1.{service}", methods)
                server.add_generic_rpc_handlers([handler])
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            try:
                yield f"127.0.0.1:{port}"
            finally:
                server.stop(1).wait()


def test_a_stream_that_ends_is_opened_again_and_hung_up_politely() -> None:
    analyst, pubsub = Mailbox(), MovingServer()

    async def story(endpoint: str) -> None:
        async with PubsubBus("offhook", endpoint=endpoint, insecure=True, timeout_s=60) as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await until(lambda: pubsub.settled == ["ack 1", "ack 2"])

    with pubsub.serve() as endpoint:
        asyncio.run(story(endpoint))
        assert pubsub.hung_up
    assert [event.id for event in analyst.events] == ["1", "2"]


class GarblingServer(MovingServer):
    """A Pub/Sub whose first two streams stay, and bring what is no answer of Pub/Sub's."""

    moves = False

    def answer(self, n: str) -> bytes:
        return super().answer(n) if int(n) > 2 else b"\xff garbage"


def test_a_stream_that_breaks_what_reads_it_is_told_of_and_opened_again() -> None:
    analyst, pubsub = Mailbox(), GarblingServer()

    async def story(endpoint: str) -> None:
        async with PubsubBus("offhook", endpoint=endpoint, insecure=True, timeout_s=60) as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await until(lambda: pubsub.settled == ["ack 3"])

    with pubsub.serve() as endpoint, structlog.testing.capture_logs() as logs:
        asyncio.run(story(endpoint))
    assert [event.id for event in analyst.events] == ["3"]
    broke = [log for log in logs if log["event"] == "delivery_broke"]
    assert len(broke) == 2
    for log in broke:
        assert log["exc_info"], log
        assert log["subscription"] == "projects/offhook/subscriptions/analyse"


def test_an_event_that_cannot_be_settled_for_a_bug_ends_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking(GoogleRequests[Any]):
        made = 0

        async def make(self, *what: Any, **how: Any) -> Any:
            self.made += 1
            if self.made == 1:
                raise LookupError("nobody thought of that")
            return await super().make(*what, **how)

    monkeypatch.setattr(pubsub_bus, "GoogleRequests", Breaking)
    analyst, pubsub = Mailbox(), MovingServer()

    async def story(endpoint: str) -> None:
        async with PubsubBus("offhook", endpoint=endpoint, insecure=True, timeout_s=60) as bus:
            bus.subscribe("conversation.ended", "analyse", analyst)
            await until(lambda: pubsub.settled == ["ack 2"])

    with pubsub.serve() as endpoint, structlog.testing.capture_logs() as logs:
        asyncio.run(story(endpoint))
    assert [event.id for event in analyst.events] == ["1", "2"]
    [unsettled] = [log for log in logs if log["event"] == "delivery_unsettled"]
    assert unsettled["exc_info"]


# --- SQLite's own ----------------------------------------------------------------------------------------------------


def test_after_the_last_attempt_an_event_lies_among_the_dead_letters(tmp_path: Path) -> None:
    async def story() -> None:
        clock, hopeless, biller = HandSetClock(), Mailbox(failures=1000), Mailbox()
        async with sqlite(tmp_path, clock, 10) as bus:
            bus.subscribe("conversation.ended", "analyse", hopeless)
            bus.subscribe("conversation.ended", "bill", biller)
            await bus.publish(ended("1"))
            await until(lambda: hopeless.tries == ATTEMPTS, meanwhile=lambda: clock.move_on(1))
        with closing(sqlite3.connect(tmp_path / "bus.db")) as file:
            assert file.execute("SELECT recipient, failure FROM dead_letters").fetchall() == [
                ("subscription analyse", f"LookupError('failure {ATTEMPTS}')")
            ]
            assert file.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        async with sqlite(tmp_path, clock, 10) as bus:
            bus.subscribe("conversation.ended", "analyse", hopeless)
            bus.subscribe("conversation.ended", "bill", biller)
            clock.move_on(3600)
            await bus.publish(ended("2"))
            await until(lambda: len(biller.events) == 2 and hopeless.tries == ATTEMPTS + 1)
        assert hopeless.tries == ATTEMPTS + 1

    asyncio.run(story())


def test_a_receiver_keeps_its_event_for_as_long_as_it_works(tmp_path: Path) -> None:
    async def story() -> None:
        clock, here, there, finish = HandSetClock(), Mailbox(), Mailbox(), asyncio.Event()

        async def receive(event: Event) -> None:
            await here(event)
            await finish.wait()

        def is_kept() -> bool:
            with closing(sqlite3.connect(tmp_path / "bus.db")) as file:
                [(due,)] = file.execute("SELECT due FROM messages").fetchall()
            return bool(due >= clock.now().timestamp() + LEASE_S / 2)

        async with sqlite(tmp_path, clock, 10) as bus:
            bus.subscribe("conversation.ended", "analyse", receive)
            await bus.publish(ended("1"))
            await until(lambda: bool(here.events))
            async with sqlite(tmp_path, clock, 10) as of_another_process:
                of_another_process.subscribe("conversation.ended", "analyse", there)
                for _ in range(10):
                    clock.move_on(LEASE_S / 3)
                    await until(is_kept)
            finish.set()
        assert here.events == [ended("1")]
        assert there.events == []

    asyncio.run(story())


def test_a_receiver_whose_own_task_was_cancelled_has_failed(tmp_path: Path) -> None:
    async def story() -> None:
        clock, analyst = HandSetClock(), Mailbox()

        async def receive(event: Event) -> None:
            await analyst(event)
            if len(analyst.events) == 1:
                raise asyncio.CancelledError

        async with sqlite(tmp_path, clock, 10) as bus:
            bus.subscribe("conversation.ended", "analyse", receive)
            await bus.publish(ended("1"))
            await until(lambda: len(analyst.events) == 2, meanwhile=lambda: clock.move_on(0.1))

    asyncio.run(story())


def test_leaving_leaves_one_file(tmp_path: Path) -> None:
    bus = sqlite(tmp_path, HandSetClock(), 10)

    async def story() -> None:
        async with bus:
            bus.subscribe("conversation.ended", "analyse", Mailbox())
            await bus.publish(ended("1"))

    asyncio.run(story())
    assert [file.name for file in tmp_path.iterdir()] == ["bus.db"]


PUBLISHER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from adapters import pubsub_bus
from adapters.google_request import GoogleRequests
from adapters.pubsub_bus import PubsubBus
from adapters.sqlite_bus import SqliteBus
from domain.ports import Event

class StoppedClock:
    def now(self):
        return datetime(2026, 11, 21, 12, tzinfo=UTC)

async def receive(event):
    print("received", flush=True)
    await asyncio.sleep(3600)

async def main():
    async with SqliteBus(Path(sys.argv[1]), StoppedClock()) as bus:
        if sys.argv[2] == "receive":
            bus.subscribe("conversation.ended", "analyse", receive)
        await bus.publish(Event("1", "conversation.ended", {}))
        print("published", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def run_and_kill(path: Path, what: str, lines: int) -> None:
    command = [sys.executable, "-c", PUBLISHER, str(path), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert all(process.stdout.readline() for _ in range(lines))
        process.kill()


async def receive_after_a_death(folder: Path, clock: HandSetClock) -> list[Event]:
    analyst = Mailbox()
    async with sqlite(folder, clock, 10) as bus:
        bus.subscribe("conversation.ended", "analyse", analyst)
        await until(lambda: bool(analyst.events))
    return analyst.events


def test_a_published_event_survives_the_death_of_its_process(tmp_path: Path) -> None:
    async def subscribe() -> None:
        async with sqlite(tmp_path, HandSetClock(), 10) as bus:
            bus.subscribe("conversation.ended", "analyse", Mailbox())

    asyncio.run(subscribe())
    run_and_kill(tmp_path / "bus.db", "publish", lines=1)
    events = asyncio.run(receive_after_a_death(tmp_path, HandSetClock()))
    assert events == [Event("1", "conversation.ended", {})]


def test_an_event_whose_receiver_died_with_its_process_comes_again(tmp_path: Path) -> None:
    run_and_kill(tmp_path / "bus.db", "receive", lines=2)
    clock = HandSetClock()
    clock.move_on(LEASE_S)
    events = asyncio.run(receive_after_a_death(tmp_path, clock))
    assert events == [Event("1", "conversation.ended", {})]
