"""Gemini's vectors, by key and through Vertex AI."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google.oauth2.credentials import Credentials

from adapters.gemini_embeddings import DIMENSIONS, GeminiEmbeddings
from domain.ports import Unavailable
from tests.fakes.gemini_server import KEY, LOCATION, PROJECT, TOKEN, GeminiServer, Refusal, embed


def vertex(token: str = TOKEN) -> dict[str, Any]:
    credentials = Credentials(token=token)  # type: ignore[no-untyped-call]
    return {"project": PROJECT, "location": LOCATION, "credentials": credentials}


WAYS = {"key": {"api_key": KEY}, "vertex": vertex()}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
TEXTS = [f"passage number {n}" for n in range(205)]


@each_way
def test_each_text_has_its_vector_however_many_there_are(way: dict[str, Any]) -> None:
    async def story() -> None:
        async with (
            GeminiServer(vertex="project" in way) as server,
            GeminiEmbeddings(**way, base_url=server.url) as embeddings,
        ):
            vectors = await embeddings.of(TEXTS, "RETRIEVAL_DOCUMENT")
            assert len(vectors) == len(TEXTS)
            for text, vector in zip(TEXTS, vectors, strict=True):
                expected = embed(text, DIMENSIONS)
                length = sum(value * value for value in expected) ** 0.5
                assert vector == pytest.approx([value / length for value in expected])
            sizes = [len(each.texts) for each in server.embedded]
            assert sorted(sizes) == ([1] * 205 if "project" in way else [5, 100, 100])
            assert {each.task for each in server.embedded} == {"RETRIEVAL_DOCUMENT"}
            server.embedded.clear()
            await embeddings.of(["where is it"], "RETRIEVAL_QUERY")
            assert [each.task for each in server.embedded] == ["RETRIEVAL_QUERY"]
            assert await embeddings.of([], "RETRIEVAL_QUERY") == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("way", "refusal", "fix"),
    [
        ({"api_key": "AIza-other"}, None, "did not accept the API key"),
        (vertex("old"), None, "did not accept the credentials"),
        (WAYS["key"], Refusal(429, "RESOURCE_EXHAUSTED"), "no quota left"),
        (WAYS["vertex"], Refusal(503, "UNAVAILABLE"), r"failed \(503 UNAVAILABLE\)"),
    ],
)
def test_a_refusal_is_explained(way: dict[str, Any], refusal: Refusal | None, fix: str) -> None:
    async def story() -> None:
        async with (
            GeminiServer(vertex="project" in way) as server,
            GeminiEmbeddings(**way, base_url=server.url) as embeddings,
        ):
            server.refuses = refusal
            with pytest.raises(Unavailable, match=fix):
                await embeddings.of(TEXTS[:3], "RETRIEVAL_DOCUMENT")

    asyncio.run(story())


@pytest.mark.parametrize(
    "embeds",
    [lambda text, size: [0.0] * size, lambda text, size: [1.0] * 3, lambda text, size: [float(10**308)] * size],
    ids=["no direction", "too short", "too long"],
)
def test_a_vector_that_can_t_be_used_is_no_vector(embeds: Callable[[str, int], list[float]]) -> None:
    async def story() -> None:
        async with GeminiServer() as server, GeminiEmbeddings(api_key=KEY, base_url=server.url) as embeddings:
            server.embeds = embeds
            with pytest.raises(Unavailable, match="vector that can't be used"):
                await embeddings.of(["one"], "RETRIEVAL_DOCUMENT")

    asyncio.run(story())
