"""The messages of a media stream, as Twilio's "WebSocket Messages" page has them: to the server, written; from it,
read with the strictness of Twilio's errors 31950 and 31951."""

import binascii
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from offhook.carrier.violation import Breach

UNDECODABLE = 31950
INVALID = 31951


@dataclass(frozen=True, slots=True)
class Media:
    sound: bytes
    """mu-law, 8 kHz."""


@dataclass(frozen=True, slots=True)
class Mark:
    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    pass


def read(message: str | bytes, stream_sid: str) -> Media | Mark | Clear:
    """What the server sent. Raises Breach."""
    if isinstance(message, bytes):
        raise Breach(UNDECODABLE, f"a binary frame of {len(message)} bytes")
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise Breach(INVALID, f"not JSON: {message[:60]!r}") from None
    if not isinstance(fields, dict):
        raise Breach(INVALID, f"not an object: {message[:60]!r}")
    match event := fields.get("event"):
        case "media":
            return Media(_sound(_body(fields, stream_sid, "media", "payload")))
        case "mark":
            return Mark(_body(fields, stream_sid, "mark", "name"))
        case "clear":
            _has_only(fields, "event", "streamSid")
            _belongs(fields, stream_sid)
            return Clear()
    raise Breach(INVALID, f"no event {str(event)[:40]!r} can be sent to Twilio")


def _body(fields: dict[str, Any], stream_sid: str, event: str, name: str) -> str:
    """The one string that a message carries."""
    _has_only(fields, "event", "streamSid", event)
    _belongs(fields, stream_sid)
    body = fields[event]
    if not isinstance(body, dict):
        raise Breach(INVALID, f"{event} is not an object")
    _has_only(body, name)
    value = body[name]
    if not isinstance(value, str) or not value:
        raise Breach(INVALID, f"{event}.{name} is empty or no string")
    return value


def _has_only(fields: dict[str, Any], *names: str) -> None:
    if missing := [name for name in names if name not in fields]:
        raise Breach(INVALID, f"a field is missing: {', '.join(missing)}")
    if extra := sorted(fields.keys() - set(names)):
        raise Breach(INVALID, f"a field that doesn't belong there: {', '.join(extra)[:60]}")


def _belongs(fields: dict[str, Any], stream_sid: str) -> None:
    if fields["streamSid"] != stream_sid:
        raise Breach(INVALID, f"streamSid {str(fields['streamSid'])[:40]!r} is another stream's")


def _sound(payload: str) -> bytes:
    try:
        sound = binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Breach(INVALID, "media.payload is not base64") from None
    if sound.startswith(b"RIFF"):
        raise Breach(INVALID, "media.payload begins with a WAV header; Twilio would play it as a click")
    return sound


class Writer:
    """Numbers and writes one stream's messages to the server."""

    def __init__(self, account_sid: str, call_sid: str, stream_sid: str) -> None:
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._sequence = 0
        self._chunk = 0

    def connected(self) -> str:
        return '{"event":"connected","protocol":"Call","version":"1.0.0"}'

    def start(self, parameters: Mapping[str, str]) -> str:
        start = {
            "accountSid": self._account_sid,
            "streamSid": self._stream_sid,
            "callSid": self._call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
        }
        return self._write("start", start)

    def media(self, sound: bytes, at_ms: int) -> str:
        """`at_ms` counts from the stream's start. Fifty of these a second: no dictionary is built for them."""
        self._sequence += 1
        self._chunk += 1
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound",'
            f'"chunk":"{self._chunk}","timestamp":"{at_ms}","payload":"{b64encode(sound).decode()}"}},'
            f'"streamSid":"{self._stream_sid}"}}'
        )

    def dtmf(self, digit: str) -> str:
        return self._write("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        return self._write("mark", {"name": name})

    def stop(self) -> str:
        return self._write("stop", {"accountSid": self._account_sid, "callSid": self._call_sid})

    def _write(self, event: str, body: dict[str, Any]) -> str:
        self._sequence += 1
        message = {
            "event": event,
            "sequenceNumber": str(self._sequence),
            event: body,
            "streamSid": self._stream_sid,
        }
        return orjson.dumps(message).decode()
