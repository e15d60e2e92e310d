"""The one way out to addresses that organisations name: tools, MCP servers, webhooks, pages.

The address that was checked is the address that is connected to: a name is resolved once, every answer is checked, and
the connection is made to one of them. TLS still asks for the name.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import httpcore2
import httpx2

from domain.address import is_public
from domain.ports import Answer, NotSent, TooBig, Unavailable

if TYPE_CHECKING:
    from httpcore2 import AsyncNetworkStream

MOST_REDIRECTS = 3
MOST_BYTES = 5_000_000
"""Of an answer to a client that doesn't say."""
MOST_ADDRESSES = 4
"""Of a name: no more are tried."""
CONNECT_S = 5.0
PIECE = 65_536
ANYWHERE = ("accept", "accept-language", "user-agent")
"""Headers that follow a redirect to another origin."""
DEFAULT_PORTS = {"http": 80, "https": 443}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to IP addresses. Raises OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """As the machine does."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Egress:
    """See `domain.ports.Web`. `async with` it: leaving closes its connections.

    `ports` are allowed beside 80 and 443. `allow` are hosts with their ports ("127.0.0.1:9000") that are reached
    wherever they are: for development."""

    def __init__(
        self,
        allow: Collection[str] = (),
        ports: Collection[int] = (),
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        sockets: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        rules = _Rules(frozenset(map(str.lower, allow)), frozenset(ports))
        network = _Network(rules, resolve, sockets or httpcore2.AnyIOBackend())
        self._transport = _Guarded(rules, network, tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    def client(self, headers: Mapping[str, str], within_s: float, most_bytes: int = MOST_BYTES) -> httpx2.AsyncClient:
        """For a library that brings its own requests. It follows no redirects and shares our connections. What is
        refused raises NotSent or TooBig in it."""
        return httpx2.AsyncClient(
            transport=_Lent(self._transport, most_bytes),
            headers=headers,
            timeout=httpx2.Timeout(within_s, connect=min(within_s, CONNECT_S)),
            trust_env=False,
        )

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        within_s: float = 10.0,
        most_bytes: int = 1_000_000,
    ) -> Answer:
        sent = False

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            nonlocal sent
            sent = sent or event.endswith("send_request_headers.started")

        host = "the server"
        try:
            where = httpx2.URL(url)
            host = where.host or host
            async with asyncio.timeout(within_s):
                return await self._follow(method, where, headers or {}, body, within_s, most_bytes, trace)
        except TimeoutError:
            raise (Unavailable if sent else NotSent)(f"{host} took longer than {round(within_s * 1000)} ms") from None
        except httpx2.InvalidURL:
            if sent:
                raise Unavailable(f"{host} leads to what isn't an address") from None
            raise NotSent("this isn't an address") from None
        except NotSent as refused:
            raise (Unavailable if sent else NotSent)(str(refused)) from None
        except (httpx2.HTTPError, httpx2.StreamError, UnicodeError) as problem:
            raise (Unavailable if sent else NotSent)(_sentence(host, problem)) from None

    async def _follow(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        body: bytes,
        within_s: float,
        most_bytes: int,
        trace: Any,
    ) -> Answer:
        timeouts = {"connect": min(within_s, CONNECT_S), "read": within_s, "write": within_s, "pool": within_s}
        for redirects in range(MOST_REDIRECTS + 1):
            request = httpx2.Request(
                method,
                url.copy_with(fragment=None),
                headers=headers,
                content=body or None,
                extensions={"timeout": timeouts, "trace": trace, "most_bytes": most_bytes},
            )
            # Not through a client: it would log the whole address and keep cookies.
            response = await self._transport.handle_async_request(request)
            try:
                location = response.headers.get("location", "")
                if response.status_code not in (301, 302, 303, 307, 308) or not location:
                    read = bytearray()
                    async for piece in response.stream:  # type: ignore[union-attr]
                        read += piece
                    return Answer(response.status_code, dict(response.headers), bytes(read), str(url), redirects > 0)
            finally:
                await response.aclose()
            there = url.join(location)
            if url.scheme == "https" and there.scheme != "https":
                raise Unavailable(f"{url.host} leads elsewhere without encryption")
            elsewhere = _origin(there) != _origin(url)
            if response.status_code == 303 or (response.status_code in (301, 302) and method == "POST"):
                method, body = ("HEAD" if method == "HEAD" else "GET"), b""
                headers = {name: each for name, each in headers.items() if not name.lower().startswith("content-")}
            elif elsewhere and method not in ("GET", "HEAD"):
                raise Unavailable(f"{url.host} wants the request sent elsewhere")
            if elsewhere:
                headers = {name: each for name, each in headers.items() if name.lower() in ANYWHERE}
            url = there
        raise Unavailable(f"{url.host} leads from one address to the next")


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or DEFAULT_PORTS.get(url.scheme)


def _sentence(host: str, problem: Exception) -> str:
    """Of the problem's own words nothing is passed on: they may repeat what was sent."""
    match problem:
        case httpx2.TimeoutException():
            return f"{host} took too long"
        case httpx2.ConnectError() if _in_chain(problem, ssl.SSLError):
            return f"no safe connection to {host} could be made"
        case httpx2.ConnectError():
            return f"{host} could not be reached"
        case httpx2.ReadError() | httpx2.WriteError() | httpx2.RemoteProtocolError():
            return f"{host} broke the connection"
    return f"{host} could not be asked"


