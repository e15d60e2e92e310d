"""One caller of `offhook bench` against a server's end of the socket, on a clock that is set by hand."""

import asyncio
import json
from base64 import b64encode
from random import Random
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from domain.mulaw import BYTES_PER_MS, FRAME, FRAME_MS
from offhook.bench import caller as module
from offhook.bench.caller import Caller, Refused
from offhook.bench.talk import Talk
from offhook.bench.tally import Tally
from offhook.carrier.messages import Writer
from offhook.carrier.twiml import Stream

STREAM = Stream("ws://127.0.0.1:1/twilio-stream", parameters=(("ticket", "a-ticket"),))
SPOKEN = tuple(bytes([n]) * FRAME for n in range(50))  # 1 s
HISS = (b"\xff" * FRAME,)


class Line(asyncio.Transport):
    """Both ends of a connection without a network, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: int = 101) -> None:
        super().__init__()
        self.now = 100.0
        self.got: list[dict[str, Any]] = []
        self.handshake: Request | None = None
        self.tally = Tally()
        self.tally.open(self.now)
        self.tally.close(1000.0)
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        self._status = status
        self._server = ServerProtocol()
        talk = Talk([SPOKEN], HISS, Random(1))
        self.caller = Caller(STREAM, "a-signature", Writer("AC1", "CA1", "MZ1"), talk, self.tally)
        self.caller.connection_made(self)
        self._answer()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def close(self) -> None:
        self.caller.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._server.receive_data(bytes(data))
        for event in self._server.events_received():
            if isinstance(event, Request):
                self.handshake = event
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.got.append(json.loads(bytes(event.data)))

    def _answer(self) -> None:
        assert self.handshake
        if self._status == 101:
            self._server.send_response(self._server.accept(self.handshake))
        else:
            self._server.send_response(self._server.reject(self._status, "full\n"))
        self._deliver()

    def _deliver(self) -> None:
        self.caller.data_received(b"".join(self._server.data_to_send()))

    def tell(self, event: str, **body: Any) -> None:
        """Something that the server sends."""
        message = {"event": event, "streamSid": "MZ1", **({event: body} if body else {})}
        self._server.send_text(json.dumps(message).encode())
        self._deliver()

    def sound(self, ms: int) -> None:
        self.tell("media", payload=b64encode(b"\x01" * (ms * BYTES_PER_MS)).decode())

    def frames(self, count: int) -> list[dict[str, Any]]:
        """So many of the caller's frames pass; what the server got meanwhile."""
        before = len(self.got)
        for _ in range(count):
            self.now += FRAME_MS / 1000
            self.caller.frame(self.now)
        return self.got[before:]

    def until_spoken(self) -> None:
        """The caller speaks, and has just ended."""
        turns = self.tally.turns
        while self.tally.turns == turns:
            self.frames(1)


def marks(messages: list[dict[str, Any]]) -> list[str]:
    return [message["mark"]["name"] for message in messages if message["event"] == "mark"]


def story(monkeypatch: pytest.MonkeyPatch, body: Any, status: int = 101) -> None:
    async def tell() -> None:
        await body(Line(monkeypatch, status))

    asyncio.run(tell())


def test_a_stream_begins_as_twilio_s_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        await line.caller.begin()
        assert line.handshake
        assert line.handshake.headers["x-twilio-signature"] == "a-signature"
        line.now += 0.0075  # the ticker is late
        line.frames(2)
        connected, start, *media = line.got
        assert connected["event"] == "connected"
        assert start["start"]["customParameters"] == {"ticket": "a-ticket"}
        assert [message["sequenceNumber"] for message in (start, *media)] == ["1", "2", "3"]
        assert [message["media"]["chunk"] for message in media] == ["1", "2"]
        assert [message["media"]["timestamp"] for message in media] == ["27", "47"], "when it was sent"
        line.caller.hang_up()
        assert line.got[-1]["event"] == "stop"

    story(monkeypatch, body)


def test_a_stream_that_is_refused_says_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        with pytest.raises(Refused, match="503"):
            await line.caller.begin()
        assert not line.caller.on

    story(monkeypatch, body, status=503)


def test_marks_return_once_what_came_before_them_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        line.sound(100)
        line.tell("mark", name="first")
        line.sound(100)
        line.tell("mark", name="second")
        assert marks(line.frames(4)) == []
        assert marks(line.frames(2)) == ["first"]
        assert marks(line.frames(5)) == ["second"]

    story(monkeypatch, body)


def test_a_clear_returns_all_marks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        line.sound(5000)
        line.tell("mark", name="first")
        line.tell("mark", name="second")
        line.tell("clear")
        assert marks(line.got) == ["first", "second"]
        line.tell("mark", name="third")
        assert marks(line.frames(1)) == ["third"], "nothing is left to be played"

    story(monkeypatch, body)


def test_the_gap_is_from_the_last_frame_of_speech_to_the_first_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        line.sound(500)  # the greeting is no reply
        line.until_spoken()
        line.frames(28)
        line.sound(20)
        line.frames(1)
        line.sound(2000)
        assert line.tally.gaps == [pytest.approx(560)]

    story(monkeypatch, body)


def test_an_interruption_s_clear_is_timed_from_its_first_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        for _ in range(2):
            line.sound(500)
            line.until_spoken()
        line.sound(3000)
        while not line.tally.interruptions:
            line.frames(1)
        line.frames(8)
        line.tell("clear")
        assert line.tally.clears == [pytest.approx(160)]
        line.until_spoken()
        line.sound(3000)
        assert (line.tally.unheard_interruptions, line.tally.cut_ins) == (0, 0)

    story(monkeypatch, body)


def test_audio_that_comes_after_the_reply_ran_dry_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        line.sound(100)
        line.frames(5)
        line.sound(100)
        assert line.tally.late_audio == [], "just in time"
        line.now += 0.1301
        line.sound(100)
        assert line.tally.late_audio == [pytest.approx(30.1)]
        line.until_spoken()
        line.sound(100)
        assert len(line.tally.late_audio) == 1, "another reply's beginning isn't late"

    story(monkeypatch, body)


def test_a_reply_into_the_caller_s_words_is_a_cut_in_and_none_at_all_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        line.sound(500)
        line.until_spoken()
        line.until_spoken()  # nothing came: the caller tried again
        assert line.tally.unanswered == 1
        line.sound(20)
        while not line.caller._talk.speaking:
            line.frames(1)
        line.sound(20)
        assert line.tally.cut_ins == 1

    story(monkeypatch, body)


def test_a_server_that_does_not_read_loses_the_caller_s_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(line: Line) -> None:
        line.caller.pause_writing()
        assert line.frames(3) == []
        line.caller.resume_writing()
        assert len(line.frames(1)) == 1
        assert line.tally.frames_dropped == 3

    story(monkeypatch, body)
