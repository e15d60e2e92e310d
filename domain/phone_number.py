"""Telephone numbers."""

import phonenumbers


def is_number(text: str) -> bool:
    """E.164, and of a length that its country has."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    same = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == text
    # Not is_possible_number: it takes a local number, without its area code, for one.
    reason = phonenumbers.is_possible_number_with_reason(number)
    return same and reason == phonenumbers.ValidationResult.IS_POSSIBLE
