"""Whether the configured providers can do what an agent's version asks of them: told before any caller hears it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol, runtime_checkable

from domain.fallback import FallbackBrain, FallbackSpeech, FallbackVoice
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
    """What those of them that are given can't do for it, a sentence each. Of several providers each has to understand
    its language; its model and voice are the first one's. A moment of silence is recognised for it, which providers
    may bill. Takes `within_s` at most; cancelling abandons it."""
    asked = version.providers
    unknown = [*_unknown(speech, asked.speech), *_unknown(brain, asked.brain), *_unknown(voice, asked.voice)]
    style = VoiceStyle(version.voice, version.language, version.speed)
    checks = [
        _found(_recognise(each, version.language), f"speech recognition for {version.language}", within_s)
        for each in _providers(speech, asked.speech)
    ]
    for thinking in _providers(brain, asked.brain)[:1]:
        if isinstance(thinking, KnowsModels):
            checks.append(_found(thinking.check(version.model), f"the model {version.model!r}", within_s))
    for speaking in _providers(voice, asked.voice)[:1]:
        if isinstance(speaking, KnowsVoices):
            checks.append(_found(speaking.check_style(style), f"the voice {version.voice!r}", within_s))
    return unknown + [problem for problem in await asyncio.gather(*checks) if problem]


async def _found(check: Awaitable[None], what: str, within_s: float) -> str:
    """What is wrong, or nothing."""
    try:
        async with asyncio.timeout(within_s):
            await check
    except Unavailable as problem:
        return str(problem)
    except TimeoutError:
        return f"{what} could not be tried within {within_s:g} s"
    return ""


_Several = FallbackSpeech | FallbackBrain | FallbackVoice


def _providers(port: Any, names: Sequence[str]) -> list[Any]:
    """Those that a version asks, in their order."""
    if isinstance(port, _Several):
        return [provider.does for provider in port.chosen(names, lambda fell_back: None).providers]
    return [] if port is None else [port]


def _unknown(port: Any, names: Sequence[str]) -> Iterator[str]:
    if isinstance(port, _Several):
        known = [provider.name for provider in port.providers]
        for name in names:
            if name not in known:
                yield f"there is no {port.port} provider {name!r} here; choose of {', '.join(known)}"


async def _recognise(speech: Speech, language: str) -> None:
    async def moment() -> AsyncIterator[Sound]:
        yield SPEECH_BEGINS
        yield silence(100)
        yield SPEECH_ENDS

    async with aclosing(speech.transcribe(moment(), Expectation(language=language))) as transcripts:  # type: ignore[type-var]
        async for _ in transcripts:
            pass
