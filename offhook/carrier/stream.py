"""Twilio's end of one bidirectional media stream."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from offhook.carrier import messages
from offhook.carrier.handset import Handset
from offhook.carrier.twiml import Stream
from offhook.carrier.violation import Breach

USER_AGENT = "TwilioMediaStreams/1.0 (simulated by offhook)"
OPEN_S = 5.0
CLOSE_S = 1.0
BACKLOG = 256 * 1024
"""Bytes that may wait for a server that doesn't read; the caller's sound is dropped above."""
LARGEST_MESSAGE = 16 * 1024 * 1024
NO_ANSWER = 31901
NOT_UPGRADED = 31920
READS_TOO_SLOWLY = 31930
BROKEN = 31924


@dataclass(frozen=True, slots=True)
class Returned:
    """A mark that went back to the server."""

    name: str
    at_ms: float
    flushed: bool
    """By a `clear`, or else it was played."""


async def open_stream(phone: Handset) -> "MediaStream":
    """The stream that a telephone is on, as soon as it is on one: for callers who want to break something."""
    while not isinstance(phone.far, MediaStream):  # noqa: ASYNC110 — once a test, at most
        await asyncio.sleep(0.01)
    return phone.far


class _Connect(connect):
    """Twilio follows no redirects."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class MediaStream:
    """One media stream, from its handshake until its socket closes. Times are the handset's."""

    def __init__(
        self,
        sid: str,
        noun: Stream,
        phone: Handset,
        account_sid: str,
        call_sid: str,
        breach: Callable[[int, str], None],
    ) -> None:
        self.sid = sid
        self.url = noun.url
        self.parameters = dict(noun.parameters)
        self.error = ""
        """Why it failed; empty if it began and was closed in order."""
        self.close_code: int | None = None
        """The server's; 1006 if the socket just went; None while it is open."""
        self.close_reason = ""
        self.marks: list[Returned] = []
        self.clears: list[float] = []
        """When each `clear` came."""
        self.unplayed_ms = 0.0
        """Sound that was still to be played when the stream ended."""
        self.dropped = 0
        """Frames of the caller's that the server was too slow to take."""
        self._phone = phone
        self._breach = breach
        self._writer = messages.Writer(account_sid, call_sid, sid)
        self._waiting: deque[tuple[float, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._socket: ClientConnection | None = None
        self._started_ms = 0.0

    async def run(self, signature: str, started: Callable[[], None]) -> None:
        """Streams until the server closes the socket, or fails to open one. Calls `started` once it has begun.
        Cancelling says `stop` and closes: the caller has hung up."""
        if (socket := await self._open(signature)) is None:
            return
        self._socket = socket
        try:
            async with asyncio.TaskGroup() as self._tasks:
                try:
                    await self._stream(socket, started)
                except asyncio.CancelledError:
                    await self._send(self._writer.stop())
                    raise
                finally:
                    self._end()
        finally:
            await socket.close()
            self.close_code, self.close_reason = socket.close_code, socket.close_reason or ""
        if self.close_code == 1006:
            self.error = f"{BROKEN}: the socket broke without being closed"

    async def _open(self, signature: str) -> ClientConnection | None:
        if "?" in self.url:
            self._fail(NOT_UPGRADED, "a stream's URL can't have a query string")
            return None
        try:
            return await _Connect(
                self.url,
                additional_headers={"x-twilio-signature": signature},
                user_agent_header=USER_AGENT,
                compression=None,
                proxy=None,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                ping_interval=None,
                max_size=LARGEST_MESSAGE,
                write_limit=2 * BACKLOG,
            )
        except InvalidStatus as refusal:
            self._fail(NOT_UPGRADED, f"the server answered {refusal.response.status_code} instead of 101")
        except (InvalidHandshake, InvalidURI) as problem:
            self._fail(NOT_UPGRADED, f"the handshake failed: {problem}")
        except (OSError, TimeoutError) as problem:
            self._fail(NO_ANSWER, f"no connection: {problem}")
        return None

    async def _stream(self, socket: ClientConnection, started: Callable[[], None]) -> None:
        await self._send(self._writer.connected())
        await self._send(self._writer.start(self.parameters))
        self._started_ms = self._phone.now()
        self._phone.far = self
        started()
        try:
            async for message in socket:
                self._receive(message)
        except ConnectionClosed:
            pass  # `run` looks at the code

    def _end(self) -> None:
        if self._phone.far is self:
            self._phone.far = None
        if self._timer:
            self._timer.cancel()
        self._waiting.clear()
        self.unplayed_ms = self._phone.flush()

    def _fail(self, code: int, what: str) -> None:
        self.error = f"{code}: {what}"
        self._breach(code, what)

    # --- from the caller --------------------------------------------------------------------------------------

    async def frame(self, sound: bytes) -> None:
        """The caller's next 20 ms."""
        socket = self._socket
        if socket is None:
            return
        if socket.transport.get_write_buffer_size() > BACKLOG:
            self.dropped += 1
            if self.dropped == 1:
                self._breach(READS_TOO_SLOWLY, "the server reads too slowly: the caller's sound is dropped")
            return
        await self._send(self._writer.media(sound, round(self._phone.now() - self._started_ms)))

    async def key(self, digit: str) -> None:
        """A key of the caller's."""
        await self._send(self._writer.dtmf(digit))

    async def send_raw(self, message: str | bytes) -> None:
        """Sends what Twilio never would: text as a text frame, bytes as a binary one."""
        await self._send(message)

    def abort(self) -> None:
        """Breaks the connection without a word."""
        if self._socket:
            self._socket.transport.abort()

    async def _return(self, mark: str) -> None:
        await self._send(self._writer.mark(mark))  # numbered only here: a frame may have gone first

    async def _send(self, message: str | bytes) -> None:
        """A socket that is closing takes nothing more; `run` notices."""
        assert self._socket
        with suppress(ConnectionClosed):
            await self._socket.send(message)

    # --- from the server --------------------------------------------------------------------------------------

    def _receive(self, message: str | bytes) -> None:
        try:
            match messages.read(message, self.sid):
                case messages.Media(sound=sound):
                    self._phone.hear(sound)
                case messages.Mark(name=name):
                    self._waiting.append((self._phone.heard_until_ms, name))
                    self._return_marks()
                case messages.Clear():
                    self.clears.append(self._phone.now())
                    self._phone.flush()
                    self._return_marks(flushed=True)
        except Breach as breach:
            self._breach(breach.code, breach.what)

    def _return_marks(self, flushed: bool = False) -> None:
        """Returns the marks whose time has come, or all of them, and wakes up for the next."""
        now = self._phone.now()
        while self._waiting and (flushed or self._waiting[0][0] <= now):
            _, name = self._waiting.popleft()
            self.marks.append(Returned(name, now, flushed))
            self._tasks.create_task(self._return(name))
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            delay = (self._waiting[0][0] - now) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._return_marks)
