"""One simulated call's media stream, light enough that one core carries hundreds: a raw protocol, no task, no timer."""

import asyncio
from collections import deque
from secrets import token_bytes
from time import monotonic
from typing import cast

import orjson
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from domain.mulaw import BYTES_PER_MS
from offhook.bench.frame import text_frame
from offhook.bench.talk import Change, Talk
from offhook.bench.tally import Tally
from offhook.carrier.messages import Writer
from offhook.carrier.twiml import Stream

BACKLOG = 256 * 1024
"""Bytes that may wait for a server that doesn't read; the caller's frames are dropped above."""


class Refused(Exception):
    """The server didn't take the stream. The message is one sentence."""


class Caller(asyncio.Protocol):
    """Sends a frame whenever it is told to, returns marks as they are played, and tells the tally what it hears.

    The library does the handshake and everything that is rare; only media messages are framed here."""

    def __init__(self, stream: Stream, signature: str, writer: Writer, talk: Talk, tally: Tally) -> None:
        self.lost = asyncio.get_running_loop().create_future()
        """Done when the connection is gone."""
        self._began = asyncio.get_running_loop().create_future()
        self._stream, self._writer, self._talk, self._tally = stream, writer, talk, tally
        self._socket = ClientProtocol(parse_uri(stream.url))
        self._signature = signature
        self._mask = token_bytes(4)
        self._zero = 0.0
        self._heard_until = 0.0  # when what came so far will have been played
        self._marks: deque[tuple[float, str]] = deque()
        self._ended_at: float | None = None  # a reply to this utterance is awaited
        self._interrupted_at: float | None = None  # `clear` is awaited
        self._new_reply = True  # the next audio may be another reply's
        self._choked = False

    async def begin(self) -> None:
        """Waits for the handshake. Raises Refused. Cancelling leaves the connection as it is."""
        await self._began

    @property
    def on(self) -> bool:
        """The call is going on."""
        return self._zero > 0 and not self.lost.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's don't inherit from it
        transport.set_write_buffer_limits(high=BACKLOG)
        request = self._socket.connect()
        request.headers["x-twilio-signature"] = self._signature
        self._socket.send_request(request)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._began.done():
            self._began.set_exception(Refused("the connection was closed during the handshake"))
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False

    # --- from the caller --------------------------------------------------------------------------------------

    def frame(self, due: float) -> None:
        """Sends the caller's next 20 ms, whose time this is."""
        now = monotonic()
        while self._marks and self._marks[0][0] <= now:
            self._send(self._writer.mark(self._marks.popleft()[1]))
        hears = now < self._heard_until
        sound, change = self._talk.frame(hears)
        if self._choked:
            self._tally.frames_dropped += self._tally.counts(due)
        else:
            text = self._writer.media(sound, int((now - self._zero) * 1000))
            self._transport.write(text_frame(text.encode(), self._mask))
        self._tally.frame(due, now)
        if change is not None:
            self._note(change, now)

    def _note(self, change: Change, now: float) -> None:
        tally = self._tally
        match change:
            case Change.BEGAN:
                self._new_reply = True
            case Change.INTERRUPTED:
                self._interrupted_at = now
                tally.interruptions += tally.counts(now)
            case Change.ENDED:
                if self._interrupted_at is not None:
                    tally.unheard_interruptions += tally.counts(self._interrupted_at)
                    self._interrupted_at = None
                self._ended_at, self._new_reply = now, True
                tally.turns += tally.counts(now)
            case Change.UNANSWERED:
                if self._ended_at is not None:
                    tally.unanswered += tally.counts(self._ended_at)
                    self._ended_at = None

    # --- from the server --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Response):
                self._opened()
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._receive(event.data)
        self._flush()  # pongs, and the answer to a close
        if self._socket.close_expected():
            self._transport.close()

    def _opened(self) -> None:
        if problem := self._socket.handshake_exc:
            status = f"{problem.response.status_code}" if isinstance(problem, InvalidStatus) else str(problem)
            if not self._began.done():
                self._began.set_exception(Refused(f"the handshake was answered with {status}"))
            return
        self._send(self._writer.connected())
        self._send(self._writer.start(dict(self._stream.parameters)))
        self._zero = monotonic()
        self._began.set_result(None)

    def _receive(self, text: bytes | bytearray | memoryview) -> None:
        message = orjson.loads(text)
        match message["event"]:
            case "media":
                payload: str = message["media"]["payload"]
                self._hear((len(payload) * 3 // 4 - payload.count("=", -2)) / BYTES_PER_MS)
            case "mark":
                self._marks.append((self._heard_until, message["mark"]["name"]))
            case "clear":
                self._clear()

    def _hear(self, ms: float) -> None:
        """So much of the agent's sound."""
        now, tally = monotonic(), self._tally
        if self._talk.owed:
            self._talk.replied()
            if self._ended_at is not None:
                if tally.counts(self._ended_at):
                    tally.gaps.append((now - self._ended_at) * 1000)
                self._ended_at = None
        elif self._new_reply and self._talk.speaking:
            tally.cut_ins += tally.counts(now)
        elif not self._new_reply and now > self._heard_until and tally.counts(now):
            tally.late_audio.append((now - self._heard_until) * 1000)
        self._new_reply = False
        self._heard_until = max(self._heard_until, now) + ms / 1000

    def _clear(self) -> None:
        now = monotonic()
        if self._interrupted_at is not None:
            if self._tally.counts(self._interrupted_at):
                self._tally.clears.append((now - self._interrupted_at) * 1000)
            self._interrupted_at = None
        self._heard_until = min(self._heard_until, now)
        self._new_reply = True
        while self._marks:
            self._send(self._writer.mark(self._marks.popleft()[1]))

    # --- the connection ---------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Says `stop` and closes."""
        if self.on:
            self._zero = 0.0
            self._send(self._writer.stop())
            self._socket.send_close(1000)
            self._flush()

    def abort(self) -> None:
        """Drops the connection."""
        self._transport.abort()

    def _send(self, text: str) -> None:
        self._transport.write(text_frame(text.encode(), self._mask))

    def _flush(self) -> None:
        for data in self._socket.data_to_send():
            if data:
                self._transport.write(data)
