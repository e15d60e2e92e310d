"""Calendars and appointments over the admin API."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from offhook.seed import CALENDAR
from tests.api.test_admin import OWNER, Office

CHAIR = {
    "id": "chair",
    "hours": [{"day": "tue", "opens": "09:00", "closes": "10:00"}],
    "slot_minutes": 30,
    "capacity": 1,
}
TUESDAY = "2026-11-24"


class Desk(Office):
    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        return self.client.request(method, f"/api/v1{path}", json=body, headers={**OWNER, **(headers or {})})

    def book(self, headers: dict[str, str] | None = None, **changes: Any) -> Any:
        booking = {"calendar": "chair", "date": TUESDAY, "time": "09:00", "phone": "+12125550100", **changes}
        return self.send("POST", "/appointments", booking, headers)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.client:
        assert desk.send("POST", "/calendars", CHAIR).status_code == 201
        yield desk


def test_a_calendar_is_made_changed_and_deleted(desk: Desk) -> None:
    assert [one["id"] for one in desk.send("GET", "/calendars").json()["data"]] == ["chair", "main"]
    assert desk.send("GET", "/calendars/main").json() == CALENDAR.model_dump(mode="json")
    changed = desk.send("PUT", "/calendars/chair", {**CHAIR, "slot_minutes": 60})
    assert (changed.status_code, changed.json()["slot_minutes"]) == (200, 60)
    assert desk.send("DELETE", "/calendars/chair").status_code == 204
    assert desk.send("GET", "/calendars/chair").status_code == 404
    assert desk.send("DELETE", "/calendars/chair").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "changes", "status", "param"),
    [
        ("POST", "/calendars", {}, 409, "id"),
        ("POST", "/calendars", {"id": "a/b"}, 422, "id"),
        ("POST", "/calendars", {"id": "b", "slot_minutes": 7}, 422, "slot_minutes"),
        ("POST", "/calendars", {"id": "b", "holidays": {"country": "XX"}}, 422, "holidays"),
        ("POST", "/calendars", {"id": "b", "lead_minuets": 5}, 422, "lead_minuets"),
        ("PUT", "/calendars/chair", {"id": "b"}, 422, "id"),
        ("PUT", "/calendars/other", {"id": "other"}, 404, "id"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    desk: Desk, method: str, path: str, changes: dict[str, Any], status: int, param: str
) -> None:
    answer = desk.send(method, path, {**CHAIR, **changes})
    assert (answer.status_code, answer.json().get("param")) == (status, param)


def test_free_times_are_listed(desk: Desk) -> None:
    found = desk.send("GET", f"/calendars/chair/free?from={TUESDAY}").json()
    assert found == {
        "data": ["2026-11-24T09:00:00-05:00", "2026-11-24T09:30:00-05:00"], "why": "", "instead": [],
    }  # fmt: skip
    wednesday = desk.send("GET", "/calendars/chair/free?from=2026-11-25").json()
    assert (wednesday["data"], wednesday["why"]) == ([], "We're closed on Wednesdays.")
    assert wednesday["instead"] == ["2026-12-01T09:00:00-05:00", "2026-12-01T09:30:00-05:00"]
    assert len(desk.send("GET", f"/calendars/chair/free?from={TUESDAY}&to=2026-12-02&minutes=60").json()["data"]) == 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/calendars/other/free?from=2026-11-24", 404),
        ("/calendars/chair/free", 422),
        ("/calendars/chair/free?from=2026-11-24&to=2026-11-23", 422),
        ("/calendars/chair/free?from=2026-11-24&to=2027-11-23", 422),
        ("/calendars/chair/free?from=2026-11-24&minutes=7", 422),
        ("/calendars/chair/free?from=9999-12-31&to=9999-12-31", 200),
        ("/calendars/chair/free?from=0001-01-01", 200),
        ("/appointments/apt_9", 404),
        ("/appointments/%2e%2e", 404),
    ],
)
def test_odd_questions_are_answered(desk: Desk, path: str, status: int) -> None:
    assert desk.send("GET", path).status_code == status


@pytest.mark.parametrize("how", [{"key": "k"}, {"headers": {"Idempotency-Key": "k"}}])
def test_an_appointment_is_booked_once_per_key(desk: Desk, how: dict[str, Any]) -> None:
    first, again = desk.book(**how), desk.book(**how)
    assert first.status_code == again.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    assert len(desk.send("GET", "/appointments?calendar=chair").json()["data"]) == 1
    assert desk.send("GET", f"/appointments/{first.json()['id']}").json()["state"] == "booked"


def test_without_a_key_each_request_is_another(desk: Desk) -> None:
    assert desk.book().status_code == 201
    refused = desk.book()
    assert (refused.status_code, refused.json()["code"]) == (409, "declined")
    assert refused.json()["detail"] == "That time is taken. Free: 2026-11-24T09:30:00-05:00"


def test_an_appointment_is_cancelled_once(desk: Desk) -> None:
    id = desk.book(key="k").json()["id"]
    first, again = (desk.send("POST", f"/appointments/{id}/cancel").json() for _ in range(2))
    assert first["state"] == "cancelled"
    assert first["cancelled_at"] == again["cancelled_at"]
    assert desk.book(key="other").status_code == 201
    assert desk.book(key="k").json()["detail"] == "That appointment was booked and has been cancelled since."
    assert len(desk.send("GET", "/appointments?state=cancelled").json()["data"]) == 1
    assert len(desk.send("GET", "/appointments?phone=%2B12125550100").json()["data"]) == 2
    assert desk.send("POST", "/appointments/apt_9/cancel").status_code == 404
    bus: Any = desk.ports.bus
    assert [event.topic for event in bus.events.values()] == [
        "appointment.booked", "appointment.cancelled", "appointment.booked",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/calendars/chair"),
        ("PUT", "/calendars/chair"),
        ("DELETE", "/calendars/chair"),
        ("GET", "/calendars/chair/free?from=2026-11-24"),
        ("POST", "/appointments/{id}/cancel"),
        ("GET", "/appointments/{id}"),
    ],
)
def test_another_organisation_s_things_are_simply_not_there(desk: Desk, method: str, path: str) -> None:
    desk.kept["organisations/org_other"] = {**desk.kept["organisations/org_demo"], "id": "org_other"}
    id = desk.book().json()["id"]
    stranger = {"Authorization": "Bearer stranger"}
    assert desk.send(method, path.format(id=id), CHAIR, stranger).status_code == 404
    assert desk.send("GET", f"/appointments/{id}").json()["state"] == "booked"
    assert asyncio.run(desk.ports.documents.get("organisations/org_demo/calendars/chair")) is not None
