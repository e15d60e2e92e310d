"""TwiML as the simulated carrier reads it: what Twilio would do, and what it would refuse."""

import re

import pytest

from adapters.twilio_telephony import TwilioTelephony
from offhook.carrier.twiml import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
    parse,
)
from offhook.carrier.violation import Breach


def test_each_verb_is_read() -> None:
    assert parse("""<?xml version="1.0" encoding="UTF-8"?>
        <Response>
          <Say voice="alice">Please <emphasis>hold</emphasis>.</Say>
          <Play loop="2">/music.wav</Play>
          <Play digits="12w#"/>
          <Pause length="3"/>
          <Redirect method="GET">/elsewhere</Redirect>
          <Reject reason="busy"/>
          <Dial action="/next" timeout="20" callerId="+15005550001"><Number>+15005550199</Number></Dial>
          <Dial>+15005550198</Dial>
          <Dial><Number url="/briefing?stream=2" method="GET">+15005550197</Number></Dial>
          <Gather numDigits="4" timeout="2" finishOnKey="*"><Say>Your code?</Say><Pause/></Gather>
          <Gather numDigits="1" finishOnKey="" action="/accept"><Say voice="Google.en-US-Neural2-A">Now?</Say></Gather>
          <Hangup/>
        </Response>""") == (
        Say("Please hold."),
        Play("/music.wav", loop=2),
        Play("", digits="12w#"),
        Pause(3),
        Redirect("/elsewhere", "GET"),
        Reject("busy"),
        Dial("+15005550199", action="/next", timeout_s=20, caller_id="+15005550001"),
        Dial("+15005550198"),
        Dial("+15005550197", url="/briefing?stream=2", url_method="GET"),
        Gather((Say("Your code?"), Pause()), num_digits=4, timeout_s=2, finish_on_key="*"),
        Gather((Say("Now?"),), "/accept", num_digits=1, finish_on_key=""),
        Hangup(),
    )


def test_a_stream_is_read_with_its_parameters() -> None:
    [connect] = parse(
        '<Response><Connect action="/next"><Stream url="wss://h/s" name="n" statusCallback="/status">'
        '<Parameter name="ticket" value="t"/><Parameter name="other" value=""/></Stream></Connect></Response>'
    )
    stream = Stream("wss://h/s", "n", "/status", parameters=(("ticket", "t"), ("other", "")))
    assert connect == Connect(stream, action="/next")


def test_what_twilio_s_own_package_writes_is_read() -> None:
    telephony = TwilioTelephony("token")
    assert [type(verb) for verb in parse(telephony.connect("wss://h/s", "t", "/next", "/status", pause_s=1))] == [
        Pause,
        Connect,
    ]
    [dial] = parse(telephony.dial("+15005550199", "/next"))
    assert isinstance(dial, Dial)
    assert [type(verb) for verb in parse(telephony.say_goodbye("Bye."))] == [Say, Hangup]
    [dial] = parse(telephony.dial("+15005550199", "/next", briefing_url="/briefing?stream=1"))
    assert isinstance(dial, Dial)
    assert dial.url.startswith("/briefing?stream=1#")
    gather, hang_up = parse(telephony.brief("A call.", "/accept"))
    assert isinstance(gather, Gather)
    assert (gather.prompts, gather.num_digits, hang_up) == ((Pause(1), Say("A call.")), 1, Hangup())
    assert parse(telephony.bridge()) == ()
    assert [type(verb) for verb in parse(telephony.connect("wss://h/s", "t", "/n", "/s", keys="1w#"))] == [
        Play,
        Connect,
    ]
    assert parse(telephony.hang_up()) == (Hangup(),)


def stream(attributes: str = 'url="wss://h/s"', inside: str = "") -> str:
    return f"<Response><Connect><Stream {attributes}>{inside}</Stream></Connect></Response>"


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("", 12100, "not XML"),
        ("Hello.", 12100, "not XML"),
        ("<Response><Say>Hello</Response>", 12100, "not XML"),
        ("<Answer/>", 12200, "<Answer>"),
        ("<Response><Speak>Hello</Speak></Response>", 12200, "<Speak>"),
        ("<Response><hangup/></Response>", 12200, "<hangup>"),
        ("<Response>Hello</Response>", 12200, "text"),
        ('<Response><Hangup reason="done"/></Response>', 12200, "reason"),
        ("<Response><Connect/></Response>", 12200, "0 nouns"),
        ("<Response><Stream url='wss://h/s'/></Response>", 12200, "<Stream> can't stand in <Response>"),
        ("<Response><Gather><Hangup/></Gather></Response>", 12200, "<Hangup> can't stand in <Gather>"),
        ("<Response><Say>Hello<Pause/></Say></Response>", 12200, "<Pause> can't stand in <Say>"),
        ('<Response><Gather input="speech"/></Response>', 12200, "keys only"),
        ("<Response><Dial/></Response>", 12200, "names 0 numbers"),
        ('<Response><Pause length="long"/></Response>', 12200, "whole number"),
        ('<Response><Dial><Number href="/b">+1</Number></Dial></Response>', 12200, "href"),
        ("<Response><Gather><Dial>+1</Dial></Gather></Response>", 12200, "<Dial> can't stand in <Gather>"),
        ('<Response><Play digits="12x"/></Response>', 12200, "not keys"),
        ('<Response><Gather finishOnKey="12"/></Response>', 12200, "not a key"),
        ('<Response><Say voice="en-US-Kore">Hello</Say></Response>', 13512, "no voice"),
        ('<Response><Redirect method="PUT">/x</Redirect></Response>', 12200, "PUT"),
        ("<Response><Redirect/></Response>", 12200, "no URL"),
        (stream('url="https://h/s"'), 11100, "wss://"),
        (stream('url="ws://example.com/s"'), 11100, "wss://"),
        (stream('url="wss://h/s" track="both_tracks"'), 12200, "both_tracks"),
        (stream(inside='<Parameter value="t"/>'), 12200, "no name"),
        (stream(inside=f'<Parameter name="t" value="{"x" * 499}"/>'), 12200, "500 characters"),
    ],
)
def test_what_twilio_would_not_carry_out_is_refused(text: str, code: int, why: str) -> None:
    with pytest.raises(Breach, match=f"(?s)^{code}: .*{re.escape(why)}"):
        parse(text)
