"""What the carrier is told when a stream or a transfer has ended."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.next_step import Apologise, Decision, Dial, HangUp, Stream, decide
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
        "nobody answered and that is that",
        {"stage": "dialled", "dial": "+15005550199"},
        "in-progress",
        "busy",
        Apologise(),
        {"stage": "over"},
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


@given(
    st.sampled_from(["streaming", "transfer", "dialled", "over"]),
    st.sampled_from(["in-progress", "completed", "busy", ""]),
    st.sampled_from(["", "completed", "busy", "no-answer", "nonsense"]),
    st.booleans(),
)
def test_asked_again_and_again_it_always_comes_to_an_end(stage: Any, call: str, dial: str, way_back: bool) -> None:
    now = entry(stage=stage, dial="+15005550199", way_back=way_back)
    for _ in range(10):
        now, decided = decide(now, call, dial, None)
        if call in OVER:
            assert decided == HangUp()
    # A transfer that is only ever asked for goes on being dialled; all else is over by now.
    assert now.stage == "over" or (now.stage == "dialled" and not dial)
