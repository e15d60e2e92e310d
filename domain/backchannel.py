"""What callers murmur while they listen, in English words: it tells "go on", and is no turn of theirs."""

import re

from domain.reading.plain import plain

_MURMUR = (
    "mhm|m+|mm+h+m*|uh huh|uhuh|a?ha|hmm*|uh|um|er|o|ah|yeah|yep|yup|ok|okay|k|right|sure|alright|all right|fine|good"
    "|great|cool|nice|perfect|wow|really|i see|i know|got it|gotcha|of course|exactly|absolutely|true|go on|huh"
)
_BEGUN = "i|got|of|all|go"
"""May become one with the next word."""
_MURMURS = re.compile(rf"(?:{_MURMUR})(?:[ ,]+(?:{_MURMUR})){{0,3}}")
_MURMURS_BEGUN = re.compile(rf"(?:(?:{_MURMUR})[ ,]+){{0,3}}(?:{_MURMUR}|{_BEGUN})")


def is_backchannel(words: str, final: bool) -> bool:
    """Whether it is nothing but murmurs of attention, four at most; or may yet become that, if it isn't final."""
    return bool((_MURMURS if final else _MURMURS_BEGUN).fullmatch(plain(words)))
