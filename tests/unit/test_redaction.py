"""Card numbers are taken out; other numbers stay."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from domain.redaction import (
    REDACTED,
    KeyGuard,
    SpeechGuard,
    is_card,
    redact,
    redact_all,
    redact_unfinished,
    without_cards,
)
from schemas.signals import Returned, Spent, Thought
from schemas.variable import Variable

VISA = "4111111111111111"
ORDER = Variable(name="order", kind="digits", digits=(5, 5))
CUSTOMER = Variable(name="customer", kind="digits", digits=(16, 16))
PHONE = Variable(name="phone", kind="phone")
YES = Variable(name="yes", kind="yes_no")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("it's 4111 1111 1111 1111 thanks", f"it's {REDACTED} thanks"),
        ("4111-1111-1111-1111, 12 27, 123", REDACTED),
        ("41111111111111111227123", REDACTED),
        ("four one one one " + "one " * 12 + "expires in may", f"{REDACTED} expires in may"),
        ("5555 5555 5555 4444 and 3782 822463 10005", REDACTED.join(["", " and ", ""])),
        ("378282246310005", REDACTED),
        ("3056 930902 5904", REDACTED),
        ("6011 1111 1111 1117 or 3530 1113 3330 0000", f"{REDACTED} or {REDACTED}"),
        ("12 27 4111111111111111 123", f"12 27 {REDACTED}"),
        ("4111–1111—1111‑1111", REDACTED),
        ("4111/1111:1111;1111", REDACTED),
        ("4111_1111'1111’1111", REDACTED),
        ("(4111) [1111] {1111} <1111>", f"({REDACTED}>"),
        ("4111\u200b1111\ufeff1111\u20601111", REDACTED),
        ("４１１１ １１１１ １１１１ １１１１ ﬁn", f"{REDACTED} ﬁn"),
        ("4111, um, 1111 uh and 1111, and then 1111", REDACTED),
        ("four triple one, double one double one, treble 1 one, 1111", REDACTED),
        ("forty-one eleven, eleven eleven, eleven eleven, eleven eleven", REDACTED),
    ],
)
def test_card_numbers_are_taken_out_of_texts(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "order 47129 please",
        "call +1 500 555 0100 or 0049 30 1234567",
        "+4915112345674",  # thirteen digits, and a check digit that fits
        "+374 10 123456 787",
        "4915112345674",
        "my phone's IMEI is 490154203237518 or 35 209900 176148 1",
        "4111 1111 1111 1112",  # its check digit is wrong
        "9111111111111111118",  # nobody issues it
        "on 2026-11-24 at 14:30 for one, and then 2 or 3",
        "one or two, oh I don't know",
        "ﬁve ½ — x² ４ lines",
    ],
)
def test_other_numbers_stay(said: str) -> None:
    assert redact(said) == said


def card(numbers: random.Random) -> str:
    prefix, length = numbers.choice([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("36", 14)])
    body = prefix + "".join(str(numbers.randrange(10)) for _ in range(length - 1 - len(prefix)))
    return body + luhn.calc_check_digit(body)


@given(st.text(), st.integers())
def test_no_card_number_is_left_whatever_stands_around_it(text: str, seed: int) -> None:
    number = card(random.Random(seed))
    assert number not in redact(f"{text} {number} {text}")


@pytest.mark.parametrize(
    ("length", "most"), [(10, 0), (12, 0), (13, 0), (14, 30), (15, 30), (16, 400), (17, 200), (19, 400)]
)
def test_few_numbers_that_are_no_cards_pass_for_one(length: int, most: int) -> None:
    """Of ten thousand random ones."""
    numbers = random.Random(length)
    taken = sum(
        redact(number) != number
        for number in ("".join(str(numbers.randrange(10)) for _ in range(length)) for _ in range(10_000))
    )
    assert taken <= most


def test_words_that_may_go_on_are_cut_where_a_card_number_may_begin() -> None:
    assert redact_unfinished("my card is 4111 1111 11", ()) == "my card is 4111 11 …"
    assert redact_unfinished("it is 47129", (ORDER,)) == "it is 47129"
    assert redact_unfinished("0 30 12 34 56 78 9", (PHONE,)) == "0 30 12 34 56 78 9"


def test_texts_within_what_a_tool_returned_are_cleaned() -> None:
    output = {"cards": [{"number": f"no. {VISA}", "plain": int(VISA), "ok": True}], "name": "Ada", "order": 47129}
    clean = {"cards": [{"number": f"no. {REDACTED}", "plain": REDACTED, "ok": True}], "name": "Ada", "order": 47129}
    assert redact_all(output) == clean
    assert without_cards(Returned(at=1, id="c", output=output)) == Returned(at=1, id="c", output=clean)
    assert without_cards(Returned(at=1, id="c", error=VISA)) == Returned(at=1, id="c", error=REDACTED)
    assert without_cards(Thought(at=1, reply=2, text=f"It's {VISA}.")) == Thought(
        at=1, reply=2, text=f"It's {REDACTED}."
    )
    spent = Spent(at=1, reply=2, prompt_tokens=int(VISA), reply_tokens=1)
    assert without_cards(spent) is spent


# --- spoken in several turns ---


def spoken(*turns: str, asked: tuple[Variable, ...] = (), pause_s: float = 4.0) -> list[str]:
    """What is known of each turn."""
    guard, known = SpeechGuard(), list[str]()
    for number, text in enumerate(turns):
        known.append(guard.hear(text, True, asked, number * pause_s))
        guard.next_turn()
    return known


ONES = "one one one one"


@pytest.mark.parametrize(
    ("turns", "known"),
    [
        (("four one one one", ONES, ONES, ONES), ["four one one one", ONES, REDACTED, REDACTED]),
        (("my card is 4111", "1111", "1111", "1111"), ["my card is 4111", "1111", REDACTED, REDACTED]),
        (("4111 1111", "then 1111 1111"), ["4111 1111", f"then {REDACTED}"]),
        (("4111 1111 1111", "1111 by the way"), [f"4111 1111 {REDACTED}", f"{REDACTED} by the way"]),
        (("3782", "822463", "10005"), ["3782", "822463", REDACTED]),
        (("4111 1111", "um", "1111 1111"), ["4111 1111", "um", REDACTED]),
        (("my order is 47129", "5551234567"), ["my order is 47129", "5551234567"]),
        (("1127", "1430", "2026"), ["1127", "1430", "2026"]),
        (("4111 1111", "now let me look", "1111 1111"), ["4111 1111", "now let me look", "1111 1111"]),
    ],
)
def test_a_card_number_that_is_spoken_in_groups_is_not_known(turns: tuple[str, ...], known: list[str]) -> None:
    assert spoken(*turns) == known


def test_groups_long_after_one_another_are_no_number() -> None:
    assert spoken("4111 1111", "1111 1111", pause_s=60) == ["4111 1111", "1111 1111"]


def test_groups_of_four_that_were_asked_for_are_known() -> None:
    asked = (Variable(name="a", kind="digits", digits=(12, 12)),)
    assert spoken("4111 1111 1111", asked=asked) == ["4111 1111 1111"]


def test_a_transcript_that_grows_within_a_turn_is_counted_once() -> None:
    guard = SpeechGuard()
    assert guard.hear("4111 11", True, (), 0.0) == "4111 11"
    assert guard.hear("4111 11 11", True, (), 1.0) == "4111 11 11"
    guard.next_turn()
    assert guard.hear("1111", False, (), 3.0) == "…"
    assert guard.hear("1111 1111", True, (), 4.0) == REDACTED


# --- pressed ---


def pressed(keys: str, *asked: Variable) -> tuple[str, str]:
    """What is known at once, and what once no more keys come."""
    guard = KeyGuard()
    return "".join(guard.press(key, asked, at * 0.3) for at, key in enumerate(keys)), guard.done()


def test_keys_of_a_card_number_are_never_known() -> None:
    assert pressed(VISA, ORDER) == ("411111", "x" * 10)
    assert pressed(f"{VISA}#", ORDER) == ("411111" + "x" * 10 + "#", "")
    assert pressed(f"1{VISA}1227123", YES) == ("1411111", "x" * 17)
    assert pressed("41111#1111111#1111", YES) == ("41111#1" + "111111#", "xxxx")


def test_keys_of_other_numbers_are_known_in_the_end() -> None:
    assert pressed("47129", ORDER) == ("47129", "")
    assert pressed("1234567890", PHONE) == ("1234567890", "")
    assert pressed("5234567890123456", CUSTOMER) == ("523456789012", "3456")


def test_keys_that_can_be_no_card_number_wait_for_nothing() -> None:
    assert pressed("7891078910789107", YES) == ("7891078910789107", "")
    assert pressed("121121112", YES) == ("121121112", "")


@given(st.integers(), st.lists(st.floats(0, 9), min_size=30, max_size=30), st.text("0123456789", max_size=8))
def test_no_card_number_is_pressed_whole(seed: int, pauses: list[float], before: str) -> None:
    """Whatever is pressed before it, and however slowly."""
    guard, known, now = KeyGuard(), "", 0.0
    number = card(random.Random(seed))
    for key, pause in zip(before + number, pauses, strict=False):
        now += pause
        known += guard.done() if pause >= 2 else ""
        known += guard.press(key, (YES,), now)
    assert number not in known + guard.done()


def test_keys_long_after_one_another_are_no_number() -> None:
    guard = KeyGuard()
    known = "".join(guard.press(key, (), 0.0) for key in VISA[:10]) + guard.done()
    known += "".join(guard.press(key, (), 11.0) for key in VISA[10:]) + guard.done()
    assert known == VISA


def test_the_guard_s_measure_of_a_card() -> None:
    assert [is_card(n) for n in (VISA, VISA[:-1], "", "4" * 13, "5019717010103742")] == [
        True,
        False,
        False,
        False,
        True,
    ]
