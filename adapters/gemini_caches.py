"""Beginnings of long prompts that Gemini keeps for us (explicit caches): they cost a fraction and are read at once.

Gemini caches by itself what it was lately asked, for nothing, and mostly well. An explicit cache is rented by the hour.
So one is made only for a beginning that is long enough for Gemini to keep, that many requests share, and that Gemini
wasn't found to have cached. Which part of a prompt lasts shows by itself: it is what the prompts of an agent's version
have in common from the start, up to a paragraph's end; the time of day, what is known and the task follow it.

No caller waits for a cache: it is made in the background, and requests do without until it is there."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Self

import structlog

from adapters.gemini import Gemini, Json, generation
from domain.ports import Usage

FEWEST_TOKENS = {(3, 0): 4096, (2, 5): 2048}
"""That a cache must hold, by the generation from which on that is so. Older models have none."""
LETTERS_A_TOKEN = 4
TTL_S = 3600
SPARE_S = 60
"""A cache isn't used any more so long before its end."""
WORTH = 13
"""Requests in an hour that make up for the rent and for having it written: each saves nine tenths of what its cached
tokens cost, which by Google's prices is as much after 2 (3.5 Flash) to 12 requests (2.5 Flash-Lite)."""
STEADY_S = 120
"""So long a beginning must have lasted: one that holds the time of day doesn't."""
CREATE_S = 30.0
MOST_KNOWN = 256

NOTE = """

The first message is not the caller's but ours: what holds just now, and your task. Follow it as you follow this."""
UNDERSTOOD = "Understood."

log = structlog.get_logger()


@dataclass(eq=False)
class Beginning:
    """What prompts have in common from the start."""

    model: str
    text: str
    tools: list[Json]
    since: float
    """When it last turned out shorter than it seemed, by the loop's clock."""
    counted_from: float
    uses: int = 0
    """Requests from then on that Gemini hadn't cached, of an hour at most: the day's say nothing of the night's."""
    name: str = ""
    """Its cache's; empty without one."""
    usable_until: float = 0
    wait_until: float = 0
    """Before that no other cache is asked for."""


class GeminiCaches:
    """`async with` it: leaving abandons those that are being made."""

    def __init__(self, gemini: Gemini, worth: int = WORTH, steady_s: float = STEADY_S) -> None:
        self._gemini = gemini
        self._worth, self._steady_s = worth, steady_s
        self._known: dict[tuple[str, str, str], Beginning] = {}
        """By model, tools and the least that a cache must hold; the latest used come last."""
        self._making: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)

    def find(self, model: str, system: str, tools: list[Json]) -> Beginning | None:
        """What the prompt begins with, if that may pay; it has a cache if it has a name. Never waits."""
        fewest = next((tokens for since, tokens in FEWEST_TOKENS.items() if generation(model) >= since), 0)
        least = fewest * LETTERS_A_TOKEN
        if not fewest or len(system) < least:
            return None
        now = asyncio.get_running_loop().time()
        key = (model, json.dumps(tools, sort_keys=True), system[:least])
        found = self._known.pop(key, None) or Beginning(model, system, tools, now, now)
        self._known[key] = found
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        if not system.startswith(found.text):
            found.text = _common(found.text, system)
            found.since, found.counted_from, found.uses, found.name = now, now, 0, ""
        if found.usable_until <= now:
            found.name = ""
        return found if len(found.text) >= least else None

    def learn(self, beginning: Beginning, usage: Usage) -> None:
        """What a request with this beginning cost: makes a cache once that pays."""
        if beginning.name or usage.cached * LETTERS_A_TOKEN > len(beginning.text) / 2:
            return
        now = asyncio.get_running_loop().time()
        if now - beginning.counted_from > TTL_S:
            beginning.counted_from, beginning.uses = now, 0
        beginning.uses += 1
        if beginning.uses < self._worth or now - beginning.since < self._steady_s or now < beginning.wait_until:
            return
        beginning.uses = 0
        beginning.wait_until = now + TTL_S  # one attempt, however it ends
        task = asyncio.create_task(self._make(beginning))
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    def forget(self, beginning: Beginning) -> None:
        """Gemini doesn't have its cache any more, or refuses it."""
        log.warning("cached_prompt_lost", model=beginning.model)
        beginning.name, beginning.uses, beginning.wait_until = "", 0, 0

    async def _make(self, beginning: Beginning) -> None:
        text, now = beginning.text, asyncio.get_running_loop().time()
        digest = hashlib.sha256(json.dumps([beginning.model, text, beginning.tools]).encode()).hexdigest()[:32]
        config: Any = {
            "ttl": f"{TTL_S}s",
            "display_name": f"offhook-{digest}",
            "system_instruction": text + NOTE,
            "tools": beginning.tools or None,
        }
        try:
            async with asyncio.timeout(CREATE_S):
                made = await self._gemini.client.aio.caches.create(model=beginning.model, config=config)
        except Exception as error:  # requests just go on without
            log.warning("prompt_not_cached", why=str(self._gemini.explain(error, beginning.model)))
            return
        if made.name and beginning.text == text:
            beginning.name = made.name
            beginning.usable_until = beginning.wait_until = now + TTL_S - SPARE_S


def _common(one: str, other: str) -> str:
    """The whole paragraphs that both begin with."""
    pairs = zip(one.split("\n\n"), other.split("\n\n"), strict=False)
    return "\n\n".join(same for same, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def noted(contents: list[Json], rest: str) -> list[Json]:
    """The dialogue, behind that part of the system text which a cache doesn't hold."""
    if not rest.strip():
        return contents
    note = {"role": "user", "parts": [{"text": rest.strip()}]}
    return [note, {"role": "model", "parts": [{"text": UNDERSTOOD}]}, *contents]
