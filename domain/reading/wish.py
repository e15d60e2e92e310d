"""What callers want that is no answer, in English words."""

import re
from functools import lru_cache
from typing import Literal

from domain.reading.plain import plain

_PERSON = (
    r"(?:human(?: being)?|person|operator|representative|rep|agent|attendant|receptionist|supervisor|manager|advis[eo]r"
    r"|member of staff|customer service)"
)
_ANYBODY = rf"(?:{_PERSON}|someone|somebody|people)"
_SOME = (
    r"(?:(?:a|an|the|your|some|any|another|real|live|actual|human(?= (?:person|agent|operator|rep))"
    r"|to|with|through|over) )*+"
)
# "A representative" is a wish, "a representative sample" is not.
_NO_NOUN = r"(?=$|,| (?:please|now|instead|on|to|about|who|that|right|for|i|because|today|thanks?)\b)"
_HUMAN = re.compile(
    rf"\b(?:speak|talk|chat|speaking|talking) (?:to|with) {_SOME}{_ANYBODY}\b"
    rf"|\b(?:connect|transfer|put|pass|get|give)(?: me)? {_SOME}{_ANYBODY}\b{_NO_NOUN}"
    rf"|\b(?:want|need|like|(?:can|could|may) i (?:have|get)) {_SOME}{_PERSON}\b{_NO_NOUN}"
    rf"|^(?:(?:please|no|just|o|ok|okay|hello|um+|uh+),? )*+{_SOME}{_PERSON}(?:,? (?:please|now|thanks|thank you))*$"
    rf"|^(?:please )?(?:transfer|connect) me(?: please)?$|\b{_ANYBODY} (?:that |who )?i (?:can|could) (?:talk|speak)\b"
)
_NO_HUMAN = re.compile(rf"\b(?:don't|do not|not|no need to|without)\b(?: \w+){{0,4}} {_SOME}{_ANYBODY}\b")

_NOT_HEARD = r"\b(?:didn'?t|did not|couldn'?t|could not|can'?t) (?:quite |really )?"
_REPEAT = re.compile(
    r"\bsay (?:(?:that|it|this) )?(?:1 more time|once more|again|slower|more slowly)\b|\bsay that please$"
    r"|\brepeat (?:that|it|this|the question|yourself|please|what you said)\b"
    r"|\b(?:can|could|would) you (?:please )?repeat$|^(?:please )?repeat(?: please)?$"
    r"|^(?:sorry,? )?pardon(?: me)?(?:,? sorry)?$|\bbeg your pardon\b|\bcome again(?: please)?$"
    r"|\b1 more time\b|\bonce more\b|^what\b.* again$|\bwhat did you (?:just )?say\b"
    r"|^(?:sorry,? )?what was (?:that|it|the question)\b|^(?:sorry|excuse me|wait|what|huh|eh)(?:,? (?:what|sorry))?$"
    rf"|{_NOT_HEARD}(?:hear|catch|understand)(?:$| that\b| you\b| it\b| what you\b)|{_NOT_HEARD}get that\b"
)

_FAREWELL = (
    r"good ?bye|bye|good night|farewell|take care|hang up|end the call|see ya"
    r"|see you later|see you soon|see you then|see you around|see you|talk to you later|talk to you soon"
    r"|have a (?:nice|good|great|lovely|wonderful) (?:day|evening|night|afternoon|morning|weekend|1)"
    r"|i have to go|i've got to go|i got to go|i gotta go|i need to go|i must go"
)
_AROUND_IT = (
    r"ok|okay|alright|all right|thanks|thank you|so much|very much|for your help|for everything|for now|no|yes|great"
    r"|well|then|and|so|o|um|uh|perfect|fine|cool|you too|now|sorry|please|just|i'm done|that's all|that's it"
    r"|that will be all|nothing else"
)
_GOODBYE = re.compile(rf"(?=.*\b(?:{_FAREWELL})\b)(?:\b(?:{_FAREWELL}|{_AROUND_IT})\b[ ,]*+)++")


@lru_cache(256)
def wish(words: str) -> Literal["human", "repeat", "goodbye"] | None:
    """What the caller wants instead of answering: to speak to a person, to hear it again, or to end the call. An answer
    that ends with "bye" is an answer."""
    text = plain(words)
    if _HUMAN.search(text) and not _NO_HUMAN.search(text):
        return "human"
    if _REPEAT.search(text):
        return "repeat"
    return "goodbye" if _GOODBYE.fullmatch(text) else None
