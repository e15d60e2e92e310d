"""Payment card numbers are taken out of what callers say, type and press, before anything is stored or a model sees it.

A card number has 13 to 19 digits, the first of them 2 to 6, and ends in a check digit (Luhn's)."""

import re
from collections.abc import Sequence

from stdnum import luhn

from domain.keypad import longest
from schemas.variable import Variable

REDACTED = "[card number]"
SHORTEST, LONGEST = 13, 19
"""Digits."""
KNOWN = 6
"""So many digits of a card number say only who issued it."""
NO_KEY = "x"
"""Stands for a key that is not to be known."""

_WORDS = {"zero": "0", "oh": "0", "o": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
_WORDS |= {"seven": "7", "eight": "8", "nine": "9"}
_DIGIT = rf"(?:\d|\b(?:{'|'.join(_WORDS)})\b)"
_RUN = re.compile(rf"{_DIGIT}(?:[\s,.\-]*{_DIGIT})*", re.IGNORECASE)
_EACH = re.compile(_DIGIT, re.IGNORECASE)


def redact(text: str) -> str:
    """The text without card numbers, in figures or in words."""
    return _RUN.sub(lambda run: REDACTED if holds_card(_digits(run[0])) else run[0], text)


def redact_unfinished(text: str, asked: Sequence[Variable]) -> str:
    """The same for words that may go on: a run of digits that is longer than what was asked for may yet become one."""
    most = _expected(asked)

    def shortened(run: re.Match[str]) -> str:
        digits = list(_EACH.finditer(run[0]))
        return run[0] if len(digits) <= most else run[0][: digits[most - 1].end()] + " …"

    return _RUN.sub(shortened, redact(text))


def holds_card(digits: str) -> bool:
    """Whether a card number is among these digits."""
    return any(
        is_card(digits[at : at + length])
        for length in range(SHORTEST, min(LONGEST, len(digits)) + 1)
        for at in range(len(digits) - length + 1)
    )


def is_card(digits: str) -> bool:
    """Whether they are a card number, all of them."""
    return SHORTEST <= len(digits) <= LONGEST and digits[0] in "23456" and luhn.is_valid(digits)


class KeyGuard:
    """Keys that follow one another: the first ones are let through at once, those that might complete a card number are
    kept back until it is known what they are."""

    def __init__(self) -> None:
        self._passed = ""
        self._kept = ""

    @property
    def keeps(self) -> bool:
        """Whether keys are kept back; `done` is to be called once none comes for a while."""
        return bool(self._kept)

    def press(self, key: str, asked: Sequence[Variable]) -> str:
        """The keys that may be known now."""
        if not key.isdecimal():
            known = self.done() + key
            self.forget()
            return known
        if not self._kept and len(self._passed) < _expected(asked):
            self._passed += key
            return key
        self._kept += key
        return self.done() if len(self._passed + self._kept) > LONGEST else ""

    def done(self) -> str:
        """No more keys come for now: those that were kept back, each as NO_KEY if they completed a card number."""
        kept, self._kept = self._kept, ""
        self._passed += kept
        found = is_card if len(self._passed) <= LONGEST else holds_card
        return NO_KEY * len(kept) if found(self._passed) else kept

    def forget(self) -> None:
        """Another turn of the caller's begins: what they press now belongs to no number from before."""
        self._passed = self._kept = ""


def _expected(asked: Sequence[Variable]) -> int:
    """How many digits in a row may be told at once: as many as were asked for, if a card number has more."""
    return max([KNOWN, *(min(longest(variable), SHORTEST - 1) for variable in asked)])


def _digits(run: str) -> str:
    return "".join(_WORDS.get(each[0].lower(), each[0]) for each in _EACH.finditer(run))
