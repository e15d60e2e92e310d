"""Sentences → sound on the line, and what was heard of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from domain.mulaw import BYTES_PER_MS, FRAME, FRAME_MS, SILENCE, silence
from domain.phrases import RememberingVoice
from domain.playback import Playback
from domain.ports import Line, Spoken, Unavailable, VoiceStyle
from schemas.signals import Audible, Cut, Failed, Finished, Sent, Signal

GRACE_S = 2.0
"""A mark that is so late was lost: what was sent counts as played."""
FIRST = "first"
"""The mark behind a reply's first frame."""

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class _Reply:
    def __init__(self, number: int) -> None:
        self.number = number
        self.playback = Playback()
        self.sentences = asyncio.Queue[str | None]()  # None: no more; a reply has a handful
        self.task: asyncio.Task[None] | None = None
        self.may_sound = asyncio.Event()
        self.sent: list[bytes | str] = []  # sound and, as strings, marks: what a pause may have to send again
        self.pauses = 0
        self.began = 0.0  # when its first sound was sent, in ms of the loop's clock
        self.audible = False  # and it is known that it was heard
        self.played = asyncio.Event()
        self.spoken_out = False


class Mouth:
    """One call's mouth: at most one reply at a time.

    `start` runs a task in the call's group; `emit` takes signals, their time left at 0; `gate` is told when the reply
    was released, by the loop's clock, waits until it may be heard, and tells whether the caller's words were stored by
    then."""

    def __init__(
        self,
        line: Line,
        voice: RememberingVoice,
        style: VoiceStyle,
        start: Start,
        emit: Callable[[Signal], None],
        gate: Callable[[float], Awaitable[bool]],
    ) -> None:
        self._line, self._voice, self._style = line, voice, style
        self._start, self._emit, self._gate = start, emit, gate
        self._reply: _Reply | None = None
        self._sounded: _Reply | None = None  # the last that was heard
        self._released = 0
        self._released_at = 0.0
        self._audible_until = 0.0
        self._finished = 0
        self._round_trip_ms: float | None = None  # a mark's, as far as was seen: the line's own delay is no lateness

    def audible_until(self) -> float:
        """When what was sent so far will have been played, in seconds of the loop's clock."""
        return self._audible_until

    def played(self, ms: int) -> bytes:
        """The last so many ms of what the far end has played; empty if that is nothing but silence."""
        reply, now = self._sounded, _now_ms()
        if reply is None or (quiet_for := reply.playback.quiet_for(now)) >= ms:
            return b""
        quiet = silence(round(quiet_for))
        wanted, unplayed = ms * BYTES_PER_MS - len(quiet), round(reply.playback.unplayed(now)) * BYTES_PER_MS
        pieces: list[bytes] = []
        for sound in reversed(reply.sent):
            if wanted <= 0:
                break
            if isinstance(sound, bytes):
                heard = sound[: max(0, len(sound) - unplayed)][-wanted:]
                unplayed, wanted = max(0, unplayed - len(sound)), wanted - len(heard)
                pieces.append(heard)
        return (b"".join(reversed(pieces)) + quiet).rjust(ms * BYTES_PER_MS, SILENCE)

    def change_voice(self, voice: RememberingVoice, style: VoiceStyle) -> None:
        """Who speaks from the next reply on."""
        self._voice, self._style = voice, style

    def say(self, number: int, text: str) -> None:
        """A sentence of this reply, after those before it."""
        if self._reply is None or self._reply.number != number:
            self._reply = _Reply(number)
            if number <= self._released:
                self._reply.may_sound.set()
            self._reply.task = self._start(self._speak(self._reply))
        self._reply.playback.say(text)
        self._reply.sentences.put_nowait(text)

    def close(self, number: int) -> None:
        """No more sentences come; Finished is told once all was played."""
        if self._reply and self._reply.number == number:
            self._reply.sentences.put_nowait(None)

    def release(self, number: int) -> None:
        """This reply may be heard; until then it is made ready up to its first sound."""
        self._released, self._released_at = number, asyncio.get_running_loop().time()
        if self._reply and self._reply.number == number:
            self._reply.may_sound.set()

    def discard(self, number: int) -> None:
        """Drops a reply that wasn't released."""
        if self._reply and self._reply.number == number and self._reply.task:
            self._reply.task.cancel()
            self._reply = None

    async def pause(self, number: int) -> None:
        """Falls silent until resumed. Cancelling may leave the far end playing."""
        reply = self._reply
        if reply and reply.number == number and reply.may_sound.is_set():
            reply.may_sound.clear()
            reply.pauses += 1
            now = _now_ms()
            reply.playback.pause(now)
            self._audible_until = now / 1000
            await self._line.clear()

    async def resume(self, number: int) -> None:
        """Goes on where it paused. Cancelling loses sound."""
        reply = self._reply
        if reply is None or reply.number != number or reply.may_sound.is_set():
            return
        unplayed = round(reply.playback.unplayed(_now_ms())) * BYTES_PER_MS
        again: list[bytes | str] = []
        for item in reversed(reply.sent):
            if unplayed <= 0:
                break
            if isinstance(item, bytes):
                item, unplayed = item[-unplayed:], unplayed - len(item)
            again.append(item)
        for item in reply.sent[: len(reply.sent) - len(again)]:
            if isinstance(item, str):
                self._confirm(reply, item)
        reply.playback.resume(_now_ms())
        for item in reversed(again):
            if isinstance(item, bytes):
                await self._line.play(item)
            else:
                await self._line.mark(_name(reply, item))
        self._audible_until = reply.playback.ends_at / 1000
        reply.may_sound.set()

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
            reply.playback.pause(_now_ms())
            if reply.may_sound.is_set():  # a paused one was flushed
                await self._line.clear()
            self._audible_until = 0.0
        self._emit(Cut(at=0, reply=number, heard=heard, unheard=unheard))

    async def lose(self) -> None:
        """The line is gone: tells what was heard of the reply under way, if there is one."""
        if self._reply:
            await self.cut(self._reply.number)

    def marked(self, name: str) -> None:
        """A mark came back. One from before a `clear` proves nothing: `clear` returns them all."""
        reply = self._reply
        if reply is None:
            return
        which, _, what = name.rpartition(".")
        if which != _prefix(reply):
            return
        now = _now_ms()
        if what == FIRST:
            if reply.pauses == 0:
                took = now - reply.began - FRAME_MS
                self._round_trip_ms = took if self._round_trip_ms is None else min(took, self._round_trip_ms)
            self._sounds(reply, now - FRAME_MS)
        elif what.isdecimal():
            reply.playback.marked(int(what), now - (self._round_trip_ms or 0.0))
            self._audible_until = reply.playback.ends_at / 1000
            self._if_played(reply)

    def _confirm(self, reply: _Reply, mark: str) -> None:
        """The sound before this mark was played; if the mark hasn't come back by now, a `clear` overtook it."""
        if mark == FIRST:
            self._sounds(reply, reply.began)
        else:
            reply.playback.heard(int(mark))
            self._if_played(reply)

    def _sounds(self, reply: _Reply, since: float) -> None:
        if not reply.audible:
            reply.audible = True
            self._emit(Audible(at=round(since - _now_ms()), reply=reply.number))

    def _if_played(self, reply: _Reply) -> None:
        if reply.spoken_out and reply.playback.done:
            reply.played.set()

    async def _speak(self, reply: _Reply) -> None:
        """Cancelling stops the synthesis at once."""
        try:
            async with aclosing(self._voice.speak(self._sentences(reply), self._style, reply.may_sound)) as sound:  # type: ignore[type-var]
                async for piece in sound:
                    await reply.may_sound.wait()
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
            await self._mark(reply, str(reply.playback.spoken(piece.text)))
            return
        if not piece:
            return
        if reply.playback.ends_at == 0.0:
            confirmed = await self._gate(self._released_at)
            self._emit(Sent(at=0, reply=reply.number, confirmed=confirmed))
            reply.began = _now_ms()
            await self._play(reply, piece[:FRAME])
            await self._mark(reply, FIRST)
            piece = piece[FRAME:]
        if piece:
            await self._play(reply, piece)
        self._audible_until = reply.playback.ends_at / 1000

    async def _play(self, reply: _Reply, sound: bytes) -> None:
        self._sounded = reply
        reply.playback.sent(sound, _now_ms())
        reply.sent.append(sound)
        await self._line.play(sound)

    async def _mark(self, reply: _Reply, name: str) -> None:
        reply.sent.append(name)
        await self._line.mark(_name(reply, name))

    async def _until_played(self, reply: _Reply) -> None:
        loop = asyncio.get_running_loop()
        while not reply.played.is_set() and (left := self._audible_until + GRACE_S - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await reply.played.wait()
            except TimeoutError:
                continue  # a late mark, or a pause, may have moved the end

    @staticmethod
    async def _sentences(reply: _Reply) -> AsyncIterator[str]:
        while (sentence := await reply.sentences.get()) is not None:
            yield sentence


def _prefix(reply: _Reply) -> str:
    return f"{reply.number}.{reply.pauses}"


def _name(reply: _Reply, mark: str) -> str:
    return f"{_prefix(reply)}.{mark}"


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000
