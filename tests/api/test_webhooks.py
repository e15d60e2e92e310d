"""Twilio's webhooks: answered from stored state, refused without a signature, harmless when repeated."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import structlog
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from adapters.twilio_telephony import OVERRIDES
from domain.ports import Event, Ports, Task, Unavailable
from functions import webhooks
from functions.analyse import analyse
from offhook.carrier import carrier
from offhook.carrier.overrides import Overrides
from offhook.carrier.webhooks import TOTAL_S
from offhook.seed import ORGANISATION, seed
from schemas.organisation import Organisation
from schemas.settings import DEVELOPMENT_AUTH_TOKEN
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes.ports import NOW, MemoryBus, MemoryQueue, paper_ports

SID = "CA" + "1" * 32
CALL = {"CallSid": SID, "AccountSid": "AC1", "From": "+15005550100", "To": "+15005550001", "CallStatus": "ringing"}


class Desk:
    """The webhooks, and a carrier that signs."""

    def __init__(self) -> None:
        self.ports = paper_ports()
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        asyncio.run(seed(self.ports))

        async def get_ports() -> Ports:
            return self.ports

        self.client = TestClient(webhooks.app(get_ports), base_url="http://127.0.0.1:8080")

    def post(self, path: str, form: dict[str, str], signature: str | None = None, **headers: str) -> Any:
        url = f"http://127.0.0.1:8080{path}"
        if signature is None:
            signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(url, form)
        return self.client.post(path, data=form, headers={"X-Twilio-Signature": signature, **headers})

    def verbs(self, path: str, form: dict[str, str], **headers: str) -> list[ElementTree.Element]:
        answer = self.post(path, form, **headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        return list(ElementTree.fromstring(answer.text))

    def entry(self) -> dict[str, Any]:
        return self.kept[f"calls/{SID}"]  # type: ignore[no-any-return]

    def conversation(self) -> dict[str, Any]:
        path = f"organisations/{ORGANISATION}/conversations/{self.entry()['conversation']}"
        return self.kept[path]  # type: ignore[no-any-return]

    def set_version(self, **changes: Any) -> None:
        path = f"organisations/{ORGANISATION}/agents/agt_demo_booking/versions/1"
        self.kept[path] = {**self.kept[path], **changes}


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.client:
        yield desk


def test_a_call_is_answered_with_a_stream_and_its_ticket(desk: Desk) -> None:
    [connect] = desk.verbs("/twilio/voice", CALL)
    stream = connect[0]
    assert connect.get("action") == f"http://127.0.0.1:8080/twilio/next{OVERRIDES}"
    assert stream.get("url") == "ws://127.0.0.1:8080/twilio-stream"
    assert stream.get("statusCallback") == f"http://127.0.0.1:8080/twilio/status{OVERRIDES}"
    assert stream[0].get("name") == "ticket"
    assert desk.conversation()["state"] == "active"
    assert desk.conversation()["caller"] == "+15005550100"


def test_a_repeated_webhook_finds_the_same_conversation(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    first = desk.entry()
    desk.verbs("/twilio/voice", CALL)
    assert desk.entry() == first
    assert len([path for path in desk.kept if "/conversations/" in path]) == 1


def test_a_tool_that_is_out_of_reach_takes_no_agent_off_the_phone(desk: Desk) -> None:
    class Tools:
        async def offered(self, organisation: Organisation) -> dict[str, Tool]:
            return {}

        async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
            raise Unavailable("it is out of reach")

    desk.ports = replace(desk.ports, tools=Tools())
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/next", "/twilio/status"])
@pytest.mark.parametrize("signature", ["", "wrong", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="])
def test_without_the_right_signature_nothing_is_written(desk: Desk, path: str, signature: str) -> None:
    before = dict(desk.kept)
    with structlog.testing.capture_logs() as logs:
        assert desk.post(path, CALL, signature=signature).status_code == 403
    assert desk.kept == before
    [refusal] = [log for log in logs if log["event"] == "webhook_refused"]
    assert refusal["validated"] == [f"http://127.0.0.1:8080{path}", f"http://localhost:8080{path}"]


def test_a_signature_for_other_words_is_wrong(desk: Desk) -> None:
    url = "http://127.0.0.1:8080/twilio/voice"
    signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(url, CALL)
    assert desk.post("/twilio/voice", {**CALL, "To": "+15005550002"}, signature=signature).status_code == 403


@pytest.mark.parametrize("sid", ["", "../x", "CA/1", "a" * 100])
def test_a_call_without_a_proper_sid_is_a_bad_request(desk: Desk, sid: str) -> None:
    assert desk.post("/twilio/voice", {**CALL, "CallSid": sid}).status_code == 400


@pytest.mark.parametrize("caller", ["anonymous", "", "+266696687", "sip:alice@example.com", "Restricted"])
def test_a_withheld_or_sip_caller_is_a_caller_like_any_other(desk: Desk, caller: str) -> None:
    [connect] = desk.verbs("/twilio/voice", {**CALL, "From": caller})
    assert connect.tag == "Connect"


@pytest.mark.parametrize("number", ["+15005559999", "", "sip:x@y", "a/b"])
def test_an_unknown_number_is_refused_politely(desk: Desk, number: str) -> None:
    say, hang_up = desk.verbs("/twilio/voice", {**CALL, "To": number})
    assert (say.tag, hang_up.tag) == ("Say", "Hangup")
    assert "not in service" in (say.text or "")
    assert f"calls/{SID}" not in desk.kept


def test_a_broken_flow_is_refused_with_its_node_s_name_in_the_log(desk: Desk) -> None:
    version = desk.kept[f"organisations/{ORGANISATION}/agents/agt_demo_booking/versions/1"]
    flow = {**version["flow"], "nodes": [*version["flow"]["nodes"], {"id": "lost", "type": "function", "tool": "nope"}]}
    desk.set_version(flow=flow)
    with structlog.testing.capture_logs() as logs:
        say, _ = desk.verbs("/twilio/voice", CALL)
    assert "can't take your call" in (say.text or "")
    assert "'lost'" in str(logs)


def test_outside_its_hours_an_agent_takes_no_calls(desk: Desk) -> None:
    desk.set_version(hours=[{"day": "mon", "opens": "09:00", "closes": "17:00"}])
    assert "closed" in (desk.verbs("/twilio/voice", CALL)[0].text or "")
    desk.set_version(hours=[{"day": "sat", "opens": "09:00", "closes": "17:00"}])
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"


def test_more_calls_than_the_agent_may_hold_are_refused(desk: Desk) -> None:
    desk.set_version(max_concurrent_calls=1)
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"
    second = {**CALL, "CallSid": "CA" + "2" * 32}
    assert "busy" in (desk.verbs("/twilio/voice", second)[0].text or "")
    desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "completed"})
    assert desk.verbs("/twilio/voice", second)[0].tag == "Connect"


def test_an_agent_that_is_switched_off_takes_no_calls(desk: Desk) -> None:
    path = f"organisations/{ORGANISATION}/agents/agt_demo_booking"
    desk.kept[path] = {**desk.kept[path], "active": False}
    assert desk.verbs("/twilio/voice", CALL)[0].tag == "Say"


def test_a_store_that_is_down_is_apologised_for(desk: Desk) -> None:
    desk.ports.documents.failing = True  # type: ignore[attr-defined]
    assert "can't take your call" in (desk.verbs("/twilio/voice", CALL)[0].text or "")


class HangingQueue(MemoryQueue):
    async def enqueue(self, task: Task, at: datetime) -> None:
        await asyncio.Event().wait()


class RefusingQueue(MemoryQueue):
    async def enqueue(self, task: Task, at: datetime) -> None:
        raise Unavailable("there is no such queue")


class HangingBus(MemoryBus):
    async def publish(self, event: Event) -> None:
        await asyncio.Event().wait()


def test_a_store_that_hangs_is_apologised_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.ports.documents.frozen = True  # type: ignore[attr-defined]
    monkeypatch.setattr(webhooks, "STORE_S", 0.05)
    with structlog.testing.capture_logs() as logs:
        assert "can't take your call" in (desk.verbs("/twilio/voice", CALL)[0].text or "")
    assert [log["why"] for log in logs if log["event"] == "call_not_taken"] == ["it took too long"]


def test_while_the_store_hangs_a_call_under_way_waits_and_asks_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.verbs("/twilio/voice", CALL)
    desk.ports.documents.frozen = True  # type: ignore[attr-defined]
    monkeypatch.setattr(webhooks, "STORE_S", 0.05)
    pause, redirect = desk.verbs("/twilio/next", {**CALL, "CallStatus": "in-progress"})
    assert (pause.tag, redirect.tag) == ("Pause", "Redirect")
    assert redirect.text == f"http://127.0.0.1:8080/twilio/next{OVERRIDES}"


def test_the_carrier_waits_for_every_answer_and_has_time_to_ask_again() -> None:
    overrides = Overrides.of(f"https://phone.example.com{OVERRIDES}")
    slowest_s = max(webhooks.STORE_S + webhooks.QUEUE_S, webhooks.TOLD_S)
    assert slowest_s * 1000 < overrides.read_ms
    assert 3 * overrides.read_ms < 1000 * TOTAL_S
    assert overrides.retries >= 2
    assert overrides.retry_on == {"5xx", "ct", "rt"}


def test_the_number_is_to_be_configured_as_the_readme_says_and_the_simulated_one_is() -> None:
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text()
    for path in ("voice", "status"):
        assert f"{{PUBLIC_URL}}/twilio/{path}{OVERRIDES}\n" in readme
    assert carrier.OVERRIDES == OVERRIDES


@pytest.mark.parametrize("queue", [HangingQueue(), RefusingQueue()], ids=["hangs", "refuses"])
def test_a_call_goes_on_without_the_queue(desk: Desk, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "QUEUE_S", 0.05)
    desk.ports = replace(desk.ports, queue=queue)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            assert desk.verbs("/twilio/voice", CALL)[0].tag == "Connect"
    assert desk.conversation()["state"] == "active"
    assert len([log for log in logs if log["event"] == "call_not_looked_after"]) == 2


def test_a_status_that_could_not_be_told_on_is_asked_for_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.verbs("/twilio/voice", CALL)
    working = desk.ports
    desk.ports = replace(working, bus=HangingBus())
    form = {"CallSid": SID, "CallStatus": "completed"}
    with monkeypatch.context() as patience:
        patience.setattr(webhooks, "TOLD_S", 0.05)
        assert desk.post("/twilio/status", form).status_code == 503
    desk.ports = working
    assert desk.post("/twilio/status", form).status_code == 204
    assert len(desk.ports.bus.events) == 1  # type: ignore[attr-defined]


def test_a_lost_stream_is_opened_again_with_another_ticket(desk: Desk) -> None:
    [first] = desk.verbs("/twilio/voice", CALL)
    desk.kept[f"calls/{SID}"]["claimed"] = 1
    [again] = desk.verbs("/twilio/next", {**CALL, "CallStatus": "in-progress"})
    assert again.tag == "Connect"
    assert again[0][0].get("value") != first[0][0].get("value")
    assert desk.entry()["stream"] == 2


def test_a_stream_that_never_begins_is_given_up_after_three(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    form = {**CALL, "CallStatus": "in-progress"}
    for _ in range(3):
        assert [verb.tag for verb in desk.verbs("/twilio/next", form)] == ["Pause", "Connect"]
    assert [verb.tag for verb in desk.verbs("/twilio/next", form)] == ["Say", "Hangup"]


def test_the_same_question_with_the_same_token_gets_the_same_answer(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    form, token = {**CALL, "CallStatus": "in-progress"}, {"I-Twilio-Idempotency-Token": "once"}
    first = desk.post("/twilio/next", form, **token).text
    assert desk.post("/twilio/next", form, **token).text == first
    assert desk.entry()["stream"] == 2


def test_next_for_a_call_that_nobody_knows_is_answered_politely(desk: Desk) -> None:
    assert [verb.tag for verb in desk.verbs("/twilio/next", CALL)] == ["Say", "Hangup"]


def test_the_end_is_told_once_whatever_comes_twice(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    for status in ("completed", "in-progress", "completed", "ringing", "completed"):
        assert desk.post("/twilio/status", {"CallSid": SID, "CallStatus": status}).status_code == 204
    assert desk.conversation()["state"] == "ended"
    assert desk.conversation()["outcome"] == "caller_left"
    assert len(desk.ports.bus.events) == 1  # type: ignore[attr-defined]


def test_an_ended_call_stays_ended(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "completed"})
    assert [verb.tag for verb in desk.verbs("/twilio/next", {**CALL, "CallStatus": "in-progress"})] == ["Hangup"]


def test_a_stream_s_error_is_kept(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    form = {"CallSid": SID, "StreamSid": "MZ1", "StreamEvent": "stream-error", "StreamError": "31920 handshake"}
    assert desk.post("/twilio/status", form).status_code == 204
    assert desk.entry()["stream_error"] == "31920 handshake"


def test_a_call_that_nobody_comes_back_to_is_written_off(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    task, at = desk.ports.queue.tasks[f"left-alone-{SID}"]  # type: ignore[attr-defined]
    assert at == NOW + timedelta(minutes=2)
    asyncio.run(webhooks.left_alone(desk.ports, task))
    assert desk.conversation()["outcome"] == "failed"


def test_a_call_that_is_on_is_not_written_off(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    desk.kept[f"calls/{SID}"]["claimed"] = 1
    asyncio.run(webhooks.left_alone(desk.ports, Task("x", "left_alone", {"call_sid": SID})))
    assert desk.conversation()["state"] == "active"


def test_a_report_follows_the_end(desk: Desk) -> None:
    desk.verbs("/twilio/voice", CALL)
    path = f"organisations/{ORGANISATION}/conversations/{desk.entry()['conversation']}"
    for number, gap in enumerate([None, 500, 700]):
        turn = {
            "number": number,
            "at_ms": 0,
            "node": "x",
            "caller": "hello" if number else "",
            "interrupted": number == 1,
        }
        desk.kept[f"{path}/turns/{number:06d}"] = {
            **turn,
            "waterfall": {"speech_end_ms": 1, "first_audio_sent_ms": gap},
        }
    desk.post("/twilio/status", {"CallSid": SID, "CallStatus": "completed"})
    [event] = desk.ports.bus.events.values()  # type: ignore[attr-defined]
    for _ in range(2):
        asyncio.run(analyse(desk.ports, event))
    report = desk.conversation()["report"]
    assert (report["turns"], report["interruptions"], report["gap_p50_ms"]) == (2, 1, 600)


def test_only_post_is_answered(desk: Desk) -> None:
    assert desk.client.get("/twilio/voice").status_code == 405
