"""Numbers, digits and phone numbers in plain English words."""

import re
from collections.abc import Iterator

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

from domain.moment import Moment
from domain.reading.plain import Finding
from schemas.variable import Variable

_NUMBER = re.compile(
    r"(?<![\w.,:/'-])(?P<sign>minus |negative |-)?(?P<number>\d{1,15}(?:\.\d{1,15})?)(?P<half> and a half)?"
    r"(?: (?P<times>1000|1000000|1000000000))?(?P<more>(?:[ -]\d+)*)(?![\w:/-]|[.,]\d)"
)
_AMOUNTS = {"a couple": 2, "a pair": 2, "half a dozen": 6, "a dozen": 12, "none": 0}
_AMOUNT = re.compile(rf"\b(?:{'|'.join(_AMOUNTS)})\b")


def numbers(_: Variable, text: str, moment: Moment) -> list[Finding]:
    """All numbers, whole ones as int; several in a row without a value."""
    found = [Finding(_AMOUNTS[m[0]], m.start(), m.end(), 0) for m in _AMOUNT.finditer(text)]
    for match in _NUMBER.finditer(text):
        number: int | float = float(match["number"]) if "." in match["number"] else int(match["number"])
        number += 0.5 if match["half"] else 0
        number *= int(match["times"] or 1) * (-1 if match["sign"] else 1)
        # "Two thirty" is not one number.
        found.append(Finding(None if match["more"] else number, match.start(), match.end(), 0))
    return found


_DIGIT = r"(?:(?:double|triple) )?(?:\d+|o(?![\w']))"
_BETWEEN_DIGITS = r"(?:[ .,/-]|\b(?:and|then|um+|uh+|dash|hyphen|space|dot)\b)+"
_RUN = re.compile(rf"(?<![\w'])\+?{_DIGIT}(?:{_BETWEEN_DIGITS}{_DIGIT})*(?![\w'])")
_REPEATED = re.compile(r"(?P<times>double|triple) (?P<digit>\d|o)")


def runs(text: str) -> Iterator[tuple[str, int, int]]:
    """Digits said one after the other, as "47129" or "+4420…", and where they begin and end."""
    for match in _RUN.finditer(text):
        if re.search(r"\d", match[0]):
            run = _REPEATED.sub(lambda m: m["digit"] * (2 if m["times"] == "double" else 3), match[0])
            yield re.sub(r"[^\d+]", "", re.sub(r"\bo+", lambda o: "0" * len(o[0]), run)), match.start(), match.end()


def digits(variable: Variable, text: str, moment: Moment) -> list[Finding]:
    """All digits in a row that are as many as the variable wants."""
    fewest, most = variable.digits
    return [
        Finding(run, start, end, 0) for run, start, end in runs(text) if run.isdigit() and fewest <= len(run) <= most
    ]


def phones(_: Variable, text: str, moment: Moment) -> list[Finding]:
    """All phone numbers, in E.164."""
    found = []
    for run, start, end in runs(text):
        number = _phone(run, moment.country)
        if number and _length(number) == ValidationResult.IS_POSSIBLE:
            e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
            found.append(Finding(e164, start, end, 0))
    return found


def takes_more(e164: str, country: str) -> bool:
    """Whether a phone number with one digit more is possible, too."""
    number = _phone(e164 + "0", country)
    return number is not None and _length(number) == ValidationResult.IS_POSSIBLE


def is_phone_begun(run: str, country: str) -> bool:
    """Whether digits are too few for a phone number."""
    number = _phone(run, country)
    if number is None:
        return len(run) < 4
    return _length(number) in (ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY)


def _phone(run: str, country: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(run, country)
    except phonenumbers.NumberParseException:
        return None


_length = phonenumbers.is_possible_number_with_reason
