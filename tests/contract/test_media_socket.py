"""A line over a real server: the same events whether uvicorn's own WebSocket serves it or the media socket, however
the network cuts the bytes."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from adapters.twilio_line import TwilioStreams
from domain.ports import Junk, Key, Line, Mark
from media_service.socket import MOST_UNREAD, MediaSocket
from tests.contract.test_twilio_line import ACCOUNT, CONNECTED, SID, START, STOP, media

LARGEST = 100_000
SERVERS: dict[str, Any] = {"uvicorn": "websockets-sansio", "media socket": MediaSocket}
every_server = pytest.mark.parametrize("ws", SERVERS.values(), ids=SERVERS.keys())

Talk = Callable[[Line, list[Any]], Any]


async def listen(line: Line, taken: list[Any]) -> None:
    await line.carry(taken.append)


class Server:
    """One line at a time, each held by `talk`; `taken` has the last one's events and how it ended."""

    def __init__(self, ws: Any, talk: Talk = listen) -> None:
        self._ws, self._talk = ws, talk

    async def _stream(self, socket: WebSocket) -> None:
        await socket.accept()
        line = (await TwilioStreams(ACCOUNT).begin(socket)).line
        self.direct = "offhook.direct" in socket.scope["extensions"]
        await self._talk(line, self.taken)
        await line.close()
        self.over.set()

    async def __aenter__(self) -> "Server":
        app = Starlette(routes=[WebSocketRoute("/", self._stream)])
        config = uvicorn.Config(
            app, port=0, lifespan="off", log_config=None, ws=self._ws, ws_max_size=LARGEST, ws_per_message_deflate=False
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving

    @asynccontextmanager
    async def line(self, offer: str = "") -> AsyncIterator["Client"]:
        """A client that has greeted."""
        self.taken: list[Any] = []
        self.over = asyncio.Event()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        request = (
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        )
        request += f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
        writer.write(request.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        writer.write(text(CONNECTED) + text(START))
        try:
            yield Client(reader, writer, answer)
        finally:
            writer.close()

    async def makes_of(self, *packets: bytes) -> list[Any]:
        """The events of a line on which these bytes come, one packet after the other, until it ends."""
        async with self.line() as client, asyncio.timeout(10):
            for packet in packets:
                client.writer.write(packet)
                await asyncio.sleep(0)
            client.writer.write(text(STOP))
            await self.over.wait()
        return self.taken


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        self.reader, self.writer, self.answer = reader, writer, answer

    async def messages(self) -> list[Frame]:
        """All that comes until the server closes."""
        protocol = ClientProtocol(parse_uri("ws://x/"))
        protocol.state = State.OPEN
        protocol.parser = _frames(protocol)
        next(protocol.parser)
        found: list[Frame] = []
        while not (found and found[-1].opcode is Opcode.CLOSE):
            protocol.receive_data(await self.reader.read(2**16))
            found += [event for event in protocol.events_received() if isinstance(event, Frame)]
        return found


def _frames(protocol: ClientProtocol) -> Iterator[None]:
    """The client's parser without its handshake."""
    return super(ClientProtocol, protocol).parse()


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> bytes:
    """As a client sends it."""
    return Frame(opcode, data, fin).serialize(mask=True)


def text(message: Any) -> bytes:
    return frame(json.dumps(message).encode())


def sound(number: int, size: int = 160) -> bytes:
    return bytes([number % 256]) * size


def pieces(data: bytes, *cuts: int) -> list[bytes]:
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


MARK = {"event": "mark", "sequenceNumber": "4", "mark": {"name": "1.0"}, "streamSid": SID}
KEY = {"event": "dtmf", "sequenceNumber": "6", "dtmf": {"digit": "#"}, "streamSid": SID}
TALK = [text(media(2, sound(2))), text(media(3, sound(3))), text(MARK), text(media(5, sound(5))), text(KEY)]
HEARD = [sound(2), sound(3), Mark("1.0"), sound(5), Key("#")]
PING, BINARY = frame(b"hello", Opcode.PING), frame(b"\x00\x01", Opcode.BINARY)


def run(ws: Any, story: Callable[[Server], Any], talk: Talk = listen) -> Any:
    async def whole() -> Any:
        async with Server(ws, talk) as server:
            return await story(server)

    return asyncio.run(whole())


@every_server
def test_all_in_one_packet_or_each_in_its_own(ws: Any) -> None:
    async def story(server: Server) -> None:
        assert await server.makes_of(*TALK) == HEARD
        assert await server.makes_of(b"".join(TALK)) == HEARD
        assert server.direct == (ws is MediaSocket)

    run(ws, story)


def test_a_talk_cut_in_two_at_every_byte() -> None:
    """The parser's state between two packets, byte by byte; without the network, which joins packets as it likes."""
    talk = b"".join([*TALK[:2], PING, *TALK[2:]])
    expected = messages(takes(talk, direct=False))
    assert len(expected) == len(TALK)
    for cut in range(len(talk) + 1):
        assert messages(takes(*pieces(talk, cut))) == expected, cut


def test_whole_messages_take_the_short_way_whatever_came_before() -> None:
    others = [PING, BINARY, frame('{"event":"é"}'.encode()), *pieces(TALK[1], 1), frame(b"{", fin=False)]
    taken = takes(TALK[0], *others, frame(b"}", Opcode.CONT), TALK[1], TALK[2] + TALK[3])
    kinds = ["short" if isinstance(one, bytes) else "parsed" for one in taken]
    assert kinds == ["short", "parsed", "parsed", "parsed", "parsed", "short", "parsed", "parsed"]


def test_a_talk_in_random_pieces() -> None:
    chance = random.Random(1)
    fragmented = frame(b'{"event":"media",', fin=False) + PING + frame(json.dumps(media(2))[17:].encode(), Opcode.CONT)
    parts = [*TALK, fragmented, BINARY, PING, frame('{"event":"é"}'.encode()), frame(b"x" * 70_000), frame(b"x" * 200)]
    for _ in range(300):
        talk = b"".join(chance.choices(parts, k=8))
        cuts = sorted(chance.sample(range(len(talk)), k=chance.choice((0, 1, 2, 5, 20))))
        taken = takes(*pieces(talk, *cuts))
        assert messages(taken) == messages(takes(talk, direct=False))


@every_server
def test_everything_between_the_sound_keeps_its_place(ws: Any) -> None:
    first, second = frame(b'{"event":"med', fin=False), frame(b'ia"}', Opcode.CONT)
    talk = b"".join([TALK[0], PING, BINARY, TALK[1], first, PING, second, TALK[2], frame("é".encode()), TALK[3]])

    async def story(server: Server) -> None:
        for cut in (0, 1, 2, 5, 9, 300, 420, 500, 800, 1100):
            taken = await server.makes_of(*pieces(talk, cut))
            kinds = [type(event) for event in taken]
            assert kinds == [bytes, Junk, bytes, Junk, Mark, Junk, bytes], cut

    run(ws, story)


@every_server
@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(b"\xff" * 200), 1007),
        (frame(b"x" * (LARGEST + 1))[:20], 1009),
        (frame(b"x" * 200, fin=False) + frame(b"x" * 200), 1002),
        (Frame(Opcode.TEXT, b"x" * 200).serialize(mask=False), 1002),
        (frame(b"x" * 200, Opcode.CONT), 1002),
        (frame(b"\x03\xe8", Opcode.CLOSE), 1000),
    ],
    ids=["no UTF-8", "too long", "a message within another", "not masked", "the end of nothing", "close"],
)
def test_a_line_ends_as_the_protocol_says(ws: Any, broken: bytes, code: int) -> None:
    async def story(server: Server) -> None:
        async with server.line() as client, asyncio.timeout(10):
            client.writer.write(TALK[0])
            while not server.taken:
                await asyncio.sleep(0.001)
            client.writer.write(broken + TALK[1])
            closing = (await client.messages())[-1]
            await server.over.wait()
        assert server.taken == [sound(2)]
        assert closing.opcode is Opcode.CLOSE
        assert int.from_bytes(closing.data[:2]) == code

    run(ws, story)


