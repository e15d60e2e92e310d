"""Twilio Media Streams over a WebSocket: the Line of a phone call. Source: Twilio's "WebSocket Messages" page."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, Literal

import orjson
from msgspec import DecodeError, Struct, json
from starlette.websockets import WebSocket, WebSocketDisconnect

from domain.mulaw import FRAME_MS
from domain.ports import BadStart, Junk, Key, LineEvent, Mark, Stream

LARGEST_MESSAGE = 64 * 1024
"""Characters; Twilio's own are below 1 kB."""
START_S = 5.0
MOST_GREETINGS = 5
KEYS = frozenset("0123456789*#ABCD")
DIRECT = "offhook.direct"
"""The ASGI extension of a server that hands messages over as they come, without a task that waits for each."""
MEASURED = 10
"""One message in so many has its lateness measured."""
DRIFT = 0.0001
"""How much two clocks may differ in pace, at most; quartz stays well below."""


class TwilioStreams:
    """Streams of one Twilio account."""

    def __init__(self, account_sid: str) -> None:
        self._account_sid = account_sid

    async def begin(self, socket: WebSocket) -> Stream:
        """Waits for `connected` and `start`. Raises BadStart."""
        try:
            async with asyncio.timeout(START_S):
                for _ in range(MOST_GREETINGS):
                    message = _parse(_text(await socket.receive()))
                    if isinstance(message, dict) and message.get("event") == "start":
                        return self._started(socket, message)
        except TimeoutError:
            raise BadStart("no start message came in time") from None
        except WebSocketDisconnect:
            raise BadStart("it closed before its start message") from None
        raise BadStart("no start message came")

    def _started(self, socket: WebSocket, message: dict[str, Any]) -> Stream:
        try:
            start, stream_sid = message["start"], str(message["streamSid"])
            account_sid, call_sid = start["accountSid"], str(start["callSid"])
            ticket = start["customParameters"].get("ticket", "")
            media = start["mediaFormat"]
            sound = (media["encoding"], int(media["sampleRate"]), int(media["channels"]))
            sequence = int(message["sequenceNumber"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadStart("its start message is not Twilio's") from None
        if account_sid != self._account_sid:
            raise BadStart("it belongs to another account")
        if sound != ("audio/x-mulaw", 8000, 1):
            raise BadStart("its sound is not mu-law of 8 kHz")
        return Stream(call_sid, str(ticket), TwilioLine(socket, stream_sid, sequence))


class _Media(Struct, gc=False):
    payload: bytes
    timestamp: int = -1
    track: Literal["inbound"] = "inbound"


class _MediaMessage(Struct, gc=False):
    event: Literal["media"]
    streamSid: str
    sequenceNumber: int
    media: _Media


_media_message = json.Decoder(_MediaMessage, strict=False).decode  # not strict: Twilio's numbers are texts


class TwilioLine:
    """The line of a started stream."""

    def __init__(self, socket: WebSocket, stream_sid: str, sequence: int) -> None:
        self._socket = socket
        self._direct = socket.scope.get("extensions", {}).get(DIRECT)
        self._stream_sid = stream_sid
        self._last_sequence = sequence
        self._media = b'{"event":"media","streamSid":%s,"media":{"payload":"' % orjson.dumps(stream_sid)
        self._clear = orjson.dumps({"event": "clear", "streamSid": stream_sid})
        self._open = True
        self._promptest = float("inf")
        self.late: Callable[[float], None] = lambda ms: None

    async def carry(self, take: Callable[[LineEvent], None]) -> None:
        """Ends at `stop` or when the socket closes."""
        ended = asyncio.get_running_loop().create_future()

        def receive(message: bytes | Mapping[str, Any]) -> None:
            if ended.done():
                return
            try:
                if (event := self._read(message)) is None:
                    ended.set_result(None)
                else:
                    take(event)
            except Exception as problem:
                ended.set_exception(problem)

        if self._direct:
            self._direct["hand_over"](receive)
            try:
                await ended
            finally:
                self._direct["hand_over"](None)
        else:
            while not ended.done():
                receive(await self._socket.receive())
            ended.result()

    def _read(self, message: bytes | Mapping[str, Any]) -> LineEvent | None:
        """What a message means, a text or an ASGI event; None when the line ends."""
        try:
            text = message if isinstance(message, bytes) else _text(message)
        except WebSocketDisconnect:
            self._open = False
            return None
        if text is not None and len(text) <= LARGEST_MESSAGE and (sound := self._sound(text)):
            return sound
        parsed = _parse(text)
        return parsed if isinstance(parsed, Junk) else self._interpret(parsed)

    def _sound(self, text: bytes | str) -> bytes | None:
        """The sound in the one message that comes fifty times a second; None if it is any other, or not in order."""
        try:
            message = _media_message(text)
        except DecodeError:
            return None
        media = message.media
        if message.streamSid != self._stream_sid or message.sequenceNumber <= self._last_sequence or not media.payload:
            return None
        self._last_sequence = message.sequenceNumber
        if message.sequenceNumber % MEASURED == 0 and media.timestamp >= 0:
            self._measure(media.timestamp)
        return media.payload

    def _measure(self, timestamp: int) -> None:
        """Tells how late a piece of sound is, by the carrier's clock (ms) against ours."""
        delay = monotonic() * 1000 - timestamp
        self._promptest = min(delay, self._promptest + DRIFT * MEASURED * FRAME_MS)
        self.late(delay - self._promptest)

    def _interpret(self, message: dict[str, Any]) -> LineEvent | None:
        """What a message means; None for `stop`. Junk for what Twilio wouldn't send."""
        try:
            if message["streamSid"] != self._stream_sid:
                return Junk("it belongs to another stream")
            # One that isn't numbered can't be out of order.
            sequence = int(message.get("sequenceNumber", self._last_sequence + 1))
            if sequence <= self._last_sequence:
                return Junk(f"its number {sequence} is not after {self._last_sequence}")
            match message["event"]:
                case "media":
                    media = message["media"]
                    if media.get("track", "inbound") != "inbound":
                        return Junk("it is not the caller's sound")
                    event: LineEvent | None = b64decode(media["payload"], validate=True)
                    if not event:
                        return Junk("it holds no sound")
                case "mark":
                    event = Mark(str(message["mark"]["name"]))
                case "dtmf":
                    digit = message["dtmf"]["digit"]
                    event = Key(digit) if digit in KEYS else Junk("no such key")
                case "stop":
                    event = None
                case unknown:
                    return Junk(f"there is no event {str(unknown)[:40]!r} here")
        except (KeyError, TypeError, ValueError, AttributeError):
            return Junk("its fields are not Twilio's")
        if "sequenceNumber" in message:
            self._last_sequence = sequence
        return event

    async def play(self, sound: bytes) -> None:
        await self._send(self._media + b64encode(sound) + b'"}}')

    async def mark(self, name: str) -> None:
        message = {"event": "mark", "streamSid": self._stream_sid, "mark": {"name": name}}
        await self._send(orjson.dumps(message))

    async def clear(self) -> None:
        await self._send(self._clear)

    async def close(self) -> None:
        """Twilio asks `<Connect action>` next."""
        if self._open:
            self._open = False
            with suppress(RuntimeError, WebSocketDisconnect):  # it went first
                await self._socket.close(1000)

    async def _send(self, message: bytes) -> None:
        """A line that went meanwhile takes nothing more; `carry` ends then."""
        if not self._open:
            return
        if self._direct:
            self._direct["send"](message)
            return
        try:
            await self._socket.send_text(message.decode())
        except (RuntimeError, WebSocketDisconnect):
            self._open = False


def _text(received: Mapping[str, Any]) -> str | None:
    """None if the message is binary. Raises WebSocketDisconnect when the socket closed."""
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", 1005), received.get("reason"))
    return received.get("text")


def _parse(text: bytes | str | None) -> dict[str, Any] | Junk:
    if text is None:
        return Junk("it is not text")
    if len(text) > LARGEST_MESSAGE:
        return Junk(f"it is {len(text)} characters long")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Junk("it is not JSON")
    return message if isinstance(message, dict) else Junk("it is not an object")
