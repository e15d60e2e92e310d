"""A bus on Pub/Sub. An event is a message: its body as JSON in the data, its id in the attribute `id`.

Topics bear their names in the project, subscriptions theirs. On Google Cloud the deployment makes them, with retry
policy (how long until an event comes again that a receiver raised on) and dead letter topic; on an emulator, which
begins empty, this does.

Events come by streaming pull, as with Google's own subscriber, but in the event loop rather than in threads."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson
import structlog

from adapters.google_refusal import explain, grant
from adapters.google_request import GoogleRequests
from adapters.grpc_channels import GrpcChannels
from domain.ports import Document, Event, Unavailable

if TYPE_CHECKING:  # at run time only if it is chosen: importing them takes a second
    from google.auth.credentials import Credentials
    from google.pubsub_v1.services.publisher import PublisherAsyncClient
    from google.pubsub_v1.services.subscriber import SubscriberAsyncClient

NAME, HOST = "Pub/Sub", "pubsub.googleapis.com"
TIMEOUT_S = 4.0
"""For one request, its repetitions included."""
GRACE_S = 5.0
"""How long deliveries may go on once the bus is being left."""
CONCURRENCY = 32
"""Deliveries under way at once, for each subscription."""
LEASE_S = 60
"""How long an event stays with a process that died."""
CLOSE_S = 1.0
"""How long Pub/Sub may take to end a stream."""
HEARTBEAT_S = 30
"""How often an open stream says that it is alive."""
PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Before a stream that failed is opened again; doubles with each failure in a row."""
AGAIN = ("UNAVAILABLE", "ABORTED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNKNOWN", "CANCELLED")
"""Failures that a repetition may not meet. All that is asked of Pub/Sub here may happen twice."""

log = structlog.get_logger()

Receive = Callable[[Event], Awaitable[None]]


