"""The turn table."""

from pathlib import Path

import pytest

from domain.turn import ALWAYS, TURNS, Leave, Phase, after, diagram
from schemas import signals as s

ROOT = Path(__file__).parent.parent.parent


def test_every_phase_has_a_row_and_can_be_left() -> None:
    assert set(TURNS) == set(Phase)
    for phase in Phase:
        ways_out = {after(phase, signal) for signal in (*TURNS[phase], *ALWAYS)} - {phase}
        assert ways_out, phase


def test_every_phase_can_be_reached() -> None:
    reached = {*ALWAYS.values()}
    for row in TURNS.values():
        reached |= set(row.values())
    assert reached == set(Phase)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_lost_line_ends_every_phase_and_another_one_revives_it(phase: Phase) -> None:
    assert after(phase, s.Lost) is Phase.GONE
    assert after(phase, s.Opened) is Phase.THINKING


def test_a_signal_that_the_table_does_not_name_changes_nothing() -> None:
    assert after(Phase.LISTENING, s.Settled) is Phase.LISTENING


def test_nothing_interrupts_the_last_words() -> None:
    assert after(Phase.SPEAKING, Leave) is Phase.LEAVING
    assert after(Phase.LEAVING, s.SpeechBegan) is Phase.LEAVING
    assert after(Phase.LEAVING, s.Finished) is Phase.GONE


def test_the_diagram_in_the_docs_is_the_table_s() -> None:
    assert diagram() in (ROOT / "docs" / "a-call.md").read_text()
