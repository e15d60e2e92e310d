"""What Twilio tells of text messages: signed, repeated, out of order."""

import asyncio
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from domain.outbox import opt_out_id
from domain.ports import Ports
from functions import unsubscribe, webhooks
from offhook.seed import ORGANISATION, seed
from schemas.outbound_message import OutboundMessage
from schemas.settings import DEVELOPMENT_AUTH_TOKEN, DEVELOPMENT_SMS_FROM
from tests.fakes.ports import NOW, paper_ports

ROOT = f"organisations/{ORGANISATION}"
ABOUT = f"organisation={ORGANISATION}&message=msg_1"
CALLER = "+15005550100"


class Desk:
    def __init__(self) -> None:
        self.ports = paper_ports()
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        asyncio.run(seed(self.ports))
        self.keep("sent", provider_id="SM1")

        async def get_ports() -> Ports:
            return self.ports

        self.get_ports = get_ports
        self.client = TestClient(webhooks.app(get_ports), base_url="http://127.0.0.1:8080")

    def keep(self, state: str, **changes: Any) -> None:
        given = {
            "channel": "sms",
            "to": CALLER,
            "text": "Hi",
            "sender": "+15005550001",
            "due_at": NOW,
            "created_at": NOW,
        }
        message = OutboundMessage.model_validate({"id": "msg_1", "state": state, **given, **changes})
        self.kept[f"{ROOT}/messages/msg_1"] = message.model_dump(mode="json")

    def message(self) -> dict[str, Any]:
        return self.kept[f"{ROOT}/messages/msg_1"]  # type: ignore[no-any-return]

    def post(self, path: str, form: dict[str, str], signature: str | None = None) -> Any:
        url = f"http://127.0.0.1:8080{path}"
        if signature is None:
            signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(url, form)
        return self.client.post(path, data=form, headers={"X-Twilio-Signature": signature})

    def tell(self, status: str, sid: str = "SM1", about: str = ABOUT, **more: str) -> int:
        form = {"MessageSid": sid, "MessageStatus": status, **more}
        return int(self.post(f"/twilio/message-status?{about}", form).status_code)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.client:
        yield desk


@pytest.mark.parametrize("path", ["/twilio/sms", f"/twilio/message-status?{ABOUT}"])
@pytest.mark.parametrize("signature", ["", "wrong"])
def test_without_the_right_signature_nothing_is_written(desk: Desk, path: str, signature: str) -> None:
    before = dict(desk.kept)
    form = {"From": CALLER, "To": "+15005550001", "Body": "STOP", "MessageSid": "SM1", "MessageStatus": "delivered"}
    assert desk.post(path, form, signature).status_code == 403
    assert desk.kept == before


def test_a_signature_for_another_message_is_wrong(desk: Desk) -> None:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    url = f"http://127.0.0.1:8080/twilio/message-status?{ABOUT}"
    signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(url, form)
    assert desk.post(f"/twilio/message-status?{ABOUT}2", form, signature).status_code == 403


@pytest.mark.parametrize("order", [*permutations(["queued", "sending", "sent", "delivered", "delivered"])])
def test_whatever_the_order_a_delivered_message_is_delivered(desk: Desk, order: tuple[str, ...]) -> None:
    assert {desk.tell(status) for status in order} == {204}
    assert (desk.message()["state"], desk.message()["why"]) == ("delivered", "")


def test_what_is_settled_first_stays(desk: Desk) -> None:
    desk.tell("undelivered", ErrorCode="30003")
    desk.tell("delivered")
    assert (desk.message()["state"], "30003" in desk.message()["why"]) == ("failed", True)


def test_a_report_may_come_before_the_provider_s_answer(desk: Desk) -> None:
    for state in ("sending", "unknown"):
        desk.keep(state)
        desk.tell("sent", sid="SM7")
        assert (desk.message()["state"], desk.message()["provider_id"]) == ("sent", "SM7")


def test_a_report_of_an_attempt_that_was_given_up_changes_nothing(desk: Desk) -> None:
    assert desk.tell("failed", sid="SM0", ErrorCode="30008") == 204
    assert desk.message()["state"] == "sent"


@pytest.mark.parametrize(
    "about", ["x=1", "organisation=org_x&message=msg_1", f"organisation={ORGANISATION}&message=a%2Fb"]
)
def test_a_report_of_a_message_that_nobody_knows_is_taken_and_forgotten(desk: Desk, about: str) -> None:
    before = dict(desk.kept)
    assert desk.tell("delivered", about=about) == 204
    assert desk.tell("on its way") == 204
    assert desk.kept == before


def test_the_carrier_s_late_word_of_a_stop_is_kept(desk: Desk) -> None:
    desk.tell("failed", ErrorCode="21610")
    assert desk.message()["state"] == "suppressed"
    assert desk.kept[f"{ROOT}/optouts/{opt_out_id('sms', CALLER)}"]["source"] == "provider"


@pytest.mark.parametrize(
    "form",
    [
        {"From": CALLER, "To": "+15005550001", "Body": "see you"},
        {"From": CALLER, "To": "+15005550001", "Body": "HELP"},
        {"From": CALLER, "To": "+15005559999", "Body": "STOP"},
        {"From": "short/code", "To": "+15005550001", "Body": "STOP"},
        {"From": CALLER, "To": "../x", "Body": "STOP"},
        {"MessageSid": "SM1"},
    ],
)
def test_other_texts_are_answered_with_nothing_and_change_nothing(desk: Desk, form: dict[str, str]) -> None:
    before = dict(desk.kept)
    answer = desk.post("/twilio/sms", form)
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert desk.kept == before


def test_a_stop_to_the_shared_number_is_kept_for_it(desk: Desk) -> None:
    desk.post("/twilio/sms", {"From": CALLER, "To": DEVELOPMENT_SMS_FROM, "Body": "STOP"})
    assert desk.kept[f"optouts/{opt_out_id('sms', CALLER)}"]["source"] == "reply"


def test_what_couldn_t_be_noted_is_asked_for_again(desk: Desk) -> None:
    desk.ports.documents.failing = True  # type: ignore[attr-defined]
    assert desk.tell("delivered") == 503
    assert desk.post("/twilio/sms", {"From": CALLER, "To": "+15005550001", "Body": "STOP"}).status_code == 503


def test_a_link_that_isn_t_ours_ends_nothing(desk: Desk) -> None:
    with TestClient(unsubscribe.app(desk.get_ports)) as client:
        for query in ("", f"o={ORGANISATION}&m=msg_1&s=forged", "o=../x&m=a/b&s=%C3%A9"):
            assert client.get(f"/m/unsubscribe?{query}").status_code == 404
            assert client.post(f"/m/unsubscribe?{query}").status_code == 404
    assert not [path for path in desk.kept if "optouts" in path]
