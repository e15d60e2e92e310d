"""How long the caller must be silent before the turn is theirs no more."""

from domain.moment import Moment
from domain.reading import completeness, wish
from schemas.variable import Expectation

COMPLETE, UNFINISHED = 0.6, 2.0
"""What a whole answer ("yes", a full date) or a half-said one ("my number is…") does to the agent's silence."""


def silence_ms(base_ms: int, words: str, expectation: Expectation, moment: Moment) -> int:
    """In ms of audio since the last speech, from the agent's own setting and what was said so far."""
    asked = [completeness(variable, words, moment) for variable in expectation.asked]
    welcome = [completeness(variable, words, moment) for variable in expectation.welcome]
    if wish(words) or "whole" in asked:
        return round(base_ms * COMPLETE)
    if "partial" in asked or "partial" in welcome:
        return round(base_ms * UNFINISHED)
    if "whole" in welcome:
        return round(base_ms * COMPLETE)
    return base_ms
