"""Payment card numbers are taken out of what callers say, type and press, of what tools return and of what a model
writes, before anything is stored or anybody else sees it.

A card number begins with its issuer's digits, is as long as that issuer's are, and ends in a check digit (Luhn's)."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stdnum import luhn

from domain.keypad import longest
from schemas.signals import Returned, Signal, Thought
from schemas.variable import Variable

REDACTED = "[card number]"
LONGEST = 19
"""Digits."""
KNOWN = 6
"""So many digits of a card number say only who issued it."""
MOST_KNOWN = 12
"""Digits in a row that may be told at once where so many were asked for."""
NO_KEY = "x"
"""Stands for a key that is not to be known."""
FORGET_KEYS_S = 10.0
"""No key for so long: those that follow belong to no number from before."""
FORGET_WORDS_S = 30.0
"""The same for digits that are spoken in several turns."""
GROUPS_KNOWN = 2
"""Groups of four digits, spoken in a row, that may be known."""

_ISSUERS = [
    (re.compile(prefix), lengths)
    for prefix, lengths in (
        (r"4", (16, 19)),  # Visa
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        (r"3[47]", (15,)),  # American Express
        (r"3[68]|30[0-5]", (14,)),  # Diners Club
        (r"352[89]|35[3-8]", (16, 17, 18, 19)),  # JCB
        (r"50|5[6-9]|6", (16, 17, 18, 19)),  # Maestro; among its numbers Discover's and UnionPay's
    )
]

_DIGITS = {"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7"}
_DIGITS |= {"eight": "8", "nine": "9"}
_TEENS = {"ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15"}
_TEENS |= {"sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19"}
_TENS = {"twenty": "2", "thirty": "3", "forty": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8"}
_TENS |= {"ninety": "9"}
_WORDS = {**_DIGITS, "oh": "0", "o": "0", **_TEENS}
_SEVERAL = {"double": 2, "triple": 3, "treble": 3}
_ONE = rf"(?:[0-9]|{'|'.join(_DIGITS)}|oh|o)"
_PART = (
    rf"(?:[0-9]+|\b(?:(?P<several>{'|'.join(_SEVERAL)})[\s-]+(?P<one>{_ONE})"
    rf"|(?P<tens>{'|'.join(_TENS)})(?:[\s-]+(?P<unit>{'|'.join(list(_DIGITS)[1:])}))?"
    rf"|(?P<word>{'|'.join(_WORDS)}))\b)"
)
_EACH = re.compile(_PART, re.IGNORECASE)
_FILLERS = "um|uh|uhm|erm|er|hmm|mm|ah|well|and|then|so|ok|okay|next|comma|dash|hyphen|space"
_GAP = re.compile(rf"(?:[^\w+]|\b(?:{_FILLERS})\b)*+", re.IGNORECASE)
_ANY_WORD = re.compile(r"\w+")
MOST_BETWEEN = 3
"""Words between two turns' digits that may still be one number."""
MOST_AFTER = 8
"""Digits after a card number that are taken for its expiry and its code."""


@dataclass(frozen=True, slots=True)
class Part:
    """Digits that were said or written in one piece."""

    digits: str
    start: int
    end: int
    """Where in the text."""


Run = Sequence[Part]
"""Parts with nothing between them that means anything."""


def runs(text: str) -> list[Run]:
    """The digits in a text, in figures and in words: `"it's 4111-22, um, double three, or 5"` → 4111 22 33; 5."""
    flat, found = _flat(text), list[list[Part]]()
    for match in _EACH.finditer(flat):
        part = Part(_value(match), *match.span())
        if found and _GAP.fullmatch(flat, found[-1][-1].end, part.start):
            found[-1].append(part)
        else:
            found.append([part])
    return list(found)


def redact(text: str) -> str:
    """The text without card numbers, and without what follows such a number and may be its expiry and its code."""
    return _replaced(text, [span for run in runs(text) for span in _cards(text, run)])