class PubsubBus:
    """See `domain.ports.Bus`. `async with` it, in the event loop that uses it, before anything else: it delivers
    within. Leaving waits for the deliveries under way, at most `grace_s`, then cancels them; what wasn't taken comes
    again, here or elsewhere."""

    def __init__(
        self,
        project: str,
        endpoint: str = f"{HOST}:443",
        credentials: "Credentials | None" = None,
        insecure: bool = False,
        timeout_s: float = TIMEOUT_S,
        grace_s: float = GRACE_S,
    ) -> None:
        """For `endpoint` (host:port) and `credentials` see GrpcChannels. `insecure` is for an emulator, where topics
        and subscriptions are made as need be. A request that takes longer than `timeout_s` is Unavailable.
        Raises Unavailable without the `google` extra."""
        try:
            import google.pubsub_v1  # noqa: F401
        except ImportError as missing:
            raise Unavailable(f"Pub/Sub needs the `google` extra: {missing.name} is not installed") from missing
        self._project, self._endpoint, self._emulated = f"projects/{project}", endpoint, insecure
        self._channels = GrpcChannels["_Clients"](endpoint, _clients, credentials, insecure)
        self._requests = GoogleRequests(NAME, HOST, self._channels, timeout_s)
        self._grace_s = grace_s
        self._subscriptions: dict[str, _Subscription] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self._channels.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._finish()
        finally:
            await self._channels.__aexit__()

    async def check(self) -> None:
        """Raises Unavailable unless Pub/Sub answers and has all that was subscribed to."""
        from google.api_core.exceptions import NotFound

        async def list_topics(clients: "_Clients") -> None:
            await clients.publisher.list_topics({"project": self._project, "page_size": 1}, **self._options())

        await self._requests.make(list_topics, AGAIN)
        for name, subscription in self._subscriptions.items():
            try:
                await self._requests.make(subscription.look_up, AGAIN, telling=["NOT_FOUND"])
            except NotFound:
                raise Unavailable(f"Pub/Sub has no subscription {name!r} in this project: deploy it") from None

    async def check_topics(self, topics: Sequence[str], pushed: bool = False) -> None:
        """Raises Unavailable unless each is there, may be published to, and somebody is subscribed to it, for else what
        is published is lost. `pushed`: by a push subscription, as functions' triggers are; functions don't pull.
        Publishes nothing and takes no events."""
        from google.api_core.exceptions import NotFound

        for topic in topics:
            try:
                await self._check_topic(f"{self._project}/topics/{topic}", topic, pushed)
            except NotFound:
                raise Unavailable(
                    f"Pub/Sub has no topic {topic!r} in this project: `gcloud pubsub topics create {topic}`"
                ) from None

    async def _check_topic(self, path: str, topic: str, pushed: bool) -> None:
        """Raises Unavailable, NotFound (Google's)."""
        from google.api_core.exceptions import MethodNotImplemented

        async def may_publish(clients: "_Clients") -> bool:
            asked = {"resource": path, "permissions": ["pubsub.topics.publish"]}
            return bool((await clients.publisher.test_iam_permissions(asked, **self._options())).permissions)

        async def subscriptions(clients: "_Clients") -> list[Any]:
            await clients.publisher.get_topic({"topic": path}, **self._options())
            listed = await clients.publisher.list_topic_subscriptions({"topic": path}, **self._options())
            look_up = clients.subscriber.get_subscription
            return [await look_up({"subscription": name}, **self._options()) async for name in listed]

        found = await self._requests.make(subscriptions, AGAIN, telling=["NOT_FOUND"])
        try:
            if not await self._requests.make(may_publish, AGAIN, telling=["UNIMPLEMENTED"]):
                role = grant("`roles/pubsub.publisher` on it")
                raise Unavailable(f"Pub/Sub refuses events for the topic {topic!r}: {role}")
        except MethodNotImplemented:
            pass  # an emulator, which knows no permissions
        deploy = f"deploy the function that takes its events with `--trigger-topic={topic}`"
        if not found:
            raise Unavailable(f"nobody is subscribed to Pub/Sub's topic {topic!r}: {deploy}")
        if pushed and not any(each.push_config.push_endpoint for each in found):
            pulled = ", ".join(each.name.rpartition("/")[2] for each in found)
            why = f"pushes the topic {topic!r} to nobody, and functions don't pull (there is only {pulled})"
            raise Unavailable(f"Pub/Sub {why}: {deploy}")

    async def publish(self, event: Event) -> None:
        """Raises Unavailable; ValueError for an event of more than 10 MB. Cancelled, it may be published or not."""
        from google.api_core.exceptions import NotFound

        topic = f"{self._project}/topics/{event.topic}"
        message = {"data": _as_json(event.body), "attributes": {"id": event.id}}

        async def publish(clients: "_Clients") -> None:
            await clients.publisher.publish({"topic": topic, "messages": [message]}, **self._options())

        try:
            await self._requests.make(publish, AGAIN, telling=["NOT_FOUND"])
        except NotFound:
            # On an emulator nobody listens: a subscription would have made the topic.
            if not self._emulated:
                raise Unavailable(f"Pub/Sub has no topic {event.topic!r} in this project: deploy it") from None

    def subscribe(self, topic: str, name: str, receive: Receive) -> None:
        """Blocks for a moment on an emulator, so that it holds once this returns. Raises ValueError if the name is
        subscribed already, Unavailable."""
        if name in self._subscriptions:
            raise ValueError(f"{name!r} is subscribed already")
        path = f"{self._project}/subscriptions/{name}"
        if self._emulated:
            _make_subscription(self._endpoint, path, f"{self._project}/topics/{topic}", self._requests.timeout_s)
        self._subscriptions[name] = subscription = _Subscription(path, topic, receive, self._requests, self._channels)
        self._deliveries.add(asyncio.create_task(subscription.deliver(), name=f"deliver to {name}"))

    async def _finish(self) -> None:
        if not self._deliveries:
            return
        for subscription in self._subscriptions.values():
            subscription.leave()
        try:
            await asyncio.wait(self._deliveries, timeout=self._grace_s)
        finally:
            for each in self._deliveries:
                each.cancel()
            await asyncio.wait(self._deliveries)
        for each in self._deliveries:
            if not each.cancelled():
                each.result()

    def _options(self) -> dict[str, Any]:
        return {"retry": None, "timeout": self._requests.timeout_s}


