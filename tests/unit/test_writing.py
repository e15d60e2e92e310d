"""Values in writing."""

from datetime import UTC, datetime

import pytest

from domain.moment import Moment
from domain.template import misspelt, written
from domain.writing import write
from schemas.variable import Kind, Value

MOMENT = Moment(datetime(2026, 11, 21, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "value", "language", "expected"),
    [
        ("date", "2026-11-27", "en-US", "Friday 27 November"),
        ("date", "2026-11-21", "en-US", "Saturday 21 November"),  # not "today": it may be read tomorrow
        ("date", "2027-11-26", "en-US", "Friday 26 November 2027"),
        ("date", "2026-11-27", "de-DE", "Freitag, 27. November"),
        ("date", "2027-11-26", "es", "viernes 26 de noviembre de 2027"),
        ("date", "2026-12-01", "fr-FR", "mardi 1 décembre"),
        ("date", "2026-12-05", "it-IT", "sabato 5 dicembre"),
        ("date", "2026-12-06", "nl-NL", "zondag 6 december"),
        ("date", "2026-12-07", "pt-BR", "segunda-feira, 7 de dezembro"),
        ("date", "2026-11-27", "ja-JP", "2026-11-27"),
        ("date", "soon", "en-US", "soon"),
        ("time", "14:30", "en-US", "2:30 PM"),
        ("time", "00:05", "en-US", "12:05 AM"),
        ("time", "12:00", "en-AU", "12:00 PM"),
        ("time", "14:30", "en-GB", "14:30"),
        ("time", "14:30", "de-DE", "14:30"),
        ("time", "25:00", "en-US", "25:00"),
        ("phone", "+15005550100", "en-US", "(500) 555-0100"),
        ("phone", "+4930901820", "en-US", "+49 30 901820"),
        ("phone", "anonymous", "en-US", "anonymous"),
        ("digits", "47129", "en-US", "47129"),
        ("number", 2.5, "en-US", "2.5"),
        ("number", 3, "en-US", "3"),
        ("yes_no", True, "de-DE", "ja"),
        ("yes_no", False, "ja-JP", "False"),
        ("text", "as it is", "en-US", "as it is"),
    ],
)
def test_a_value_in_writing(kind: Kind, value: Value, language: str, expected: str) -> None:
    assert write(kind, value, MOMENT, language) == expected


def test_a_text_is_filled_in() -> None:
    kinds: dict[str, Kind] = {"date": "date", "time": "time"}
    values = {"date": "2026-11-27", "time": "14:30"}
    assert written("{{ date }} at {{time}}{{nothing}}.", values, kinds, MOMENT) == "Friday 27 November at 2:30 PM."


@pytest.mark.parametrize("text", ["{{Date}}", "{{date}", "{{}}", "{{a b}} {{date}}", "date}}", "{{ {{date}} }}"])
def test_what_looks_like_a_placeholder_and_is_none_is_told(text: str) -> None:
    assert misspelt(text)


@pytest.mark.parametrize("text", ["", "{{date}}", "{ {date} }", "{date}", "{{ a_1 }}{{b}}"])
def test_nothing_else_is(text: str) -> None:
    assert misspelt(text) == ""
