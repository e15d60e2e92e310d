"""Health and live figures of the media service."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from domain.ports import Ports, Unavailable
from media_service import app as service
from tests.fakes.ports import paper_ports


class Ailing:
    """An adapter whose health is set."""

    def __init__(self, check: Any) -> None:
        self.check = check


def client(**changes: Any) -> TestClient:
    ports = paper_ports(adapters={"documents": "sqlite", "voice": "espeak", "speech": "pocketsphinx"}, **changes)

    async def get_ports() -> Ports:
        return ports

    return TestClient(Starlette(routes=service.MediaService(get_ports).routes))


async def well() -> None:
    pass


async def down() -> None:
    raise Unavailable("disk full")


async def stuck() -> None:
    await asyncio.sleep(60)


def test_the_service_tells_that_it_serves() -> None:
    assert client().get("/health").json() == {"status": "ok", "calls": 0}


def test_each_dependency_is_asked() -> None:
    answer = client(documents=Ailing(well)).get("/health/documents")
    assert (answer.status_code, answer.json()["adapter"]) == (200, "sqlite")


def test_one_that_fails_or_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client(documents=Ailing(down)).get("/health/documents")
    assert (answer.status_code, answer.json()["why"]) == (503, "disk full")
    monkeypatch.setattr(service, "CHECK_S", 0.05)
    assert client(speech=Ailing(stuck)).get("/health/speech").status_code == 503


def test_an_unknown_dependency_names_the_known_ones() -> None:
    answer = client().get("/health/weather")
    assert answer.status_code == 404
    assert answer.json()["dependencies"] == ["documents", "speech", "voice"]


def test_figures_come_as_json_or_for_prometheus() -> None:
    assert client().get("/websocket-metrics").json()["active_connections"] == 0
    text = client().get("/websocket-metrics", headers={"Accept": "text/plain"}).text
    assert "offhook_active_connections 0" in text
    assert client().get("/websocket-status").json() == {
        "status": "ok",
        "active": 0,
        "connections": [],
        "bears": 1000,
    }