@dataclass(frozen=True, slots=True)
class _Clients:
    publisher: "PublisherAsyncClient"
    subscriber: "SubscriberAsyncClient"


@dataclass(frozen=True, slots=True)
class _Message:
    ack_id: str
    id: str
    data: bytes


class _Subscription:
    """One who takes events, and the deliveries under way."""

    def __init__(
        self,
        path: str,
        topic: str,
        receive: Receive,
        requests: GoogleRequests[_Clients],
        channels: GrpcChannels[_Clients],
    ) -> None:
        self._path, self._topic, self._receive = path, topic, receive
        self._requests, self._channels = requests, channels
        self._room = asyncio.Semaphore(CONCURRENCY)
        self._held: set[str] = set()
        """The ids by which to acknowledge what came and isn't settled."""
        self._leaving = asyncio.Event()
        self._said = asyncio.Event()
        """Of the present stream: we say nothing more. Pub/Sub then ends it, rather than send what nobody reads."""

    def leave(self) -> None:
        """No further deliveries; `deliver` returns after those under way."""
        self._leaving.set()
        self._said.set()

    async def look_up(self, clients: _Clients) -> None:
        await clients.subscriber.get_subscription({"subscription": self._path}, **self._options())

    async def deliver(self) -> None:
        """Runs until `leave`. Cancelling cancels the deliveries under way; their events come again."""
        keeping = asyncio.create_task(self._keep())
        try:
            async with asyncio.TaskGroup() as deliveries:
                listening = asyncio.create_task(self._listen(deliveries))
                await self._leaving.wait()
        finally:
            # First the stream: what is given back shall not come to us again.
            self.leave()
            await asyncio.wait([listening], timeout=CLOSE_S)
            for task in (listening, keeping):
                task.cancel()
            await asyncio.wait([listening, keeping])
            await self._lease([*self._held], 0)

    async def _listen(self, deliveries: asyncio.TaskGroup) -> None:
        """Opens the stream as often as it breaks, which on Google Cloud it does every half hour."""
        from google.api_core.exceptions import GoogleAPICallError

        failures = 0
        while not self._leaving.is_set():
            try:
                async for message in self._messages():
                    failures = 0
                    await self._room.acquire()
                    if self._leaving.is_set():
                        self._room.release()
                    else:
                        deliveries.create_task(self._hand_over(message))
            except GoogleAPICallError as error:
                if failures:
                    reason = str(explain(error, NAME, HOST))
                    log.warning("delivery_paused", subscription=self._path, reason=reason)
            except Exception:
                # A bug, here or in what reads the stream. Another stream may do; without one no event would ever come.
                log.exception("delivery_broke", subscription=self._path)
            with suppress(TimeoutError):
                pause_s = min(PAUSE_S * 2**failures, LONGEST_PAUSE_S)
                async with asyncio.timeout(random.uniform(0.5, 1) * pause_s):
                    await self._leaving.wait()
            failures = min(failures + 1, 10)

    async def _messages(self) -> AsyncIterator[_Message]:
        """What one stream brings, until it breaks or we leave."""
        self._said = said = asyncio.Event()
        with self._channels.stream() as clients:
            stream: Any = await clients.subscriber.streaming_pull(self._sayings(said), retry=None, timeout=None)
            try:
                async for response in stream:
                    arrived = [_message(each) for each in response.received_messages]
                    self._held |= {each.ack_id for each in arrived}
                    for each in arrived:
                        yield each
            finally:
                said.set()
                stream.cancel()

    async def _sayings(self, said: asyncio.Event) -> AsyncIterator[Any]:
        """What we say to one stream until all is said."""
        from google.pubsub_v1.types import StreamingPullRequest

        yield StreamingPullRequest(
            subscription=self._path, stream_ack_deadline_seconds=LEASE_S, max_outstanding_messages=CONCURRENCY
        )
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await said.wait()
                    return
            yield StreamingPullRequest()

    async def _keep(self) -> None:
        """Others don't get what is held here, for as long as it takes."""
        while True:
            await asyncio.sleep(LEASE_S / 3)
            await self._lease([*self._held], LEASE_S)

    async def _hand_over(self, message: _Message) -> None:
        try:
            await self._receive(Event(message.id, self._topic, _body(message.data)))
        except asyncio.CancelledError:
            await self._settle(message, "cancelled")
            raise
        except Exception as error:
            await self._settle(message, repr(error))
        else:
            await self._settle(message, "")
        finally:
            self._room.release()

    async def _settle(self, message: _Message, failure: str) -> None:
        """Acknowledges what was taken (no failure); lets the rest come again, when the retry policy says."""
        self._held.discard(message.ack_id)
        if failure:
            log.warning("delivery_failed", subscription=self._path, id=message.id, failure=failure)
            await self._lease([message.ack_id], 0)
            return

        async def acknowledge(clients: _Clients) -> None:
            request = {"subscription": self._path, "ack_ids": [message.ack_id]}
            await clients.subscriber.acknowledge(request, **self._options())

        try:
            await self._requests.make(acknowledge, AGAIN)
        except (Unavailable, ValueError) as problem:  # it comes again when its lease ends
            log.warning("delivery_unsettled", subscription=self._path, id=message.id, reason=str(problem))
        except Exception:  # as above: one that breaks shall not end the others
            log.exception("delivery_unsettled", subscription=self._path, id=message.id)

    async def _lease(self, ack_ids: Sequence[str], seconds: int) -> None:
        """From now on. With 0 they come again."""
        if not ack_ids:
            return

        async def modify(clients: _Clients) -> None:
            request = {"subscription": self._path, "ack_ids": ack_ids, "ack_deadline_seconds": seconds}
            await clients.subscriber.modify_ack_deadline(request, **self._options())

        try:
            await self._requests.make(modify, AGAIN)
        except (Unavailable, ValueError) as problem:  # they come again when their leases end
            log.warning("lease_unchanged", subscription=self._path, events=len(ack_ids), reason=str(problem))
        except Exception:
            log.exception("lease_unchanged", subscription=self._path, events=len(ack_ids))

    def _options(self) -> dict[str, Any]:
        return {"retry": None, "timeout": self._requests.timeout_s}


