"""How Gemini is reached, by key and through Vertex AI, and what it says of a set-up that doesn't work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from google.genai import Client
from google.oauth2.credentials import Credentials

from adapters import gemini
from adapters.gemini import Gemini
from adapters.gemini_brain import GeminiBrain
from adapters.gemini_speech import GeminiSpeech
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Prompt, Sound, Unavailable, Words
from schemas.remark import Remark
from schemas.variable import Expectation
from tests.fakes.gemini_server import KEY, LOCATION, PROJECT, TOKEN, GeminiServer, Refusal, Text
from tests.fakes.speech_server import say

PROMPT = Prompt("You take bookings.", [Remark(role="caller", text="Hello")])


def vertex(token: str = TOKEN, location: str = LOCATION) -> dict[str, Any]:
    credentials = Credentials(token=token)  # type: ignore[no-untyped-call]
    return {"project": PROJECT, "location": location, "credentials": credentials}


WAYS = {"key": {"api_key": KEY}, "vertex": vertex()}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


async def spoken(text: str) -> AsyncIterator[Sound]:
    for piece in (SPEECH_BEGINS, say(text), SPEECH_ENDS):
        yield piece


@asynccontextmanager
async def server_for(way: dict[str, Any]) -> AsyncIterator[GeminiServer]:
    async with GeminiServer(vertex="project" in way) as server:
        yield server


@each_way
def test_it_answers_listens_and_says_that_it_would(way: dict[str, Any]) -> None:
    async def story() -> None:
        async with server_for(way) as server:
            server.will_answer([Text("Which day?")])
            async with (
                GeminiBrain(**way, base_url=server.url) as brain,
                GeminiSpeech(**way, base_url=server.url) as speech,
            ):
                await brain.check()
                await brain.check("gemini-2.5-flash")
                await speech.check()
                assert server.counted == ["gemini-3.8-flash", "gemini-2.5-flash", "gemini-3.8-flash"]
                assert Words("Which day?") in [thought async for thought in brain.think(PROMPT)]
                async with aclosing(speech.transcribe(spoken("on friday"), Expectation())) as heard:  # type: ignore[type-var]
                    assert [transcript.text async for transcript in heard] == ["on friday"]

    asyncio.run(story())


@each_way
def test_what_stands_in_the_environment_changes_nothing(way: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"):
        monkeypatch.setenv(name, "another")
    for name in ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"):
        monkeypatch.setenv(name, "false" if "project" in way else "true")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:9")

    async def story() -> None:
        async with server_for(way) as server, GeminiBrain(**way, base_url=server.url) as brain:
            await brain.check()

    asyncio.run(story())


@pytest.mark.parametrize("location", ["", "global", "eu", "us", "europe-west4"])
def test_vertex_is_asked_at_google_s_own_address_for_the_location(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def address(client: Client) -> str | None:
        return client._api_client._http_options.base_url

    way = vertex(location=location)
    theirs = address(Client(enterprise=True, **{**way, "location": location or "global"}))
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")

    async def ours() -> str | None:
        async with Gemini(**way) as gemini:
            return address(gemini.client)

    assert asyncio.run(ours()) == theirs


def disabled(host: str) -> Refusal:
    return Refusal(403, "PERMISSION_DENIED", f"{host} has not been used in project 1 before", "SERVICE_DISABLED")


BROKEN: dict[str, tuple[dict[str, Any], str, Refusal | None, str]] = {
    "a wrong key": ({"api_key": "AIza-other"}, "", None, r"API key \(API_KEY_INVALID\): make one at"),
    "a blocked key": (
        WAYS["key"],
        "",
        Refusal(403, "PERMISSION_DENIED", KEY, "API_KEY_SERVICE_BLOCKED"),
        "API_KEY_SERVICE_BLOCKED",
    ),
    "no such model": (WAYS["key"], "gemini-1.5-flash", None, "no model 'gemini-1.5-flash': it may be retired"),
    "no such model there": (WAYS["vertex"], "gemini-1.0-pro", None, f"no model 'gemini-1.0-pro' in {LOCATION}"),
    "a key's API is off": (
        WAYS["key"],
        "",
        disabled("generativelanguage.googleapis.com"),
        "gcloud services enable generativelanguage.googleapis.com",
    ),
    "Vertex is off": (WAYS["vertex"], "", disabled("aiplatform"), "gcloud services enable aiplatform.googleapis.com"),
    "no billing": (WAYS["vertex"], "", Refusal(403, "PERMISSION_DENIED", "no", "BILLING_DISABLED"), "enable it for"),
    "a region without Gemini": (
        WAYS["key"],
        "",
        Refusal(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        "from this region: enable billing for it, or use Vertex AI",
    ),
    "an expired token": (vertex("old"), "", None, "check the service account"),
    "no role": (WAYS["vertex"], "", Refusal(403, "PERMISSION_DENIED"), "role Vertex AI User"),
    "no quota": (WAYS["key"], "", Refusal(429, "RESOURCE_EXHAUSTED"), "no quota left"),
    "a fault of Google's": (WAYS["key"], "", Refusal(503, "UNAVAILABLE"), r"failed \(503 UNAVAILABLE\)"),
}


@pytest.mark.parametrize(("way", "model", "refusal", "fix"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_is_said_with_its_fix(way: dict[str, Any], model: str, refusal: Refusal | None, fix: str) -> None:
    async def story() -> None:
        async with server_for(way) as server, GeminiBrain(**way, base_url=server.url) as brain:
            server.refuses = refusal
            with pytest.raises(Unavailable, match=fix) as failure:
                await brain.check(model)
            assert str(failure.value).startswith("Gemini ")
            assert KEY not in str(failure.value)
            assert TOKEN not in str(failure.value)

    asyncio.run(story())


def test_nobody_there_is_said_too() -> None:
    async def story() -> None:
        async with GeminiBrain(KEY, base_url="http://127.0.0.1:9") as brain:
            with pytest.raises(Unavailable, match="could not be reached"):
                await brain.check()

    asyncio.run(story())


def test_a_token_that_can_not_be_had_is_no_riddle() -> None:
    assert "check the service account" in str(Gemini(KEY).explain(RefreshError("invalid_grant"), "gemini-3.8-flash"))  # type: ignore[no-untyped-call]


def test_vertex_without_credentials_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: Any) -> None:
        raise DefaultCredentialsError("none")  # type: ignore[no-untyped-call]

    monkeypatch.setattr("google.auth.default", none)

    async def story() -> None:
        async with GeminiBrain(project=PROJECT):
            pass

    with pytest.raises(Unavailable, match="gcloud auth application-default login"):
        asyncio.run(story())


def test_a_local_server_gets_nobody_s_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "default_credentials", lambda: pytest.fail("asked for credentials"))

    async def story() -> None:
        async with (
            GeminiServer(vertex=True) as server,
            GeminiBrain(project=PROJECT, location=LOCATION, base_url=server.url) as brain,
        ):
            with pytest.raises(Unavailable, match="credentials"):
                await brain.check()

    asyncio.run(story())


@pytest.mark.parametrize("way", [{}, {"api_key": " "}, {"api_key": KEY, "project": PROJECT}])
def test_it_is_reached_in_one_way_or_the_other(way: dict[str, str]) -> None:
    for adapter in (GeminiBrain, GeminiSpeech):
        with pytest.raises(Unavailable, match="key or a Google Cloud project"):
            adapter(**way)
