"""Whether the caller no longer wants what is being done for them, in English words."""

import re
from functools import lru_cache

from domain.reading.plain import plain

_CANCEL = re.compile(
    r"(?:(?:o|oh|no|ok|okay|please|um+|uh+|sorry|actually|wait|just|you can|let's|well),? )*"
    r"(?:never ?mind|forget (?:it|that|about it|about that)|cancel(?: (?:it|that|this))?"
    r"|stop(?: (?:it|that|this|looking))?"
    r"|leave it|(?:don't|do not) bother|it (?:doesn't|does not) matter|i don't need (?:it|that)(?: any ?more)?)"
    r"(?:,? (?:please|then|now|thanks|thank you|any ?more))*"
)


@lru_cache(256)
def is_cancel(words: str) -> bool:
    """ "Oh, never mind" is; "cancel my appointment" is a wish of its own."""
    return _CANCEL.fullmatch(plain(words)) is not None
