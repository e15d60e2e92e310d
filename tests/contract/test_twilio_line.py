"""Twilio's media stream: what is taken, what is ignored, what is sent."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest

from adapters.twilio_line import LARGEST_MESSAGE, TwilioStreams
from domain.ports import BadStart, Junk, Key, Mark
from tests.fakes.paper_socket import PaperSocket

ACCOUNT, SID = "AC" + "0" * 32, "MZ" + "0" * 32
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
START: dict[str, Any] = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": ACCOUNT,
        "streamSid": SID,
        "callSid": "CA" + "1" * 32,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"ticket": "t"},
    },
    "streamSid": SID,
}
STOP = {"event": "stop", "sequenceNumber": "99", "stop": {"accountSid": ACCOUNT}, "streamSid": SID}


def media(number: int, sound: bytes = b"\xff" * 160, **changes: Any) -> dict[str, Any]:
    payload = b64encode(sound).decode()
    return {
        "event": "media",
        "sequenceNumber": str(number),
        "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload},
        "streamSid": SID,
        **changes,
    }


def events(*messages: Any) -> list[Any]:
    """What a line makes of these messages."""

    async def read() -> list[Any]:
        stream = await TwilioStreams(ACCOUNT).begin(PaperSocket(CONNECTED, START, *messages))
        taken: list[Any] = []
        await stream.line.carry(taken.append)
        return taken

    return asyncio.run(read())


def test_the_start_tells_the_call_and_its_ticket() -> None:
    stream = asyncio.run(TwilioStreams(ACCOUNT).begin(PaperSocket(CONNECTED, START)))
    assert (stream.call_sid, stream.ticket) == ("CA" + "1" * 32, "t")


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "closed before"),
        ([CONNECTED], "closed before"),
        ([CONNECTED, media(1), media(2), media(3), media(4)], "no start"),
        ([{**START, "start": {}}], "not Twilio's"),
        ([{**START, "start": {**START["start"], "accountSid": "AC2"}}], "another account"),
        ([{**START, "start": {**START["start"], "mediaFormat": {"encoding": "audio/l16", "sampleRate": 8000, "channels": 1}}}], "mu-law"),
    ],
)  # fmt: skip
def test_a_stream_that_begins_otherwise_is_refused(messages: list[Any], why: str) -> None:
    with pytest.raises(BadStart, match=why):
        asyncio.run(TwilioStreams(ACCOUNT).begin(PaperSocket(*messages)))


def test_sound_marks_and_keys_arrive_in_order_until_stop() -> None:
    mark = {"event": "mark", "sequenceNumber": "3", "mark": {"name": "1.0"}, "streamSid": SID}
    key = {"event": "dtmf", "sequenceNumber": "4", "dtmf": {"track": "inbound_track", "digit": "#"}, "streamSid": SID}
    assert events(media(2), mark, key, STOP, media(100)) == [b"\xff" * 160, Mark("1.0"), Key("#")]


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00\x01",
        "not json",
        "[1, 2]",
        "x" * (LARGEST_MESSAGE + 1),
        media(2, b"\xff" * LARGEST_MESSAGE),
        {"event": "media"},
        media(2, media={"payload": "%%%"}),
        media(2, media={"payload": ""}),
        media(2, media=None),
        media(2, streamSid="MZ2"),
        media(2, event="surprise"),
        media(1),
        media(2, sequenceNumber="two"),
        {"event": "dtmf", "sequenceNumber": "2", "dtmf": {"digit": "x"}, "streamSid": SID},
        media(2, media={"payload": "/w==", "track": "outbound"}),
    ],
)
def test_junk_is_told_and_ignored(junk: Any) -> None:
    first, second = events(junk, media(5), STOP)
    assert isinstance(first, Junk)
    assert second == b"\xff" * 160


def test_a_frame_that_comes_late_or_twice_is_junk() -> None:
    kinds = [type(event) for event in events(media(3), media(3), media(2), media(4))]
    assert kinds == [bytes, Junk, Junk, bytes]


def test_a_mark_without_a_number_is_taken() -> None:
    mark = {"event": "mark", "mark": {"name": "1.0"}, "streamSid": SID}
    assert events(media(5), mark, media(6)) == [b"\xff" * 160, Mark("1.0"), b"\xff" * 160]


def test_frames_of_any_size_are_taken() -> None:
    assert events(media(2, b"\x01"), media(3, b"\x02" * 1000)) == [b"\x01", b"\x02" * 1000]


def test_how_late_every_tenth_message_comes_is_told_against_the_promptest() -> None:
    async def lags(*timestamps: tuple[int, Any]) -> list[float]:
        frames = [media(n, media={"payload": "/w==", "timestamp": t}) for n, t in timestamps]
        line = (await TwilioStreams(ACCOUNT).begin(PaperSocket(CONNECTED, START, *frames))).line
        told: list[float] = []
        line.late = told.append
        await line.carry(lambda event: None)
        return told

    # All come at once: what was recorded earlier is later by so much, but for the time that this takes.
    first, second, third, fourth = asyncio.run(
        lags((10, "90000"), (20, 150000), (25, "0"), (30, "30000"), (40, "150000"))
    )
    assert first == second == 0
    assert 119_990 < third < 180_000
    assert 0 <= fourth < 60_000


def test_what_is_sent_is_what_twilio_takes() -> None:
    async def send() -> PaperSocket:
        socket = PaperSocket(CONNECTED, START)
        line = (await TwilioStreams(ACCOUNT).begin(socket)).line
        await line.play(b"\x7f" * 3)
        await line.mark("1.first")
        await line.clear()
        await line.close()
        await line.close()
        await line.play(b"\x7f")  # too late, and harmless
        return socket

    socket = asyncio.run(send())
    assert socket.sent == [
        {"event": "media", "streamSid": SID, "media": {"payload": "f39/"}},
        {"event": "mark", "streamSid": SID, "mark": {"name": "1.first"}},
        {"event": "clear", "streamSid": SID},
    ]
    assert socket.closed == 1000
