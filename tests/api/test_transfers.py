"""Transfers, as the carrier's webhooks see them: a person is briefed and takes the call or doesn't, the caller hears words
whenever nobody does, and two who talk are left alone."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import Element

import pytest
import structlog

from adapters.twilio_telephony import OVERRIDES
from domain.ports import Task
from functions import webhooks
from tests.api.test_webhooks import CALL, SID, Desk

CHILD = "CA" + "c" * 32
PERSON = "+15005550199"
IN_PROGRESS = {**CALL, "CallStatus": "in-progress"}
LEG = {**IN_PROGRESS, "CallSid": CHILD, "ParentCallSid": SID, "To": PERSON, "Direction": "outbound-dial"}
ACCEPT = "/twilio/accept?stream=1"
BRIEFING = "/twilio/briefing?stream=1"


class Board(Desk):
    """A desk where a call is under way whose agent wants it put through."""

    def wants_transfer(self, **how: Any) -> None:
        """As the media service stores it."""
        self.verbs("/twilio/voice", CALL)
        wanted = {"stage": "transfer", "dial": PERSON, "briefing": "Sarah, about an invoice.", "claimed": 1}
        self.kept[f"calls/{SID}"] |= {**wanted, "outcome": "transferred", **how}

    def next(self, **form: str) -> list[Element]:
        return self.verbs("/twilio/next", {**IN_PROGRESS, **form})

    def dials(self, **how: Any) -> Element:
        self.wants_transfer(**how)
        [dial] = self.next()
        assert dial.tag == "Dial"
        return dial


@pytest.fixture
def desk() -> Iterator[Board]:
    desk = Board()
    with desk.client:
        yield desk


def said(verbs: list[Element]) -> str:
    assert [verb.tag for verb in verbs] == ["Say", "Hangup"]
    return verbs[0].text or ""


# --- the person ------------------------------------------------------------------------------------------------------


def test_a_person_is_told_what_it_is_about_and_takes_the_call(desk: Board) -> None:
    number = desk.dials()[0]
    assert (number.text, number.get("url")) == (PERSON, f"http://127.0.0.1:8080{BRIEFING}{OVERRIDES}")
    gather, hang_up = desk.verbs(BRIEFING, LEG)
    assert (gather.get("action"), hang_up.tag) == (f"http://127.0.0.1:8080{ACCEPT}{OVERRIDES}", "Hangup")
    assert gather[1].text == "Sarah, about an invoice. Press any key to take the call, or hang up."
    assert not desk.entry()["accepted"]
    assert desk.verbs(ACCEPT, {**LEG, "Digits": "5"}) == []
    assert desk.entry()["accepted"]
    assert [verb.tag for verb in desk.next(DialCallStatus="completed")] == ["Hangup"]
    assert desk.entry()["outcome"] == "transferred"


def test_without_a_briefing_nobody_is_asked(desk: Board) -> None:
    dial = desk.dials(briefing="")
    assert dial[0].get("url") is None
    assert [verb.tag for verb in desk.verbs(BRIEFING, LEG)] == ["Hangup"]


def test_it_is_told_in_the_agent_s_voice_and_language(desk: Board) -> None:
    phrases = {"take_call": "Nehmen Sie mit einer Taste an.", "nobody_free": "Niemand ist frei."}
    desk.set_version(voice="de-DE-Chirp3-HD-Kore", language="de-DE", phrases=phrases)
    desk.dials()
    gather, _ = desk.verbs(BRIEFING, LEG)
    assert (gather[1].get("voice"), gather[1].get("language")) == ("Google.de-DE-Chirp3-HD-Kore", "de-DE")
    assert "Nehmen Sie" in (gather[1].text or "")
    say, _ = desk.next(DialCallStatus="busy")
    assert (say.text, say.get("language")) == ("Niemand ist frei.", "de-DE")


def test_each_question_may_come_twice_and_late(desk: Board) -> None:
    desk.dials()
    first = desk.post(BRIEFING, LEG).text
    assert desk.post(BRIEFING, LEG).text == first
    for _ in range(2):
        assert desk.verbs(ACCEPT, {**LEG, "Digits": "1"}) == []
    assert desk.post(BRIEFING, LEG).text == first
    desk.next(DialCallStatus="completed")
    ended = desk.entry()
    assert [verb.tag for verb in desk.verbs(ACCEPT, {**LEG, "Digits": "1"})] == ["Hangup"]
    assert [verb.tag for verb in desk.verbs(BRIEFING, LEG)] == ["Hangup"]
    assert desk.entry() == ended


def test_a_late_yes_to_one_transfer_is_none_to_the_next(desk: Board) -> None:
    desk.dials(way_back=True)
    desk.next(DialCallStatus="no-answer")
    desk.kept[f"calls/{SID}"] |= {"stage": "transfer", "dial": "+15005550188", "briefing": "Again.", "claimed": 2}
    assert desk.next()[0][0].get("url") == f"http://127.0.0.1:8080/twilio/briefing?stream=2{OVERRIDES}"
    assert [verb.tag for verb in desk.verbs(ACCEPT, {**LEG, "Digits": "1"})] == ["Hangup"]
    assert not desk.entry()["accepted"]


@pytest.mark.parametrize("path", [BRIEFING, ACCEPT])
@pytest.mark.parametrize("parent", ["", "../x", "CA" + "9" * 32])
def test_a_leg_of_no_call_of_ours_is_hung_up(desk: Board, path: str, parent: str) -> None:
    desk.dials()
    before = dict(desk.kept)
    leg = {**LEG, "ParentCallSid": parent, "Digits": "1"}
    assert [verb.tag for verb in desk.verbs(path, leg)] == ["Hangup"]
    assert desk.kept == before


@pytest.mark.parametrize("query", ["", "?stream=x", "?stream=-1", "?stream=99999999999999999999", "?stream=%C2%B2"])
def test_a_transfer_that_has_no_such_number_is_none(desk: Board, query: str) -> None:
    desk.dials()
    assert [verb.tag for verb in desk.verbs(f"/twilio/accept{query}", {**LEG, "Digits": "1"})] == ["Hangup"]


@pytest.mark.parametrize("path", [BRIEFING, ACCEPT])
def test_only_the_carrier_s_own_questions_are_answered(desk: Board, path: str) -> None:
    desk.dials()
    form = {**LEG, "Digits": "1"}
    assert desk.post(path, form, signature="wrong").status_code == 403
    assert not desk.entry()["accepted"]


def test_no_key_is_no_yes(desk: Board) -> None:
    desk.dials()
    assert [verb.tag for verb in desk.verbs(ACCEPT, LEG)] == ["Hangup"]
    assert not desk.entry()["accepted"]


# --- while the store is away -----------------------------------------------------------------------------------------


def test_while_the_store_is_away_a_person_is_asked_all_the_same_and_nobody_is_cut_off(
    desk: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.dials()
    monkeypatch.setattr(webhooks, "STORE_S", 0.05)
    documents: Any = desk.ports.documents
    documents.frozen = True
    with structlog.testing.capture_logs() as logs:
        gather, _ = desk.verbs(BRIEFING, LEG)
        assert "Somebody on the telephone" in (gather[1].text or "")
        assert desk.verbs(ACCEPT, {**LEG, "Digits": "1"}) == []
        assert [verb.tag for verb in desk.verbs(ACCEPT, LEG)] == ["Hangup"]
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [
        "briefing_unknown",
        "acceptance_not_stored",
    ]
    documents.frozen = False
    # The carrier tells that they talked, so the caller isn't told that nobody took the call.
    assert [verb.tag for verb in desk.next(DialCallStatus="completed", DialBridged="true")] == ["Hangup"]
    assert desk.entry()["outcome"] == "transferred"


# --- the caller ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["busy", "no-answer", "failed", "canceled"])
def test_a_caller_whom_nobody_takes_hears_so(desk: Board, how: str) -> None:
    desk.dials()
    assert "nobody could take your call" in said(desk.next(DialCallStatus=how))
    desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "completed"})
    assert desk.conversation()["outcome"] == f"failed: transfer {how}"


def test_or_is_put_through_to_the_fallback_number_which_is_told_too(desk: Board) -> None:
    desk.set_version(fallback_number="+15005550188")
    desk.dials()
    say, dial = desk.next(DialCallStatus="no-answer")
    assert "try someone else" in (say.text or "")
    assert (dial[0].text, dial[0].get("url")) == ("+15005550188", None)
    assert "nobody could take your call" in said(desk.next(DialCallStatus="busy"))


@pytest.mark.parametrize("told", [{}, {"DialBridged": "false"}])
def test_a_person_who_declines_sends_the_caller_back_to_the_flow(desk: Board, told: dict[str, str]) -> None:
    desk.dials(way_back=True)
    desk.verbs(BRIEFING, LEG)
    [connect] = desk.next(DialCallStatus="completed", **told)
    assert connect.tag == "Connect"
    assert (desk.entry()["dial_status"], desk.entry()["stage"]) == ("declined", "streaming")


def test_a_person_who_hung_up_with_the_key_still_under_the_finger_has_declined(desk: Board) -> None:
    desk.dials(way_back=True)
    desk.verbs(ACCEPT, {**LEG, "Digits": "1"})
    assert desk.next(DialCallStatus="completed", DialBridged="false")[0].tag == "Connect"


def test_the_same_answer_for_the_same_question(desk: Board) -> None:
    desk.dials(way_back=True)
    form, token = {**IN_PROGRESS, "DialCallStatus": "busy"}, {"I-Twilio-Idempotency-Token": "once"}
    first = desk.post("/twilio/next", form, **token).text
    assert desk.post("/twilio/next", form, **token).text == first
    assert desk.entry()["stream"] == 2


def test_once_they_have_talked_the_flow_may_go_on_with_the_caller(desk: Board) -> None:
    desk.dials(way_on=True, briefing="")
    [connect] = desk.next(DialCallStatus="completed", DialBridged="true")
    assert connect.tag == "Connect"
    assert (desk.entry()["dial_status"], desk.entry()["outcome"]) == ("completed", "")


def test_a_caller_handed_over_hears_the_words_of_the_agent_that_has_them(desk: Board) -> None:
    root = "organisations/org_demo/agents/agt_demo_orders/versions/1"
    desk.kept[root] = {**desk.kept[root], "phrases": {"nobody_free": "The order desk is empty."}}
    desk.wants_transfer(agent="agt_demo_orders")
    path = f"organisations/org_demo/conversations/{desk.entry()['conversation']}"
    desk.kept[path] = {**desk.kept[path], "team": {"agt_demo_orders": 1}}
    desk.next()
    assert said(desk.next(DialCallStatus="busy")) == "The order desk is empty."


@pytest.mark.parametrize("changes", [{"live": 0}, {"live": 7}, {"active": False}])
def test_an_agent_takes_calls_though_one_that_it_hands_over_to_does_not(desk: Board, changes: dict[str, Any]) -> None:
    other = "organisations/org_demo/agents/agt_demo_orders"
    desk.kept[other] = {**desk.kept[other], **changes}
    nodes = [{"id": "s", "type": "start", "edges": [{"to": "h"}]},
             {"id": "h", "type": "handoff", "agent": "agt_demo_orders"}]  # fmt: skip
    desk.set_version(flow={"start": "s", "nodes": nodes})
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"
    assert desk.conversation()["team"] == {}


def test_keys_are_pressed_before_the_talk_goes_on(desk: Board) -> None:
    desk.wants_transfer(stage="keys", dial="1w23#", briefing="", outcome="")
    play, connect = desk.next()
    assert (play.get("digits"), connect.tag) == ("1w23#", "Connect")
    assert (desk.entry()["stage"], desk.entry()["stream"]) == ("streaming", 2)


# --- two who talk ----------------------------------------------------------------------------------------------------


def test_two_who_talk_for_twenty_minutes_are_left_alone(desk: Board) -> None:
    clock: Any = desk.ports.clock
    queue: Any = desk.ports.queue
    desk.dials()
    desk.verbs(ACCEPT, {**LEG, "Digits": "1"})
    for _ in range(20):
        clock.time += timedelta(minutes=1)
        for task, due in list(queue.tasks.values()):
            if due <= clock.time:
                asyncio.run(webhooks.left_alone(desk.ports, task))
        # Whatever else the carrier tells of a call that goes on ends nothing.
        desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "in-progress"})
        desk.post("/twilio/status", {"CallSid": SID, "StreamSid": "MZ1", "StreamEvent": "stream-stopped"})
        assert desk.conversation()["state"] == "active"
        assert desk.entry()["stage"] == "dialled"
    assert [verb.tag for verb in desk.next(DialCallStatus="completed", DialBridged="true")] == ["Hangup"]
    assert desk.conversation()["state"] == "active"  # until the carrier says that the call is over
    desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "completed"})
    ended = desk.conversation()
    assert (ended["state"], ended["outcome"]) == ("ended", "transferred")
    assert clock.time - timedelta(minutes=20) == webhooks.Conversation.model_validate(ended).started_at


# --- out of hours ----------------------------------------------------------------------------------------------------

WEEKDAYS = [{"day": day, "opens": "09:00", "closes": "17:00"} for day in ("mon", "tue", "wed", "thu", "fri")]
"""It is Saturday."""


def test_out_of_hours_a_caller_hears_when_to_call_again(desk: Board) -> None:
    desk.set_version(hours=WEEKDAYS)
    words = said(desk.verbs("/twilio/voice", CALL))
    assert words == "We are closed at the moment. Please call again Monday the 23rd of November at 9 AM. Goodbye."
    assert f"calls/{SID}" not in desk.kept


def test_the_agent_s_own_zone_says_what_time_it_is(desk: Board) -> None:
    at_three = [{"day": "sat", "opens": "15:00", "closes": "16:00"}]
    desk.set_version(hours=at_three)  # nine in New York
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Say"
    desk.set_version(hours=at_three, time_zone="Europe/Berlin")
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"


def test_a_holiday_is_out_of_hours(desk: Board) -> None:
    clock: Any = desk.ports.clock
    clock.time = clock.time.replace(day=26)  # Thanksgiving
    desk.set_version(hours=WEEKDAYS, holidays={"country": "US"})
    assert "tomorrow at 9 AM" in said(desk.verbs("/twilio/voice", CALL))
    desk.set_version(hours=WEEKDAYS, holidays={"country": "DE"})
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"


def test_out_of_hours_an_agent_may_answer_all_the_same(desk: Board) -> None:
    desk.set_version(hours=WEEKDAYS, out_of_hours={"do": "answer"})
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"


def test_or_another_number_takes_the_call(desk: Board) -> None:
    desk.set_version(hours=WEEKDAYS, out_of_hours={"do": "transfer", "number": "+15005550177"})
    for _ in range(2):
        [dial] = desk.verbs("/twilio/voice", CALL)
        assert (dial.tag, dial[0].text) == ("Dial", "+15005550177")
    assert desk.conversation()["state"] == "active"
    assert [verb.tag for verb in desk.next(DialCallStatus="completed")] == ["Hangup"]
    desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "completed"})
    assert desk.conversation()["outcome"] == "transferred"


def test_and_if_nobody_does_there_the_caller_hears_so(desk: Board) -> None:
    desk.set_version(hours=WEEKDAYS, out_of_hours={"do": "transfer", "number": "+15005550177"})
    desk.verbs("/twilio/voice", CALL)
    asyncio.run(webhooks.left_alone(desk.ports, Task("x", "left_alone", {"call_sid": SID})))
    assert desk.conversation()["state"] == "active"  # it rings, or they talk
    assert "nobody could take your call" in said(desk.next(DialCallStatus="no-answer"))


def test_a_call_put_through_out_of_hours_needs_no_place_of_the_agent_s(desk: Board) -> None:
    transfer = {"do": "transfer", "number": "+15005550177"}
    desk.set_version(hours=WEEKDAYS, out_of_hours=transfer, max_concurrent_calls=1)
    for sid in (SID, "CA" + "2" * 32):
        assert desk.verbs("/twilio/voice", {**CALL, "CallSid": sid})[0].tag == "Dial"
