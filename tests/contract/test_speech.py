"""What every recogniser does, whoever makes it; and what the embedded one understands."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.gemini_speech import GeminiSpeech
from adapters.google_speech import GoogleSpeech
from adapters.paced_speech import PacedSpeech
from adapters.pocketsphinx_speech import PocketsphinxSpeech
from domain.fallback import FallbackSpeech, Provider
from domain.moment import Moment
from domain.mulaw import silence
from domain.ports import SPEECH_BEGINS, SPEECH_ENDS, Sound, Speech, Transcript
from domain.reading import read_all, wish
from offhook.carrier.noise import LineNoise
from offhook.carrier.recordings import Voice, line
from offhook.seed import demo_version
from schemas.variable import Choice, Expectation, Variable
from tests.fakes.gemini_server import KEY, GeminiServer
from tests.fakes.ports import NOW
from tests.fakes.speech_server import SpeechServer

MOMENT = Moment(NOW.astimezone(ZoneInfo("America/New_York")))
YES_NO = Expectation(asked=(Variable(name="ok", kind="yes_no"),))
YES = line("yes please", "rms")
QUIET = silence(200)


@asynccontextmanager
async def paced() -> AsyncIterator[Speech]:
    yield PacedSpeech("yes please")


@asynccontextmanager
async def pocketsphinx() -> AsyncIterator[Speech]:
    async with PocketsphinxSpeech(workers=1) as speech:
        yield speech


@asynccontextmanager
async def google() -> AsyncIterator[Speech]:
    async with SpeechServer() as server, GoogleSpeech("offhook", endpoint=server.endpoint, insecure=True) as speech:
        yield speech


@asynccontextmanager
async def gemini() -> AsyncIterator[Speech]:
    async with GeminiServer() as server, GeminiSpeech(KEY, base_url=server.url) as speech:
        yield speech


class Late(PacedSpeech):
    """One whose final transcripts come later than anybody waits for them."""

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        async def late() -> AsyncIterator[Sound]:
            async for piece in sound:
                if piece is SPEECH_ENDS:
                    await asyncio.sleep(1.5)
                yield piece

        async with aclosing(super().transcribe(late(), expectation)) as transcripts:  # type: ignore[type-var]
            async for transcript in transcripts:
                yield transcript


@asynccontextmanager
async def fallback() -> AsyncIterator[Speech]:
    yield FallbackSpeech([Provider[Speech]("late", Late()), Provider[Speech]("paced", PacedSpeech("yes please"))])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fallback doesn't wait long for one that is late anyway."""
    monkeypatch.setattr("domain.fallback.SPEECH_S", 0.1)