def _as_json(body: Document) -> bytes:
    """Raises TypeError for anything but JSON values."""
    return orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS)


def _message(received: Any) -> _Message:
    message = received.message
    return _Message(received.ack_id, message.attributes.get("id") or message.message_id, message.data)


def _body(data: bytes) -> Document:
    """Raises ValueError."""
    body = orjson.loads(data)
    if not isinstance(body, dict):
        raise ValueError("its data is no JSON object")
    return body


def _clients(channel: Any) -> _Clients:
    from google.pubsub_v1.services.publisher import PublisherAsyncClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
    from google.pubsub_v1.services.subscriber import SubscriberAsyncClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

    return _Clients(
        PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel)),
        SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel)),
    )


def _make_subscription(endpoint: str, path: str, topic: str, timeout_s: float) -> None:
    """On an emulator, unless it's there; its topic as well. Blocks. Raises Unavailable."""
    import grpc  # type: ignore[import-untyped]
    from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
    from google.pubsub_v1.services.publisher import PublisherClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    with grpc.insecure_channel(endpoint) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        subscription: Any = {"name": path, "topic": topic, "ack_deadline_seconds": LEASE_S}
        try:
            with suppress(AlreadyExists):
                publisher.create_topic({"name": topic}, retry=None, timeout=timeout_s)
            with suppress(AlreadyExists):
                subscriber.create_subscription(subscription, retry=None, timeout=timeout_s)
        except GoogleAPICallError as error:
            raise explain(error, NAME, HOST) from None
