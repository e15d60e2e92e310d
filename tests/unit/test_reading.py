"""What is read from a caller's words, most of it told in reading.yaml."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.moment import Moment
from domain.reading import completeness, read, read_all, wish
from domain.reading.plain import LONGEST, plain
from schemas.variable import Choice, Variable

TABLE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("reading.yaml").read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 21, 9, tzinfo=ZoneInfo("America/New_York"))
MOMENT = Moment(NOW)

EVERY_KIND = (
    Variable(name="ok", kind="yes_no"),
    Variable(name="day", kind="date"),
    Variable(name="time", kind="time", earliest="9:00", latest="17:00"),
    Variable(name="count", kind="number"),
    Variable(name="order", kind="digits", digits=(3, 8)),
    Variable(name="item", kind="choice", choices=(Choice(value="kettle", says=("a blue one", "")),)),
    Variable(name="who", kind="name"),
    Variable(name="phone", kind="phone"),
    Variable(name="note", kind="text"),
)


def cases(part: str) -> list[Any]:
    told = []
    for group in TABLE[part]:
        asked = group.get("variables") or [group["variable"]]
        variables = tuple(Variable.model_validate(variable, strict=False) for variable in asked)
        moment = Moment(NOW, group.get("country", "US"))
        for words, expected in group["cases"].items():
            told.append(pytest.param(variables, words, moment, expected, id=f"{asked[0]['kind']}: {words}"))
    return told


@pytest.mark.parametrize(("variables", "words", "moment", "expected"), cases("read"))
def test_reads_one_value(variables: tuple[Variable], words: str, moment: Moment, expected: Any) -> None:
    value = read(variables[0], words, moment)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("variables", "words", "moment", "expected"), cases("read_all"))
def test_reads_all_that_is_said(variables: tuple[Variable, ...], words: str, moment: Moment, expected: Any) -> None:
    assert read_all(variables, words, moment) == expected


@pytest.mark.parametrize(("variables", "words", "moment", "expected"), cases("completeness"))
def test_knows_whether_an_answer_is_complete(
    variables: tuple[Variable], words: str, moment: Moment, expected: str
) -> None:
    assert completeness(variables[0], words, moment) == expected


@pytest.mark.parametrize(("words", "expected"), TABLE["wish"].items())
def test_hears_wishes(words: str, expected: str | None) -> None:
    assert wish(words) == expected


@pytest.mark.parametrize(
    ("today", "expected"),
    [("2026-11-23", "2026-11-24"), ("2026-11-24", "2026-12-01"), ("2026-11-25", "2026-12-01")],
    ids=["on a Monday", "on a Tuesday", "on a Wednesday"],
)
def test_next_tuesday_is_the_first_one_after_today(today: str, expected: str) -> None:
    moment = Moment(datetime.fromisoformat(f"{today}T09:00:00-05:00"))
    assert read(Variable(name="day", kind="date"), "next tuesday", moment) == expected


def test_today_is_the_organisations_today() -> None:
    day = Variable(name="day", kind="date")
    late = datetime(2026, 11, 21, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    assert read(day, "today", Moment(late)) == "2026-11-21"
    assert read(day, "today", Moment(late.astimezone(ZoneInfo("Europe/Berlin")))) == "2026-11-22"


_VOCABULARY = """
    the of at on in a an and no not or to for next this last from week weeks month day days after before tomorrow today
    monday tuesday sat november february may oh o double point half quarter past minutes noon p m a.m. pm first second
    fifth thirtieth twenty thirty hundred thousand zero one two five nine 0 5 11 23 29 31 99 2026 47129 11/23 99/99/9999
    2026-02-30 9999-12-31 24:00 2:30 +1 555-1234 yes my name is it's i mean sorry bye , . - / : ' # $ !
"""
_WORDS = st.lists(st.sampled_from(_VOCABULARY.split()), max_size=12).map(" ".join)
_MOMENTS = st.builds(
    Moment,
    st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(ZoneInfo("America/New_York"))),
    st.sampled_from(["US", "GB", "DE", "ZZ"]),
)


@settings(deadline=None)
@given(words=st.one_of(st.text(), _WORDS), moment=_MOMENTS)
@example(words="9" * 5000, moment=MOMENT)
@example(words="bye " * 1000 + "x", moment=MOMENT)
@example(words="1 " * 1000 + "x", moment=MOMENT)
@example(words="٣:٣٠ ²³ ½", moment=MOMENT)
def test_any_words_can_be_read(words: str, moment: Moment) -> None:
    values = read_all(EVERY_KIND, words, moment)
    if "day" in values:
        assert str(values["day"]) >= moment.now.date().isoformat()
    if "time" in values:
        assert "00:00" <= str(values["time"]) <= "23:59"
    if "order" in values:
        assert 3 <= len(str(values["order"])) <= 8
    for variable in EVERY_KIND:
        assert completeness(variable, words, moment) in ("whole", "partial", "open")
    assert wish(words) in ("human", "repeat", "goodbye", None)


@settings(deadline=None)
@given(st.one_of(st.text(), _WORDS))
def test_plain_words_hold_no_mask(words: str) -> None:
    assert "_" not in plain(words)
    assert plain(words) == plain(words[:LONGEST])
