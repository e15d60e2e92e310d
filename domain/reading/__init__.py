"""Reads typed values out of a caller's words without a model, be they spoken ("three p m") or typed ("3:00 PM").

English only so far. Quick enough for the audio loop, and never raises whatever the words."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from domain.moment import Moment
from domain.reading.calendar import MONTH, dates
from domain.reading.clock import times
from domain.reading.ending import Ending, ending
from domain.reading.names import choices, is_beginning, name
from domain.reading.numbers import digits, is_phone_begun, numbers, phones, runs, takes_more
from domain.reading.plain import POLITE_END, Finding, chosen, plain, without
from domain.reading.wish import wish
from domain.reading.yes_no import yes_or_no
from schemas.variable import Kind, Value, Variable

__all__ = ["Ending", "completeness", "ending", "read", "read_all", "warm_up", "wish"]

_FIND: Mapping[Kind, Callable[[Variable, str, Moment], list[Finding]]] = {
    "date": dates,
    "time": times,
    "number": numbers,
    "digits": digits,
    "phone": phones,
}
_SELF_EVIDENT: Mapping[Kind, Variable] = {
    "date": Variable(name="unasked_date", kind="date"),
    "time": Variable(name="unasked_time", kind="time"),
}


def read(variable: Variable, words: str, moment: Moment) -> Value | None:
    """The variable's value in the caller's words; None if they hold none, an impossible one (the thirtieth of
    February), or several that contradict each other."""
    return read_all((variable,), words, moment).get(variable.name)


def warm_up() -> None:
    """Reads a date once: the first one in a process takes some 150 ms, which no caller should wait for."""
    read(_SELF_EVIDENT["date"], "november first", Moment(datetime(2026, 1, 1, tzinfo=UTC)))


def read_all(variables: Sequence[Variable], words: str, moment: Moment) -> dict[str, Value]:
    """Every variable that the words fill, by name. No words count twice: what fits several goes to the first, unless it
    tells by itself what it is ("at four" is a time, whatever else was asked). A `text` takes all the words if it comes
    first or nothing else was read."""
    found, _ = _findings(variables, plain(words), moment)
    values = {name: finding.value for name, finding in found.items() if finding.value is not None}
    alone = not any(variable.name in found and variable.kind != "yes_no" for variable in variables)
    for variable in variables:
        if variable.kind == "name" and (said := name(variable, words, alone)):
            values[variable.name] = said
            alone = False
        elif variable.kind == "text" and words.strip() and (alone or variable is variables[0]):
            values[variable.name] = words.strip()
    return values


def _findings(variables: Sequence[Variable], text: str, moment: Moment) -> tuple[dict[str, Finding], str]:
    """What fills each variable that isn't a name or a text, and the text without what was taken."""
    found: dict[str, Finding] = {}
    rest = text

    def take(variable: Variable) -> None:
        nonlocal rest
        here = _FIND[variable.kind](variable, rest, moment)
        best = chosen(here, text)
        if best:
            found[variable.name] = best
        rest = without(rest, [f for f in here if f.weight or (f is best and f.value is not None)])

    # Clear days and times go first, asked for or not: their digits are nobody else's.
    for kind, unasked in _SELF_EVIDENT.items():
        for variable in [v for v in variables if v.kind == kind] or [unasked]:
            if any(f.weight for f in _FIND[kind](variable, rest, moment)):
                take(variable)
    for variable in variables:
        if variable.kind == "yes_no" and (answer := yes_or_no(text)):
            found[variable.name] = answer
        elif variable.kind == "choice" and (choice := chosen(choices(variable, text), text)):
            found[variable.name] = choice
        elif variable.kind in _FIND and variable.name not in found:
            take(variable)
    return found, rest


_BARE_NTH = re.compile(r"(?:on )?(?:the )?\d+(?:st|nd|rd|th)")
_BARE_HOUR = re.compile(r"(?:at )?\d{1,2}")
_BARE_MONTH = re.compile(rf"\b{MONTH}$")


def completeness(variable: Variable, words: str, moment: Moment) -> Literal["whole", "partial", "open"]:
    """Whether the caller has finished answering: "whole" for a complete answer, "partial" if more is sure to come
    ("half past", four digits of five), "open" if nobody can tell."""
    text = plain(words)
    found, rest = _findings((variable,), text, moment)
    answer = found.get(variable.name)
    if answer and answer.value is not None and POLITE_END.fullmatch(text, answer.end):
        said = text[answer.start : answer.end]
        return "open" if _may_go_on(variable, said, answer.value, moment) else "whole"
    end = ending(words)
    if end in ("thinking", "unfinished") or _falls_short(variable, rest, moment):
        return "partial"
    if variable.kind == "name" and end != "loose":  # loose: it is being spelt
        full = name(variable, words, alone=True) or ""
        is_likely = full in [choice.value for choice in variable.choices]
        return "whole" if is_likely or (" " in full and text.endswith(plain(full))) else "open"
    return "open"


def _may_go_on(variable: Variable, said: str, value: Value, moment: Moment) -> bool:
    """Whether a complete answer may be the beginning of a longer one."""
    match variable.kind:
        case "date":
            return bool(_BARE_NTH.fullmatch(said))  # of November
        case "time":
            return bool(_BARE_HOUR.fullmatch(said))  # thirty; p.m.
        case "number":
            return isinstance(value, int) and value >= 20 and value % 10 == 0  # two
        case "digits":
            return len(str(value)) < variable.digits[1]
        case "phone":
            return takes_more(str(value), moment.country)
        case "choice":
            return is_beginning(variable, said)
        case _:
            return False


def _falls_short(variable: Variable, text: str, moment: Moment) -> bool:
    """Whether the words end in the middle of an answer: a month without its day, too few digits."""
    match variable.kind:
        case "date":
            return bool(_BARE_MONTH.search(text))
        case "digits":
            return any(len(run) < variable.digits[0] and end == len(text) for run, _, end in runs(text))
        case "phone":
            return any(is_phone_begun(run, moment.country) and end == len(text) for run, _, end in runs(text))
        case _:
            return False
