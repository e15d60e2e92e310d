"""How much silence settles a turn, and what that is worth against a fixed timeout."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from adapters.espeak_voice import EspeakVoice
from adapters.webrtc_vad import WebrtcDetector
from domain.endpointing import SILENCE, silence_ms
from domain.moment import Moment
from domain.mulaw import FRAME_MS
from domain.reading import ending
from domain.reading.plain import LONGEST
from offhook.bench import endpointing as bench
from offhook.bench.endpointing import Outcome, Recording, Trial, Utterance
from schemas.agent import Listening
from schemas.variable import Choice, Expectation, Variable

MOMENT = Moment(datetime(2026, 11, 21, 14, tzinfo=UTC))
LISTENING = Listening()
YES = Variable(name="ok", kind="yes_no")
DAY = Variable(name="day", kind="date")
TIME = Variable(name="time", kind="time")
ORDER = Variable(name="order", kind="digits", digits=(5, 5))
PHONE = Variable(name="phone", kind="phone")
WHO = Variable(name="who", kind="name")
ITEM = Variable(name="item", kind="choice", choices=(Choice(value="kettle"), Choice(value="kettle and lamp")))
EVERYTHING = (YES, DAY, TIME, ORDER, PHONE, WHO, ITEM, Variable(name="note", kind="text"))

# Asked for → words so far → what they come to.
TABLE: list[tuple[tuple[Variable, ...], dict[str, str]]] = [
    (
        (YES,),
        {
            "yes": "answer",
            "no thank you": "answer",
            "Yes, please.": "answer",
            "yes and": "unfinished",
            "um": "unfinished",
            "well": "loose",
            "let me see": "thinking",
            "": "unclear",
            "speak to a human": "answer",
            "can I talk to someone": "answer",
            "I want to speak to someone about": "unfinished",
            "say that again": "answer",
            "what are your opening hours": "sentence",
        },
    ),
    (
        (DAY,),
        {
            "next tuesday": "answer",
            "the twenty third of november": "answer",
            "november": "unfinished",
            "on friday the": "unfinished",
            "tuesday or": "unfinished",
            "let me check my calendar": "thinking",
            "one moment please": "thinking",
            "let me see, friday": "answer",
        },
    ),
    ((TIME,), {"half past two": "answer", "half past": "unfinished", "at nine": "unclear", "around": "unfinished"}),
    (
        (DAY, TIME),
        {
            "tomorrow at three p m": "answer",
            "tomorrow": "loose",
            "at three p m": "loose",
            "tomorrow at": "unfinished",
        },
    ),
    (
        (ORDER,),
        {
            "four seven one two nine": "answer",
            "four seven one two": "unfinished",
            "four seven double": "unfinished",
            "my order number": "unfinished",
            "it's": "unfinished",
        },
    ),
    (
        (PHONE,),
        {
            "five five five one two three four five six seven": "answer",
            "five five five": "unfinished",
            "five five five one two three four": "unfinished",
            "my number is": "unfinished",
        },
    ),
    (
        (WHO,),
        {
            "sarah jones": "answer",
            "sarah": "unclear",
            "my name is": "unfinished",
            "s a r": "loose",
            "it's kowalski k o w a": "unfinished",
            "it's kowalski k o w a l s k i": "sentence",
            "o'neill o n e i double l": "sentence",
        },
    ),
    ((ITEM,), {"the kettle": "unclear", "the kettle and lamp": "answer", "the": "unfinished"}),
    (
        (),
        {
            "I would like to book an appointment": "sentence",
            "I would like to": "unfinished",
            "I would like to book": "unfinished",
            "what are your opening hours": "sentence",
            "can you tell me what the": "unfinished",
            "can you tell me": "unfinished",
            "can you tell me what the charge is": "sentence",
            "thanks that's all": "sentence",
            "thank you": "sentence",
            "how much does it": "unfinished",
            "how much is it": "sentence",
            "who am I speaking to": "unclear",
            "what do you have": "unclear",
            "yes it is": "sentence",
            "how old is": "unfinished",
            "when will my order": "unfinished",
            "when will my order arrive": "sentence",
            "do you take": "unfinished",
            "do you take credit cards": "sentence",
            "I don't know": "unclear",
            "that's not right": "sentence",
            "my order won't arrive": "sentence",
            "I can't": "unclear",
            "the problem is": "unfinished",
            "my heater is broken": "sentence",
            "because I was": "unfinished",
            "I have a question": "loose",
            "do you have anything": "loose",
            "I think so": "unclear",
            "I think": "unfinished",
            "hold on a second": "thinking",
            "let me think about it": "thinking",
            "I'll see you then": "sentence",
            "cancel my appointment": "sentence",
            "next week": "unclear",
            "goodbye": "answer",
        },
    ),
]


@pytest.mark.parametrize(
    ("asked", "words", "said"),
    [
        pytest.param(asked, words, said, id=f"{'+'.join(v.name for v in asked) or 'open'}: {words}")
        for asked, cases in TABLE
        for words, said in cases.items()
    ],
)
def test_the_words_decide_how_long_to_wait(asked: tuple[Variable, ...], words: str, said: str) -> None:
    silence = silence_ms(LISTENING, words, Expectation(asked=asked), MOMENT)
    assert {name: round(600 * factor) for name, factor in SILENCE.items()}[said] == silence  # type: ignore[index]


def test_what_is_welcome_counts_too() -> None:
    expectation = Expectation(asked=(YES,), welcome=(DAY, PHONE))
    assert silence_ms(LISTENING, "no on thursday", expectation, MOMENT) == 360
    assert silence_ms(LISTENING, "no it's five five five", expectation, MOMENT) == 1200


def test_only_english_is_listened_to_for_meaning() -> None:
    for words in ("no", "la", "a"):
        assert silence_ms(LISTENING, words, Expectation(asked=(YES,), language="pt-BR"), MOMENT) == 600


def test_the_agent_bounds_it() -> None:
    steady = Listening(silence_ms=600, shortest_silence_ms=600, longest_silence_ms=600)
    narrow = Listening(silence_ms=600, shortest_silence_ms=500, longest_silence_ms=800)
    for words, expected in {"yes": 500, "yes and": 800, "next week": 600}.items():
        assert silence_ms(steady, words, Expectation(asked=(YES,)), MOMENT) == 600
        assert silence_ms(narrow, words, Expectation(asked=(YES,)), MOMENT) == expected


@pytest.mark.parametrize("bounds", [{"shortest_silence_ms": 700}, {"longest_silence_ms": 500}])
def test_bounds_that_shut_out_the_agent_s_own_silence_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="between shortest_silence_ms and longest_silence_ms"):
        Listening(silence_ms=600, **bounds)


VOCABULARY = [
    *("yes", "no", "um", "and", "the", "four", "double", "friday", "my", "number", "is", "let", "me", "see"),
    *("book", "k", "o", "what", "a", "i", "would"),
]
some_words = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)
some_listening = st.tuples(*[st.integers(100, 5000)] * 3).map(
    lambda ms: Listening(
        **dict(zip(("shortest_silence_ms", "silence_ms", "longest_silence_ms"), sorted(ms), strict=True))
    )
)
some_asked = st.lists(st.sampled_from(EVERYTHING), unique_by=lambda v: v.name, max_size=3).map(tuple)


@given(some_words | st.text(max_size=LONGEST + 50), some_listening, some_asked)
def test_never_outside_the_bounds_whatever_is_said(
    words: str, listening: Listening, asked: tuple[Variable, ...]
) -> None:
    silence = silence_ms(listening, words, Expectation(asked=asked, welcome=EVERYTHING), MOMENT)
    assert listening.shortest_silence_ms <= silence <= listening.longest_silence_ms


@given(some_words, some_listening, some_asked)
def test_who_says_and_is_never_cut_early(words: str, listening: Listening, asked: tuple[Variable, ...]) -> None:
    expectation = Expectation(asked=asked)
    assert silence_ms(listening, f"{words} and", expectation, MOMENT) >= listening.silence_ms


@given(some_words, st.integers(100, 4000), st.integers(0, 1000), some_asked)
def test_a_more_patient_agent_waits_at_least_as_long(
    words: str, ms: int, more: int, asked: tuple[Variable, ...]
) -> None:
    patient, hasty = Listening(silence_ms=ms + more), Listening(silence_ms=ms)
    expectation = Expectation(asked=asked)
    assert silence_ms(patient, words, expectation, MOMENT) >= silence_ms(hasty, words, expectation, MOMENT)


def test_long_speech_is_judged_by_its_end() -> None:
    story = "i moved house last month and nothing works since then " * 40
    for words, expected in {"what is to be done": "sentence", "and my": "unfinished", "let me see": "thinking"}.items():
        assert ending(story + words) == expected


# --- the measure ---


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return asyncio.run(bench.record(bench.corpus().utterances, EspeakVoice()))


@pytest.fixture(scope="module")
def rule(recordings: list[Recording]) -> list[Trial]:
    return bench.trials(recordings, LISTENING, WebrtcDetector, bench.by_meaning(LISTENING))


@pytest.fixture(scope="module")
def timeout(recordings: list[Recording]) -> list[Trial]:
    return bench.trials(recordings, LISTENING, WebrtcDetector, bench.by_timeout)


@pytest.mark.parametrize("group", ["all", "built with", "held back", "typed", "open", "hesitating"])
def test_meaning_beats_a_fixed_timeout_on_both_measures(group: str, rule: list[Trial], timeout: list[Trial]) -> None:
    ours, theirs = bench.score(rule, group), bench.score(timeout, group)
    assert ours.cut_into < theirs.cut_into
    assert ours.pauses_cut_into < theirs.pauses_cut_into
    assert ours.gap_p50_ms < theirs.gap_p50_ms - 100
    assert ours.gap_mean_ms < theirs.gap_mean_ms - 100
    assert ours.gap_p95_ms <= theirs.gap_p95_ms + FRAME_MS  # the voices hiss a little differently each time
    assert ours.not_heard == theirs.not_heard == 0


def test_nobody_who_speaks_without_a_pause_is_cut_into(rule: list[Trial]) -> None:
    assert bench.score(rule, "fluent").cut_into == 0


def test_the_corpus_is_as_large_and_as_hard_as_it_says() -> None:
    utterances = bench.corpus().utterances
    assert len(utterances) >= 80
    assert sum(u.held_back for u in utterances) >= len(utterances) / 3
    assert 0.1 <= sum(any(u.misleading) for u in utterances) / len(utterances) <= 0.15
    assert all(300 <= ms <= 900 for u in utterances for ms in u.pauses_ms)
    assert len({str(u) for u in utterances}) == len(utterances)
    assert str(Utterance("yes_no", ("yes", "but no"), (500,), (True,), False)) == "yes [500!] but no"


def test_a_recording_holds_the_pauses_that_it_says(recordings: list[Recording]) -> None:
    for recording in recordings:
        assert [word for word, _ in recording.words] == " ".join(recording.utterance.pieces).split()
        ends = dict(zip(recording.pauses, recording.utterance.pauses_ms, strict=True))
        assert all(any(end == begin for _, end in recording.words) for begin in ends)
        assert recording.words[-1][1] == recording.end


class Threshold:
    """Whatever isn't silence is speech."""

    def is_speech(self, frame: bytes) -> bool:
        return frame[0] != 0xFF