def _in_chain(problem: BaseException | None, kind: type[BaseException]) -> bool:
    while problem:
        if isinstance(problem, kind):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


class _Rules:
    def __init__(self, allow: Collection[str], ports: Collection[int]) -> None:
        self._allow, self._ports = allow, ports

    def exempt(self, host: str, port: int) -> bool:
        return f"{f'[{host}]' if ':' in host else host}:{port}".lower() in self._allow

    def check(self, url: httpx2.URL) -> None:
        """Raises NotSent."""
        if url.scheme not in DEFAULT_PORTS or not url.host:
            raise NotSent("only http and https addresses can be asked")
        if url.userinfo:
            raise NotSent(f"an address that names a user isn't asked: {url.host}")
        port = url.port or DEFAULT_PORTS[url.scheme]
        if port not in self._ports and port != DEFAULT_PORTS[url.scheme] and not self.exempt(url.host, port):
            raise NotSent(f"port {port} of {url.host} isn't asked: only 80 for http and 443 for https")


class _Guarded(httpx2.AsyncHTTPTransport):
    """Connects only to what the rules allow, and reads only so much."""

    def __init__(self, rules: _Rules, network: "_Network", tls: ssl.SSLContext | None) -> None:
        context = tls or httpx2.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._rules = rules
        # The transport has no parameter for the network; its pool has. No proxy of the environment's is used either.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=1000,
            max_keepalive_connections=100,
            keepalive_expiry=5.0,  # sooner than servers close them: one that is used as it closes loses a request
            network_backend=network,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._rules.check(request.url)
        request.headers["accept-encoding"] = "gzip"
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        body = _Body(
            response.stream,
            response.headers.get("content-encoding", ""),
            request.extensions.get("most_bytes", MOST_BYTES),
            response.status_code,
            request.url.host,
        )
        drop = ("content-encoding", "content-length")
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in drop]
        return httpx2.Response(response.status_code, headers=headers, stream=body, extensions=response.extensions)


class _Lent(httpx2.AsyncBaseTransport):
    """Somebody's client may close it; the connections stay."""

    def __init__(self, transport: _Guarded, most_bytes: int) -> None:
        self._transport, self._most_bytes = transport, most_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions = {**request.extensions, "most_bytes": self._most_bytes}
        return await self._transport.handle_async_request(request)


class _Body(httpx2.AsyncByteStream):
    """An answer's body, unpacked piece by piece, up to a size."""

    def __init__(self, stream: httpx2.AsyncByteStream, encoding: str, most_bytes: int, status: int, host: str) -> None:
        self._stream, self._encoding, self._most_bytes = stream, encoding.strip().lower(), most_bytes
        self._status, self._host = status, host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Unavailable(f"{self._host} answered in an encoding that it wasn't asked for")
        packed = self._encoding not in ("", "identity")
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        came = unpacked = 0
        async for chunk in self._stream:
            came += len(chunk)
            for piece in self._unpacked(inflate, chunk) if packed else (chunk,):
                unpacked += len(piece)
                if max(came, unpacked) > self._most_bytes:
                    raise TooBig(f"{self._host} answered with more than {self._most_bytes} bytes", self._status)
                yield piece

    def _unpacked(self, inflate: Any, chunk: bytes) -> Iterable[bytes]:
        try:
            while chunk and not inflate.eof:
                if piece := inflate.decompress(chunk, PIECE):
                    yield piece
                chunk = inflate.unconsumed_tail
            # What a full piece left behind of a chunk that was used up.
            while not inflate.eof and (piece := inflate.decompress(b"", PIECE)):
                yield piece
        except zlib.error:
            raise Unavailable(f"{self._host} answered with what can't be unpacked") from None

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Network(httpcore2.AsyncNetworkBackend):
    """Makes connections to addresses that were checked."""

    def __init__(self, rules: _Rules, resolve: Resolve, sockets: httpcore2.AsyncNetworkBackend) -> None:
        self._rules, self._resolve, self._sockets = rules, resolve, sockets

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> "AsyncNetworkStream":
        addresses = await self._addresses(host, port)
        share = timeout / len(addresses) if timeout else timeout
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                return await self._sockets.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if last == 0:
                    raise
        raise AssertionError("a name has at least one address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = list(await self._resolve(host, port))
        except OSError:
            found = []
        if not found:
            raise NotSent(f"there is no host {host}")
        if not self._rules.exempt(host, port) and not all(map(is_public, found)):
            raise NotSent(f"{host} isn't a public address")
        return found[:MOST_ADDRESSES]

    async def connect_unix_socket(self, *_: Any, **__: Any) -> "AsyncNetworkStream":
        raise NotSent("only http and https addresses can be asked")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
