"""Words that end, resume or ask about text messages."""

import pytest

from domain.opt_out_words import wish_of


@pytest.mark.parametrize(
    ("text", "told", "expected"),
    [
        *((word, "", "STOP") for word in ("STOP", "stop", " Stop. ", "STOPALL", "stop all", "Unsubscribe", "cancel", "END",
                                          "Quit", "revoke", "opt-out", "OPT OUT", "Arrêt", '"stop"')),
        *((word, "", "START") for word in ("START", "unstop", "Yes")),
        *((word, "", "HELP") for word in ("help", "INFO")),
        ("Basta", "STOP", "STOP"),
        ("YES", "STOP", "STOP"),
        *((text, "", None) for text in ("", "stop by at four", "please cancel my appointment", "stopp", "👍")),
    ],
)  # fmt: skip
def test_wish(text: str, told: str, expected: str | None) -> None:
    assert wish_of(text, told) == expected
