"""Twilio's signatures and TwiML."""

import base64
import hashlib
import hmac
from xml.etree import ElementTree

import pytest

from adapters.twilio_telephony import TwilioTelephony

TOKEN = "secret"
TELEPHONY = TwilioTelephony(TOKEN)


def signed(url: str, form: dict[str, str]) -> str:
    """By Twilio's recipe, written down once more."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()


@pytest.mark.parametrize(
    "url", ["https://example.com/twilio/voice", "http://127.0.0.1:8080/twilio/voice", "https://example.com/a?b=c%20d"]
)
def test_a_signed_webhook_is_known(url: str) -> None:
    form = {"CallSid": "CA1", "From": "+15005550100"}
    assert TELEPHONY.verify(url, form, signed(url, form))
    assert not TELEPHONY.verify(url, {**form, "From": "+15005550101"}, signed(url, form))
    assert not TELEPHONY.verify(url + "x", form, signed(url, form))
    assert not TELEPHONY.verify(url, form, "")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("wss://example.com/twilio-stream", "wss://example.com/twilio-stream"),
        ("wss://example.com/twilio-stream", "wss://example.com:443/twilio-stream"),
        ("ws://127.0.0.1:8080/twilio-stream", "ws://127.0.0.1:8080/twilio-stream"),
    ],
)
def test_a_signed_handshake_is_known_with_and_without_its_port(ours: str, theirs: str) -> None:
    assert TELEPHONY.verify(ours, {}, signed(theirs, {}))
    assert not TELEPHONY.verify(ours, {}, signed(theirs.replace("example.com", "evil.com").replace("127", "128"), {}))


def test_connect_names_the_stream_its_ticket_and_what_comes_next() -> None:
    root = ElementTree.fromstring(TELEPHONY.connect("wss://h/s", "t&<", "https://h/next", "https://h/status", 1))
    pause, connect = list(root)
    assert (pause.tag, pause.get("length")) == ("Pause", "1")
    assert (connect.tag, connect.get("action")) == ("Connect", "https://h/next")
    stream = connect[0]
    assert (stream.get("url"), stream.get("statusCallback")) == ("wss://h/s", "https://h/status")
    assert (stream[0].get("name"), stream[0].get("value")) == ("ticket", "t&<")


def test_dial_comes_back_to_next() -> None:
    [dial] = ElementTree.fromstring(TELEPHONY.dial("+15005550199", "https://h/next"))
    assert (dial.tag, dial.get("action"), dial[0].text) == ("Dial", "https://h/next", "+15005550199")


def test_goodbye_is_said_and_then_the_call_ends() -> None:
    assert [verb.tag for verb in ElementTree.fromstring(TELEPHONY.say_goodbye("Bye."))] == ["Say", "Hangup"]
    assert [verb.tag for verb in ElementTree.fromstring(TELEPHONY.hang_up())] == ["Hangup"]
