"""What the carrier is told when a stream or a transfer has ended."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.next_step import Apologise, Decision, Dial, HangUp, NobodyFree, Stream, accept, decide
from schemas.call import OVER, CallEntry


def entry(**fields: Any) -> CallEntry:
    basics = {"organisation": "o", "conversation": "c", "agent": "a", "number": "+15005550001", "caller": ""}
    return CallEntry(**{**basics, "created_at": datetime(2026, 11, 21, tzinfo=UTC), **fields})


CASES: list[tuple[str, dict[str, Any], str, str, Decision, dict[str, Any]]] = [
    ("the call is over", {"claimed": 1}, "completed", "", HangUp(), {"stage": "over", "outcome": "caller_left"}),
    ("the agent hung up", {"stage": "over", "outcome": "booked"}, "in-progress", "", HangUp(), {"outcome": "booked"}),
    ("we failed", {"stage": "over", "outcome": "failed: x"}, "in-progress", "", Apologise(), {"stage": "over"}),
    (
        "a transfer is wanted",
        {"stage": "transfer", "dial": "+15005550199"},
        "in-progress",
        "",
        Dial("+15005550199"),
        {"stage": "dialled"},
    ),
    (
        "the same question twice",
        {"stage": "dialled", "dial": "+15005550199"},
        "in-progress",
        "",
        Dial("+15005550199"),
        {"stage": "dialled"},
    ),
    (
        "the transfer went well",
        {"stage": "dialled", "dial": "+15005550199"},
        "in-progress",
        "completed",
        HangUp(),
        {"stage": "over", "outcome": "transferred"},
    ),
    (
        "nobody answered and the flow goes on",
        {"stage": "dialled", "dial": "+15005550199", "way_back": True, "stream": 1, "claimed": 1},
        "in-progress",
        "no-answer",
        Stream(),
        {"stage": "streaming", "stream": 2, "dial_status": "no-answer"},
    ),
    (
        "nobody answered and there is another number",
        {"stage": "dialled", "dial": "+15005550199", "briefing": "A call.", "outcome": "transferred"},
        "in-progress",
        "busy",
        Dial("+15005550188", instead=True),
        {"stage": "dialled", "dial": "+15005550188", "briefing": "", "outcome": "transferred"},
    ),
    (
        "nobody answered at that one either",
        {"stage": "dialled", "dial": "+15005550188", "outcome": "transferred"},
        "in-progress",
        "no-answer",
        NobodyFree(),
        {"stage": "over", "outcome": "failed: transfer no-answer"},
    ),
    (
        "nobody answered after we had failed",
        {"stage": "dialled", "dial": "+15005550188", "outcome": "failed: brain"},
        "in-progress",
        "no-answer",
        NobodyFree(),
        {"stage": "over", "outcome": "failed: brain"},
    ),
    (
        "asked again after nobody had answered",
        {"stage": "over", "outcome": "failed: transfer busy"},
        "in-progress",
        "busy",
        NobodyFree(),
        {"stage": "over", "outcome": "failed: transfer busy"},
    ),
    (
        "a transfer with a briefing",
        {"stage": "transfer", "dial": "+15005550199", "briefing": "A call about an invoice."},
        "in-progress",
        "",
        Dial("+15005550199", "A call about an invoice."),
        {"stage": "dialled"},
    ),
    (
        "the person took it",
        {"stage": "dialled", "dial": "+15005550199", "briefing": "A call.", "accepted": True, "way_back": True},
        "in-progress",
        "completed",
        HangUp(),
        {"stage": "over", "outcome": "transferred"},
    ),
    (
        "the person declined",
        {"stage": "dialled", "dial": "+15005550199", "briefing": "A call.", "way_back": True, "claimed": 1},
        "in-progress",
        "completed",
        Stream(),
        {"stage": "streaming", "dial_status": "declined", "briefing": "", "way_back": False},
    ),
    (
        "the person declined, and the flow goes on only after a talk",
        {"stage": "dialled", "dial": "+15005550188", "briefing": "A call.", "way_on": True},
        "in-progress",
        "completed",
        NobodyFree(),
        {"stage": "over", "outcome": "failed: transfer declined"},
    ),
    (
        "they have talked and the flow goes on",
        {"stage": "dialled", "dial": "+15005550199", "way_on": True, "claimed": 1, "outcome": "transferred"},
        "in-progress",
        "completed",
        Stream(),
        {"stage": "streaming", "stream": 2, "dial_status": "completed", "way_on": False, "outcome": ""},
    ),
    (
        "the caller hung up while they talked",
        {"stage": "dialled", "dial": "+15005550199", "way_on": True, "outcome": "transferred"},
        "completed",
        "completed",
        HangUp(),
        {"stage": "over", "outcome": "transferred"},
    ),
    (
        "keys are to be pressed",
        {"stage": "keys", "dial": "1w2#", "claimed": 1, "tries": 2},
        "in-progress",
        "",
        Stream(keys="1w2#"),
        {"stage": "streaming", "stream": 2, "tries": 2, "dial": "", "dial_status": ""},
    ),
    ("the stream was lost", {"claimed": 1}, "in-progress", "", Stream(), {"stream": 2, "tries": 1}),
    ("the stream never began", {"claimed": 0}, "in-progress", "", Stream(pause_s=1), {"stream": 2, "tries": 1}),
    ("three in a row", {"stream": 4, "tries": 3}, "in-progress", "", Dial("+15005550188"), {"stage": "dialled"}),
]


@pytest.mark.parametrize(
    ("stored", "call", "dial", "decision", "changed"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_the_table(stored: dict[str, Any], call: str, dial: str, decision: Decision, changed: dict[str, Any]) -> None:
    after, decided = decide(entry(**stored), call, dial, "+15005550188")
    assert decided == decision
    assert {name: getattr(after, name) for name in changed} == changed


def test_without_a_fallback_number_the_last_word_is_an_apology() -> None:
    after, decided = decide(entry(stream=4, tries=3), "in-progress", "", None)
    assert decided == Apologise()
    assert after.outcome.startswith("failed")


@pytest.mark.parametrize("how", ["busy", "no-answer", "failed", "canceled", "declined", "something new"])
@pytest.mark.parametrize("fallback", ["+15005550188", None])
def test_a_caller_whom_nobody_takes_always_hears_words(how: str, fallback: str | None) -> None:
    dialled = entry(stage="dialled", dial="+15005550199", outcome="transferred")
    after, decided = decide(dialled, "in-progress", how, fallback)
    if fallback:
        assert decided == Dial(fallback, instead=True)
        after, decided = decide(after, "in-progress", how, fallback)
    assert decided == NobodyFree()
    assert after.outcome == f"failed: transfer {how}"
    after, decided = decide(dialled.model_copy(update={"way_back": True}), "in-progress", how, fallback)
    assert (decided, after.dial_status) == (Stream(), how)


@pytest.mark.parametrize(
    ("accepted", "bridged", "talked"),
    [(True, None, True), (False, None, False), (False, True, True), (True, False, False), (True, True, True)],
)
def test_whether_a_briefed_person_talked_is_told_best_by_the_carrier(
    accepted: bool, bridged: bool | None, talked: bool
) -> None:
    """Pressing the key couldn't be stored, or they hung up with the key still under the finger."""
    dialled = entry(stage="dialled", dial="+15005550199", briefing="A call.", accepted=accepted, outcome="transferred")
    after, _ = decide(dialled, "in-progress", "completed", None, bridged)
    assert after.outcome == ("transferred" if talked else "failed: transfer declined")


