"""Who a carrier says is calling."""

import phonenumbers

_WITHHELD = {
    "+266696687",  # ANONYMOUS
    "+7378742833",  # RESTRICTED
    "+2562533",  # BLOCKED
    "+8656696",  # UNKNOWN
    "+86282452253",  # UNAVAILABLE
}
"""What carriers write for nobody: words, spelt on a keypad."""


def is_withheld(said: str) -> bool:
    """Whether it stands for a caller without a number: nothing, a word, an address (SIP)."""
    return said in _WITHHELD or said.startswith("sip:") or not any(sign.isdigit() for sign in said)


def caller_id(said: str, country: str = "") -> str:
    """The number, in E.164; empty without one. In a country (ISO 3166, two letters) as it is written there, too."""
    if is_withheld(said):
        return ""
    try:
        number = phonenumbers.parse(said, country or None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
