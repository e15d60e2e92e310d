"""Health and live figures of the media service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.testclient import TestClient

from domain.ports import Ports, Unavailable
from media_service import app as service
from tests.fakes import virtual_time
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


Ask = Callable[[str], Awaitable[tuple[int, str]]]
"""From a dependency's name to the status of the answer, and why it doesn't work."""


def tell(story: Callable[[Ask], Awaitable[None]], **changes: Any) -> None:
    """In virtual time."""
    service = client(**changes).app

    async def whole() -> None:
        transport = httpx2.ASGITransport(app=service)
        async with httpx2.AsyncClient(transport=transport, base_url="http://media.example.com") as http:

            async def ask(dependency: str) -> tuple[int, str]:
                answer = await http.get(f"/health/{dependency}")
                return answer.status_code, answer.json().get("why", "")

            await story(ask)

    virtual_time.run(whole())


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


async def broken() -> None:
    raise KeyError("nobody thought of that")


def test_one_that_fails_or_breaks_or_does_not_answer_is_unavailable() -> None:
    async def story(ask: Ask) -> None:
        assert await ask("documents") == (503, "disk full")
        assert await ask("voice") == (503, "its check broke (KeyError)")
        assert await ask("speech") == (503, "no answer within 2 s")
        assert asyncio.get_running_loop().time() == 2

    tell(story, documents=Ailing(down), speech=Ailing(stuck), voice=Ailing(broken))


class Billed:
    """An adapter whose check takes a second and costs something."""

    def __init__(self) -> None:
        self.bill = 0
        self.is_well = True

    async def check(self) -> None:
        self.bill += 1
        await asyncio.sleep(1)
        if not self.is_well:
            raise Unavailable("no quota left")


def test_one_check_serves_all_who_ask_at_once_and_for_a_while_after() -> None:
    speech, voice = Billed(), Billed()

    async def story(ask: Ask) -> None:
        answers = await asyncio.gather(*(ask("speech") for _ in range(100)), ask("voice"))
        assert {*answers} == {(200, "")}
        speech.is_well = False
        for _ in range(14):
            await asyncio.sleep(1)
            assert await ask("speech") == (200, "")
        assert (speech.bill, voice.bill) == (1, 1)
        await asyncio.sleep(1)
        assert await ask("speech") == (503, "no quota left")
        assert (speech.bill, voice.bill) == (2, 1)

    tell(story, speech=speech, voice=voice)


def test_one_that_failed_is_asked_again_sooner() -> None:
    speech = Billed()
    speech.is_well = False

    async def story(ask: Ask) -> None:
        assert await ask("speech") == (503, "no quota left")
        speech.is_well = True
        await asyncio.sleep(4)
        assert await ask("speech") == (503, "no quota left")
        await asyncio.sleep(1)
        assert await ask("speech") == (200, "")
        assert speech.bill == 2

    tell(story, speech=speech)


def test_whoever_leaves_does_not_take_the_check_with_them() -> None:
    speech = Billed()

    async def story(ask: Ask) -> None:
        impatient, patient = asyncio.create_task(ask("speech")), asyncio.create_task(ask("speech"))
        await asyncio.sleep(0.5)
        impatient.cancel()
        assert await patient == (200, "")
        assert speech.bill == 1

    tell(story, speech=speech)


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
