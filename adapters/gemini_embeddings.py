"""Texts as vectors, by Gemini: what means the same lies close together."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from adapters.gemini import Gemini
from domain.ports import Unavailable

MODEL = "gemini-embedding-001"
DIMENSIONS = 768
"""Firestore takes up to 2048; with more than these, little is gained."""
BATCH = 100
"""Texts of one request with an API key. Vertex AI takes one for this model."""
AT_ONCE = 8
"""Requests under way."""


class GeminiEmbeddings:
    """`async with` it, in the event loop that uses it. Reached as GeminiBrain is; raises Unavailable as that does."""

    def __init__(self, timeout_s: float = 15, **reached: Any) -> None:
        """`reached` is as Gemini takes it. A request that takes longer than `timeout_s` is Unavailable."""
        self._gemini = Gemini(**reached)
        self._timeout_s = timeout_s
        self._batch = 1 if self._gemini.location else BATCH

    async def __aenter__(self) -> Self:
        await self._gemini.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._gemini.__aexit__()

    async def of(
        self, texts: Sequence[str], task: Literal["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"]
    ) -> list[list[float]]:
        """One vector of length 1 for each text, in order. Raises Unavailable. Cancelling closes the requests."""
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(some: Sequence[str]) -> list[list[float]]:
            async with room:
                return await self._ask(some, task)

        batches = [texts[at : at + self._batch] for at in range(0, len(texts), self._batch)]
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(ask(batch)) for batch in batches]
        except ExceptionGroup as problems:
            raise problems.exceptions[0] from None
        return [vector for task_done in asked for vector in task_done.result()]

    async def _ask(self, texts: Sequence[str], task: str) -> list[list[float]]:
        contents: Any = list(texts)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._gemini.client.aio.models.embed_content(
                    model=MODEL,
                    contents=contents,
                    config={"output_dimensionality": DIMENSIONS, "task_type": task},
                )
        except TimeoutError:
            raise Unavailable(f"Gemini took more than {self._timeout_s:g} s") from None
        except Exception as error:
            raise self._gemini.explain(error, MODEL) from None
        vectors = [_unit(each.values or []) for each in answer.embeddings or []]
        if len(vectors) != len(texts):
            raise Unavailable(f"Gemini gave {len(vectors)} vectors for {len(texts)} texts")
        return vectors


def _unit(values: Sequence[float]) -> list[float]:
    """Shortened ones come at any length. Raises Unavailable for what has no direction."""
    length = math.hypot(*values)
    if len(values) != DIMENSIONS or not length or not math.isfinite(length):
        raise Unavailable("Gemini gave a vector that can't be used")
    return [value / length for value in values]
