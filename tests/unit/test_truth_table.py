"""What an equation comes to for every kind of value: held against values that nobody chose."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.conditions import outcome
from domain.truth_table import MOST_ROWS, truth
from schemas.variable import Choice, Variable

VARIABLES = {
    "n": Variable(name="n", kind="number"),
    "m": Variable(name="m", kind="number"),
    "ok": Variable(name="ok", kind="yes_no"),
    "topic": Variable(name="topic", kind="choice", choices=(Choice(value="a"), Choice(value="b"), Choice(value="c"))),
    "day": Variable(name="day", kind="date"),
}

numbers = st.integers(-4, 9) | st.floats(-4, 9).map(lambda x: round(x, 2))
days = st.dates().map(lambda day: day.isoformat())
state = st.fixed_dictionaries(
    {},
    optional={"n": numbers, "m": numbers, "ok": st.booleans(), "topic": st.sampled_from("abc"), "day": days},
)
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
atoms = st.one_of(
    st.tuples(st.sampled_from(["n", "m"]), signs, st.integers(-3, 8).map(str)).map(" ".join),
    st.tuples(st.integers(-3, 8).map(str), signs, st.sampled_from(["n", "m"])).map(" ".join),
    st.tuples(st.just("topic"), st.sampled_from(["==", "!="]), st.sampled_from(["'a'", "'b'", "'x'", "null"])).map(
        " ".join
    ),
    st.tuples(st.just("day"), signs, days.map(repr)).map(" ".join),
    st.sampled_from(["ok", "!ok", "ok == true", "ok != null", "n == null", "topic in ['a', 'b']", "n in [1, 2.5]"]),
)
equations = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(" ".join),
        inner.map(lambda text: f"!({text})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(equation=equations, states=st.lists(state, min_size=1, max_size=8))
def test_what_never_holds_never_does(equation: str, states: list[dict[str, Any]]) -> None:
    table = truth(equation, VARIABLES)
    assert len(table.rows) <= MOST_ROWS
    found = {outcome(equation, VARIABLES, values) for values in states}
    if table.whole:
        assert found <= set(table.rows.values())
    for name in table.names:
        unset = {outcome(equation, VARIABLES, {**values, name: None}) for values in states}
        if table.whole and table.needs(name):
            assert True not in unset
        if table.whole and table.forces(name):
            assert unset == {True}


@pytest.mark.parametrize(
    ("equation", "whole", "never"),
    [
        ("n > 3 && n < 4", True, False),  # 3.5
        ("n > 3 && n < 3", True, True),
        ("n == 3 && n == 3.0", True, False),
        ("topic == 'd'", True, True),
        ("ok == 1", True, True),
        ("day > '2026-01-01' && day < '2025-01-01'", True, True),
        ("{{n}} exists AND NOT {{n}} exists", True, True),
        ("n + 1 == n", False, False),  # it is reckoned: nothing is said
        ("n == m && n != m", False, False),
        ("day.startsWith('x')", False, False),
        ("-n > 3", False, False),
        ("n > -3 && n < -2", True, False),
        (" && ".join(f"v{i} == 'x'" for i in range(30)), False, False),  # too many cases
    ],
)
def test_what_can_be_told_of_an_equation(equation: str, whole: bool, never: bool) -> None:
    table = truth(equation, VARIABLES)
    assert (table.whole, table.never) == (whole, never)
    assert len(table.rows) <= MOST_ROWS


def test_too_many_cases_still_tell_of_each_variable_unset() -> None:
    table = truth(" && ".join(f"v{i} != null" for i in range(12)), {}, most=8)
    assert len(table.rows) == 8
    assert not any(table.forces(f"v{i}") for i in range(12))
