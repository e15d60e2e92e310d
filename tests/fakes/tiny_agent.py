"""The least that a carrier can call: webhooks answered by a function, a media stream talked to by another.

It checks signatures with Twilio's own validator, so that the carrier's are held against something that isn't its own.
"""

import asyncio
import math
import socket
import struct
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator

from domain import mulaw

TOKEN = "offhook-development-token"
Json = dict[str, Any]


def tone(ms: int, hz: int = 400) -> bytes:
    """mu-law."""
    samples = [round(8000 * math.sin(math.tau * hz * n / mulaw.RATE)) for n in range(ms * mulaw.BYTES_PER_MS)]
    return mulaw.from_pcm(struct.pack(f"<{len(samples)}h", *samples))


@dataclass
class Asked:
    """A webhook that came."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Line:
    """The server's end of a media stream."""

    socket: WebSocket
    messages: list[Json] = field(default_factory=list)
    """All that came, parsed."""
    heard: bytearray = field(default_factory=bytearray)
    stream_sid: str = ""

    async def events(self) -> AsyncIterator[Json]:
        """What comes, until the stream or the socket ends."""
        try:
            while True:
                message = orjson.loads(await self.socket.receive_text())
                self.messages.append(message)
                if message["event"] == "start":
                    self.stream_sid = message["streamSid"]
                if message["event"] == "media":
                    self.heard += b64decode(message["media"]["payload"])
                yield message
                if message["event"] == "stop":
                    return
        except WebSocketDisconnect:
            return

    async def until(self, event: str) -> Json:
        """The next message of this kind."""
        async for message in self.events():
            if message["event"] == event:
                return message
        raise EOFError(f"the stream ended before a {event} came")

    async def play(self, sound: bytes) -> None:
        await self.send({"event": "media", "media": {"payload": b64encode(sound).decode()}})

    async def mark(self, name: str) -> None:
        await self.send({"event": "mark", "mark": {"name": name}})

    async def clear(self) -> None:
        await self.send({"event": "clear"})

    async def send(self, message: Json) -> None:
        await self.socket.send_text(orjson.dumps({"streamSid": self.stream_sid, **message}).decode())


async def hang_up_at_once(line: Line) -> None:
    """The agent's part of a stream, if nothing else is wanted."""
    await line.until("start")


class TinyAgent:
    """`async with TinyAgent() as agent:` serves at `agent.url`. `twiml(path, form)` answers webhooks: text is TwiML;
    `talk(line)` holds a stream, which is closed when it returns."""

    def __init__(
        self,
        twiml: Callable[[str, dict[str, str]], str | Response] | None = None,
        talk: Callable[[Line], Awaitable[None]] = hang_up_at_once,
    ) -> None:
        self._twiml = twiml or (lambda path, form: self.connect() if path == "/twilio/voice" else "<Response/>")
        self._talk = talk
        self._validator = RequestValidator(TOKEN)
        self.asked: list[Asked] = []
        self.lines: list[Line] = []
        self.unsigned: list[str] = []
        """Addresses asked for with a wrong signature, or none."""
        self.refuses = False
        """Answers a handshake with 403."""
        self.close_code = 1000

    def connect(self, action: str = ' action="/twilio/next"', attributes: str = "") -> str:
        """TwiML that opens a stream here."""
        url = self.url.replace("http", "ws", 1) + "/twilio-stream"
        parameter = '<Parameter name="ticket" value="abc"/>'
        return f'<Response><Connect{action}><Stream url="{url}"{attributes}>{parameter}</Stream></Connect></Response>'

    def paths(self) -> list[str]:
        """The webhooks that came, in order."""
        return [asked.path for asked in self.asked]

    async def __aenter__(self) -> "TinyAgent":
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = Starlette(
            routes=[
                Route("/{path:path}", self._answer, methods=["GET", "POST"]),
                WebSocketRoute("/twilio-stream", self._stream),
            ]
        )
        config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve([listening]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving

    async def _answer(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        path = request.url.path
        query = f"?{request.url.query}" if request.url.query else ""
        self._check(f"{self.url}{path}{query}", form, request.headers.get("x-twilio-signature", ""))
        self.asked.append(Asked(path, form | dict(request.query_params), dict(request.headers)))
        if path == "/twilio/status":
            return Response(status_code=204)
        answer = self._twiml(path, form)
        return answer if isinstance(answer, Response) else Response(answer, media_type="text/xml")

    async def _stream(self, websocket: WebSocket) -> None:
        address = self.url.replace("http", "ws", 1) + websocket.url.path
        self._check(address, {}, websocket.headers.get("x-twilio-signature", ""))
        if self.refuses:
            await websocket.send_denial_response(PlainTextResponse("no", status_code=403))
            return
        await websocket.accept()
        line = Line(websocket)
        self.lines.append(line)
        await self._talk(line)
        with suppress(RuntimeError):  # the carrier went first
            await websocket.close(self.close_code)

    def _check(self, url: str, form: dict[str, str], signature: str) -> None:
        if not self._validator.validate(url, form, signature):
            self.unsigned.append(url)
