"""Several providers that are one, in virtual time: what the next one gets, when, and who is asked at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from domain.fallback import (
    BRAIN_S,
    FAILURES,
    REST_S,
    VOICE_S,
    FallbackBrain,
    FallbackSpeech,
    FallbackVoice,
    Provider,
    chosen,
)
from domain.ports import (
    SPEECH_BEGINS,
    SPEECH_ENDS,
    Prompt,
    Sound,
    Spoken,
    ToolRequest,
    Transcript,
    Unavailable,
    Usage,
    VoiceStyle,
    Words,
)
from schemas.agent import Providers
from schemas.signals import FellBack
from schemas.variable import Expectation
from tests.fakes import virtual_time
from tests.fakes.ports import paper_ports
from tests.fakes.scripted_brain import ScriptedBrain

PROMPT = Prompt(system="", remarks=[], model="theirs")
STYLE = VoiceStyle(voice="theirs")
EXPECTED = Expectation(language="en-US")
REFUSED = Unavailable("refused")


class Told(list[FellBack]):
    """What fell back, in short."""

    def short(self) -> list[str]:
        return [f"{signal.provider} → {signal.to or 'nobody'}" for signal in self]


# --- The brain ---


def thoughts(brain: FallbackBrain, prompt: Prompt = PROMPT) -> tuple[str, float]:
    """All words, and after how many seconds they were complete."""

    async def story() -> tuple[str, float]:
        words = [thought.text async for thought in brain.think(prompt) if isinstance(thought, Words)]
        return "".join(words), asyncio.get_running_loop().time()

    return virtual_time.run(story())


def brains(*scripts: Sequence[Any], told: Told | None = None) -> FallbackBrain:
    """Brains a, b, c…, each with one answer."""
    providers = [Provider(name, ScriptedBrain([*script])) for name, script in zip("abc", scripts, strict=False)]
    return FallbackBrain(providers, told.append if told is not None else lambda signal: None)


def test_the_first_brain_answers_if_it_can() -> None:
    told = Told()
    assert thoughts(brains(["Hello."], ["Never asked."], told=told)) == ("Hello.", 0)
    assert told == []


def test_a_brain_that_refuses_is_spoken_for_at_once() -> None:
    told = Told()
    assert thoughts(brains([REFUSED], ["Hello."], told=told)) == ("Hello.", 0)
    assert told.short() == ["a → b"]
    assert told[0].why == "refused"


def test_a_brain_that_hangs_is_spoken_for_in_time() -> None:
    assert thoughts(brains([600.0], [0.3, "Hello."])) == ("Hello.", BRAIN_S + 0.3)


def test_a_brain_that_says_nothing_or_breaks_is_spoken_for() -> None:
    assert thoughts(brains([], [KeyError("candidates")], ["Hello."])) == ("Hello.", 0)


def test_half_a_sentence_is_forgotten() -> None:
    assert thoughts(brains(["We are open from ", REFUSED], ["From nine to five."]))[0] == "From nine to five."


def test_a_tool_request_of_a_broken_answer_is_forgotten() -> None:
    async def story() -> list[Any]:
        brain = brains([ToolRequest("c1", "book", {}), REFUSED], ["Let me ask."])
        return [thought async for thought in brain.think(PROMPT)]

    assert virtual_time.run(story()) == [Words("Let me ask."), Usage(prompt=100, reply=10)]


def test_what_failed_cost_too() -> None:
    async def story() -> list[Any]:
        spent = Usage(prompt=40, reply=3)
        brain = brains(["We are open from ", spent, REFUSED], [Usage(prompt=50), 600.0], ["From nine to five."])
        return [thought async for thought in brain.think(PROMPT)]

    told = virtual_time.run(story())
    assert told[:2] == [Usage(prompt=40, reply=3), Usage(prompt=50)]
    assert told[2:] == [Words("From nine to five."), Usage(prompt=100, reply=10)]


def test_what_it_costs_is_no_first_word() -> None:
    assert thoughts(brains([1.0, Usage(prompt=40), 600.0], ["Hello."])) == ("Hello.", BRAIN_S)
    assert thoughts(brains([Usage(prompt=40)], ["Hello."])) == ("Hello.", 0)


def test_after_a_whole_sentence_nobody_else_takes_over() -> None:
    said: list[str] = []
    told = Told()

    async def story() -> None:
        async for thought in brains(["We are open. ", "From ", REFUSED], ["Yes!"], told=told).think(PROMPT):
            assert isinstance(thought, Words)
            said.append(thought.text)

    with pytest.raises(Unavailable, match="refused"):
        virtual_time.run(story())
    assert said == ["We are open. ", "From "]


def test_words_are_handed_out_as_they_come() -> None:
    async def story() -> list[float]:
        brain = brains(["One is said. ", 1.0, "Two", 1.0, " is too."])
        return [asyncio.get_running_loop().time() async for _ in brain.think(PROMPT)]

    assert virtual_time.run(story()) == [0, 1, 2, 2]


def test_the_model_s_name_is_the_first_provider_s() -> None:
    first, second = ScriptedBrain([REFUSED]), ScriptedBrain(["Hello."])
    thoughts(FallbackBrain([Provider("a", first), Provider("b", second)]))
    assert [first.prompts[0].model, second.prompts[0].model] == ["theirs", ""]


def test_with_all_of_them_down_the_last_one_s_reason_is_told() -> None:
    told = Told()
    with pytest.raises(Unavailable, match="no credit"):
        thoughts(brains([REFUSED], [Unavailable("no credit")], told=told))
    assert told.short() == ["a → b", "b → nobody"]


# --- Who is asked ---


class Moody:
    """A brain that works or not, and counts how often it is asked."""

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.asked = 0

    async def think(self, prompt: Prompt) -> AsyncIterator[Words]:
        self.asked += 1
        if not self.works:
            raise REFUSED
        yield Words("Hello.")


def moods(*moody: Moody, told: Told | None = None) -> tuple[FallbackBrain, Callable[[], Awaitable[None]]]:
    providers = [Provider(name, brain) for name, brain in zip("abc", moody, strict=False)]
    brain = FallbackBrain(providers, told.append if told is not None else lambda signal: None)

    async def ask() -> None:
        async for _ in brain.think(PROMPT):
            pass

    return brain, ask


def test_whoever_fails_again_and_again_is_not_asked_for_a_while() -> None:
    first, second, told = Moody(works=False), Moody(), Told()

    async def story() -> None:
        _, ask = moods(first, second, told=told)
        for _ in range(10):
            await ask()
        assert (first.asked, second.asked) == (FAILURES, 10)
        first.works = True
        await asyncio.sleep(REST_S)
        await ask()
        await ask()
        assert (first.asked, second.asked) == (FAILURES + 2, 10)

    virtual_time.run(story())
    assert told.short() == ["a → b"] * 10


def test_one_attempt_tells_whether_it_works_again() -> None:
    first, second = Moody(works=False), Moody()

    async def story() -> None:
        _, ask = moods(first, second)
        for _ in range(FAILURES):
            await ask()
        await asyncio.sleep(REST_S)
        for _ in range(5):
            await ask()
        assert first.asked == FAILURES + 1

    virtual_time.run(story())


def test_a_provider_that_is_all_there_is_is_always_asked() -> None:
    only = Moody(works=False)

    async def story() -> None:
        _, ask = moods(only)
        for _ in range(2 * FAILURES):
            with pytest.raises(Unavailable):
                await ask()
        only.works = True
        await ask()

    virtual_time.run(story())
    assert only.asked == 2 * FAILURES + 1


def test_being_cancelled_is_nobody_s_failure() -> None:
    class Slow(Moody):
        async def think(self, prompt: Prompt) -> AsyncIterator[Words]:
            self.asked += 1
            await asyncio.sleep(0.5)
            yield Words("Hello.")

    first, second = Slow(), Moody()

    async def story() -> None:
        _, ask = moods(first, second)
        for _ in range(2 * FAILURES):
            task = asyncio.ensure_future(ask())
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait([task])
        await ask()

    virtual_time.run(story())
    assert (first.asked, second.asked) == (2 * FAILURES + 1, 0)


def test_what_is_known_of_a_provider_is_known_in_every_call() -> None:
    first, second, told = Moody(works=False), Moody(), Told()

    async def story() -> None:
        brain, ask = moods(first, second)
        for _ in range(FAILURES):
            await ask()
        ports = chosen(paper_ports(brain=brain), Providers(brain=("a", "b")), told.append)
        async for _ in ports.brain.think(PROMPT):
            pass

    virtual_time.run(story())
    assert first.asked == FAILURES
    assert [signal.why for signal in told] == ["it has failed lately"]


def test_an_agent_has_its_own_order_of_what_the_deployment_has() -> None:
    first, second = Moody(), Moody()
    brain, _ = moods(first, second)

    async def ask(*names: str) -> None:
        async for _ in brain.chosen(names, lambda signal: None).think(PROMPT):
            pass

    async def story() -> None:
        await ask("b", "a")
        await ask("unheard of", "b")
        assert (first.asked, second.asked) == (0, 2)
        await ask("unheard of")
        await ask()
        assert (first.asked, second.asked) == (2, 2)

    virtual_time.run(story())


def test_ports_without_a_choice_stay_as_they_are() -> None:
    ports = paper_ports()
    assert chosen(ports, Providers(voice=("a",)), lambda signal: None) == ports


def test_nothing_works_without_a_provider() -> None:
    with pytest.raises(ValueError, match="no provider for voice"):
        FallbackVoice([])


# --- The voice ---


class Speaker:
    """Says each sentence as its own letters; `before` each, and `amid` each, it waits some seconds or raises."""

    def __init__(self, *before: float | Exception, amid: Sequence[float | Exception] = ()) -> None:
        self._before, self._amid = before, amid
        self.styles: list[VoiceStyle] = []
        self.heard: list[str] = []

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        self.styles.append(style)
        async for sentence in text:
            self.heard.append(sentence)
            await self._go_through(self._before)
            yield sentence[:4].encode()
            await self._go_through(self._amid)
            yield sentence[4:].encode()
            yield Spoken(sentence)

    @staticmethod
    async def _go_through(script: Sequence[float | Exception]) -> None:
        for step in script:
            if isinstance(step, Exception):
                raise step
            await asyncio.sleep(step)


async def sentences(*texts: str | float) -> AsyncIterator[str]:
    for text in texts:
        if isinstance(text, str):
            yield text
        else:
            await asyncio.sleep(text)


def spoken(*voices: Any, text: Sequence[str | float] = ("One two.", "Three."), told: Told | None = None) -> str:
    """What was heard: sound as it is, and `|` where a sentence is said to end."""
    providers = [Provider(name, voice) for name, voice in zip("abc", voices, strict=False)]
    voice = FallbackVoice(providers, told.append if told is not None else lambda signal: None)

    async def story() -> str:
        pieces = [piece async for piece in voice.speak(sentences(*text), STYLE)]
        return "".join(piece.decode() if isinstance(piece, bytes) else "|" for piece in pieces)

    return virtual_time.run(story())


def test_the_first_voice_speaks_if_it_can() -> None:
    second = Speaker()
    assert spoken(Speaker(0.5), second) == "One two.|Three.|"
    assert second.heard == []


def test_a_voice_that_refuses_leaves_nothing_unsaid() -> None:
    told = Told()
    assert spoken(Speaker(REFUSED), Speaker(), told=told) == "One two.|Three.|"
    assert told.short() == ["a → b"]


def test_a_voice_that_hangs_is_spoken_for_in_time() -> None:
    async def story() -> float:
        voice = FallbackVoice([Provider("a", Speaker(600.0)), Provider("b", Speaker())])
        async for _ in voice.speak(sentences("One."), STYLE):
            return asyncio.get_running_loop().time()
        raise AssertionError("nothing was said")

    assert virtual_time.run(story()) == VOICE_S


def test_a_broken_sentence_is_said_again_whole_and_those_before_it_are_not() -> None:
    class Breaking(Speaker):
        async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
            async for piece in super().speak(text, style):
                if piece == b"e.":
                    raise REFUSED
                yield piece

    assert spoken(Breaking(), Speaker(), text=("One two.", "Three.", "Four.")) == "One two.|ThreThree.|Four.|"


def test_a_voice_that_stops_in_the_middle_of_a_sentence_is_spoken_for() -> None:
    assert spoken(Speaker(amid=[600.0]), Speaker(), text=("One two.",)) == "One One two.|"


def test_a_pause_of_the_one_who_writes_is_not_the_voice_s() -> None:
    told = Told()
    assert (
        spoken(Speaker(0.5), Speaker(), text=("One.", 20.0, "Two.", 20.0, "Three."), told=told) == "One.|Two.|Three.|"
    )
    assert told == []


def test_a_pause_of_the_one_who_listens_is_not_the_voice_s() -> None:
    told = Told()

    async def story() -> int:
        voice = FallbackVoice([Provider("a", Speaker(0.9, amid=[0.05])), Provider("b", Speaker())], told.append)
        heard = 0
        async for _ in voice.speak(sentences("One.", "Two."), STYLE):
            heard += 1
            await asyncio.sleep(20)
        return heard

    assert virtual_time.run(story()) == 6
    assert told == []


def test_a_voice_without_a_sound_has_not_spoken() -> None:
    class Mute:
        async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
            async for sentence in text:
                yield Spoken(sentence)

    assert spoken(Mute(), Speaker()) == "One two.|Three.|"
    assert spoken(Mute(), Speaker(REFUSED), text=("…",)) == "|"


def test_the_voice_s_name_is_the_first_provider_s() -> None:
    first, second = Speaker(REFUSED), Speaker()
    spoken(first, second)
    assert [first.styles[0].voice, second.styles[0].voice] == ["theirs", ""]


def test_what_goes_wrong_where_the_sentences_come_from_is_nobody_s_failure() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "One."
        raise REFUSED

    told = Told()

    async def story() -> None:
        voice = FallbackVoice([Provider("a", Speaker()), Provider("b", Speaker())], told.append)
        with pytest.raises(Unavailable, match="refused"):
            async for _ in voice.speak(failing(), STYLE):
                pass

    virtual_time.run(story())
    assert told == []


def test_with_every_voice_down_it_says_so() -> None:
    with pytest.raises(Unavailable, match="refused"):
        spoken(Speaker(600.0), Speaker(REFUSED))


# --- Speech ---


class Listener:
    """Understands sound as its letters, each turn at its end; `fails_at` breaks it, or has it hang, at a piece."""

    def __init__(self, fails_at: bytes = b"", by: Exception | None = None) -> None:
        self._fails_at, self._by = fails_at, by
        self.began: list[Expectation] = []

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        self.began.append(expectation)
        heard = ""
        async for piece in sound:
            if isinstance(piece, Expectation):
                heard = ""
            elif piece is SPEECH_ENDS:
                yield Transcript(heard, final=True)
            elif isinstance(piece, bytes):
                if piece == self._fails_at:
                    if self._by:
                        raise self._by
                    await asyncio.Event().wait()
                heard += piece.decode()


def understood(*listeners: Any, said: Sequence[Sound | float], told: Told | None = None) -> list[tuple[str, float]]:
    """The final transcripts, each with its time."""
    providers = [Provider(name, listener) for name, listener in zip("abc", listeners, strict=False)]
    speech = FallbackSpeech(providers, told.append if told is not None else lambda signal: None)

    async def sound() -> AsyncIterator[Sound]:
        for piece in said:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                yield piece

    async def story() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        heard = speech.transcribe(sound(), EXPECTED)
        return [(transcript.text, loop.time()) async for transcript in heard if transcript.final]

    return virtual_time.run(story())


TURN: tuple[Sound | float, ...] = (SPEECH_BEGINS, b"a", 0.1, b"b", 0.1, b"c", 0.1, SPEECH_ENDS, 5.0)


def test_the_first_recogniser_understands_if_it_can() -> None:
    told = Told()
    assert understood(Listener(), Listener(), said=TURN, told=told) == [("abc", pytest.approx(0.3))]
    assert told == []


@pytest.mark.parametrize("at", [b"a", b"b", b"c"])
def test_a_recogniser_that_breaks_loses_no_word(at: bytes) -> None:
    told = Told()
    broken = Listener(at, REFUSED)
    assert understood(broken, Listener(), said=TURN, told=told) == [("abc", pytest.approx(0.3))]
    assert told.short() == ["a → b"]


def test_a_recogniser_that_hangs_loses_no_word() -> None:
    assert understood(Listener(b"b"), Listener(), said=TURN) == [("abc", pytest.approx(1.3))]


def test_a_recogniser_that_begins_when_the_caller_is_done_may_take_longer() -> None:
    class Beginner(Listener):
        final_s = 1.6

    assert understood(Beginner(b"b"), Listener(), said=TURN) == [("abc", pytest.approx(1.9))]
    assert understood(Listener(b"b"), Beginner(b"b"), Listener(), said=TURN) == [("abc", pytest.approx(2.9))]


def test_the_next_recogniser_hears_this_turn_and_knows_what_is_expected() -> None:
    other = Expectation(language="de-DE")
    second = Listener()
    said = [*TURN[:-1], 0.1, other, SPEECH_BEGINS, b"x", b"y", SPEECH_ENDS, 3.0]
    assert [text for text, _ in understood(Listener(b"y", REFUSED), second, said=said)] == ["abc", "xy"]
    assert second.began == [other]


def test_of_the_silence_before_the_turn_only_the_last_second_is_told_again() -> None:
    said: list[Sound | float] = [b"-"] * 500
    [(text, _)] = understood(Listener(b"b", REFUSED), Listener(), said=[*said, *TURN])
    assert text.endswith("abc")
    assert text.count("-") <= 10


def test_a_recogniser_that_is_all_there_is_hears_the_turn_again() -> None:
    class Once(Listener):
        async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
            self._fails_at = b"" if self.began else b"b"
            async for transcript in super().transcribe(sound, expectation):
                yield transcript

    assert [text for text, _ in understood(Once(by=REFUSED), said=TURN)] == ["abc"]


def test_with_every_recogniser_down_it_says_so() -> None:
    told = Told()
    with pytest.raises(Unavailable, match="refused"):
        understood(Listener(b"a", REFUSED), Listener(b"a", REFUSED), said=TURN, told=told)
    assert told.short() == ["a → b", "b → nobody"] * 2


def test_a_recogniser_that_stops_listening_has_failed() -> None:
    class Leaving:
        async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
            async for _ in sound:
                return
            yield Transcript("", final=True)

    assert [text for text, _ in understood(Leaving(), Listener(), said=TURN)] == ["abc"]


# --- Health ---


def test_it_is_well_while_one_of_them_is() -> None:
    class Checked(Speaker):
        async def check(self) -> None:
            raise REFUSED

    async def check(*voices: Any) -> None:
        await FallbackVoice([Provider(name, voice) for name, voice in zip("ab", voices, strict=False)]).check()

    asyncio.run(check(Checked(), Speaker()))
    with pytest.raises(Unavailable, match="a: refused; b: refused"):
        asyncio.run(check(Checked(), Checked()))
