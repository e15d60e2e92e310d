"""What an agent asks of its providers and won't get, told beforehand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from adapters.paced_brain import PacedBrain
from adapters.paced_voice import PacedVoice
from domain.fallback import FallbackBrain, FallbackSpeech, FallbackVoice, Provider
from domain.ports import Sound, Transcript, Unavailable, VoiceStyle
from functions.agent_check import UNREACHABLE, check_agent
from offhook.seed import demo_draft
from schemas.agent import AgentDraft
from schemas.finding import Finding
from schemas.variable import Expectation
from tests.fakes import virtual_time


class Recogniser:
    """Of some languages."""

    def __init__(self, *languages: str, answers: bool = True) -> None:
        self.languages, self.answers = languages, answers

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        if expectation.language not in self.languages:
            raise Unavailable(f"no {expectation.language} in {'/'.join(self.languages)}")
        async for _ in sound:
            pass
        if not self.answers:
            await asyncio.Event().wait()
        yield Transcript("", final=True)


class Model(PacedBrain):
    def __init__(self, *models: str) -> None:
        super().__init__()
        self.models = models

    async def check(self, model: str = "") -> None:
        if model and model not in self.models:
            raise Unavailable(f"no model {model} among {'/'.join(self.models)}")


class Speaker(PacedVoice):
    def __init__(self, *voices: str) -> None:
        super().__init__()
        self.voices = voices

    async def check_style(self, style: VoiceStyle) -> None:
        if style.voice and style.voice not in self.voices:
            raise Unavailable(f"no voice {style.voice} among {'/'.join(self.voices)}")


def version(**changes: Any) -> AgentDraft:
    return AgentDraft.model_validate({**demo_draft("orders").model_dump(), **changes})


def findings(wanted: AgentDraft, **ports: Any) -> list[Finding]:
    return virtual_time.run(check_agent(wanted, **ports))


def problems(wanted: AgentDraft, **ports: Any) -> list[str]:
    return [finding.sentence for finding in findings(wanted, **ports)]


ALL: dict[str, Any] = {"speech": Recogniser("en-US", "de-DE"), "brain": Model("clever"), "voice": Speaker("Kore")}


def test_an_agent_that_gets_what_it_asks_for_has_no_problems() -> None:
    assert problems(version(language="de-DE", model="clever", voice="Kore"), **ALL) == []
    assert problems(version(), **ALL) == []
    assert problems(version(model="clever", voice="Kore")) == []


def test_everything_that_it_will_not_get_is_told_at_once() -> None:
    wanted = version(language="tlh", model="cleverest", voice="Nobody")
    assert problems(wanted, **ALL) == [
        "no tlh in en-US/de-DE", "no model cleverest among clever", "no voice Nobody among Kore"
    ]  # fmt: skip


def test_providers_that_can_not_tell_are_trusted() -> None:
    assert problems(version(model="any", voice="any"), brain=PacedBrain(), voice=PacedVoice()) == []


def test_a_provider_that_does_not_answer_is_told_too() -> None:
    [found] = findings(version(), speech=Recogniser("en-US", answers=False), voice=Speaker("Kore"), within_s=3)
    assert found.sentence == "speech recognition for en-US could not be tried within 3 s"
    assert found.code == UNREACHABLE


class Flickering(Model):
    """Fails so many times, then answers as ever."""

    def __init__(self, failures: int, *models: str) -> None:
        super().__init__(*models)
        self.failures = failures

    async def check(self, model: str = "") -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("no quota left")
        await super().check(model)


def test_it_is_told_apart_whose_fault_it_is() -> None:
    """What a version wants amiss is not blamed on the provider, nor a provider's trouble on the version."""
    [wrong] = findings(version(model="cleverest"), brain=Model("clever"))
    assert (wrong.code, wrong.fix) == (
        "model-unavailable",
        "choose another `model`, or none for the provider's default",
    )
    [broken] = findings(version(model="clever"), brain=Flickering(1000, "clever"))
    assert (broken.code, broken.sentence) == (UNREACHABLE, "no quota left")
    assert findings(version(model="clever"), brain=Flickering(1, "clever")) == []
    [still_wrong] = findings(version(model="cleverest"), brain=Flickering(1, "clever"))
    assert still_wrong.code == "model-unavailable"


def test_all_that_is_wrong_has_a_name_for_programs_and_a_fix() -> None:
    ports = {name: several([Provider("one", ALL[name])]) for name, several in
             {"speech": FallbackSpeech, "brain": FallbackBrain, "voice": FallbackVoice}.items()}  # fmt: skip
    wanted = version(language="tlh", model="cleverest", voice="Nobody", providers={"voice": ("one", "two")})
    found = findings(wanted, **ports)
    assert [finding.code for finding in found] == [
        "provider-unknown", "language-unavailable", "model-unavailable", "voice-unavailable"
    ]  # fmt: skip
    assert all(finding.fix for finding in found)


class German(Speaker):
    async def check_style(self, style: VoiceStyle) -> None:
        if style.language != "de-DE":
            raise Unavailable(f"no voice for {style.language}")
        await super().check_style(style)


def test_whoever_is_asked_next_knows_the_language_and_needs_no_more() -> None:
    ports = {
        "brain": FallbackBrain([Provider("one", Model("clever")), Provider("two", Model())]),
        "voice": FallbackVoice([Provider("one", Speaker("Kore")), Provider("two", German("Hans"))]),
    }
    assert problems(version(model="clever", voice="Kore", language="de-DE"), **ports) == []
    assert problems(version(model="clever", voice="Kore", language="en-US"), **ports) == ["no voice for en-US"]


def test_of_several_each_understands_the_language_and_the_first_has_model_and_voice() -> None:
    ports = {
        "speech": FallbackSpeech([Provider("one", Recogniser("de-DE")), Provider("two", Recogniser("en-US"))]),
        "brain": FallbackBrain([Provider("one", Model("fast")), Provider("two", Model("clever"))]),
        "voice": FallbackVoice([Provider("one", Speaker("Kore")), Provider("two", Speaker("Puck"))]),
    }
    assert problems(version(language="de-DE", model="fast", voice="Kore"), **ports) == ["no de-DE in en-US"]
    second = {"speech": ("two",), "brain": ("two", "one"), "voice": ("two",)}
    assert problems(version(model="clever", voice="Puck", providers=second), **ports) == []
    unknown = {"speech": ("two",), "brain": ("three",)}
    assert problems(version(model="fast", providers=unknown), **ports) == ["there is no brain provider 'three'"]
