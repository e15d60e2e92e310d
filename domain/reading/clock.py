"""Times of day in plain English words: "half past 2", "3 pm", "at 4", "noon".

Which half of the day is meant, the words with the time decide ("in the afternoon"); then the variable's earliest and
latest; then a part of the day named elsewhere ("this evening at 8"); then the business day, 07:00 to 18:59."""

import re

from domain.moment import Moment
from domain.reading.plain import Finding, without
from schemas.variable import Variable

_BUSINESS_DAY = ("07:00", "18:59")
_NOON = 12 * 60

_HOUR = r"(?P<hour>2[0-3]|1\d|0?\d)"
_HALF = r"(?P<half>[ap]m)\b"
_MINUTE = r"(?P<minute>[0-5]\d)"
_BEGIN = r"(?<![\w:/.+'-])(?<!\d )"
_END = r"(?![\w:/'-]|[.,]\d| \d)"
# "Four people" are no hour.
_NO_NOUN = (
    r"(?=$|,| (?:please|works|would|will|is|if|on|in the|at|then|thanks?|today|tomorrow|tonight|this|next|sharp|exactly"
    r"|sounds|should|instead|or|and|to \d|for|i|no|sorry|actually|wait|make|_+)\b)"
)
_PHRASES = [
    (re.compile(pattern), weight)
    for pattern, weight in (
        # A range is not a time.
        (
            rf"\b(?:from|between) (?P<range>\d[\d: apm]*) (?:to|and|till|until) \d[\d:]*(?: [0-5]\d)?(?: [ap]m)?{_END}",
            1,
        ),
        (rf"{_BEGIN}(?:12 )?(?P<name>noon|midday|midnight)\b", 1),
        (rf"\b(?P<past>half) (?:past )?{_HOUR}(?: o'clock)?(?: {_HALF})?{_END}", 1),
        (
            r"(?:\ba )?\b(?P<past>quarter|5|10|20|25|[1-5]?\d(?= minutes?))(?: minutes?)? "
            rf"(?P<side>past|after|to|till|before|(?<=quarter )of) {_HOUR}(?: o'clock)?(?: {_HALF})?{_END}",
            1,
        ),
        (rf"{_BEGIN}{_HOUR}:{_MINUTE}(?: {_HALF})?{_END}", 1),
        (rf"{_BEGIN}{_HOUR}[ .]?{_MINUTE} {_HALF}", 1),
        (rf"{_BEGIN}{_HOUR}{_MINUTE} (?:hours|hrs)\b", 1),
        (rf"\bat {_HOUR}[ .]{_MINUTE}{_END}", 1),
        (rf"\bat {_HOUR}{_MINUTE}{_END}{_NO_NOUN}", 1),
        (rf"{_BEGIN}{_HOUR} (?:o'clock(?: {_HALF})?|(?P<half_>[ap]m)\b)", 1),
        (rf"\bat {_HOUR}{_END}{_NO_NOUN}", 1),
        (rf"{_BEGIN}{_HOUR}[ .]{_MINUTE}{_END}", 0),
        (rf"{_BEGIN}(?=\d{{4}}\b){_HOUR}{_MINUTE}{_END}{_NO_NOUN}", 0),
        (rf"{_BEGIN}{_HOUR}{_END}{_NO_NOUN}", 0),
    )
]
_PART_OF_DAY = re.compile(r"\b(?:morning|afternoon|evening|night|tonight)\b")
_RIGHT_AFTER = re.compile(rf",? (?:(?:in the|at|this|tomorrow) )?(?P<part>{_PART_OF_DAY.pattern})")


def times(variable: Variable, text: str, _: Moment) -> list[Finding]:
    """All times of day named in plain words, "14:30"; ranges without a value."""
    found: list[Finding] = []
    rest = text
    for phrase, weight in _PHRASES:
        here = []
        for match in phrase.finditer(rest):
            said = {name.rstrip("_"): words for name, words in match.groupdict().items() if words is not None}
            here.append(Finding(_time(said, variable, text, match), match.start(), match.end(), weight))
        found += here
        rest = without(rest, here)
    return found


def _time(said: dict[str, str], variable: Variable, text: str, match: re.Match[str]) -> str | None:
    if "range" in said:
        return None
    if "name" in said:
        return "00:00" if said["name"] == "midnight" else "12:00"
    hour, minutes = int(said["hour"]), int(said.get("minute", "0"))
    if "past" in said:
        minutes = {"half": 30, "quarter": 15}.get(said["past"]) or int(said["past"])
        minutes *= -1 if said.get("side") in ("to", "till", "before", "of") else 1
    if hour > 12 or hour == 0:
        return _clock(hour * 60 + minutes)
    morning = (hour * 60 + minutes) % _NOON
    early, late = _clock(morning), _clock(morning + _NOON)
    own = _RIGHT_AFTER.match(text, match.end())
    if part := said.get("half") or (own and own["part"]):
        return late if _is_after_noon(morning, part) else early
    fitting = [clock for clock in (early, late) if _makes_sense(clock, variable)]
    if len(fitting) == 1:
        return fitting[0]
    if parts := _PART_OF_DAY.findall(text):
        return late if _is_after_noon(morning, parts[-1]) else early
    is_written_out = said["hour"].startswith("0") and "minute" in said
    return early if is_written_out or _is_between(early, *_BUSINESS_DAY) else late


def _clock(minutes: int) -> str:
    hour, minute = divmod(minutes % (2 * _NOON), 60)
    return f"{hour:02}:{minute:02}"


def _is_after_noon(morning: int, part: str) -> bool:
    if part in ("night", "tonight"):
        return morning >= 5 * 60
    return part not in ("am", "morning")


def _makes_sense(clock: str, variable: Variable) -> bool:
    return _is_between(clock, (variable.earliest or "00:00").zfill(5), (variable.latest or "23:59").zfill(5))


def _is_between(clock: str, earliest: str, latest: str) -> bool:
    if earliest <= latest:
        return earliest <= clock <= latest
    return clock >= earliest or clock <= latest
