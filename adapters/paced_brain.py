"""A stand-in for a language model, for measuring: always the same reply, at a fixed pace, at no cost."""

import asyncio
from collections.abc import AsyncIterator

from domain.ports import Prompt, Thought, Usage, Words
from schemas.settings import Paced

REPLY = Paced().reply_words


class PacedBrain:
    """The reply's first word `first_ms` after it is asked, then one each `every_ms`."""

    def __init__(self, first_ms: int = 300, every_ms: int = 20, words: str = REPLY) -> None:
        self._first_s = first_ms / 1000
        self._every_s = every_ms / 1000
        self._words = words.split()

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        """Cancelling ends the reply at once."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._first_s
        for count, word in enumerate(self._words):
            # Sleeping until a moment, not for a while: on a busy machine delays don't add up.
            await asyncio.sleep(due - loop.time())
            yield Words(f" {word}" if count else word)
            if not count:
                yield Usage(prompt=len(prompt.system.split()))
            due += self._every_s
        yield Usage(reply=len(self._words))
