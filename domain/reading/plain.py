"""A caller's words made plain, so that what was said and what was typed look alike, and what is found in them.

English only so far."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from text_to_num import alpha2digit

from schemas.variable import Value

LONGEST = 1000
"""Characters that are looked at: an answer is short, and the audio loop waits while it is read."""

_DIGIT = "zero|one|two|three|four|five|six|seven|eight|nine|o"


def _rules(*rules: tuple[str, str]) -> Sequence[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


_BEFORE = _rules(
    (r"[’‘`]", "'"),
    (r"[–—]", "-"),
    (r"\s+", " "),
    (r"(?<![a-z])([ap])\.? ?m\b\.?", r"\1m"),
    (r"\bo'? ?clock\b", "o'clock"),
    (r"\boh?,", " "),
    (r"\boh\b", "o"),
    (r"\bm+[ -]?h+m+\b", "mhm"),
    # Words that only look like numbers, or like a time of day.
    (r"\b(this|that|no|any|every|some|which)[ -]one\b(?! (?:[ap]m|o)\b)", r"\1body"),
    (r"\b(?:a|one|1|per) (?:second|sec|moment|minute)\b(?! (?:past|to|of)\b)", "moment"),
    (r"(?<!a )\bgood (?:morning|afternoon|evening|day)\b", "hello"),
    # "Eight hundred five five five" is 800 555, not 805 5 5.
    (rf"\bhundred (?=(?:{_DIGIT}) (?:{_DIGIT})\b)", "hundred, "),
    # Marks that carry no meaning, and those that only part sentences.
    (r"(?<=\d),(?=\d{3}(?:\D|$))", ""),
    (r"(?<![\d.])\.(?=\d)", "0."),
    (r"-(?!\d)|(?<=[a-z])-|/(?!\d)|(?<!\d)/", " "),
    (r"(?<!\d)[.:]|[.:](?!\d)|[!?;]", ","),
    (r"[^\w'+/,.:-]|_", " "),
)
_AFTER = _rules(
    (r"(?<![\d.])\bpoint (?=\d)", "0."),
    (r"\bplus (?=\d)", "+"),
    (r"(?<=\d) ?([ap]m)\b", r" \1"),
    (r"(?:[ ]*,)+", ","),
    (r",(?!\d)", ", "),
    (r" +", " "),
)


@lru_cache(maxsize=256)
def plain(words: str) -> str:
    """`"Tuesday, the Fifth… at half-past two P.M.!"` → `"tuesday, the 5th, at half past 2 pm"`: lower case, numbers as
    digits, of all sentence marks only commas. Holds no underscore. Reads at most LONGEST characters; never raises."""
    text = words[:LONGEST]
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(c, c)) for c in unicodedata.normalize("NFKC", text))
    text = text.lower()
    for pattern, replacement in _BEFORE:
        text = pattern.sub(replacement, text)
    text = alpha2digit(text, "en", 0)
    for pattern, replacement in _AFTER:
        text = pattern.sub(replacement, text)
    return text.strip(" ,")


def listed(phrases: str) -> list[str]:
    """`"yes, of course"` → `["yes", "of course"]`."""
    return [" ".join(phrase.split()) for phrase in phrases.split(",")]


@dataclass(frozen=True, slots=True)
class Finding:
    """A value somewhere in plain words."""

    value: Value | None
    """None if it was said but can't be meant: the thirtieth of February."""
    start: int
    end: int
    weight: int = 1
    """How much it tells by itself what it is: "at four" more than "four", which may be anything and weighs 0. Of two
    findings the weightier counts."""


def without(text: str, findings: Iterable[Finding]) -> str:
    """The same length, with underscores where something was found: nothing is read twice."""
    for found in findings:
        text = text[: found.start] + "_" * (found.end - found.start) + text[found.end :]
    return text


POLITE_END = re.compile(
    r"(?:[ ,]+(?:please|thanks|thank you|then|sir|ma'?am|i think|i guess|if possible|works for me|works|is fine|is good"
    r"|would be (?:good|great|fine|nice|lovely|perfect)|sounds good))*+[ ,]*"
)
"""What adds nothing to an answer before it."""

_CORRECTION = re.compile(
    r"\b(?:no|nope|i mean|i meant|sorry|actually|or rather|wait|make (?:that|it)|scratch that|correction)\b"
)
_DENIAL = re.compile(
    r"\b(?:not|except|anything but|any \w+ but|instead of|rather than|isn't|(?:can't|cannot|don't|won't)(?: \w+){0,2}"
    r"|before|after|until|till|than)(?: (?:on|at|in|for|the|it's|a|an|by))*[ ,]*$"
)
_OR = re.compile(r"[ ,]*\b(?:or|maybe)\b(?: (?:on|at|in|for|the|a|an|maybe))*[ ,]*")


def chosen(findings: Sequence[Finding], text: str) -> Finding | None:
    """The one that the caller settled on. None if there is none, or several that contradict each other.

    Words after a correction ("no", "I mean") replace those before it; what is denied ("not on Tuesday") or only a bound
    ("before four") does not count."""
    kept = [f for f in findings if not _DENIAL.search(text[max(0, f.start - 40) : f.start])]
    corrections = [m.end() for m in _CORRECTION.finditer(text)]
    for since in (*reversed(corrections), 0):
        latest = [f for f in kept if f.start >= since]
        if latest:
            break
    else:
        return None
    heaviest = max(f.weight for f in latest)
    best = [f for f in latest if f.weight == heaviest]
    if any(f.value != best[-1].value for f in best):
        return None
    for other in latest:
        first, second = sorted((other, best[-1]), key=lambda f: f.start)
        if other.value != best[-1].value and _OR.fullmatch(text, first.end, second.start):
            return None
    return best[-1]
