"""A model that does what the story says, one answer a prompt, and keeps the prompts it got."""

import asyncio
from collections.abc import AsyncIterator

from domain.ports import Prompt, Thought, ToolRequest, Unavailable, Usage, Words

Answer = str | ToolRequest | Usage | Exception | float


class ScriptedBrain:
    """Each answer is a list: words, tool requests, seconds to wait, what it has cost since, or an exception to raise.
    One that doesn't say what it cost costs a hundred tokens and ten."""

    def __init__(self, *answers: list[Answer]) -> None:
        self._answers = list(answers)
        self.prompts: list[Prompt] = []
        self.cancelled = 0

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        self.prompts.append(prompt)
        if not self._answers:
            raise Unavailable("the script has no more answers")
        answer = self._answers.pop(0)
        try:
            for part in answer:
                match part:
                    case str():
                        yield Words(part)
                    case float() | int():
                        await asyncio.sleep(part)
                    case ToolRequest() | Usage():
                        yield part
                    case Exception():
                        raise part
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        if not any(isinstance(part, Usage) for part in answer):
            yield Usage(prompt=100, reply=10)
