"""Days in plain English words: "the day after tomorrow", "next tuesday", "the 23rd of november", "11/23".

A day that a caller names is today or lies ahead. "Next Tuesday" is the first Tuesday after today, even if that is
tomorrow: people differ, and the agent says the date back. On Tuesdays, "Tuesday" is in a week, "this Tuesday" today."""

import re
from calendar import month_name
from datetime import date, datetime, time, timedelta
from functools import lru_cache

import dateparser

from domain.moment import Moment
from domain.reading.plain import Finding
from schemas.variable import Variable

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
"""A month's name, full or short."""

_MONTH_FIRST = frozenset({"US", "PH"})
"""Where 11/12 is in November."""
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_FORESEEABLE = 92
"""How many days ahead "Tuesday the fifth" is looked for; beyond that, the weekday is more likely a slip."""

_WEEKDAY = (
    r"(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?"
    r"|sat(?:urday)?|sun(?:day)?(?<!the\ sun))\b"
)
_NTH = r"\d{1,2}(?:st|nd|rd|th)\b"
_NUMBER = r"an?|a\ couple\ of|\d{1,3}"
_UNIT = r"day|week|fortnight|month"
# A group's trailing underscores only tell it from its namesake in another alternative.
_PHRASE = re.compile(
    rf"""(?<![\w/.:+-])(?:
    # The 23rd of November; Monday, November 23rd, 2026
    (?:(?P<on>{_WEEKDAY}),?\ )?(?:the\ )?(?:
        (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\ (?:of\ )?(?P<month>{MONTH})\b(?!,?\ (?:the\ )?{_NTH})
      | (?P<month_>{MONTH}),?\ (?:the\ )?(?P<day_>\d{{1,2}})(?:st|nd|rd|th)?(?![\w:/]|\.\d|\ [ap]m\b|\ o'clock)
    )(?:,?\ (?P<year>20\ ?[2-9]\d)\b(?!\ \d))?
    # 2026-11-23; 11/23; 23.11.2026
  | (?P<iso>\d{{4}}-\d{{1,2}}-\d{{1,2}})
  | (?!24/7\b)(?P<first>\d{{1,2}})/(?P<second>\d{{1,2}})(?:/(?P<year_>(?:20)?\d\d))?
  | (?P<first_>\d{{1,2}})(?P<mark>[.-])(?P<second_>\d{{1,2}})(?P=mark)(?P<year__>20\d\d)
    # A week from Monday; in two weeks
  | (?:in\ )?(?:(?P<number>{_NUMBER})\ )?(?P<unit>{_UNIT})s?
    \ (?:(?:from|after|on)\ (?P<start>now|(?:(?:this|next)\ )?{_WEEKDAY})|(?:from\ |after\ )?(?P<start_>today|tomorrow))
  | in\ (?P<number_>{_NUMBER})\ (?P<unit_>{_UNIT})s?(?:'\ time)?
    # Today; the day after tomorrow
  | (?P<ahead>(?:the\ )?day\ after\ tomorrow|tomorrow|today|tonight|this(?=\ (?:morning|afternoon|evening)\b))
  | (?P<gone>yesterday|(?:last|past)\ (?:{_WEEKDAY}|week|month|night))
    # Next Tuesday; Tuesday next week; Tuesday the 5th
  | next\ week,?\ (?:on\ )?(?P<next_week>{_WEEKDAY})
  | (?:(?P<which>this\ coming|this|coming|next|the)\ )?(?P<weekday>{_WEEKDAY})
    (?:,?\ (?P<when>next\ week|after\ next|week)|,?\ (?:on\ )?(?:the\ )?(?P<nth>{_NTH}))?
    # The 14th; the 5th of next month. "The 2nd option" is none.
  | (?P<nth_>(?:on\ (?:the\ )?|the\ )?{_NTH})(?:\ of\ (?P<of>this|next|the)\ month)?
    (?:(?<=month)|(?=$|,|\ (?:at|please|would|works|is|if|in|around|about|then|for|or|and|thanks?|sounds|no|i|_+)\b))
    )(?!\w)""",
    re.VERBOSE,
)


