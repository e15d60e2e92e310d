"""Media stream messages: what the carrier writes, and how strictly it reads."""

import re
from base64 import b64decode

import orjson
import pytest

from offhook.carrier.messages import Clear, Mark, Media, Writer, read
from offhook.carrier.violation import Breach

SID = "MZ0"


def test_what_a_server_may_send_is_read() -> None:
    assert read('{"event":"media","streamSid":"MZ0","media":{"payload":"/38="}}', SID) == Media(b"\xff\x7f")
    assert read('{"event":"mark","streamSid":"MZ0","mark":{"name":"a"}}', SID) == Mark("a")
    assert read('{"event":"clear","streamSid":"MZ0"}', SID) == Clear()


@pytest.mark.parametrize(
    ("message", "code", "why"),
    [
        (b'{"event":"clear","streamSid":"MZ0"}', 31950, "binary"),
        ("{", 31951, "not JSON"),
        ("[]", 31951, "not an object"),
        ("{}", 31951, "no event"),
        ('{"event":"stop","streamSid":"MZ0"}', 31951, "no event 'stop'"),
        ('{"event":"clear"}', 31951, "missing: streamSid"),
        ('{"event":"clear","streamSid":"MZ1"}', 31951, "another stream's"),
        ('{"event":"clear","streamSid":"MZ0","sequenceNumber":"1"}', 31951, "doesn't belong there: sequenceNumber"),
        ('{"event":"mark","streamSid":"MZ0"}', 31951, "missing: mark"),
        ('{"event":"mark","streamSid":"MZ0","mark":"a"}', 31951, "mark is not an object"),
        ('{"event":"mark","streamSid":"MZ0","mark":{"name":""}}', 31951, "mark.name is empty"),
        ('{"event":"mark","streamSid":"MZ0","mark":{"name":7}}', 31951, "no string"),
        ('{"event":"media","streamSid":"MZ0","media":{}}', 31951, "missing: payload"),
        ('{"event":"media","streamSid":"MZ0","media":{"payload":""}}', 31951, "empty"),
        ('{"event":"media","streamSid":"MZ0","media":{"payload":"*"}}', 31951, "not base64"),
        ('{"event":"media","streamSid":"MZ0","media":{"payload":"/38=","track":"outbound"}}', 31951, "track"),
        ('{"event":"media","streamSid":"MZ0","media":{"payload":"UklGRiQAAAA="}}', 31951, "WAV header"),
    ],
)
def test_everything_else_is_a_violation(message: str | bytes, code: int, why: str) -> None:
    with pytest.raises(Breach, match=f"(?s)^{code}: .*{re.escape(why)}"):
        read(message, SID)


def test_its_own_messages_are_numbered_as_twilio_numbers_them() -> None:
    writer = Writer("AC0", "CA0", SID)
    connected, start, first, dtmf, second, mark, stop = map(
        orjson.loads,
        [
            writer.connected(),
            writer.start({"ticket": 'a "quoted" one'}),
            writer.media(b"\xff" * 160, 20),
            writer.dtmf("#"),
            writer.media(b"\x00" * 160, 40),
            writer.mark("a"),
            writer.stop(),
        ],
    )
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["start"] == {
        "accountSid": "AC0",
        "callSid": "CA0",
        "streamSid": SID,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"ticket": 'a "quoted" one'},
    }
    later = (start, first, dtmf, second, mark, stop)
    assert [message["sequenceNumber"] for message in later] == ["1", "2", "3", "4", "5", "6"]
    assert {message["streamSid"] for message in later} == {SID}
    assert (second["media"]["chunk"], second["media"]["timestamp"]) == ("2", "40")
    assert b64decode(second["media"]["payload"]) == b"\x00" * 160
    assert dtmf["dtmf"] == {"track": "inbound_track", "digit": "#"}
    assert mark["mark"] == {"name": "a"}
    assert stop["stop"] == {"accountSid": "AC0", "callSid": "CA0"}
