"""The pure parts of `offhook bench`: what callers say and when, how it is framed, and what the samples come to."""

from random import Random

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from domain.mulaw import FRAME, FRAME_MS, loudness, to_pcm
from offhook.bench.agent import FLOW, PACED
from offhook.bench.callers import Progress
from offhook.bench.figures import Spread, percentile, spread, spread_between
from offhook.bench.frame import text_frame
from offhook.bench.result import ServerFigures, Verdict, verdict
from offhook.bench.talk import Change, Talk
from offhook.bench.tally import Heard, Tally
from offhook.bench.voices import LINES, SPEECH_MS, spoken_part, utterances
from offhook.bench.waterfall import STAGES, median_of
from offhook.carrier.recordings import VOICES
from schemas.conversation import Turn, Waterfall

# --- figures ---


def test_a_percentile_is_a_sample() -> None:
    assert [percentile([1, 2, 3, 4], percent) for percent in (0, 25, 50, 51, 100)] == [1, 1, 2, 3, 4]


def test_a_spread_of_nothing_has_no_figures() -> None:
    assert spread([]) == Spread(count=0)
    assert spread([3, 1, 2]) == Spread(count=3, p50=2, p95=3, p99=3, worst=3)


def test_a_histogram_s_spread_is_of_what_came_between_two_readings() -> None:
    before = {"1": 100, "5": 100, "inf": 100}
    assert spread_between(before, {"1": 198, "5": 199, "inf": 200}) == Spread(count=100, p50=1, p95=1, p99=5, worst=10)
    assert spread_between({}, {"1": 1, "inf": 1}) == Spread(count=1, p50=1, p95=1, p99=1, worst=1)
    assert spread_between(before, before) == Spread(count=0)


# --- what callers say ---


def test_utterances_begin_and_end_with_speech_and_are_of_one_length() -> None:
    said = utterances()
    assert len(said) == len(VOICES) * len(LINES)
    for utterance in said:
        assert SPEECH_MS - 200 <= len(utterance) * FRAME_MS <= SPEECH_MS
        assert {len(frame) for frame in utterance} == {FRAME}
        assert min(loudness(to_pcm(frame)) for frame in (utterance[0], utterance[-1])) > 150


