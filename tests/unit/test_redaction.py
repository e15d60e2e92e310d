"""Card numbers are taken out; other numbers stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from domain.redaction import REDACTED, KeyGuard, redact, redact_unfinished
from schemas.variable import Variable

VISA = "4111111111111111"
ORDER = Variable(name="order", kind="digits", digits=(5, 5))
CUSTOMER = Variable(name="customer", kind="digits", digits=(16, 16))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("it's 4111 1111 1111 1111 thanks", f"it's {REDACTED} thanks"),
        ("4111-1111-1111-1111, 12 27, 123", REDACTED),
        ("four one one one " + "one " * 12 + "expires in may", f"{REDACTED} expires in may"),
        ("5555 5555 5555 4444 and 3782 822463 10005", REDACTED.join(["", " and ", ""])),
        ("378282246310005", REDACTED),
        ("order 47129 please", "order 47129 please"),
        ("call +1 500 555 0100 or 0049 30 1234567", "call +1 500 555 0100 or 0049 30 1234567"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),  # its check digit is wrong
        ("on 2026-11-24 at 14:30 for one", "on 2026-11-24 at 14:30 for one"),
        ("one or two, oh I don't know", "one or two, oh I don't know"),
    ],
)
def test_card_numbers_are_taken_out_of_texts(said: str, kept: str) -> None:
    assert redact(said) == kept


@given(st.text(), st.integers(13, 19), st.integers(2, 6), st.randoms(use_true_random=False))
def test_no_card_number_is_left_whatever_stands_around_it(text: str, length: int, first: int, random: object) -> None:
    body = f"{first}" + "".join(str(random.randrange(10)) for _ in range(length - 2))  # type: ignore[attr-defined]
    card = body + luhn.calc_check_digit(body)
    assert card not in redact(f"{text} {card} {text}")


def test_words_that_may_go_on_are_cut_where_a_card_number_may_begin() -> None:
    assert redact_unfinished("my card is 4111 1111 11", ()) == "my card is 4111 11 …"
    assert redact_unfinished("it is 47129", (ORDER,)) == "it is 47129"
    assert redact_unfinished("0 30 12 34 56 78 9", (Variable(name="p", kind="phone"),)) == "0 30 12 34 56 78 9"


def pressed(keys: str, *asked: Variable) -> tuple[str, str]:
    """What is known at once, and what once no more keys come."""
    guard = KeyGuard()
    return "".join(guard.press(key, asked) for key in keys), guard.done()


def test_keys_of_a_card_number_are_never_known() -> None:
    assert pressed(VISA, ORDER) == ("411111", "x" * 10)
    assert pressed(f"{VISA}#", ORDER) == ("411111" + "x" * 10 + "#", "")


def test_keys_of_other_numbers_are_known_in_the_end() -> None:
    assert pressed("47129", ORDER) == ("47129", "")
    assert pressed("1234567890", Variable(name="p", kind="phone")) == ("1234567890", "")
    assert pressed("1234567890123456", CUSTOMER) == ("123456789012", "3456")


def test_a_card_number_pressed_with_pauses_is_still_one() -> None:
    guard = KeyGuard()
    known = "".join(guard.press(key, ()) for key in VISA[:10]) + guard.done()
    known += "".join(guard.press(key, ()) for key in VISA[10:]) + guard.done()
    assert VISA not in known
    assert known.endswith("xxxxxx")
