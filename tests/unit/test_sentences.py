"""Words as they come → sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.sentences import LONGEST, Sentences


def split(*pieces: str) -> list[str]:
    sentences = Sentences()
    return [sentence for piece in pieces for sentence in sentences.feed(piece)] + sentences.end()


def test_a_sentence_is_handed_out_as_soon_as_it_is_surely_one() -> None:
    sentences = Sentences()
    assert sentences.feed("Good day.") == ["Good day."]
    assert sentences.feed(" How are you?") == ["How are you?"]
    assert sentences.feed(" It") == []
    assert sentences.end() == ["It"]


@pytest.mark.parametrize(
    "begun",
    ["It is 3.", "Ask Dr.", "Write to info@example.", "Go to www.example.", "At 2 p.m.", "Mr. J.", "It's at No."],
)
def test_what_may_go_on_waits(begun: str) -> None:
    assert Sentences().feed(begun) == []


def test_abbreviations_and_numbers_do_not_end_a_sentence() -> None:
    assert split("Dr. Who comes at 2 p.m. tomorrow. It costs 3.50 euros!") == [
        "Dr. Who comes at 2 p.m. tomorrow.",
        "It costs 3.50 euros!",
    ]


def test_a_sentence_without_end_is_cut_so_that_speaking_can_begin() -> None:
    [first, *_] = split("word " * 100)
    assert len(first) <= LONGEST


@given(st.lists(st.text("ab. !?,\n", max_size=40), max_size=20))
def test_no_word_is_lost_or_doubled(pieces: list[str]) -> None:
    assert "".join("".join(split(*pieces)).split()) == "".join("".join(pieces).split())
