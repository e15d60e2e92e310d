"""Twilio Media Streams over a WebSocket: the Line of a phone call. Source: Twilio's "WebSocket Messages" page."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from domain.ports import BadStart, Junk, Key, LineEvent, Mark, Stream

LARGEST_MESSAGE = 64 * 1024
"""Characters; Twilio's own are below 1 kB."""
START_S = 5.0
MOST_GREETINGS = 5
KEYS = frozenset("0123456789*#ABCD")


class TwilioStreams:
    """Streams of one Twilio account."""

    def __init__(self, account_sid: str) -> None:
        self._account_sid = account_sid

    async def begin(self, socket: WebSocket) -> Stream:
        """Waits for `connected` and `start`. Raises BadStart."""
        try:
            async with asyncio.timeout(START_S):
                for _ in range(MOST_GREETINGS):
                    message = _parse(await socket.receive())
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


class TwilioLine:
    """The line of a started stream."""

    def __init__(self, socket: WebSocket, stream_sid: str, sequence: int) -> None:
        self._socket = socket
        self._stream_sid = stream_sid
        self._last_sequence = sequence
        self._media = b'{"event":"media","streamSid":%s,"media":{"payload":"' % orjson.dumps(stream_sid)
        self._clear = orjson.dumps({"event": "clear", "streamSid": stream_sid}).decode()
        self._open = True

    async def events(self) -> AsyncIterator[LineEvent]:
        """Ends at `stop` or when the socket closes."""
        try:
            while True:
                message = _parse(await self._socket.receive())
                event = message if isinstance(message, Junk) else self._read(message)
                if event is None:
                    return
                yield event
        except WebSocketDisconnect:
            self._open = False

    def _read(self, message: dict[str, Any]) -> LineEvent | None:
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
        await self._send((self._media + b64encode(sound) + b'"}}').decode())

    async def mark(self, name: str) -> None:
        message = {"event": "mark", "streamSid": self._stream_sid, "mark": {"name": name}}
        await self._send(orjson.dumps(message).decode())

    async def clear(self) -> None:
        await self._send(self._clear)

    async def close(self) -> None:
        """Twilio asks `<Connect action>` next."""
        if self._open:
            self._open = False
            with suppress(RuntimeError, WebSocketDisconnect):  # it went first
                await self._socket.close(1000)

    async def _send(self, message: str) -> None:
        """A line that went meanwhile takes nothing more; `events` ends then."""
        if not self._open:
            return
        try:
            await self._socket.send_text(message)
        except (RuntimeError, WebSocketDisconnect):
            self._open = False


def _parse(received: MutableMapping[str, Any]) -> dict[str, Any] | Junk:
    """Raises WebSocketDisconnect when the socket closed."""
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", 1005), received.get("reason"))
    text = received.get("text")
    if text is None:
        return Junk("it is not text")
    if len(text) > LARGEST_MESSAGE:
        return Junk(f"it is {len(text)} characters long")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Junk("it is not JSON")
    return message if isinstance(message, dict) else Junk("it is not an object")
