"""Whether the configured providers can do what an agent's version asks of them: told before any caller hears it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
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
from schemas.agent import AgentDraft
from schemas.finding import Finding
from schemas.variable import Expectation

WITHIN_S = 10.0
UNREACHABLE = "provider-unreachable"
"""The code of a finding that is no fault of the version's: its provider could not be asked."""


@runtime_checkable
class KnowsLanguages(Protocol):
    """A recogniser that can tell what it understands without being given sound."""

    async def check_language(self, language: str) -> None:
        """Raises Unavailable unless it understands the language (BCP 47)."""
        ...


@runtime_checkable
class KnowsVoices(Protocol):
    """A voice that can tell what it is able to speak like."""

    async def check_style(self, style: VoiceStyle) -> None:
        """Raises Unavailable unless there is a voice for it."""
        ...


@runtime_checkable
class KnowsModels(Protocol):
    """A brain that can tell which models there are."""

    async def check(self, model: str = "") -> None:
        """Raises Unavailable unless it would answer with that model; an empty name means the default."""
        ...


async def check_agent(
    draft: AgentDraft,
    speech: Speech | None = None,
    brain: Brain | None = None,
    voice: Voice | None = None,
    within_s: float = WITHIN_S,
) -> list[Finding]:
    """What those of them that are given can't do for it. Of several providers each must know the language; model and
    voice are the first one's, the others use their default. A moment of silence is recognised for it, which providers
    may bill. A provider that doesn't answer within `within_s`, or fails at what it should always be able to do, is
    UNREACHABLE: it said nothing about the version. Takes three times `within_s` at most; cancelling abandons it."""
    asked = draft.providers
    unknown = [*_unknown(speech, asked.speech), *_unknown(brain, asked.brain), *_unknown(voice, asked.voice)]
    wants = [
        *(_language(each, draft) for each in _providers(speech, asked.speech)),
        *(_model(each, draft.model if first else "") for first, each in _ranked(brain, asked.brain)),
        *(_voice(each, draft, draft.voice if first else "") for first, each in _ranked(voice, asked.voice)),
    ]
    found = await asyncio.gather(*(want.finding(within_s) for want in wants if want))
    return unknown + [finding for finding in found if finding]


# --- What is wanted of a provider ---


@dataclass(frozen=True, slots=True)
class _Want:
    """One thing that a version wants of a provider."""

    provider: Any
    what: str
    try_it: Callable[[], Awaitable[None]]
    """Raises Unavailable if it can't be had."""
    code: str
    fix: str

    async def finding(self, within_s: float) -> Finding | None:
        """None if it can be had."""
        if not (problem := await self._problem(self.try_it, within_s)):
            return None
        if check := getattr(self.provider, "check", None):
            # One that fails at this as well would have failed whatever the version wants.
            if await self._problem(check, within_s):
                return self._unreachable(problem)
            problem = await self._problem(self.try_it, within_s)  # it may have been a bad moment
        match problem:
            case "":
                return None
            case _Late():
                return self._unreachable(problem)
        return Finding(code=self.code, sentence=problem, fix=self.fix)

    async def _problem(self, attempt: Callable[[], Awaitable[None]], within_s: float) -> str:
        """A sentence, or nothing."""
        try:
            async with asyncio.timeout(within_s):
                await attempt()
        except Unavailable as problem:
            return str(problem)
        except TimeoutError:
            return _Late(f"{self.what} could not be tried within {within_s:g} s")
        return ""

    def _unreachable(self, problem: str) -> Finding:
        fix = "try again later; `offhook doctor` says how each provider stands"
        return Finding(code=UNREACHABLE, sentence=problem, fix=fix)


class _Late(str):
    """What is said of an attempt that took too long."""


def _language(provider: Any, draft: AgentDraft) -> _Want:
    language = draft.language
    if isinstance(provider, KnowsLanguages):
        try_it = partial(provider.check_language, language)
    else:
        try_it = partial(_recognise, provider, language)
    fix = "choose another `language`, or name others in `providers.speech`"
    return _Want(provider, f"speech recognition for {language}", try_it, "language-unavailable", fix)


def _model(provider: Any, model: str) -> _Want | None:
    """Nothing of a brain that can't tell."""
    if not isinstance(provider, KnowsModels):
        return None
    what = f"the model {model!r}" if model else "the default model"
    fix = "choose another `model`, or none for the provider's default"
    return _Want(provider, what, partial(provider.check, model), "model-unavailable", fix)


def _voice(provider: Any, draft: AgentDraft, voice: str) -> _Want | None:
    """Nothing of a voice that can't tell."""
    if not isinstance(provider, KnowsVoices):
        return None
    try_it = partial(provider.check_style, VoiceStyle(voice, draft.language, draft.speed))
    if voice:
        fix = "choose another `voice`, or none for the provider's default"
        return _Want(provider, f"the voice {voice!r}", try_it, "voice-unavailable", fix)
    fix = "choose another `language`, or name others in `providers.voice`"
    return _Want(provider, f"a voice for {draft.language}", try_it, "language-unavailable", fix)


# --- Whom a version asks ---


_Several = FallbackSpeech | FallbackBrain | FallbackVoice


def _providers(port: Any, names: Sequence[str]) -> list[Any]:
    """Those that a version asks, in their order."""
    if isinstance(port, _Several):
        return [provider.does for provider in port.chosen(names, lambda fell_back: None).providers]
    return [] if port is None else [port]


def _ranked(port: Any, names: Sequence[str]) -> Iterator[tuple[bool, Any]]:
    """The same, each with whether it is the first."""
    for at, provider in enumerate(_providers(port, names)):
        yield at == 0, provider


def _unknown(port: Any, names: Sequence[str]) -> Iterator[Finding]:
    if isinstance(port, _Several):
        known = [provider.name for provider in port.providers]
        fix = f"choose of {', '.join(known)}, or name none in `providers.{port.port}`"
        for name in names:
            if name not in known:
                yield Finding(code="provider-unknown", sentence=f"there is no {port.port} provider {name!r}", fix=fix)


async def _recognise(speech: Speech, language: str) -> None:
    async def moment() -> AsyncIterator[Sound]:
        yield SPEECH_BEGINS
        yield silence(100)
        yield SPEECH_ENDS

    async with aclosing(speech.transcribe(moment(), Expectation(language=language))) as transcripts:  # type: ignore[type-var]
        async for _ in transcripts:
            pass