@every_server
def test_a_line_that_breaks_off_in_the_middle_of_a_message_ends(ws: Any) -> None:
    async def story(server: Server) -> None:
        async with server.line() as client, asyncio.timeout(10):
            client.writer.write(TALK[0] + TALK[1][:100])
            await client.writer.drain()
            client.writer.close()
            await server.over.wait()
        assert server.taken == [sound(2)]

    run(ws, story)


@every_server
def test_what_is_sent_arrives_in_order(ws: Any) -> None:
    async def talk(line: Line, taken: list[Any]) -> None:
        await line.play(sound(1, 3))
        await line.mark("1.0")
        await line.play(sound(2, 40_000))
        await line.play(sound(3, 60_000))
        await line.clear()
        await line.carry(taken.append)

    async def story(server: Server) -> None:
        async with server.line() as client, asyncio.timeout(10):
            client.writer.write(PING + text(STOP))
            *messages, closing = await client.messages()
        sent = [json.loads(message.data) for message in messages if message.opcode is Opcode.TEXT]
        assert [message["event"] for message in sent] == ["media", "mark", "media", "media", "clear"]
        assert closing.opcode is Opcode.CLOSE

    run(ws, story, talk)


@every_server
def test_what_the_call_raises_ends_the_line(ws: Any) -> None:
    async def talk(line: Line, taken: list[Any]) -> None:
        def take(event: Any) -> None:
            raise KeyError("a bug")

        with pytest.raises(KeyError, match="a bug"):
            await line.carry(take)

    async def story(server: Server) -> None:
        async with server.line() as client, asyncio.timeout(10):
            client.writer.write(TALK[0] + TALK[1])
            await server.over.wait()

    run(ws, story, talk)