def redact_all(value: Any) -> Any:
    """The same for all texts and whole numbers of a JSON value."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(name): redact_all(part) for name, part in value.items()}
        case list():
            return [redact_all(part) for part in value]
        case int() if is_card(str(value)):
            return REDACTED
        case _:
            return value


def without_cards(signal: Signal) -> Signal:
    """What a tool returned or a model wrote, without card numbers; any other signal as it is."""
    match signal:
        case Thought(text=text):
            return signal.model_copy(update={"text": redact(text)})
        case Returned(output=output, error=error):
            return signal.model_copy(update={"output": redact_all(output), "error": redact_all(error)})
        case _:
            return signal


def is_card(digits: str) -> bool:
    """Whether they are a card number, all of them."""
    return any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUERS) and luhn.is_valid(
        digits
    )


def may_become_card(digits: str) -> bool:
    """Whether more digits could make a card number of them."""
    return any(len(digits) <= lengths[-1] and prefix.match(digits) for prefix, lengths in _ISSUERS)


class SpeechGuard:
    """A caller's transcripts: a card number that is spoken in several turns is one all the same."""

    def __init__(self) -> None:
        self._before: tuple[str, ...] = ()
        """The digits at the end of earlier turns, a group each."""
        self._now: tuple[str, ...] = ()
        """The same with this turn's, as far as it is final."""
        self._last = 0.0

    def next_turn(self) -> None:
        """What is heard from now on doesn't hold what was heard so far."""
        self._before = self._now

    def hear(self, text: str, final: bool, asked: Sequence[Variable], now: float) -> str:
        """The transcript of this turn so far as it may be known; `now` in seconds of any clock that only goes on."""
        if now - self._last > FORGET_WORDS_S:
            self._before = ()
        found = runs(text)
        before = self._before if found and _few_words(text[: found[0][0].start]) else ()
        known = _completed(text, found[0], before, asked) if found else text
        if final:
            self._now = self._goes_on(text, found, before)
            if found:
                self._last = now
            return redact(known)
        told = len("".join(before)) if may_become_card("".join(before)) else 0
        return redact_unfinished(known, asked, told)

    def _goes_on(self, text: str, found: Sequence[Run], before: tuple[str, ...]) -> tuple[str, ...]:
        if not found:
            return self._before if _few_words(text) else ()
        if not _few_words(text[found[-1][-1].end :]):
            return ()
        groups = (*(before if len(found) == 1 else ()), *_groups(found[-1]))
        while len("".join(groups)) >= LONGEST:
            groups = groups[1:]
        return groups


def redact_unfinished(text: str, asked: Sequence[Variable], told: int = 0) -> str:
    """The same for words that may go on: a run of digits that is longer than what was asked for may yet become one.
    Its first run goes on from `told` digits that are known already."""
    text = redact(text)
    spans = list[tuple[int, int, str]]()
    for run in runs(text):
        most, told = max(_expected(asked) - told, 0), 0
        count = 0
        for part in run:
            fits = min(len(part.digits), most - count)
            if fits < len(part.digits):
                figures = fits if part.end - part.start == len(part.digits) else 0
                spans.append((part.start + figures, run[-1].end, "…" if not figures else " …"))
                break
            count += fits
    return _replaced(text, spans)


class KeyGuard:
    """Keys that follow one another, in whatever turns: the first ones are let through at once, those that might
    complete a card number are kept back until it is known what they are."""

    def __init__(self) -> None:
        self._passed = ""
        self._kept = ""
        self._last = 0.0

    @property
    def keeps(self) -> bool:
        """Whether keys are kept back; `done` is to be called once none comes for a while."""
        return bool(self._kept)

    def press(self, key: str, asked: Sequence[Variable], now: float) -> str:
        """The keys that may be known now; `now` in seconds of any clock that only goes on."""
        if now - self._last > FORGET_KEYS_S and not self._kept:
            self._passed = ""
        self._last = now
        if not key.isdecimal():
            return self.done() + key
        row = self._passed + self._kept + key
        beginnings = range(len(row) - _expected(asked))
        if self._kept or any(may_become_card(row[at:]) for at in beginnings):
            self._kept += key
            return ""
        self._passed = row[-LONGEST:]
        return key

    def done(self) -> str:
        """No more keys come for now: those that were kept back, each as NO_KEY from where a card number begins that
        they complete."""
        row, before, kept = self._passed + self._kept, len(self._passed), self._kept
        self._passed, self._kept = row[-LONGEST:], ""
        for at in range(len(row)):
            if any(is_card(row[at:end]) for end in range(max(before, at) + 1, min(len(row), at + LONGEST) + 1)):
                open_ = max(at - before, 0)
                return kept[:open_] + NO_KEY * (len(kept) - open_)
        return kept


