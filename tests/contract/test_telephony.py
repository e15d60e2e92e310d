"""Twilio's signatures and TwiML."""

import base64
import hashlib
import hmac
import re
from xml.etree import ElementTree

import pytest

from adapters.twilio_telephony import OVERRIDES, TwilioTelephony
from domain.ports import VoiceStyle
from offhook.carrier import twiml

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


def test_what_twilio_is_told_behind_an_address_is_not_signed() -> None:
    """Twilio asks for, and signs, what comes before it."""
    url, form = "https://example.com/twilio/status", {"CallSid": "CA1"}
    assert TELEPHONY.verify(url, form, signed(url, form))
    assert TELEPHONY.verify(url + OVERRIDES, form, signed(url, form))
    assert not TELEPHONY.verify("https://example.com/twilio/voice" + OVERRIDES, form, signed(url, form))


def test_every_address_says_that_twilio_shall_try_again() -> None:
    documents = [
        TELEPHONY.connect("wss://h/s", "ticket", "https://h/next", "https://h/status"),
        TELEPHONY.dial("+15005550199", "https://h/next"),
        TELEPHONY.ask_again("https://h/next", 1),
        TELEPHONY.dial("+15005550199", "https://h/next", briefing_url="https://h/briefing?stream=2"),
        TELEPHONY.brief("A call.", "https://h/accept?stream=2"),
    ]
    told = [
        text
        for element in ElementTree.fromstring(
            f"<all>{''.join(re.sub('<.xml[^>]*>', '', d) for d in documents)}</all>"
        ).iter()
        for text in (*element.attrib.values(), element.text or "")
        if text.startswith("https://")
    ]
    assert told == [
        f"https://h/{path}{OVERRIDES}"
        for path in ("next", "status", "next", "next", "next", "briefing?stream=2", "accept?stream=2")
    ]


def test_connect_names_the_stream_its_ticket_and_what_comes_next() -> None:
    root = ElementTree.fromstring(TELEPHONY.connect("wss://h/s", "t&<", "https://h/next", "https://h/status", 1))
    pause, connect = list(root)
    assert (pause.tag, pause.get("length")) == ("Pause", "1")
    assert (connect.tag, connect.get("action")) == ("Connect", f"https://h/next{OVERRIDES}")
    stream = connect[0]
    assert (stream.get("url"), stream.get("statusCallback")) == ("wss://h/s", f"https://h/status{OVERRIDES}")
    assert (stream[0].get("name"), stream[0].get("value")) == ("ticket", "t&<")


def test_dial_comes_back_to_next() -> None:
    [dial] = ElementTree.fromstring(TELEPHONY.dial("+15005550199", "https://h/next"))
    assert (dial.tag, dial.get("action"), dial[0].text) == ("Dial", f"https://h/next{OVERRIDES}", "+15005550199")


def test_goodbye_is_said_and_then_the_call_ends() -> None:
    assert [verb.tag for verb in ElementTree.fromstring(TELEPHONY.say_goodbye("Bye."))] == ["Say", "Hangup"]
    assert [verb.tag for verb in ElementTree.fromstring(TELEPHONY.hang_up())] == ["Hangup"]


def test_keys_are_pressed_before_the_stream_since_it_can_t_send_any() -> None:
    document = TELEPHONY.connect("wss://h/s", "t", "https://h/next", "https://h/status", keys="1w23#")
    play, connect = ElementTree.fromstring(document)
    assert (play.tag, play.get("digits"), connect.tag) == ("Play", "1w23#", "Connect")


def test_a_briefed_transfer_asks_first_what_the_person_is_told() -> None:
    document = TELEPHONY.dial("+15005550199", "https://h/next", briefing_url="https://h/b?stream=1", say="One moment.")
    say, dial = ElementTree.fromstring(document)
    assert (say.text, dial[0].text, dial[0].get("url")) == (
        "One moment.",
        "+15005550199",
        f"https://h/b?stream=1{OVERRIDES}",
    )


def test_a_person_takes_the_call_with_any_key() -> None:
    gather, hang_up = ElementTree.fromstring(TELEPHONY.brief("Sarah & co.", "https://h/accept?stream=1"))
    assert (gather.tag, gather.get("numDigits"), gather.get("finishOnKey")) == ("Gather", "1", "")
    assert gather.get("action") == f"https://h/accept?stream=1{OVERRIDES}"
    assert [verb.tag for verb in gather] == ["Pause", "Say"]
    assert (gather[1].text, hang_up.tag) == ("Sarah & co.", "Hangup")
    assert list(ElementTree.fromstring(TELEPHONY.bridge())) == []


@pytest.mark.parametrize(
    ("voice", "named"),
    [
        ("", None),
        ("en-US-Chirp3-HD-Kore", "Google.en-US-Chirp3-HD-Kore"),
        ("de-DE-Neural2-C", "Google.de-DE-Neural2-C"),
        ("en-us+f3", None),
        ("Kore", None),
        ("en-US-Studio-O", None),
    ],
)
def test_the_carrier_speaks_with_the_agent_s_voice_if_it_has_it_and_in_its_language(
    voice: str, named: str | None
) -> None:
    document = TELEPHONY.say_goodbye("Bye.", VoiceStyle(voice, "de-DE"))
    say, _ = ElementTree.fromstring(document)
    assert (say.get("voice"), say.get("language")) == (named, "de-DE")
    assert twiml.parse(document)
