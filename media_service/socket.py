"""uvicorn's WebSocket, with a short way for the one kind of message that calls are made of."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.speedups import apply_mask
from websockets.streams import StreamReader

USUAL = b"\x81\xfe"
"""How a whole, masked text message of 126 to 65535 bytes begins; its length follows, then its mask."""
HEAD = 8
MOST_UNREAD = 4 * 1024 * 1024
"""Bytes sent that the far end leaves unread, above which it loses its connection: six minutes of sound."""

Take = Callable[[bytes | Mapping[str, Any]], None]


class MediaSocket(WebSocketsSansIOProtocol):
    """Offers an application the ASGI extension `offhook.direct`, with two functions. Who uses neither has an ordinary
    WebSocket.

    `hand_over(take)`: all that comes is given to `take`, in order, as soon as it is here, and no longer to `receive`:
    as bytes if it is an ASCII text read the short way, otherwise as the ASGI event. `hand_over(None)` undoes it.
    `send(text)`: sends a text message, UTF-8, without waiting; once the connection is closing it does nothing.

    The short way copes with whole messages that come between others. For all else there is the parser: fragments,
    control frames, pieces of messages, errors."""

    def __init__(self, *how: Any, **configured: Any) -> None:
        super().__init__(*how, **configured)
        self._taken: Take | None = None
        self._between_messages = False
        self.queue = _Queue(self)

    async def run_asgi(self) -> None:
        self.scope["extensions"]["offhook.direct"] = {"hand_over": self.hand_over, "send": self.send_now}
        await super().run_asgi()

    def hand_over(self, take: Take | None) -> None:
        """See above. `take` must not raise."""
        while take and not self.queue.empty():
            take(self.queue.get_nowait())
        self._taken = take
        self._resume_reading()
        self._between_messages = self._is_between_messages()

    def data_received(self, data: bytes) -> None:
        at = 0
        if self._between_messages and not self.close_sent and self._taken:
            take, length = self._taken, len(data)
            while data.startswith(USUAL, at):
                body = at + HEAD
                end = body + int.from_bytes(data[at + 2 : at + 4])
                if end > length:
                    break
                text = apply_mask(data[body:end], data[at + 4 : body])
                if not text.isascii():
                    break  # the parser decodes it, or closes the connection
                take(text)
                at = end
            if at == length:
                return
            data = data[at:]
        super().data_received(data)
        self._between_messages = self._is_between_messages()

    def _is_between_messages(self) -> bool:
        """Whether the parser waits for a frame's first byte, and no fragmented message is under way."""
        if self.conn.state is not State.OPEN or self.conn.current_size is not None:
            return False
        waiting: Any = self.conn.parser
        while inner := waiting.gi_yieldfrom:
            waiting = inner
        return waiting.gi_code is StreamReader.at_eof.__code__

    def send_receive_event_to_app(self) -> None:
        super().send_receive_event_to_app()
        if self._taken:
            self._resume_reading()  # it was paused until somebody would `receive` what is taken already

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def send_now(self, text: bytes) -> None:
        """See above."""
        if self.close_sent or self.transport.is_closing():
            return
        self.transport.write(Frame(Opcode.TEXT, text).serialize(mask=False))
        if self.transport.get_write_buffer_size() > MOST_UNREAD:
            self.transport.abort()


class _Queue(asyncio.Queue[Any]):
    """What waits for `receive`, unless somebody takes it at once."""

    def __init__(self, socket: MediaSocket) -> None:
        super().__init__()
        self._socket = socket

    def put_nowait(self, event: Any) -> None:
        if self._socket._taken:
            self._socket._taken(event)
        else:
            super().put_nowait(event)
