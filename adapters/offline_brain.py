"""No model at all: the agent asks what its flow would ask next."""

from collections.abc import AsyncIterator

from domain.ports import Prompt, Thought, Words

NOTHING_TO_ASK = "I'm sorry, I can only help with the questions that I was set up for."


class OfflineBrain:
    """For a laptop without a key. Typed answers, equations and fixed texts need no more."""

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        """One sentence, at once; it asks for no tools, costs nothing and never fails."""
        yield Words(prompt.next_question or NOTHING_TO_ASK)
