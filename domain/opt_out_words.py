"""The words by which somebody ends, resumes or asks about text messages: Twilio's and the CTIA's."""

import re
from typing import Literal

Wish = Literal["STOP", "START", "HELP"]

_WORDS: dict[Wish, frozenset[str]] = {
    "STOP": frozenset(
        ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "ARRET", "ARRÊT"]
    ),
    "START": frozenset(["START", "UNSTOP", "YES"]),
    "HELP": frozenset(["HELP", "INFO"]),
}


def wish_of(text: str, told: str = "") -> Wish | None:
    """What a text message asks for. `told` is the carrier's own reading of it (Twilio's OptOutType), which knows the
    words of other languages and comes first. Only a message that is nothing else counts, however it is written
    ("Stop.", "opt-out"): "stop by at four" ends nothing."""
    for wish in _WORDS:
        if told.upper() == wish:
            return wish
    word = re.sub(r"[\W_]", "", text).upper()
    return next((wish for wish, words in _WORDS.items() if word in words), None)
