"""Typed values in writing, for messages: in words that still hold when they are read."""

from dataclasses import dataclass
from datetime import date, timedelta

from domain.moment import Moment
from domain.phone_number import as_written
from schemas.variable import Kind, Value

_NEXT_TIME = timedelta(days=300)
"""A day farther away than this is written with its year."""


@dataclass(frozen=True, slots=True)
class _Language:
    weekdays: tuple[str, ...]
    """From Monday."""
    months: tuple[str, ...]
    date: str
    """Of `{weekday}`, `{day}` and `{month}`."""
    year: str
    """What follows it."""
    yes: str
    no: str
    half_days: bool = False
    """Whether the clock has AM and PM."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LANGUAGES = {
    "en": _Language(
        _names("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        _names("January February March April May June July August September October November December"),
        "{weekday} {day} {month}", " {year}", "yes", "no", half_days=True,
    ),
    "de": _Language(
        _names("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
        _names("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
        "{weekday}, {day}. {month}", " {year}", "ja", "nein",
    ),
    "es": _Language(
        _names("lunes martes miércoles jueves viernes sábado domingo"),
        _names("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
        "{weekday} {day} de {month}", " de {year}", "sí", "no",
    ),
    "fr": _Language(
        _names("lundi mardi mercredi jeudi vendredi samedi dimanche"),
        _names("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
        "{weekday} {day} {month}", " {year}", "oui", "non",
    ),
    "it": _Language(
        _names("lunedì martedì mercoledì giovedì venerdì sabato domenica"),
        _names("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
        "{weekday} {day} {month}", " {year}", "sì", "no",
    ),
    "nl": _Language(
        _names("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag"),
        _names("januari februari maart april mei juni juli augustus september oktober november december"),
        "{weekday} {day} {month}", " {year}", "ja", "nee",
    ),
    "pt": _Language(
        _names("segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo"),
        _names("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"),
        "{weekday}, {day} de {month}", " de {year}", "sim", "não",
    ),
}  # fmt: skip
_HALF_DAYS = {"en-GB": False, "en-IE": False}
"""Where the clock isn't as elsewhere in the language."""


def write(kind: Kind, value: Value, moment: Moment, language: str = "en-US") -> str:
    """`"2026-11-27"` → "Friday 27 November", `"14:30"` → "2:30 PM", or "14:30" where the day has 24 hours. A language
    that isn't known gets both as they are stored. A value not of its kind is written as it is."""
    known = _LANGUAGES.get(language.partition("-")[0].lower())
    try:
        match kind:
            case "date" if known:
                return _date(date.fromisoformat(str(value)), moment.now.date(), known)
            case "time" if known and _HALF_DAYS.get(language, known.half_days):
                return _time(str(value))
            case "phone":
                return as_written(str(value), moment.country)[0]
    except ValueError:
        pass
    if isinstance(value, bool) and known:
        return known.yes if value else known.no
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _date(day: date, today: date, language: _Language) -> str:
    names = {"weekday": language.weekdays[day.weekday()], "day": day.day, "month": language.months[day.month - 1]}
    year = "" if abs(day - today) < _NEXT_TIME else language.year.format(year=day.year)
    return language.date.format(**names) + year


def _time(clock: str) -> str:
    hour, minute = (int(part) for part in clock.split(":"))
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError(clock)
    return f"{(hour - 1) % 12 + 1}:{minute:02} {'PM' if hour >= 12 else 'AM'}"
