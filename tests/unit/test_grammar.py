"""What is expected → a grammar."""

import re

from adapters.grammar import grammar
from schemas.variable import Choice, Expectation, Kind, Variable


def rules(*kinds: Kind, welcome: tuple[Kind, ...] = ()) -> str:
    """The public rule's text for variables of these kinds."""
    made = grammar(
        Expectation(
            asked=tuple(Variable(name=f"a_{kind}", kind=kind) for kind in kinds),
            welcome=tuple(Variable(name=f"w_{kind}", kind=kind) for kind in welcome),
        ),
        lambda word: True,
    )
    return next(line for line in made.jsgf.splitlines() if line.startswith("public"))


def test_only_what_is_expected_is_in_it() -> None:
    assert "<day>" in rules("date")
    assert "clock" not in rules("date")
    assert "clock" in rules("date", welcome=("time",))
    assert "<a_yes_no>" in rules("yes_no")
    assert "<day>" not in rules("yes_no")


def test_some_wishes_are_always_understood() -> None:
    assert "<always>" in rules("digits")
    assert "<always>" in rules()


def test_digits_are_as_many_as_fit() -> None:
    number = Variable(name="n", kind="digits", digits=(2, 3))
    made = grammar(Expectation(asked=(number,)), lambda word: True)
    assert "<n> = <digit> <digit> [<digit>];" in made.jsgf


def test_a_correction_follows_a_no() -> None:
    assert re.search(r"\bno\b", rules("yes_no", welcome=("date",)))


def test_choices_are_what_they_say_and_those_with_unknown_words_are_told() -> None:
    choices = (Choice(value="blue kettle", says=("a kettle",)), Choice(value="zyxwv"))
    made = grammar(Expectation(asked=(Variable(name="item", kind="choice", choices=choices),)), "zyxwv".__ne__)
    assert "<item> = blue kettle | a kettle;" in made.jsgf
    assert made.left_out == ("zyxwv",)


def test_free_text_adds_nothing() -> None:
    assert rules("text") == rules()