def test_the_spoken_part_leaves_out_the_quiet_before_and_after() -> None:
    quiet, loud = b"\xff" * FRAME, b"\x80\x00" * (FRAME // 2)
    assert spoken_part([quiet, loud, quiet, loud, quiet, quiet]) == (loud, quiet, loud)


UTTERANCE = tuple(bytes([n]) * FRAME for n in range(100))  # 2 s
HISS = tuple(b"\xff" * FRAME for _ in range(10))


def until_change(talk: Talk, hears: bool = False) -> tuple[int, Change]:
    """How many ms of sound, and what changed at their end."""
    for count in range(1, 1000):
        if change := talk.frame(hears)[1]:
            return count * FRAME_MS, change
    raise AssertionError("nothing changes")


def a_turn(talk: Talk) -> None:
    """Speaks to the end, and is answered by a reply that is soon over."""
    assert until_change(talk)[1] is Change.BEGAN
    assert until_change(talk) == ((len(UTTERANCE) - 1) * FRAME_MS, Change.ENDED)
    talk.frame(hears=False)
    talk.replied()


@pytest.mark.parametrize("seed", range(10))
def test_a_caller_waits_for_the_greeting_and_about_three_seconds_after_each_reply(seed: int) -> None:
    talk = Talk([UTTERANCE], HISS, Random(seed))
    talk.frame(hears=False)
    talk.replied()
    waited, change = until_change(talk)
    assert change is Change.BEGAN
    assert 900 <= waited <= 4000
    until_change(talk)
    talk.replied()
    waited, change = until_change(talk)
    assert change is Change.BEGAN
    assert 2780 <= waited <= 3220


def test_a_caller_lets_the_agent_finish_but_every_third_time_interrupts() -> None:
    talk = Talk([UTTERANCE], HISS, Random(1))
    talk.replied()
    a_turn(talk)
    assert not any(talk.frame(hears=True)[1] for _ in range(500))  # a very long reply
    a_turn(talk)
    waited, change = until_change(talk, hears=True)
    assert change is Change.INTERRUPTED
    assert 500 < waited <= 540
    assert until_change(talk, hears=True)[1] is Change.ENDED
    talk.replied()
    assert not any(talk.frame(hears=True)[1] for _ in range(500))


def test_a_reply_that_never_comes_is_waited_for_and_then_the_caller_speaks_again() -> None:
    talk = Talk([UTTERANCE], HISS, Random(1))
    talk.replied()
    until_change(talk)
    until_change(talk)
    waited, change = until_change(talk)
    assert (waited // 100, change) == (30, Change.UNANSWERED)
    assert until_change(talk)[1] is Change.BEGAN


def test_a_caller_s_frames_are_those_of_the_utterance_in_order() -> None:
    talk = Talk([UTTERANCE], HISS, Random(1))
    talk.replied()
    said = [talk.frame(hears=False) for _ in range(400)]
    first = next(place for place, (_, change) in enumerate(said) if change is Change.BEGAN)
    assert tuple(sound for sound, _ in said[first : first + len(UTTERANCE)]) == UTTERANCE


# --- how it is framed ---


@pytest.mark.parametrize("size", [0, 1, 125, 126, 400, 65_535])
def test_a_frame_is_what_the_library_reads(size: int) -> None:
    text = ("x" * size).encode()
    reader = StreamReader()
    reader.feed_data(text_frame(text, b"\x01\x80\xff\x10"))
    read = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as parsed:
        next(read)
    frame = parsed.value.value
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, text, True)


# --- what is counted ---


def test_only_what_begins_while_it_is_open_counts() -> None:
    tally = Tally()
    assert not tally.counts(5.0)
    tally.open(10.0)
    tally.close(20.0)
    assert [tally.counts(moment) for moment in (9.9, 10.0, 19.9, 20.0)] == [False, True, True, False]
    tally.frame(9.0, 9.5)
    tally.frame(11.0, 11.002)
    heard = tally.heard(cpu_s=1.5)
    assert (heard.seconds, heard.cpu_s, heard.frames_late.count) == (10.0, 1.5, 1)
    assert heard.frames_late.p50 == pytest.approx(2.0)


# --- what it comes to ---

SERVER = ServerFigures(
    cpu_ms_per_call_second=1.5,
    core_busy=0.5,
    idle_mb=100,
    loaded_mb=120,
    mb_per_call=0.4,
    incoming_lag_ms=Spread(count=9, p50=1, p95=2, p99=5, worst=20),
    broken_calls=0,
)
HEARD = Heard(
    gap=Spread(count=9, p50=560, p95=640, p99=650, worst=700),
    clear=Spread(count=3, p50=200, p95=220, p99=220, worst=220),
    turns=9,
    interruptions=3,
    unheard_interruptions=0,
    unanswered=0,
    cut_ins=0,
    late_audio=Spread(count=0),
    frames_late=Spread(count=99, p50=0.5, p95=1, p99=3, worst=9),
    frames_dropped=0,
    cpu_s=1,
    seconds=10,
)


def judged(single: float | None = 600.0, busy: float = 0.5, **changes: object) -> Verdict:
    ends = {name: changes.pop(name) for name in ("refused", "broken") if name in changes}
    lag = changes.pop("lag", SERVER.incoming_lag_ms)
    end = Progress.model_validate({"stage": "done", "on": 10, **ends})
    heard = HEARD.model_copy(update=changes)
    return verdict(10, end, heard, busy, SERVER.model_copy(update={"incoming_lag_ms": lag}), single)


def test_so_many_calls_are_held_if_nobody_notices_them() -> None:
    assert judged() == Verdict(held=True)
    assert judged(single=540.0).held


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"single": 530.0}, "gap p95 640 ms"),
        ({"unanswered": 1}, "1 turns without a reply"),
        ({"late_audio": Spread(count=2, p50=3, p95=7, p99=7, worst=7)}, "2 pieces of a reply late, up to 7 ms"),
        ({"lag": Spread(count=9, p50=1, p95=2, p99=20, worst=20)}, "incoming lag p99 20 ms"),
        ({"refused": 3}, "3 of 10 refused"),
        ({"broken": 1}, "1 broke"),
        ({"frames_dropped": 4}, "4 frames not taken"),
    ],
)
def test_so_many_calls_are_not_held_if_anyone_notices(changes: dict[str, object], why: str) -> None:
    result = judged(**changes)  # type: ignore[arg-type]
    assert result.held is False
    assert [phrase.startswith(why) for phrase in result.why] == [True]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"frames_late": Spread(count=9, p50=1, p95=9, p99=11, worst=12)}, "the callers were the bottleneck"),
        ({"busy": 0.91}, "the callers were the bottleneck"),
        ({"single": None}, "a single call's gap"),
        ({"turns": 0, "gap": Spread(count=0)}, "nothing was said"),
    ],
)
def test_nothing_is_concluded_when_the_callers_or_the_time_fall_short(changes: dict[str, object], why: str) -> None:
    result = judged(unanswered=1, **changes)  # type: ignore[arg-type]
    assert result.held is None
    assert result.why[0].startswith(why)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gap": Spread(count=0)}, "the gap"),
        ({"lag": None}, "the server's incoming lag"),
        ({"lag": Spread(count=0)}, "the server's incoming lag"),
    ],
)
def test_what_was_not_measured_is_not_held(changes: dict[str, object], why: str) -> None:
    result = judged(**changes)  # type: ignore[arg-type]
    assert result.held is None
    assert [phrase.startswith(why) for phrase in result.why] == [True]
    assert judged(unanswered=1, **changes).held is False  # type: ignore[arg-type]


def test_the_bench_s_agent_never_ends_a_call_and_answers_in_two_short_sentences() -> None:
    assert {node.type for node in FLOW.nodes} == {"start", "conversation"}
    assert not any(node.anywhere for node in FLOW.nodes)
    first, second = PACED.reply_words.split(". ")
    assert len(first.split()) == 4
    assert (len(first.split()) + len(second.split())) * PACED.spoken_word_ms == 2200


def test_a_typical_turn_is_the_median_of_whole_ones() -> None:
    def turn(drafted: int, **missing: None) -> Turn:
        fall = {stage: 500 for stage in STAGES} | {"drafted_ms": drafted} | missing
        return Turn(number=1, at_ms=0, node="talk", waterfall=Waterfall(**fall))

    turns = [turn(40), turn(60), turn(200), turn(9000, final_ms=None)]
    typical = median_of(turns)
    assert typical is not None
    assert typical.drafted_ms == 60
    assert median_of(turns[:2]) is None