def _expected(asked: Sequence[Variable]) -> int:
    """How many digits in a row may be told at once: as many as were asked for, if a card number has more."""
    return max([KNOWN, *(min(longest(variable), MOST_KNOWN) for variable in asked)])


# --- digits in texts ---


def _flat(text: str) -> str:
    """As long as the text: every figure as one of 0 to 9, and what can't be seen as a blank."""
    if text.isascii():
        return text.replace("_", " ")
    return "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if (figure := unicodedata.decimal(character, None)) is not None:
        return str(figure)
    if character == "_" or unicodedata.category(character) in ("Cf", "Mn"):
        return " "
    normal = unicodedata.normalize("NFKC", character)
    return normal if len(normal) == 1 else character


def _value(part: re.Match[str]) -> str:
    said = {name: word.lower() for name, word in part.groupdict().items() if word}
    match said:
        case {"several": several, "one": one}:
            return _WORDS.get(one, one) * _SEVERAL[several]
        case {"tens": tens, **rest}:
            return _TENS[tens] + _WORDS[rest.get("unit", "zero")]
        case {"word": word}:
            return _WORDS[word]
        case _:
            return part[0]


def _cards(text: str, run: Run) -> list[tuple[int, int, str]]:
    """What is to be replaced in the text by what. A number begins and ends where groups do."""
    phone = text[max(run[0].start - 1, 0)] == "+" and len("".join(part.digits for part in run)) <= 15  # E.164's most
    spans, at = list[tuple[int, int, str]](), 1 if phone else 0
    while at < len(run):
        end = _card_from(run, at) if _may_begin(text, run, at) else None
        if end is None:
            at += 1
            continue
        after = run[end:]
        if sum(len(part.digits) for part in after) <= MOST_AFTER:
            end = len(run)
        spans.append((run[at].start, run[end - 1].end, REDACTED))
        at = end
    return spans


def _may_begin(text: str, run: Run, at: int) -> bool:
    """Digits that are told one by one are one number, unless something parts them."""
    if at == 0 or len(run[at].digits) > 1 or len(run[at - 1].digits) > 1:
        return True
    return text[run[at - 1].end : run[at].start] not in ("", " ", "-")


def _card_from(run: Run, at: int) -> int | None:
    """Where among the parts a card number ends that begins there; one piece of figures may hold its expiry as well."""
    first = run[at].digits
    if len(first) > LONGEST and any(is_card(first[:length]) for length in (16, 15, 14)):
        return at + 1
    digits, found = "", None
    for end in range(at, len(run)):
        digits += run[end].digits
        if len(digits) > LONGEST:
            break
        if is_card(digits):
            found = end + 1
    return found


def _completed(text: str, run: Run, before: tuple[str, ...], asked: Sequence[Variable]) -> str:
    """The text without the run that goes on from earlier turns, if together they are a card number; and without its
    groups of four from the third in a row on, if they may become one."""
    groups = _groups(run)
    for at in range(len(before)):
        if any(is_card("".join((*before[at:], *groups[:end]))) for end in range(1, len(groups) + 1)):
            return _replaced(text, [(run[0].start, run[-1].end, REDACTED)])
    for at in range(len(before) + 1):
        known, row = len(before) - at, (*before[at:], *groups)
        begun = (len(row) == 3 and _expected(asked) < MOST_KNOWN) or (len(row) in (3, 4) and known > 0)
        if begun and {len(group) for group in row} == {4} and may_become_card("".join(row)):
            first = max(GROUPS_KNOWN - known, 0) if len(groups) == len(run) else 0
            return _replaced(text, [(run[first].start, run[-1].end, REDACTED)])
    return text


def _groups(run: Run) -> tuple[str, ...]:
    """The parts' digits; all as one group if they were told one by one."""
    parts = tuple(part.digits for part in run)
    return parts if any(len(part) > 2 for part in parts) else ("".join(parts),)


def _few_words(text: str) -> bool:
    return len(_ANY_WORD.findall(text)) <= MOST_BETWEEN


def _replaced(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    for start, end, instead in reversed(spans):
        text = text[:start] + instead + text[end:]
    return text
