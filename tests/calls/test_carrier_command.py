"""`offhook call` against the least of servers: a script, the platform's record, the recording, and how it all exits."""

import asyncio
import json
import wave
from pathlib import Path
from typing import Any

import pytest
import typer
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner

from domain.mulaw import SILENCE
from offhook.call import call, run, save
from offhook.carrier.call import Unreachable
from offhook.carrier.report import Report
from offhook.carrier.script import Script, parse
from tests.fakes.tiny_agent import Line, TinyAgent, tone

SCRIPT = """
to: "+15005550001"
steps:
  - listen: 50
  - say: "yes"
expect: {ended: agent, outcome: done, says: [hello, bye], caller: ["yes"], appointments: 1}
"""


class Platform(TinyAgent):
    """Greets, hears one thing, says goodbye, and writes it all down for whoever has the key."""

    def __init__(self) -> None:
        super().__init__(self._answers, self._talks)
        self.appointments = 0
        self.over = False

    async def _talks(self, line: Line) -> None:
        await line.until("start")
        await line.play(tone(100))
        while not line.heard.strip(SILENCE) or not line.heard.endswith(SILENCE * 1600):
            await line.until("media")
        self.appointments += 1

    def _answers(self, path: str, form: dict[str, str]) -> str | Response:
        if not path.startswith("/api/v1/"):
            return self.connect() if path == "/twilio/voice" else "<Response/>"
        if self.asked[-1].headers.get("authorization") != "Bearer key":
            return Response(status_code=401)
        return JSONResponse(self._api(path.removeprefix("/api/v1"), self.asked[-1].form))

    def _api(self, path: str, query: dict[str, str]) -> Any:
        said = [("agent", "Hello."), ("caller", "yes"), ("agent", "Bye.")]
        messages = [{"role": role, "text": text, "at_ms": at, "turn": at} for at, (role, text) in enumerate(said)]
        conversation = {
            "id": "cnv_1",
            "organisation": "org_1",
            "agent": "agt_1",
            "version": 1,
            "channel": "phone",
            "started_at": "2026-11-21T12:00:00Z",
            "state": "ended",
            "outcome": "done",
        }
        match path:
            case "/conversations":
                return {"data": [{**conversation, "call_sid": query["call_sid"]}], "has_more": False}
            case "/conversations/cnv_1":
                return {**conversation, "turns": []}
            case "/conversations/cnv_1/messages" if "cursor" not in query:
                return {"data": messages[:1], "has_more": True, "next_cursor": "a b"}
            case "/conversations/cnv_1/messages" if query["cursor"] == "a b":
                return {"data": messages[1:], "has_more": False, "next_cursor": None}
            case "/appointments":
                return {"data": [{}] * self.appointments, "has_more": False}
        raise AssertionError(path)


def called(script: Script, key: str = "key", told: list[tuple[str, str]] | None = None) -> Report:
    async def hold() -> Report:
        async with Platform() as platform:
            return await run(
                script,
                platform.url,
                owner_key=key,
                tell=lambda seconds, who, text: None if told is None else told.append((who, text)),
            )

    return asyncio.run(hold())


def test_a_script_is_played_and_what_the_platform_wrote_down_is_checked() -> None:
    told: list[tuple[str, str]] = []
    report = called(parse(SCRIPT, "mine"), told=told)
    assert report.differences == []
    lines = [("agent", "Hello."), ("agent", "Bye."), ("caller", "yes")]
    assert sorted(line for line in told if line[0] != "carrier") == sorted(lines)
    assert [exchange.text for exchange in report.exchanges] == ["yes"]


def test_a_wrong_key_is_said_and_the_call_is_held_all_the_same() -> None:
    report = called(parse(SCRIPT), key="wrong")
    assert report.call.ended == "agent"
    assert report.differences == [
        "what the platform wrote down could not be checked: the API doesn't know this key; "
        "OFFHOOK_HOME or OFFHOOK_OWNER_KEY isn't the platform's"
    ]


def test_the_recording_lies_in_three_files(tmp_path: Path) -> None:
    path = save(called(parse(SCRIPT, "mine")), tmp_path / "calls")
    assert path.name.startswith("mine-")
    with wave.open(f"{path}.wav") as tape:
        assert (tape.getnchannels(), tape.getframerate(), tape.getsampwidth()) == (2, 8000, 2)
    assert "caller   yes" in path.with_suffix(".txt").read_text()
    assert json.loads(path.with_suffix(".json").read_text())["met"] is True


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment that touches nobody's data."""
    return {"OFFHOOK_HOME": str(tmp_path / "home")}


def invoke(environment: dict[str, str], *arguments: str) -> Any:
    app = typer.Typer()
    app.command()(call)
    return CliRunner().invoke(app, list(arguments), env=environment)


def test_an_unknown_script_exits_with_2_and_names_the_known_ones(home: dict[str, str]) -> None:
    result = invoke(home, "demo-nothing")
    assert result.exit_code == 2
    assert "demo-booking" in result.stderr


@pytest.mark.parametrize("quiet", ["--json", "--quiet"])
def test_a_server_that_isn_t_there_is_said_in_one_sentence(quiet: str, home: dict[str, str], tmp_path: Path) -> None:
    result = invoke(home, "demo-booking", "--server", "http://127.0.0.1:9", quiet, "--save", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.strip().count("\n") == 0
    assert "make run" in result.stderr


def test_settings_that_can_t_be_used_are_said_in_one_sentence(home: dict[str, str]) -> None:
    result = invoke({**home, "PORT": "eighty"}, "demo-booking")
    assert result.exit_code == 1
    assert "PORT" in result.stderr


def test_unreachable_is_an_exception_for_programs() -> None:
    with pytest.raises(Unreachable):
        asyncio.run(run(parse(SCRIPT), "http://127.0.0.1:9"))
