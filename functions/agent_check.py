"""Whether the configured providers can do what an agent's version asks of them: told before any caller hears it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from domain.mulaw import silence
from domain.ports import (
    SPEECH_BEGINS,
    SPEECH_ENDS,
    Brain,
    Sound,
    Speech,
    Unavailable,
    Voice,
    VoiceStyle,
)
from schemas.agent import AgentVersion
from schemas.variable import Expectation

WITHIN_S = 10.0


@runtime_checkable
class KnowsVoices(Protocol):
    """A voice that can tell what it is able to speak like."""

    async def check_style(self, style: VoiceStyle) -> None:
        """Raises Unavailable unless there is a voice for it."""
        ...


@runtime_checkable
class KnowsModels(Protocol):
    """A brain that can tell which models there are."""

    async def check(self, model: str) -> None:
        """Raises Unavailable unless it would answer with that model; an empty name means the default."""
        ...


async def check_agent(
    version: AgentVersion,
    speech: Speech | None = None,
    brain: Brain | None = None,
    voice: Voice | None = None,
    within_s: float = WITHIN_S,
) -> list[str]:
    """What those of them that are given can't do for it, a sentence each. A moment of silence is recognised for it,
    which providers may bill. Takes `within_s` at most; cancelling abandons it."""

    async def found(check: Awaitable[None], what: str) -> str:
        try:
            async with asyncio.timeout(within_s):
                await check
        except Unavailable as problem:
            return str(problem)
        except TimeoutError:
            return f"{what} could not be tried within {within_s:g} s"
        return ""

    checks = []
    if speech:
        checks.append(found(_recognise(speech, version.language), f"speech recognition for {version.language}"))
    if isinstance(brain, KnowsModels):
        checks.append(found(brain.check(version.model), f"the model {version.model!r}"))
    if isinstance(voice, KnowsVoices):
        style = VoiceStyle(version.voice, version.language, version.speed)
        checks.append(found(voice.check_style(style), f"the voice {version.voice!r}"))
    return [problem for problem in await asyncio.gather(*checks) if problem]


async def _recognise(speech: Speech, language: str) -> None:
    async def moment() -> AsyncIterator[Sound]:
        yield SPEECH_BEGINS
        yield silence(100)
        yield SPEECH_ENDS

    async with aclosing(speech.transcribe(moment(), Expectation(language=language))) as transcripts:  # type: ignore[type-var]
        async for _ in transcripts:
            pass
