"""What an agent asks of its providers and won't get, told beforehand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from adapters.paced_brain import PacedBrain
from adapters.paced_voice import PacedVoice
from domain.fallback import FallbackBrain, FallbackSpeech, FallbackVoice, Provider
from domain.ports import Sound, Transcript, Unavailable, VoiceStyle
from functions.agent_check import check_agent
from offhook.seed import demo_version
from schemas.agent import AgentVersion
from schemas.variable import Expectation
from tests.fakes import virtual_time
from tests.fakes.ports import NOW


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


def version(**changes: Any) -> AgentVersion:
    return AgentVersion.model_validate({**demo_version("agt_1", "orders", NOW).model_dump(), **changes})


def problems(wanted: AgentVersion, **ports: Any) -> list[str]:
    return virtual_time.run(check_agent(wanted, **ports))


ALL = {"speech": Recogniser("en-US", "de-DE"), "brain": Model("clever"), "voice": Speaker("Kore")}


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
    found = problems(version(), speech=Recogniser("en-US", answers=False), voice=Speaker("Kore"), within_s=3)
    assert found == ["speech recognition for en-US could not be tried within 3 s"]


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
    assert problems(version(model="fast", providers=unknown), **ports) == [
        "there is no brain provider 'three' here; choose of one, two"
    ]