@every_server
def test_nothing_is_handed_over_after_cancelling(ws: Any) -> None:
    async def talk(line: Line, taken: list[Any]) -> None:
        carrying = asyncio.create_task(line.carry(taken.append))
        while not taken:
            await asyncio.sleep(0.001)
        carrying.cancel()
        await asyncio.wait([carrying])
        await line.mark("go on")
        await asyncio.sleep(0.05)

    async def story(server: Server) -> None:
        async with server.line() as client, asyncio.timeout(10):
            client.writer.write(TALK[0])
            await client.reader.readuntil(b"go on")
            client.writer.write(TALK[1])
            await server.over.wait()
        assert server.taken == [sound(2)]

    run(ws, story, talk)


def test_a_far_end_that_never_reads_loses_its_connection() -> None:
    async def talk(line: Line, taken: list[Any]) -> None:
        carrying = asyncio.create_task(line.carry(taken.append))
        for _ in range(200):
            await line.play(sound(1, 100_000))
        await carrying

    async def story(server: Server) -> None:
        async with server.line(), asyncio.timeout(10):
            await server.over.wait()

    assert 3 * MOST_UNREAD < 200 * 100_000
    run(MediaSocket, story, talk)


@every_server
def test_no_compression_is_agreed_on(ws: Any) -> None:
    async def story(server: Server) -> None:
        async with server.line(offer="Sec-WebSocket-Extensions: permessage-deflate\r\n") as client:
            assert b"extensions" not in client.answer.lower()

    run(ws, story)


class PaperTransport(asyncio.Transport):
    """Nothing is sent anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.paused = False

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def open_socket(hold: Callable[[WebSocket], Any], transport: PaperTransport) -> MediaSocket:
    """A media socket without a network, its handshake done: each packet is exactly what it reads at once."""
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        begun.set()
        await hold(socket)

    config = uvicorn.Config(app, interface="asgi3", log_config=None, ws_max_size=LARGEST, ws_ping_interval=None)
    config.loaded_app, config.loaded, config.encoded_headers = app, True, []
    socket = MediaSocket(config, ServerState(), {})
    socket.connection_made(transport)
    request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    socket.data_received(request + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    await begun.wait()
    return socket


async def idle(socket: WebSocket) -> None:
    """Holds it until it is cancelled."""
    await asyncio.Event().wait()


def takes(*packets: bytes, direct: bool = True) -> list[Any]:
    """What a media socket hands over of these packets; not directly, it is what an application receives."""

    async def take() -> list[Any]:
        taken: list[Any] = []
        transport = PaperTransport()
        socket = await open_socket(idle, transport)
        if direct:
            socket.hand_over(taken.append)
        for packet in packets:
            if not transport.closing:
                socket.data_received(packet)
        assert not (direct and transport.paused)
        while not socket.queue.empty():
            taken.append(socket.queue.get_nowait())
        for task in socket.tasks:
            task.cancel()
        await asyncio.wait(socket.tasks)
        return taken

    return asyncio.run(take())


def messages(taken: list[Any]) -> list[Any]:
    """The same, whichever way it came."""
    return [one if isinstance(one, bytes) else one.get("text", "").encode() or one for one in taken]
