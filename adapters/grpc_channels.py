"""Connections to one of Google's gRPC services, as many as its open streams need."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from domain.ports import Unavailable

if TYPE_CHECKING:  # at run time only if a Google service is chosen: importing them takes a second
    import grpc.aio  # type: ignore[import-untyped]
    from google.auth.credentials import Credentials

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MOST_STREAMS = 90
"""On one connection. Google's servers take 100; a stream that we cancelled counts until they have heard of it."""
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # else channels to the same address share one connection
    ("grpc.keepalive_time_ms", 30_000),  # a connection that died without a word is found out while calls use it
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),  # what Google sends in one piece is never too much for us
]

Stub = TypeVar("Stub")


class GrpcChannels(Generic[Stub]):
    """`async with` it, in the event loop that uses it: leaving closes every connection, and what runs on it.

    `endpoint` is host:port. `stub` makes of a channel whatever calls the service; it is kept as long as the channel.
    Without credentials those of the environment are used (Application Default Credentials). `insecure` is for a local
    server: plain text, no credentials."""

    def __init__(
        self,
        endpoint: str,
        stub: "Callable[[grpc.aio.Channel], Stub]",
        credentials: "Credentials | None" = None,
        insecure: bool = False,
        most_streams: int = MOST_STREAMS,
    ) -> None:
        self._endpoint = endpoint
        self._stub = stub
        self._credentials = credentials
        self._insecure = insecure
        self._most_streams = most_streams
        self._channels: list[_Channel[Stub]] = []

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        if not self._insecure and self._credentials is None:
            self._credentials = await asyncio.to_thread(default_credentials)
        self._connect().channel.get_state(try_to_connect=True)  # the first caller doesn't wait for the handshake
        return self

    async def __aexit__(self, *_: object) -> None:
        channels, self._channels = self._channels, []
        await asyncio.gather(*(each.channel.close() for each in channels))

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._channels)

    @contextmanager
    def stream(self) -> Iterator[Stub]:
        """Room for one stream (or call) while the context lasts, on the first connection that has it."""
        free = next((each for each in self._channels if each.streams < self._most_streams), None) or self._connect()
        free.streams += 1
        try:
            yield free.stub
        finally:
            free.streams -= 1

    def _connect(self) -> "_Channel[Stub]":
        import grpc.aio
        from google.api_core.grpc_helpers_async import create_channel

        channel: Any
        with _wakeups_that_never_block():
            if self._insecure:
                channel = grpc.aio.insecure_channel(self._endpoint, options=OPTIONS)
            else:
                channel = create_channel(
                    self._endpoint, credentials=self._credentials, default_scopes=(SCOPE,), options=OPTIONS
                )
        self._channels.append(_Channel(channel, self._stub(channel)))
        return self._channels[-1]


class _Channel(Generic[Stub]):
    def __init__(self, channel: "grpc.aio.Channel", stub: Stub) -> None:
        self.channel = channel
        self.stub = stub
        self.streams = 0


@contextmanager
def _wakeups_that_never_block() -> Iterator[None]:
    """For the making of a channel. The first one makes gRPC's only thread for events, and the pair of sockets by which
    that wakes the loop: it writes a byte for each event, and the loop reads one a turn. So a loop that was busy for a
    while is some 280 bytes behind; then the socket is full, the thread waits for room, and from then on each event of
    every stream takes a turn of its own, long after the loop has time again. A write that finds no room isn't needed:
    there are bytes enough to wake it."""
    make = socket.socketpair

    def pair(*args: Any, **more: Any) -> tuple[socket.socket, socket.socket]:
        reads, writes = make(*args, **more)
        writes.setblocking(False)
        return reads, writes

    socket.socketpair = pair
    try:
        yield
    finally:
        socket.socketpair = make


def default_credentials(scope: str = SCOPE) -> "Credentials":
    """The environment's, see Google's Application Default Credentials. Blocks. Raises Unavailable."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, _ = google.auth.default(scopes=(scope,))
    except GoogleAuthError as problem:
        raise Unavailable(
            "there are no Google credentials: run `gcloud auth application-default login`, give the service a service "
            "account, or correct GOOGLE_APPLICATION_CREDENTIALS"
        ) from problem
    return credentials
