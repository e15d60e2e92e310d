"""The simulated carrier against the least of servers, in real time: short calls, and nothing asserted about the clock
that a busy machine could break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from domain.mulaw import SILENCE
from offhook.carrier.call import Call, Forgery, Unreachable
from offhook.carrier.carrier import Carrier
from offhook.carrier.handset import Handset
from offhook.carrier.person import Human
from offhook.carrier.stream import open_stream
from tests.fakes.tiny_agent import Line, TinyAgent, hang_up_at_once, tone

NUMBER = "+15005550001"
WORDS = tone(200, hz=300)


def held(agent: TinyAgent, **how: Any) -> Call:
    """One call to the agent, from its beginning to its end."""

    async def hold() -> Call:
        async with agent, Carrier(agent.url, say_ms_per_character=0) as carrier:
            return await carrier.call(NUMBER, **how)

    return asyncio.run(hold())


def answering(*documents: str | Response) -> Callable[[str, dict[str, str]], str | Response]:
    """Answers webhooks with these, one after the other, and then with nothing more to do."""
    coming = iter(documents)
    return lambda path, form: next(coming, "<Response/>")


# --- a call ----------------------------------------------------------------------------------------------------------


def test_a_call_from_ring_to_hang_up() -> None:
    async def talk(line: Line) -> None:
        await line.until("start")
        await line.play(tone(200))
        await line.mark("hello")
        await line.until("mark")
        while line.heard.count(SILENCE) + 800 > len(line.heard):
            await line.until("media")

    async def caller(phone: Handset) -> None:
        await phone.listen(quiet_ms=50)
        await phone.say(WORDS, "words")

    agent = TinyAgent(talk=talk)
    call = held(agent, caller=caller, from_="sip:someone@example.com")
    assert (call.ended, call.violations, agent.unsigned) == ("agent", [], [])
    assert agent.paths() == ["/twilio/voice", "/twilio/next", "/twilio/status"]
    voice, following, status = agent.asked
    assert voice.form == {
        "CallSid": call.sid,
        "AccountSid": "AC00000000000000000000000000000000",
        "From": "sip:someone@example.com",
        "To": NUMBER,
        "Caller": "sip:someone@example.com",
        "Called": NUMBER,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
    }
    assert voice.headers["i-twilio-idempotency-token"] != following.headers["i-twilio-idempotency-token"]
    assert following.form["CallStatus"] == "in-progress"
    assert (status.form["CallStatus"], status.form["SequenceNumber"]) == ("completed", "0")
    [stream] = call.streams
    assert (stream.error, stream.close_code) == ("", 1000)
    [mark], [passage] = stream.marks, call.phone.heard
    assert (mark.name, mark.flushed) == ("hello", False)
    assert mark.at_ms >= passage.end_ms
    assert passage.end_ms - passage.start_ms == 200


def test_the_stream_speaks_twilio_s_protocol() -> None:
    async def talk(line: Line) -> None:
        await line.until("stop")

    async def caller(phone: Handset) -> None:
        await phone.say(WORDS)
        await phone.press("4#")
        phone.hang_up()

    agent = TinyAgent(talk=talk)
    call = held(agent, caller=caller)
    [line] = agent.lines
    assert line.socket.headers["user-agent"].startswith("TwilioMediaStreams")
    events = [message["event"] for message in line.messages]
    assert events[:3] == ["connected", "start", "media"]
    assert events[-1] == "stop"
    assert line.messages[1]["start"]["customParameters"] == {"ticket": "abc"}
    assert [m["dtmf"]["digit"] for m in line.messages if m["event"] == "dtmf"] == ["4", "#"]
    numbers = [int(message["sequenceNumber"]) for message in line.messages[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    times = [int(m["media"]["timestamp"]) for m in line.messages if m["event"] == "media"]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert WORDS in bytes(line.heard)
    # The carrier asks nothing more of a call that is over; it only says so.
    assert (call.ended, agent.paths()) == ("caller", ["/twilio/voice", "/twilio/status"])


def test_marks_come_back_when_the_sound_before_them_was_heard_and_clear_returns_the_rest() -> None:
    async def talk(line: Line) -> None:
        await line.until("start")
        await line.play(tone(100))
        await line.mark("heard")
        await line.play(tone(5000))
        await line.mark("flushed 1")
        await line.mark("flushed 2")
        await line.until("mark")
        await line.clear()
        for name in ("flushed 1", "flushed 2"):
            assert (await line.until("mark"))["mark"]["name"] == name
        await line.mark("nothing left to play")
        await line.until("mark")

    call = held(TinyAgent(talk=talk))
    [stream] = call.streams
    assert [(mark.name, mark.flushed) for mark in stream.marks] == [
        ("heard", False),
        ("flushed 1", True),
        ("flushed 2", True),
        ("nothing left to play", False),
    ]
    [passage] = call.phone.heard
    assert passage.cut
    assert passage.end_ms < 5000
    assert abs(passage.end_ms - stream.clears[0]) < 0.2


def test_what_was_still_to_be_played_when_the_stream_ends_is_lost() -> None:
    async def talk(line: Line) -> None:
        await line.until("start")
        await line.play(tone(5000))

    [stream] = held(TinyAgent(talk=talk)).streams
    assert stream.unplayed_ms > 3000


def test_status_callbacks_tell_of_the_stream() -> None:
    attributes = ' name="talk" statusCallback="/twilio/status"'
    agent = TinyAgent(lambda path, form: agent.connect(attributes=attributes) if "voice" in path else "<Response/>")
    call = held(agent)
    told = [asked.form for asked in agent.asked if "StreamEvent" in asked.form]
    assert {form["StreamEvent"] for form in told} == {"stream-started", "stream-stopped"}
    for form in told:
        assert set(form) == {"AccountSid", "CallSid", "StreamSid", "StreamName", "StreamEvent", "Timestamp"}
        assert (form["StreamName"], form["StreamSid"]) == ("talk", call.streams[0].sid)


# --- TwiML -----------------------------------------------------------------------------------------------------------


def test_without_an_action_the_next_verb_follows_the_stream() -> None:
    agent = TinyAgent(lambda path, form: agent.connect(action="").replace("</Resp", "<Say>Bye.</Say></Resp"))
    call = held(agent)
    assert agent.paths() == ["/twilio/voice", "/twilio/status"]
    assert "says: Bye." in [note.text for note in call.log]


def test_redirects_are_followed_and_pauses_kept() -> None:
    agent = TinyAgent(
        answering(
            '<Response><Redirect method="GET">/else?a=1</Redirect><Say>Never said.</Say></Response>',
            '<Response><Pause length="1"/></Response>',
        )
    )
    call = held(agent)
    assert agent.paths() == ["/twilio/voice", "/else", "/twilio/status"]
    assert agent.asked[1].form["a"] == "1"
    assert (agent.unsigned, call.violations, call.ended) == ([], [], "agent")
    assert call.duration_s >= 1
    assert not any("Never" in note.text for note in call.log)


@pytest.mark.parametrize("result", ["completed", "busy", "no-answer", "failed", "canceled"])
def test_a_transfer_comes_to_what_the_human_makes_of_it(result: Any) -> None:
    agent = TinyAgent(answering('<Response><Dial action="/twilio/next">+15005550199</Dial></Response>'))
    call = held(agent, human=Human(result, seconds=0.1))
    assert call.dialled == ["+15005550199"]
    [asked] = [asked for asked in agent.asked if asked.path == "/twilio/next"]
    assert asked.form["DialCallStatus"] == result
    assert ("DialCallDuration" in asked.form) == (result == "completed")
    assert call.ended == ("transfer" if result == "completed" else "agent")


def dials(*documents: str) -> Callable[[str, dict[str, str]], str]:
    """A transfer whose person is asked at /briefing; what is found there, one document after the other."""
    coming = iter(documents)
    dial = '<Response><Dial action="/next"><Number url="/briefing?stream=1">+15005550199</Number></Dial></Response>'

    def answer(path: str, form: dict[str, str]) -> str:
        return dial if path == "/twilio/voice" else "<Response/>" if path == "/next" else next(coming)

    return answer


ASKS = (
    '<Response><Gather numDigits="1" finishOnKey="" action="/accept?stream=1" timeout="1">'
    '<Pause length="0"/><Say>A call about a delivery.</Say></Gather><Hangup/></Response>'
)


@pytest.mark.parametrize("key", ["1", "#"])
def test_a_person_who_is_told_what_it_is_about_takes_the_call_with_a_key(key: str) -> None:
    agent = TinyAgent(dials(ASKS, "<Response/>"))
    call = held(agent, human=Human(seconds=0.1, key=key))
    assert agent.paths() == ["/twilio/voice", "/briefing", "/accept", "/next", "/twilio/status"]
    _, briefing, accept, following, _ = agent.asked
    assert briefing.form["stream"] == "1"
    assert briefing.form["ParentCallSid"] == call.sid
    assert briefing.form["CallSid"] == following.form["DialCallSid"] != call.sid
    assert (briefing.form["To"], briefing.form["From"]) == ("+15005550199", "+15005550100")
    assert (briefing.form["Direction"], briefing.form["CallStatus"]) == ("outbound-dial", "in-progress")
    assert accept.form["Digits"] == key
    assert following.form["CallSid"] == call.sid
    assert (following.form["DialCallStatus"], following.form["DialBridged"]) == ("completed", "true")
    assert (call.ended, call.briefings, call.violations, agent.unsigned) == (
        "transfer",
        ["A call about a delivery."],
        [],
        [],
    )


@pytest.mark.parametrize("briefed", ["hangs_up", "waits"])
def test_a_person_who_doesn_t_take_the_call_is_not_connected(briefed: Any) -> None:
    agent = TinyAgent(dials(ASKS))
    call = held(agent, human=Human(seconds=60, briefed=briefed))
    assert agent.paths() == ["/twilio/voice", "/briefing", "/next", "/twilio/status"]
    following = agent.asked[2].form
    assert (following["DialCallStatus"], following["DialBridged"]) == ("completed", "false")
    assert (call.ended, call.violations) == ("agent", [])


def test_a_key_that_ends_the_gathering_is_no_key() -> None:
    agent = TinyAgent(dials(ASKS.replace('finishOnKey="" ', "")))
    held(agent, human=Human(seconds=60, key="#"))
    assert "/accept" not in agent.paths()


def test_who_is_told_something_and_asked_nothing_is_connected() -> None:
    told = "<Response><Say>Sarah calls.</Say><Redirect>/more</Redirect></Response>"
    agent = TinyAgent(dials(told, "<Response><Say>About a delivery.</Say></Response>"))
    call = held(agent, human=Human(seconds=0.1))
    assert agent.paths() == ["/twilio/voice", "/briefing", "/more", "/next", "/twilio/status"]
    assert (call.ended, call.briefings) == ("transfer", ["Sarah calls.", "About a delivery."])


@pytest.mark.parametrize(
    ("found", "code"),
    [("<Response><Dial>+15005550198</Dial></Response>", 12200), ("<Response><Shout/></Response>", 12200), ("", 12100)],
)
def test_what_can_t_be_done_on_a_person_s_leg_is_a_violation_and_the_caller_stays(found: str, code: int) -> None:
    agent = TinyAgent(dials(found))
    call = held(agent, human=Human(seconds=60))
    assert [violation.code for violation in call.violations] == [code]
    assert agent.asked[2].form["DialBridged"] == "false"
    assert call.ended == "agent"


def test_a_caller_may_hang_up_while_a_person_is_told() -> None:
    async def leaves(phone: Handset) -> None:
        while "/briefing" not in agent.paths():
            await asyncio.sleep(0.01)
        phone.hang_up()

    agent = TinyAgent(dials(ASKS.replace('length="0"', 'length="60"')))
    call = held(agent, caller=leaves)
    assert (call.ended, agent.paths()) == ("caller", ["/twilio/voice", "/briefing", "/twilio/status"])


def test_people_at_other_numbers_do_something_else() -> None:
    dial = '<Response><Dial action="/next">{}</Dial></Response>'
    agent = TinyAgent(answering(*(dial.format(number) for number in ("+15005550199", "+15005550188"))))
    call = held(agent, human=Human("busy"), others={"+15005550188": Human(seconds=0.1)})
    assert call.dialled == ["+15005550199", "+15005550188"]
    assert [asked.form.get("DialCallStatus") for asked in agent.asked] == [None, "busy", "completed", None]
    assert call.ended == "transfer"


def test_a_caller_who_comes_back_from_a_person_is_the_agent_s_again() -> None:
    dial = '<Response><Dial action="/next">+15005550199</Dial></Response>'
    agent = TinyAgent(
        lambda path, form: (
            dial if path == "/twilio/voice" else agent.connect("") if "Dial" in str(form) else "<Response/>"
        )
    )
    call = held(agent, human=Human(seconds=0.1))
    assert (call.ended, len(call.streams)) == ("agent", 1)


def test_keys_are_pressed_for_a_menu_at_the_other_end() -> None:
    agent = TinyAgent(answering('<Response><Play digits="1w2"/><Hangup/></Response>'))
    call = held(agent)
    assert call.keys == ["1w2"]
    assert call.duration_s >= 1.1


def test_keys_are_gathered_until_there_are_enough_or_the_last_one_was_pressed() -> None:
    gather = '<Response><Gather numDigits="2"><Say>Code?</Say><Pause length="5"/></Gather></Response>'
    agent = TinyAgent(answering(gather, '<Response><Gather action="/code"/></Response>'))

    async def caller(phone: Handset) -> None:
        for keys in ("12", "3#"):
            while phone.far is None:
                await asyncio.sleep(0.01)
            await phone.press(keys)

    call = held(agent, caller=caller)
    assert [asked.form.get("Digits") for asked in agent.asked] == [None, "12", "3", None]
    assert agent.paths() == ["/twilio/voice", "/twilio/voice", "/code", "/twilio/status"]
    assert call.duration_s < 5  # the first key ended the prompt


def test_a_rejected_call_is_never_answered() -> None:
    agent = TinyAgent(answering('<Response><Reject reason="busy"/></Response>'))
    held(agent)
    assert agent.asked[-1].form["CallStatus"] == "busy"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response("<Response/>", media_type="text/plain"), 12300),
        (Response("no", status_code=500), 11200),
        (Response("", media_type="text/xml"), 12100),
        (Response(f"<Response><Say>{'x' * 65_536}</Say></Response>", media_type="text/xml"), 11750),
        ("<Response><Shout/></Response>", 12200),
        ("<Response><Play>/nothing.wav</Play></Response>", 12300),
    ],
)
def test_a_bad_answer_is_a_violation_and_twilio_apologises(answer: str | Response, code: int) -> None:
    agent = TinyAgent(lambda path, form: answer)
    call = held(agent)
    assert [violation.code for violation in call.violations] == [code]
    assert call.ended == "error"
    assert any("application error" in note.text for note in call.log)
    assert agent.asked[-1].form["CallStatus"] == "completed"


def test_a_webhook_s_own_address_says_how_often_to_try_again() -> None:
    failing = Response("no", status_code=503)
    redirect = "<Response><Redirect>/next#rc=2&amp;rp=5xx</Redirect></Response>"
    agent = TinyAgent(answering(redirect, failing, failing, "<Response><Hangup/></Response>"))
    call = held(agent)
    assert agent.paths() == ["/twilio/voice", "/next", "/next", "/next", "/twilio/status"]
    assert len({asked.headers["i-twilio-idempotency-token"] for asked in agent.asked[1:4]}) == 1
    assert (call.ended, call.violations, call.webhooks[1].attempts) == ("agent", [], 3)


def test_without_an_address_that_says_so_an_error_is_not_tried_again() -> None:
    agent = TinyAgent(answering("<Response><Redirect>/next</Redirect></Response>", Response("no", status_code=503)))
    call = held(agent)
    assert agent.paths() == ["/twilio/voice", "/next", "/twilio/status"]
    assert (call.ended, [violation.code for violation in call.violations]) == ("error", [11200])


def test_an_answer_of_which_a_part_has_come_is_not_tried_again() -> None:
    async def breaks_off() -> AsyncIterator[str]:
        yield "<Response>"
        raise ConnectionResetError

    redirect = "<Response><Redirect>/next#rc=2&amp;rp=all</Redirect></Response>"
    agent = TinyAgent(answering(redirect, StreamingResponse(breaks_off(), media_type="text/xml")))
    call = held(agent)
    assert agent.paths() == ["/twilio/voice", "/next", "/twilio/status"]
    assert call.ended == "error"


def test_an_override_that_twilio_does_not_know_is_a_violation() -> None:
    agent = TinyAgent(
        answering("<Response><Redirect>/next#rc=9</Redirect></Response>", "<Response><Hangup/></Response>")
    )
    call = held(agent)
    assert [(violation.code, "rc=9" in violation.what) for violation in call.violations] == [(11100, True)]
    assert call.ended == "agent"


def test_a_number_s_own_addresses_are_tried_again_as_the_readme_configures_them() -> None:
    failing = Response("no", status_code=503)
    agent = TinyAgent(answering(failing, failing, failing, "<Response/>"))
    call = held(agent)
    assert agent.paths() == ["/twilio/voice"] * 4 + ["/twilio/status"]
    assert (agent.unsigned, call.violations) == ([], [])


def test_nobody_at_the_server_s_address() -> None:
    async def hold() -> None:
        async with Carrier("http://127.0.0.1:9") as carrier:
            await carrier.call(NUMBER)

    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        asyncio.run(hold())


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_refused_handshake_is_an_error_and_the_action_is_asked() -> None:
    attributes = ' statusCallback="/twilio/status"'
    agent = TinyAgent(lambda path, form: agent.connect(attributes=attributes) if "voice" in path else "<Response/>")
    agent.refuses = True
    call = held(agent)
    assert [violation.code for violation in call.violations] == [31920]
    assert "/twilio/next" in agent.paths()
    [told] = [asked.form for asked in agent.asked if "StreamEvent" in asked.form]
    assert (told["StreamEvent"], told["StreamError"]) == ("stream-error", call.streams[0].error)
    assert "403" in told["StreamError"]


def test_a_server_that_sends_junk_is_told_on_and_the_call_goes_on() -> None:
    async def talk(line: Line) -> None:
        await line.until("start")
        await line.socket.send_text("{")
        await line.socket.send_bytes(b"\xff" * 160)
        await line.send({"event": "media", "streamSid": "MZ1", "media": {"payload": "/w=="}})
        await line.mark("still here")
        await line.until("mark")

    call = held(TinyAgent(talk=talk))
    assert [violation.code for violation in call.violations] == [31951, 31950, 31951]
    assert [mark.name for mark in call.streams[0].marks] == ["still here"]


def test_a_policy_close_is_told_by_its_code() -> None:
    agent = TinyAgent(talk=hang_up_at_once)
    agent.close_code = 1008
    call = held(agent)
    assert (call.streams[0].close_code, call.streams[0].error) == (1008, "")


def test_another_stream_takes_the_same_telephone_over() -> None:
    streams = 0

    def twiml(path: str, form: dict[str, str]) -> str:
        nonlocal streams
        streams += 1
        return agent.connect() if streams <= 2 else "<Response/>"

    async def talk(line: Line) -> None:
        await line.until("start")
        await line.play(tone(100))
        await line.mark("a")
        await line.until("mark")

    agent = TinyAgent(twiml, talk)
    call = held(agent)
    assert len({stream.sid for stream in call.streams}) == 2
    assert [len(stream.marks) for stream in call.streams] == [1, 1]
    assert len(call.phone.heard) == 2


@pytest.mark.parametrize("from_", ["anonymous", "", "+15005550100"])
def test_any_caller_id(from_: str) -> None:
    agent = TinyAgent(answering("<Response/>"))
    held(agent, from_=from_)
    assert agent.unsigned == []
    assert {asked.form["From"] for asked in agent.asked} == {from_}


# --- what callers can get wrong on purpose ---------------------------------------------------------------------------


async def until_stop(line: Line) -> None:
    async for _ in line.events():
        pass


def test_signatures_and_tickets_can_be_forged() -> None:
    agent = TinyAgent()
    forgery = Forgery(signature="wrong", stream_signature="", parameters={"ticket": "another's"})
    held(agent, forgery=forgery)
    assert len(agent.unsigned) == 4
    assert agent.lines[0].messages[1]["start"]["customParameters"] == {"ticket": "another's"}


def test_a_caller_can_send_anything_and_break_the_line() -> None:
    received: list[Any] = []

    async def talk(line: Line) -> None:
        await line.until("start")
        while True:
            message = await line.socket.receive()
            if "media" not in message.get("text", ""):
                received.append(message)
            if message["type"] == "websocket.disconnect":
                return

    async def vandal(phone: Handset) -> None:
        stream = await open_stream(phone)
        await stream.send_raw("{not json")
        await stream.send_raw(b"\x00\x01")
        stream.abort()

    agent = TinyAgent(talk=talk)
    call = held(agent, caller=vandal)
    assert received[0]["text"] == "{not json"
    assert received[1]["bytes"] == b"\x00\x01"
    assert received[2]["code"] in (1005, 1006)
    [stream] = call.streams
    assert stream.close_code == 1006
    assert "broke" in stream.error
    assert "/twilio/next" in agent.paths()  # Twilio asks what to do now


def test_a_caller_s_own_failure_hangs_up_and_is_raised() -> None:
    async def caller(phone: Handset) -> None:
        raise AssertionError("the test's own")

    agent = TinyAgent(talk=until_stop)
    with pytest.raises(AssertionError, match="the test's own"):
        held(agent, caller=caller)
    assert agent.paths()[-1] == "/twilio/status"


def test_patience_ends() -> None:
    call = held(TinyAgent(talk=until_stop), patience_s=0.2)
    assert call.ended == "caller"
    call = held(TinyAgent(talk=until_stop), longest_s=0.2)
    assert call.ended == "time limit"


def test_cancelling_hangs_up_properly() -> None:
    agent = TinyAgent(talk=until_stop)

    async def hold() -> None:
        async with agent, Carrier(agent.url) as carrier:
            opened = asyncio.Event()

            async def caller(phone: Handset) -> None:
                await open_stream(phone)
                opened.set()

            calling = asyncio.create_task(carrier.call(NUMBER, caller=caller))
            await opened.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling

    asyncio.run(hold())
    assert agent.lines[0].messages[-1]["event"] == "stop"
    assert agent.paths() == ["/twilio/voice", "/twilio/status"]


def test_many_calls_at_once_do_not_mix() -> None:
    async def talk(line: Line) -> None:
        await line.until("start")
        await line.play(tone(100))
        await line.mark(line.messages[1]["start"]["callSid"])
        await line.until("mark")

    async def hold() -> list[Call]:
        async with TinyAgent(talk=talk) as agent, Carrier(agent.url) as carrier:
            return await asyncio.gather(*(carrier.call(NUMBER) for _ in range(20)))

    calls = asyncio.run(hold())
    assert [[mark.name for mark in call.streams[0].marks] for call in calls] == [[call.sid] for call in calls]