def tone(*pieces: tuple[str, int]) -> Recording:
    """Words of 400 ms each, with a pause after them."""
    frames: list[bytes] = []
    words, ends = [], []
    for word, pause_ms in pieces:
        frames += [bytes(160)] * 20
        words.append((word, len(frames) * 20))
        ends.append(len(frames) * 20)
        frames += [b"\xff" * 160] * (pause_ms // 20)
    pauses = tuple(ms for _, ms in pieces[:-1])
    utterance = Utterance("open", tuple(word for word, _ in pieces), pauses, (False,) * len(pauses), False)
    return Recording(utterance, tuple(frames), tuple(words), tuple(ends[:-1]), ends[-1])


def listen(recording: Recording, silence: int) -> Outcome:
    return bench.trial(recording, Expectation(), LISTENING, Threshold(), lambda words, expectation: silence)


def test_the_gap_counts_from_the_true_end_of_speech() -> None:
    assert listen(tone(("yes", 2000)), silence=600) == Outcome((), 600)


def test_the_gap_is_never_shorter_than_the_recogniser_takes() -> None:
    recording = tone(("yes", 2000))
    hasty = listen(recording, silence=100)
    assert hasty == listen(recording, silence=120)
    assert hasty.gap_ms is not None
    assert bench.FINAL_MS + 100 < hasty.gap_ms < 600


def test_who_settles_in_a_pause_cuts_in_and_hears_the_rest() -> None:
    recording = tone(("yes", 700), ("but", 2000))
    assert listen(recording, silence=600) == Outcome((1000,), 600)
    assert listen(recording, silence=1200) == Outcome((), 1200)
    score = bench.score([(recording, listen(recording, 600)), (recording, listen(recording, 1200))])
    assert (score.utterances, score.cut_into, score.pauses, score.pauses_cut_into) == (2, 1, 2, 1)
    assert score.gap_mean_ms == 900


def test_the_rule_is_asked_with_the_words_known_so_far() -> None:
    heard: list[str] = []

    def note(words: str, expectation: Expectation) -> int:
        heard.append(words)
        return 1000

    bench.trial(tone(("my", 0), ("number", 600), ("is", 2000)), Expectation(), LISTENING, Threshold(), note)
    assert "my number" in heard
    assert heard[-1] == "my number is"
    assert all("my number is".startswith(words) for words in heard)


def test_the_command_prints_a_table_and_keeps_every_figure(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench.endpointing)
    result = CliRunner().invoke(app, ["--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.output
    assert "held back" in result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["scores"]["all"]["fixed 600 ms"]["utterances"] == 330
    assert len(figures["utterances"]) == 330


def test_a_file_that_can_t_be_written_is_told_before_anyone_speaks(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(bench.endpointing)
    result = CliRunner().invoke(app, ["--json", str(tmp_path / "nowhere" / "figures.json")])
    assert result.exit_code == 1
    assert "nowhere" in result.output
