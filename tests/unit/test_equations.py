"""Equations: what they mean, in our words and in others', and what is refused."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import conditions
from domain.conditions import BadEquation, holds, names, outcome
from domain.equation_tokens import LONGEST, tokens
from domain.foreign_equations import from_cel, to_cel

KNOWN = ["name", "date", "ok", "n", "topic"]


@pytest.mark.parametrize(
    ("equation", "values", "truth"),
    [
        ("{{name}} exists AND {{date}} exists", {"name": "Ada", "date": "2026-11-27"}, True),
        ("{{name}} exists AND {{date}} exists", {"name": "Ada"}, False),
        ("name exists", {"name": "Ada"}, True),
        ("{{name}} not exists", {}, True),
        ("{{name}} not_exist", {"name": "Ada"}, False),
        ("{{ name }} not_exists", {}, True),
        ("NOT {{name}} exists", {}, True),
        ("!{{name}} exists", {"name": "Ada"}, False),
        ("not {{n}} > 3", {"n": 2}, True),  # NOT reaches as far as the next AND or OR
        ("NOT {{n}} > 3 AND {{ok}} == true", {"n": 5, "ok": True}, False),
        ("not not {{ok}}", {"ok": True}, True),
        ("{{n}} == 3 or {{n}} == 4 and {{ok}} == true", {"n": 3, "ok": False}, True),  # AND goes before OR
        ("({{n}} == 3 or {{n}} == 4) and {{ok}} == true", {"n": 3, "ok": False}, False),
        ("{{n}} == 3 || {{n}} == 4 && {{ok}}", {"n": 4, "ok": True}, True),
        ("{{n}} >= -1.5 AND n <= 3", {"n": -1.5}, True),
        ("{{topic}} == 'a \"quoted\" AND {{word}}'", {"topic": 'a "quoted" AND {{word}}'}, True),
        ('{{topic}} contains "lamp"', {"topic": "desk lamp"}, True),
        ('{{topic}} contains "lamp"', {}, False),
        ('{{topic}} not_contains "lamp"', {}, True),
        ('NOT {{topic}} contains "lamp"', {"topic": "kettle"}, True),
        ('{{topic}} not contains "lamp"', {"topic": "lamp"}, False),
        ("{{n}} contains '2'", {"n": 123}, True),
        ("{{topic}} in ['a', 'b'] AND name exists", {"topic": "b", "name": "x"}, True),
        ("size({{name}}) > 2 AND {{n}} + 1 == 4", {"name": "Ada", "n": 3}, True),
        ("{{ok}} == true ? {{n}} exists : false", {"ok": True, "n": 1}, True),
        ("{{caller}} exists AND open == true", {"caller": "+15005550006", "open": True}, True),
        ("n < 3", {}, False),  # null can't be compared: it doesn't hold,
        ("NOT n < 3", {}, False),  # and neither does its opposite
        ("'AND' == topic", {"topic": "AND"}, True),  # a word in quotes is a word in quotes
    ],
)
def test_what_equations_mean(equation: str, values: dict[str, Any], truth: bool) -> None:
    assert holds(equation, KNOWN, values) is truth


@pytest.mark.parametrize(
    ("equation", "at", "says"),
    [
        ("", 1, "empty"),
        ("name AND", 9, "missing"),
        ("AND name", 1, "missing"),
        ("name exists exists AND", 23, "missing"),
        ("{{name} exists", 1, "'{'"),
        ("{{Name}} exists", 1, "'Name'"),
        ("{{a b}} exists", 1, "'a b'"),
        ("name = 'x'", 6, "'='"),
        ("name ~ 'x'", 6, "'~'"),
        ("name == 'x", 9, "understood"),
        ("(name", 6, "isn't closed"),
        ("name)", 5, "closes nothing"),
        ("(name]", 6, "closes nothing"),
        ("name not", 9, "'exists'"),
        ("name.first == 'x'", 5, "parts"),
        (".name == 'x'", 1, "parts"),
        ("name.matches('(a+)+')", 6, "regular expressions"),
        ("matches(name, 'a')", 1, "regular expressions"),
        ("[1, 2].all(x, x > 0)", 8, "'all'"),
        ("[1].exists(x, x > n)", 5, "'exists'"),
        ("[1].exists_one(x, x > n)", 5, "'exists_one'"),
        ("[1].map(x, x)", 5, "'map'"),
        ("[1].filter ( x, true)", 5, "'filter'"),
        ("cel.bind(x, n, x)", 5, "'bind'"),
        ("has(name.x)", 1, "'has'"),
        ("n == 1 // all", 9, "comments"),
        ("r'x' == name", 2, "quotes"),
        ("''' ' == name'''", 3, "quotes"),
        ("{'a': 1}[name] == 1", 1, "understood"),
        ("n == 1 n", 8, "extraneous"),
        ("n ==", 5, "the end"),
        ("if == 1", 1, "no variable"),
        ("{{true}} exists", 1, "'true'"),
        ("__import__('os')", 1, "'__import__'"),
        ("(" * 21 + "n" + ")" * 21, 21, "more than 20"),
        ("n == 1 || " * 100 + "n", LONGEST + 1, "longer than"),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(equation: str, at: int, says: str) -> None:
    with pytest.raises(BadEquation) as refusal:
        names(equation)
    assert f"at character {at}:" in str(refusal.value)
    assert says in str(refusal.value)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadEquation, match="'unknown' is not a variable"):
        conditions.check("{{unknown}} exists", KNOWN)
    with pytest.raises(BadEquation, match="'unknown' is not a variable"):
        holds("unknown == 1", KNOWN, {})


@pytest.mark.parametrize(
    ("equation", "reads"),
    [
        ("{{name}} exists AND size(date) > 3", {"name", "date"}),
        ("name.startsWith('date')", {"name"}),
        ("type(n) == int && true", {"n"}),
        ("open && caller != null", {"open", "caller"}),
        ("1 == 1", set()),
    ],
)
def test_the_names_that_an_equation_reads(equation: str, reads: set[str]) -> None:
    assert names(equation) == reads


def test_plain_cel_stays_as_it_is() -> None:
    """`!` binds as CEL has it, where NOT reaches further."""
    assert holds("!ok == false", KNOWN, {"ok": True})
    assert holds(
        "name.contains('d') && date in ['a', 'b'] ? n > 3 : n < 3", KNOWN, {"name": "Ada", "date": "c", "n": 1}
    )


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("name != null && date != null", "{{name}} exists AND {{date}} exists"),
        ("name == null || n >= 3", "{{name}} not exists OR {{n}} >= 3"),
        ("!(ok == true) && (n == -1 || n == 2)", "NOT ({{ok}} == true) AND ({{n}} == -1 OR {{n}} == 2)"),
        ("name.startsWith('A')", None),
        ("n + 1 == 2", None),
        ("ok ? n == 1 : n == 2", None),
        ("!ok", None),
    ],
)
def test_cel_in_the_words_of_others(equation: str, words: str | None) -> None:
    assert from_cel(tokens(equation)) == words


# --- whatever is written, and whatever the values are ---

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)
state = st.fixed_dictionaries({}, optional=dict.fromkeys(KNOWN, values))
SCRAPS = r"""
name date ok n topic {{name}} {{n}} {{Name}} AND OR NOT and or not exists not_exist contains not_contains == != < <= >
>= && || ! ( ) [ ] , ? : . + - * / % in 'a' "b" 1 -2.5 0x1F 3u true false null size( .size() .contains( .all(x, .map(
matches( timestamp( duration('1s') int( string( { } // ''' r'x' ` \ if
"""
scraps = st.lists(st.sampled_from([*SCRAPS.split(), "\n"]), max_size=30).map(" ".join)
atoms = st.sampled_from(["{{name}} exists", "date not exists", "n > 3", "{{n}} <= -2", "ok == true", "{{topic}} == 'a'",
                         "topic contains 'b'", "name not_contains \"c\"", "n in [1, 2]", "ok"])  # fmt: skip
sound = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR", "&&", "||"]), inner).map(" ".join),
        inner.map(lambda text: f"NOT ({text})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(equation=st.text(max_size=60) | scraps, state=state)
def test_no_text_and_no_value_does_harm(equation: str, state: dict[str, Any]) -> None:
    with suppress(BadEquation):
        holds(equation, KNOWN, state)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(equation=sound, state=state)
def test_a_sound_equation_never_raises(equation: str, state: dict[str, Any]) -> None:
    assert outcome(equation, KNOWN, state) in (True, False, None)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(equation=sound, state=state)
def test_the_words_of_others_and_back_mean_the_same(equation: str, state: dict[str, Any]) -> None:
    cel = to_cel(equation, tokens(equation))
    words = from_cel(tokens(cel))
    if words is not None:
        assert outcome(words, KNOWN, state) == outcome(cel, KNOWN, state) == outcome(equation, KNOWN, state)


@pytest.mark.parametrize(
    "equation",
    [
        "name + " * 140 + "name == 'x'",
        "n == 1 || " * 99 + "n==2",
        "!" * 990 + "ok",
        "NOT " * 240 + "ok",
        "-" * 990 + "n == 1",
        "ok ? 1 : " * 100 + "2 == 2",
        "{{" + " " * 900 + "n exists",
        "'" + "\\" * 900,
        "[" * 20 + "n" + "]" * 20 + " == 1",
    ],
)
def test_the_longest_equations_end(equation: str) -> None:
    """However they end: CEL gives up beyond 32 levels."""
    assert len(equation) <= LONGEST
    with suppress(BadEquation):
        outcome(equation, KNOWN, {"name": "x" * 1000, "n": 1, "ok": True})