ADAPTERS = [paced, pocketsphinx, google, gemini, fallback]
Story = Callable[[Speech], Awaitable[None]]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def tell(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    """Tells a story to one adapter."""

    def run(story: Story) -> None:
        async def whole() -> None:
            async with request.param() as speech:
                await story(speech)

        asyncio.run(whole())

    return run


async def feed(*sound: Sound) -> AsyncIterator[Sound]:
    for piece in sound:
        yield piece


async def finals(speech: Speech, *sound: Sound, expectation: Expectation = YES_NO) -> list[str]:
    async with aclosing(speech.transcribe(feed(*sound), expectation)) as heard:  # type: ignore[type-var]
        return [transcript.text async for transcript in heard if transcript.final]


def spoken(sound: bytes = YES) -> list[Sound]:
    """As the ear passes it on: some of it before the VAD is sure."""
    return [QUIET, sound[:800], SPEECH_BEGINS, sound[800:], QUIET, SPEECH_ENDS]


def test_an_utterance_ends_in_a_final_transcript(tell: Any) -> None:
    async def story(speech: Speech) -> None:
        [text] = await finals(speech, *spoken())
        assert text.startswith("ye")

    tell(story)


def test_silence_is_no_utterance(tell: Any) -> None:
    async def story(speech: Speech) -> None:
        assert await finals(speech, QUIET, QUIET) == []

    tell(story)


def test_another_turn_begins_with_another_expectation(tell: Any) -> None:
    async def story(speech: Speech) -> None:
        async def two_turns() -> AsyncIterator[Sound]:
            for piece in spoken():
                yield piece
            await first.wait()
            yield YES_NO
            for piece in spoken():
                yield piece

        first, texts = asyncio.Event(), []
        async with aclosing(speech.transcribe(two_turns(), YES_NO)) as heard:  # type: ignore[type-var]
            async for transcript in heard:
                if transcript.final:
                    texts.append(transcript.text)
                    first.set()
        assert len(texts) == 2
        assert texts[0] == texts[1]

    tell(story)


def test_it_can_be_stopped_in_the_middle_and_used_again(tell: Any) -> None:
    async def story(speech: Speech) -> None:
        async def for_ever() -> AsyncIterator[Sound]:
            yield SPEECH_BEGINS
            while True:
                yield YES[:800]
                await asyncio.sleep(0.001)

        async def listen() -> list[Transcript]:
            async with aclosing(speech.transcribe(for_ever(), YES_NO)) as heard:  # type: ignore[type-var]
                return [transcript async for transcript in heard]

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        listening.cancel()
        await asyncio.wait([listening])
        assert listening.cancelled()
        assert await finals(speech, *spoken())

    tell(story)


def test_many_may_speak_at_once(tell: Any) -> None:
    async def story(speech: Speech) -> None:
        heard = await asyncio.gather(*(finals(speech, *spoken()) for _ in range(5)))
        assert [len(texts) for texts in heard] == [1] * 5

    tell(story)


# --- the embedded one ---


def test_a_pause_within_an_answer_is_bridged() -> None:
    """The second final holds all the words of the turn."""
    asked = Expectation(asked=(Variable(name="date", kind="date"),), welcome=(Variable(name="time", kind="time"),))

    async def story() -> list[str]:
        async with PocketsphinxSpeech(workers=1) as speech:
            day, hour = line("on friday", "rms"), line("half past two", "rms")
            return await finals(speech, *spoken(day), *spoken(hour), expectation=asked)

    last = asyncio.run(story())[-1]
    assert read_all([*asked.asked, *asked.welcome], last, MOMENT) == {"date": "2026-11-27", "time": "14:30"}


def test_an_answer_with_an_unknown_word_is_left_out_and_the_others_are_understood() -> None:
    choices = (Choice(value="a desk lamp"), Choice(value="a zyxwv kettle"))
    asked = Expectation(asked=(Variable(name="item", kind="choice", choices=choices),))

    async def story() -> list[str]:
        async with PocketsphinxSpeech(workers=1) as speech:
            return await finals(speech, *spoken(line("a desk lamp", "rms")), expectation=asked)

    assert asyncio.run(story()) == ["a desk lamp"]


def test_a_worker_that_dies_is_replaced() -> None:
    async def story() -> list[str]:
        async with PocketsphinxSpeech(workers=1) as speech:
            for process in speech._pool._processes.values():
                process.kill()
            return await finals(speech, *spoken())

    [text] = asyncio.run(story())
    assert text.startswith("ye")


BOOKING = {variable.name: variable for variable in demo_version("agt_x", "booking", NOW).flow.variables}
ORDERS = {variable.name: variable for variable in demo_version("agt_x", "orders", NOW).flow.variables}
ANSWERS: list[tuple[list[str], list[str], list[str]]] = [
    (["date"], ["time"], ["tomorrow", "on friday", "december fifth"]),
    (["time"], ["date"], ["half past two", "at ten o'clock", "a quarter to four", "eleven thirty"]),
    (["confirmed"], ["date", "time"], ["yes please", "no", "no thank you", "no on thursday", "no at eleven thirty"]),
    (["topic"], [], ["my order", "the stock"]),
    (["order_number"], [], ["eight three zero five one"]),
    (["item"], [], ["a blue kettle", "a desk lamp"]),
    (["date"], ["time"], ["can i talk to a person please", "speak to a human", "say that again please"]),
]
VOICES: tuple[Voice, ...] = ("slt", "rms", "awb", "kal16")


def test_expected_answers_are_understood_through_a_telephone() -> None:
    """By what they mean, in four voices with a line's hiss. All are, but for a few."""
    variables = {**BOOKING, **ORDERS}
    noise = LineNoise(7)

    async def story() -> list[str]:
        async with PocketsphinxSpeech(workers=2) as speech:
            tasks = []
            for asked, welcome, lines in ANSWERS:
                expectation = Expectation(
                    asked=tuple(variables[name] for name in asked), welcome=tuple(variables[name] for name in welcome)
                )
                tasks += [judge(speech, expectation, text, voice) for text in lines for voice in VOICES]
            return [verdict for verdict in await asyncio.gather(*tasks) if verdict]

    async def judge(speech: Speech, expectation: Expectation, text: str, voice: Voice) -> str:
        sound = noise.under(silence(300) + line(text, voice) + silence(160))
        [heard] = await finals(speech, *spoken(sound), expectation=expectation)
        known = [*expectation.asked, *expectation.welcome]
        right = (read_all(known, heard, MOMENT), wish(heard)) == (read_all(known, text, MOMENT), wish(text))
        return "" if right else f"{voice}: {text!r} was heard as {heard!r}"

    wrong = asyncio.run(story())
    everything = sum(len(lines) for _, _, lines in ANSWERS) * len(VOICES)
    assert len(wrong) <= everything * 0.05, wrong
