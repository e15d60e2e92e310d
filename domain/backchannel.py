"""What callers murmur while they listen, in English words: it tells "go on", and is no turn of theirs."""

import re

from domain.reading.plain import plain

_MURMUR = (
    r"mhm|m+|mm+h+m*|uh huh|uhuh|a?ha|hmm*|uh|um|er|o|ah|yeah|yep|yup|ok|okay|k|right|sure|alright|all right|fine|good"
    r"|great|cool|nice|perfect|wow|really|i see|i know|got it|gotcha|of course|exactly|absolutely|true|go on|huh"
)
_MURMURS = re.compile(rf"(?:{_MURMUR})(?:[ ,]+(?:{_MURMUR})){{0,3}}")


def is_backchannel(words: str) -> bool:
    """Whether it is nothing but murmurs of attention, up to four of them."""
    return bool(_MURMURS.fullmatch(plain(words)))
