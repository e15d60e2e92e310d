"""The admin API of messages: templates, what is sent, who wants none, what appointments bring."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from domain.outbox import opt_out_id
from domain.ports import Ports
from functions.admin.access import hash_of
from functions.admin.app import app
from functions.messages import send_message
from offhook.seed import ORGANISATION, seed
from schemas.settings import DEVELOPMENT_SMS_FROM
from tests.fakes.ports import NOW, paper_ports

ROOT = f"organisations/{ORGANISATION}"
BOOKED = {"name": "booked", "channel": "sms", "text": "Booked: {{date}} at {{time}}."}
MAIL = {"name": "mail", "channel": "email", "subject": "Hello {{name}}", "text": "Hello.", "sender": "Willow"}


class Office:
    def __init__(self) -> None:
        self.ports = paper_ports()
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        asyncio.run(seed(self.ports))
        stranger = {"organisation": "org_other", "name": "x", "created_at": NOW.isoformat()}
        self.kept[f"keys/{hash_of('stranger')}"] = stranger
        self.kept["organisations/org_other"] = {**self.kept[ROOT], "id": "org_other"}

        async def get_ports() -> Ports:
            return self.ports

        self.client = TestClient(app(get_ports))

    def ask(self, method: str, path: str, key: str = "owner", json: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {key}", **headers}
        return self.client.request(method, f"/api/v1{path}", json=json, headers=sent)

    def put(self, template: dict[str, Any]) -> Any:
        return self.ask("PUT", f"/templates/{template['name']}", json=template)

    def send(self, status: int = 202, headers: dict[str, str] | None = None, **wanted: Any) -> Any:
        answer = self.ask("POST", "/messages", json=wanted, **(headers or {}))
        assert answer.status_code == status, answer.text
        return answer.json()

    def work(self) -> None:
        """Does what is queued."""
        for task, _ in self.ports.queue.tasks.values():  # type: ignore[attr-defined]
            asyncio.run(send_message(self.ports, task))


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    with office.client:
        yield office


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/templates"), ("POST", "/templates"), ("GET", "/templates/x"), ("PUT", "/templates/x"),
        ("DELETE", "/templates/x"), ("GET", "/messages"), ("POST", "/messages"), ("GET", "/messages/msg_1"),
        ("GET", "/opt-outs"), ("POST", "/opt-outs"), ("DELETE", "/opt-outs/x"), ("GET", "/messaging/appointments"),
        ("PUT", "/messaging/appointments"),
    ],
)  # fmt: skip
def test_nobody_comes_in_without_a_key(office: Office, method: str, path: str) -> None:
    assert office.ask(method, path, "wrong").status_code == 401


# --- templates ---


def test_templates_are_made_read_changed_and_deleted(office: Office) -> None:
    made = office.ask("POST", "/templates", json=BOOKED)
    assert made.status_code == 201
    assert office.ask("POST", "/templates", json=BOOKED).status_code == 409
    assert office.ask("GET", "/templates/booked").json() == made.json()
    assert office.put({**BOOKED, "text": "Other words."}).status_code == 200
    assert [each["text"] for each in office.ask("GET", "/templates").json()["data"]] == ["Other words."]
    assert office.ask("GET", "/templates", "stranger").json()["data"] == []
    assert office.ask("DELETE", "/templates/booked", "stranger").status_code == 404
    assert office.ask("DELETE", "/templates/booked").status_code == 204
    assert office.ask("GET", "/templates/booked").status_code == 404


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"text": "Hello {{Name}}"}, "text"),
        ({"text": "Hello {{name}"}, "text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 1601}, "body"),
        ({"subject": "Hello"}, "body"),
        ({"channel": "email"}, "body"),
        ({"channel": "email", "subject": "Hi {{}}"}, "subject"),
        ({"channel": "email", "subject": "Hi\r\nBcc: all@example.com"}, "subject"),
        ({"channel": "email", "subject": "Hi", "reply_to": "nobody"}, "reply_to"),
        ({"channel": "pigeon"}, "channel"),
        ({"language": "English!"}, "language"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_template_that_can_t_be_sent_is_refused(office: Office, changes: dict[str, Any], param: str) -> None:
    answer = office.put({**BOOKED, **changes})
    assert (answer.status_code, answer.json()["param"]) == (422, param)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["Booked", "a b", "..", "x" * 50])
def test_a_template_s_name_is_a_plain_one(office: Office, name: str) -> None:
    assert office.ask("POST", "/templates", json={**BOOKED, "name": name}).status_code == 422
    assert office.ask("GET", f"/templates/{name}").status_code == 404


def test_a_template_keeps_its_name(office: Office) -> None:
    assert office.ask("PUT", "/templates/other", json=BOOKED).status_code == 422


# --- messages ---


def test_a_message_is_filled_in_sent_and_found(office: Office) -> None:
    office.put(BOOKED)
    queued = office.send(to="(212) 736-5000", template="booked", variables={"date": "2026-11-27", "time": "14:30"})
    assert (queued["state"], queued["to"], queued["text"], queued["segments"], queued["sender"]) == (
        "queued", "+12127365000", "Booked: Friday 27 November at 2:30 PM.", 1, DEVELOPMENT_SMS_FROM,
    )  # fmt: skip
    office.work()
    sent = office.ask("GET", f"/messages/{queued['id']}").json()
    assert (sent["state"], sent["attempts"], sent["provider_id"]) == ("sent", 1, f"paper-{queued['id']}")
    assert office.ask("GET", f"/messages/{queued['id']}", "stranger").status_code == 404
    assert office.kept[f"paper/{queued['id']}"]["text"] == sent["text"]


def test_a_message_may_be_given_whole_and_for_later(office: Office) -> None:
    later = NOW + timedelta(hours=2)
    made = office.send(
        to="ann@example.com", channel="email", subject="Hello", text="{{as}} it is", at=later.isoformat()
    )
    assert (made["state"], made["text"], made["due_at"]) == (
        "queued",
        "{{as}} it is",
        later.isoformat().replace("+00:00", "Z"),
    )
    [(_, at)] = office.ports.queue.tasks.values()  # type: ignore[attr-defined]
    assert at == later


def test_the_same_idempotency_key_is_one_message(office: Office) -> None:
    once = {"Idempotency-Key": "order 1"}
    first = office.send(to="+12127365000", text="Hello.", headers=once)
    assert office.send(to="+12127365000", text="Hello.", headers=once) == first
    assert office.send(to="+12127365000", text="Hello.")["id"] != first["id"]
    assert len(office.ask("GET", "/messages").json()["data"]) == 2


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"to": "twelve", "text": "Hello."}, "to"),
        ({"to": "+12127365000"}, "text"),
        ({"to": "+12127365000", "text": "x" * 1601}, "text"),
        ({"to": "+12127365000", "text": "Hello.", "subject": "Hello"}, "subject"),
        ({"to": "nobody", "channel": "email", "subject": "Hi", "text": "Hello."}, "to"),
        ({"to": "ann@example.com", "channel": "email", "text": "Hello."}, "subject"),
        ({"to": "+12127365000", "template": "none"}, "template"),
        ({"to": "+12127365000", "template": "booked", "variables": {"date": "2026-11-27"}}, "variables"),
        ({"to": "+12127365000", "template": "booked", "text": "Hello."}, "text"),
        ({"to": "+12127365000", "text": "Hello.", "sender": "+15005559999"}, "sender"),
        ({"to": "+12127365000", "text": "Hello.", "at": "2026-11-27T14:30"}, "at"),
        ({"to": "+12127365000", "text": "Hello.", "conversation": "a/b"}, "conversation"),
    ],
)
def test_what_can_t_be_sent_is_refused(office: Office, wanted: dict[str, Any], param: str) -> None:
    office.put(BOOKED)
    answer = office.send(422, **wanted)
    assert answer["param"] == param
    assert office.ask("GET", "/messages").json()["data"] == []


def test_messages_are_listed_the_newest_first_and_by_state_and_conversation(office: Office) -> None:
    for number in range(3):
        office.ports.clock.time = NOW + timedelta(seconds=number)  # type: ignore[attr-defined]
        office.send(to="+12127365000", text=f"{number}", conversation=f"cnv_{number}")
    first = office.ask("GET", "/messages?limit=2").json()
    assert [each["text"] for each in first["data"]] == ["2", "1"]
    second = office.ask("GET", f"/messages?limit=2&cursor={first['next_cursor']}").json()
    assert [each["text"] for each in second["data"]] == ["0"]
    assert [each["text"] for each in office.ask("GET", "/messages?conversation=cnv_1").json()["data"]] == ["1"]
    assert office.ask("GET", "/messages?state=sent").json()["data"] == []
    assert office.ask("GET", "/messages?cursor=x").status_code == 400
    assert office.ask("GET", "/messages/..%2Fx").status_code == 404


# --- opt-outs ---


def test_opt_outs_are_entered_listed_heeded_and_removed(office: Office) -> None:
    made = office.ask("POST", "/opt-outs", json={"channel": "sms", "address": "212-736-5000"})
    assert (made.status_code, made.json()["address"]) == (201, "+12127365000")
    assert office.ask("POST", "/opt-outs", json={"channel": "sms", "address": "+12127365000"}).json() == made.json()
    office.ask("POST", "/opt-outs", json={"channel": "email", "address": "Ann@Example.com"})
    assert len(office.ask("GET", "/opt-outs").json()["data"]) == 2
    [mail] = office.ask("GET", "/opt-outs?channel=email").json()["data"]
    assert (mail["address"], mail["id"]) == ("ann@example.com", opt_out_id("email", "ann@example.com"))
    assert office.send(to="+12127365000", text="Hello.")["state"] == "suppressed"
    assert office.ask("DELETE", f"/opt-outs/{made.json()['id']}").status_code == 204
    assert office.ask("DELETE", f"/opt-outs/{made.json()['id']}").status_code == 404
    assert office.send(to="+12127365000", text="Hello.")["state"] == "queued"
    assert office.ask("POST", "/opt-outs", json={"channel": "sms", "address": "x"}).json()["param"] == "address"


# --- what appointments bring ---


def test_what_appointments_bring_is_set_with_templates_that_there_are(office: Office) -> None:
    assert office.ask("GET", "/messaging/appointments").json() == {"confirmation": None, "reminders": []}
    wanted = {"confirmation": "booked", "reminders": [{"before": "24h", "template": "booked"}]}
    answer = office.ask("PUT", "/messaging/appointments", json=wanted)
    assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (422, "not_found", "confirmation")
    office.put(BOOKED)
    assert office.ask("PUT", "/messaging/appointments", json=wanted).status_code == 200
    assert office.ask("GET", "/messaging/appointments").json() == wanted
    office.put({**BOOKED, "name": "odd", "text": "Your {{order}}."})
    odd = office.ask("PUT", "/messaging/appointments", json={"reminders": [{"before": "1d", "template": "odd"}]})
    assert (odd.status_code, odd.json()["code"]) == (422, "placeholder_unknown")
    late = office.ask("PUT", "/messaging/appointments", json={"reminders": [{"before": "soon", "template": "odd"}]})
    assert (late.status_code, late.json()["param"]) == (422, "before")
