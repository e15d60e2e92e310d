"""Telephone numbers."""

import phonenumbers
from phonenumbers import PhoneNumberFormat


def is_number(text: str) -> bool:
    """E.164, and of a length that its country has."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    same = phonenumbers.format_number(number, PhoneNumberFormat.E164) == text
    # Not is_possible_number: it takes a local number, without its area code, for one.
    reason = phonenumbers.is_possible_number_with_reason(number)
    return same and reason == phonenumbers.ValidationResult.IS_POSSIBLE


def as_written(e164: str, country: str) -> tuple[str, bool]:
    """As the country (ISO 3166 two letters) writes it, from abroad with its code; and whether it is the country's own.
    Raises ValueError for what is no number."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException as error:
        raise ValueError(e164) from error
    is_domestic = number.country_code == phonenumbers.country_code_for_region(country)
    form = PhoneNumberFormat.NATIONAL if is_domestic else PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, form), is_domestic
