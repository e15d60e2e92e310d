"""Equations, keys, values, opening hours, templates."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain import keypad
from domain.conditions import BadEquation, check, holds
from domain.moment import Moment
from domain.template import aloud, placeholders, plain
from domain.values import valid
from schemas.variable import Choice, Variable

MOMENT = Moment(datetime(2026, 11, 21, 9, tzinfo=ZoneInfo("America/New_York")))
DATE = Variable(name="date", kind="date")
TIME = Variable(name="time", kind="time", earliest="09:00", latest="17:00")
DIGITS = Variable(name="number", kind="digits", digits=(5, 5))
YES = Variable(name="ok", kind="yes_no")
TOPIC = Variable(name="topic", kind="choice", choices=(Choice(value="order"), Choice(value="stock")))


@pytest.mark.parametrize(
    ("equation", "values", "truth"),
    [
        ("date != null", {"date": "2026-11-27"}, True),
        ("date != null", {}, False),
        ("ok == true", {"ok": True}, True),
        ("ok == true", {}, False),
        ("topic == 'order' && ok", {"topic": "order", "ok": True}, True),
        ("number > 3", {"number": 4}, True),
        ("number > 3", {}, False),  # null can't be compared: it doesn't hold
        ("number > 'x'", {"number": 4}, False),
    ],
)
def test_equations(equation: str, values: dict[str, Any], truth: bool) -> None:
    assert holds(equation, ["date", "ok", "topic", "number"], values) is truth


@pytest.mark.parametrize("equation", ["date ==", "unknown == 1", "__import__('os')", "'" * 99])
def test_equations_that_cannot_be_read(equation: str) -> None:
    with pytest.raises(BadEquation):
        check(equation, ["date"])


@pytest.mark.parametrize(
    ("asked", "keys", "enough", "values"),
    [
        (DIGITS, "4712", False, {}),
        (DIGITS, "47129", True, {"number": "47129"}),
        (TOPIC, "2", True, {"topic": "stock"}),
        (TOPIC, "3", True, {}),
        (YES, "1", True, {"ok": True}),
        (YES, "2", True, {"ok": False}),
        (DATE, "1224", True, {"date": "2026-12-24"}),
        (TIME, "1430", True, {"time": "14:30"}),
        (TIME, "9999", True, {}),
        (Variable(name="n", kind="number"), "12", False, {"n": 12}),
        (Variable(name="n", kind="number"), "12#", True, {"n": 12}),
    ],
)
def test_keys(asked: Variable, keys: str, enough: bool, values: dict[str, Any]) -> None:
    assert keypad.enough([asked], keys) is enough
    assert keypad.values([asked], keys, MOMENT) == values


@pytest.mark.parametrize(
    ("variable", "value", "truth"),
    [
        (YES, True, True),
        (YES, "yes", False),
        (DATE, "2026-11-21", True),
        (DATE, "2026-11-20", False),
        (DATE, "tomorrow", False),
        (TIME, "14:30", True),
        (TIME, "25:00", False),
        (DIGITS, "47129", True),
        (DIGITS, "471", False),
        (TOPIC, "order", True),
        (TOPIC, "weather", False),
        (Variable(name="p", kind="phone"), "+15005550100", True),
        (Variable(name="p", kind="phone"), "hello", False),
        (Variable(name="n", kind="number"), True, False),
        (Variable(name="t", kind="text"), "anything", True),
        (Variable(name="t", kind="text"), " ", False),
        (Variable(name="t", kind="text"), None, False),
    ],
)
def test_values_from_a_model_are_checked(variable: Variable, value: Any, truth: bool) -> None:
    assert valid(variable, value, MOMENT) is truth


def test_templates() -> None:
    values: dict[str, Any] = {"date": "2026-11-24", "n": 3}
    assert placeholders("{{date}} at {{ time }}") == {"date", "time"}
    assert aloud("On {{date}}.", values, {"date": "date"}, MOMENT) == "On Tuesday the 24th of November."
    assert aloud("Hello{{name}}.", values, {}, MOMENT) == "Hello."
    assert plain("{{n}}", values) == 3
    assert plain("{{nothing}}", values) is None
    assert plain("no. {{n}}", values) == "no. 3"
