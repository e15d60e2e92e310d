"""Sentences → sound on the line, and what was heard of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from domain.mulaw import FRAME, FRAME_MS
from domain.playback import Playback
from domain.ports import Line, Spoken, Unavailable, Voice, VoiceStyle
from schemas.signals import Audible, Cut, Failed, Finished, Sent, Signal

GRACE_S = 2.0
"""A mark that is so late was lost: what was sent counts as played."""

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class _Reply:
    def __init__(self, number: int) -> None:
        self.number = number
        self.playback = Playback()
        self.sentences = asyncio.Queue[str | None]()  # None: no more; a reply has a handful
        self.task: asyncio.Task[None] | None = None
        self.played = asyncio.Event()
        self.spoken_out = False


class Mouth:
    """One call's mouth: at most one reply at a time.

    `start` runs a task in the call's group; `emit` takes signals, their time left at 0; `gate` waits until the reply
    may be heard and tells whether the caller's words were stored by then."""

    def __init__(
        self,
        line: Line,
        voice: Voice,
        style: VoiceStyle,
        start: Start,
        emit: Callable[[Signal], None],
        gate: Callable[[], Awaitable[bool]],
    ) -> None:
        self._line, self._voice, self._style = line, voice, style
        self._start, self._emit, self._gate = start, emit, gate
        self._reply: _Reply | None = None
        self._audible_until = 0.0
        self._finished = 0

    def audible_until(self) -> float:
        """When what was sent so far will have been played, in seconds of the loop's clock."""
        return self._audible_until

    def say(self, number: int, text: str) -> None:
        """A sentence of this reply, after those before it."""
        if self._reply is None or self._reply.number != number:
            self._reply = _Reply(number)
            self._reply.task = self._start(self._speak(self._reply))
        self._reply.playback.say(text)
        self._reply.sentences.put_nowait(text)

    def close(self, number: int) -> None:
        """No more sentences come; Finished is told once all was played."""
        if self._reply and self._reply.number == number:
            self._reply.sentences.put_nowait(None)

    async def cut(self, number: int) -> None:
        """Stops the reply, flushes what the far end has not played, and tells what was heard.
        Cancelling may leave the far end playing."""
        if number == self._finished:
            return  # its Finished says that all was heard
        reply = self._reply
        heard, unheard = "", ""
        if reply and reply.number == number and reply.task:
            self._reply = None
            reply.task.cancel()
            heard, unheard = reply.playback.split(_now_ms())
            await self._line.clear()
            self._audible_until = 0.0
        self._emit(Cut(at=0, reply=number, heard=heard, unheard=unheard))

    async def lose(self) -> None:
        """The line is gone: tells what was heard of the reply under way, if there is one."""
        if self._reply:
            await self.cut(self._reply.number)

    def marked(self, name: str) -> None:
        """A mark came back. One of a reply that was cut proves nothing: `clear` returns them all."""
        number, _, what = name.partition(".")
        reply = self._reply
        if reply is None or number != str(reply.number):
            return
        if what == "first":
            self._emit(Audible(at=-FRAME_MS, reply=reply.number))
        elif what.isdecimal():
            reply.playback.marked(int(what), _now_ms())
            self._audible_until = reply.playback.ends_at / 1000
            if reply.spoken_out and reply.playback.done:
                reply.played.set()

    async def _speak(self, reply: _Reply) -> None:
        """Cancelling stops the synthesis at once."""
        try:
            async with aclosing(self._voice.speak(self._sentences(reply), self._style)) as sound:  # type: ignore[type-var]
                async for piece in sound:
                    await self._send(reply, piece)
        except Unavailable as problem:
            self._emit(Failed(at=0, reply=reply.number, what="voice", why=str(problem)))
            return
        reply.spoken_out = True
        if not reply.playback.done:
            await self._until_played(reply)
        if self._reply is reply:
            self._reply, self._finished = None, reply.number
        self._emit(Finished(at=0, reply=reply.number))

    async def _send(self, reply: _Reply, piece: bytes | Spoken) -> None:
        if isinstance(piece, Spoken):
            await self._line.mark(f"{reply.number}.{reply.playback.spoken(piece.text)}")
            return
        if not piece:
            return
        if reply.playback.ends_at == 0.0:
            confirmed = await self._gate()
            self._emit(Sent(at=0, reply=reply.number, confirmed=confirmed))
            reply.playback.sent(piece[:FRAME], _now_ms())
            await self._line.play(piece[:FRAME])
            await self._line.mark(f"{reply.number}.first")
            piece = piece[FRAME:]
        if piece:
            reply.playback.sent(piece, _now_ms())
            await self._line.play(piece)
        self._audible_until = reply.playback.ends_at / 1000

    async def _until_played(self, reply: _Reply) -> None:
        loop = asyncio.get_running_loop()
        while not reply.played.is_set() and (left := self._audible_until + GRACE_S - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await reply.played.wait()
            except TimeoutError:
                continue  # a late mark may have moved the end

    @staticmethod
    async def _sentences(reply: _Reply) -> AsyncIterator[str]:
        while (sentence := await reply.sentences.get()) is not None:
            yield sentence


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000
