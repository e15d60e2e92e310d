"""How many text messages a text makes."""

import pytest

from domain.sms import segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 1600, 11),
        ("ä" * 160, 1),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("€" * 153, 3),  # 76 of them fit into a part of 153 places, since none is cut in two
        ("ç" * 70, 1),  # GSM has but the large one
        ("ç" * 71, 2),
        ("ç" * 134, 2),
        ("ç" * 135, 3),
        ("☕" + "a" * 69, 1),
        ("👍" * 35, 1),
        ("👍" * 36, 2),
        ("👍" * 67, 3),  # 33 in a part of 67
    ],
)
def test_segments(text: str, expected: int) -> None:
    assert segments(text) == expected