def test_without_a_briefing_whoever_answers_has_taken_it() -> None:
    after, decided = decide(entry(stage="dialled", dial="+15005550199"), "in-progress", "completed", None, False)
    assert (decided, after.outcome) == (HangUp(), "transferred")


def test_how_a_transfer_went_is_kept_until_a_stream_has_begun() -> None:
    after, _ = decide(
        entry(stage="dialled", dial="+15005550199", way_back=True, claimed=1), "in-progress", "busy", None
    )
    after, decided = decide(after, "in-progress", "", None)
    assert (decided, after.dial_status) == (Stream(pause_s=1), "busy")
    begun = after.model_copy(update={"claimed": after.stream})
    after, decided = decide(begun, "in-progress", "", None)
    assert (decided, after.dial_status) == (Stream(), "")


def test_keys_are_pressed_once() -> None:
    after, decided = decide(entry(stage="keys", dial="123", claimed=1), "in-progress", "", None)
    assert decided == Stream(keys="123")
    after, decided = decide(after, "in-progress", "", None)
    assert decided == Stream(pause_s=1)  # the stream after the keys never began
    assert decide(entry(stage="keys", dial="123"), "completed", "", None)[1] == HangUp()


def test_a_person_takes_the_call_that_they_were_dialled_for() -> None:
    dialled = entry(stage="dialled", stream=2, briefing="A call.")
    taken = accept(dialled, 2)
    assert taken is not None
    assert taken.accepted
    assert accept(taken, 2) == taken
    for other in (
        {"stage": "over"},
        {"stage": "streaming"},
        {"stream": 3},  # another transfer of the same call
        {"briefing": ""},
    ):
        assert accept(dialled.model_copy(update=other), 2) is None


@given(
    st.sampled_from(["streaming", "transfer", "dialled", "keys", "over"]),
    st.sampled_from(["in-progress", "completed", "busy", ""]),
    st.sampled_from(["", "completed", "busy", "no-answer", "nonsense"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "A call."]),
    st.sampled_from([None, "+15005550188"]),
)
def test_asked_again_and_again_it_always_comes_to_an_end(
    stage: Any, call: str, dial: str, way_back: bool, way_on: bool, briefing: str, fallback: str | None
) -> None:
    now = entry(stage=stage, dial="+15005550199", way_back=way_back, way_on=way_on, briefing=briefing)
    for _ in range(10):
        now, decided = decide(now, call, dial, fallback)
        if call in OVER:
            assert decided == HangUp()
    # A transfer that is only ever asked for goes on being dialled; all else is over by now.
    assert now.stage == "over" or (now.stage == "dialled" and not dial)
