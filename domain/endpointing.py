"""How long the caller must be silent before the turn is theirs no more.

English is listened to for what it means; in any other language the agent's silence is the same whatever was said."""

from collections.abc import Mapping
from typing import Literal

from domain.moment import Moment
from domain.reading import Ending, completeness, ending, read_all, wish
from schemas.agent import Listening
from schemas.variable import Expectation

SILENCE: Mapping[Literal["answer"] | Ending, float] = {
    "answer": 0.6,  # "yes", a full date, the fifth of five digits, "speak to a human"
    "sentence": 0.7,  # "what are your opening hours"
    "unclear": 1.0,  # "on second thought"
    "loose": 1.5,  # "I have a question"; "well"; a name being spelt; the day, when the time was asked for, too
    "unfinished": 2.0,  # "my number is", "and", "um", four digits of five
    "thinking": 2.5,  # "let me see", "hold on"
}
"""What the words so far do to the agent's silence."""


def silence_ms(listening: Listening, words: str, expectation: Expectation, moment: Moment) -> int:
    """In ms of audio since the last speech, from the agent's own settings and what was said so far."""
    if not expectation.language.startswith("en"):
        return listening.silence_ms
    silence = round(listening.silence_ms * SILENCE[_said(words, expectation, moment)])
    return min(max(silence, listening.shortest_silence_ms), listening.longest_silence_ms)


def _said(words: str, expectation: Expectation, moment: Moment) -> Literal["answer"] | Ending:
    asked = [completeness(variable, words, moment) for variable in expectation.asked]
    if "whole" in asked:
        answered = len(asked) == 1 or len(read_all(expectation.asked, words, moment)) == len(asked)
        return "answer" if answered else "loose"
    end = ending(words)
    if end in ("thinking", "unfinished"):
        return end
    if wish(words):
        return "answer"
    welcome = [completeness(variable, words, moment) for variable in expectation.welcome]
    if "partial" in asked or "partial" in welcome:
        return "unfinished"
    return "answer" if "whole" in welcome else end