def dates(_: Variable, text: str, moment: Moment) -> list[Finding]:
    """All days named in plain words, "2026-11-27"; the impossible and the past without a value."""
    today = moment.now.date()
    found = []
    month = None
    for match in _PHRASE.finditer(text):
        said = {name.rstrip("_"): words for name, words in match.groupdict().items() if words is not None}
        month = said.get("month", month)
        try:
            day = _day(said, month, today, moment.country)
        except (ValueError, OverflowError):
            day = None
        # "Tonight" is a time of day, too: leave it to be read.
        end = match.start() if match[0] == "tonight" else match.end()
        found.append(Finding(day.isoformat() if day and day >= today else None, match.start(), end))
    return found


def _day(said: dict[str, str], month_named: str | None, today: date, country: str) -> date | None:
    if "month" in said:
        day = _written(int(said["day"]), said["month"], said.get("year", "").replace(" ", ""), today)
        slip = day and "on" in said and day.weekday() != _weekday(said["on"])
        return None if slip else day
    if "iso" in said:
        return datetime.strptime(said["iso"], "%Y-%m-%d").date()
    if "first" in said:
        return _slashed(int(said["first"]), int(said["second"]), said.get("year", ""), today, country)
    if "unit" in said:
        number = said.get("number", "1")
        number = {"a": "1", "an": "1", "a couple of": "2"}.get(number, number)
        return _parsed(f"in {number} {said['unit']}s", _start(said.get("start", "today"), today))
    if "ahead" in said:
        return today + _DAY * (("tomorrow" in said["ahead"]) + ("after" in said["ahead"]))
    if "gone" in said:
        return None
    if "nth" in said:
        return _nth(said, month_named, today)
    if "next_week" in said:
        return _in_next_week(today, _weekday(said["next_week"]))
    weekday = _weekday(said["weekday"])
    match said.get("when") or said.get("which"):
        case "next week":
            return _in_next_week(today, weekday)
        case "after next" | "week":
            return _coming(today, weekday) + _WEEK
        case "this":
            return _coming(today - _DAY, weekday)
        case _:
            return _coming(today, weekday)


@lru_cache(maxsize=512)
def _parsed(phrase: str, start: date) -> date | None:
    """What dateparser makes of a phrase, counting from `start`. It takes up to 1 ms (150 ms the first time in a
    process), and partial transcripts repeat themselves."""
    settings = {"PREFER_DATES_FROM": "future", "RELATIVE_BASE": datetime.combine(start, time())}
    parsed: datetime | None = dateparser.parse(phrase, languages=["en"], settings=settings)
    return parsed.date() if parsed else None


def _written(day: int, month: str, year: str, today: date) -> date | None:
    # For dateparser the 23rd is past on the 23rd: count from yesterday.
    parsed = _parsed(f"{day} {month} {year}".strip(), today - _DAY)
    return parsed if parsed and parsed.day == day else None


def _slashed(first: int, second: int, year: str, today: date, country: str) -> date | None:
    month, day = (first, second) if country in _MONTH_FIRST else (second, first)
    if month > 12:
        month, day = day, month
    if not 1 <= month <= 12:
        return None
    return _written(day, month_name[month], f"20{year[-2:]}" if year else "", today)


def _weekday(words: str) -> int:
    return _WEEKDAYS.index(words[:3])


def _coming(today: date, weekday: int) -> date:
    """The first such weekday after today."""
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def _in_next_week(today: date, weekday: int) -> date:
    return today + timedelta(days=7 - today.weekday() + weekday)


def _start(words: str, today: date) -> date:
    match words.split()[-1]:
        case "now" | "today":
            return today
        case "tomorrow":
            return today + _DAY
        case name:
            return _coming(today, _weekday(name))


def _nth(said: dict[str, str], month_named: str | None, today: date) -> date | None:
    number = int(re.sub(r"\D", "", said["nth"]))
    if month_named and "of" not in said and "weekday" not in said:
        return _written(number, month_named, "", today)
    for day in (today + ahead * _DAY for ahead in range(_FORESEEABLE)):
        months_ahead = (day.year - today.year) * 12 + day.month - today.month
        if (
            day.day == number
            and ("of" not in said or months_ahead == (said["of"] == "next"))
            and ("weekday" not in said or day.weekday() == _weekday(said["weekday"]))
        ):
            return day
    return None
