"""The carrier's own measures of a call: how long the caller waited for an answer, and for the agent to fall silent."""

from dataclasses import dataclass
from itertools import zip_longest

from offhook.carrier.handset import Handset, Passage, Utterance


@dataclass(frozen=True, slots=True)
class Exchange:
    """Something the caller said, and the agent's response. Ms since the call began, or of duration."""

    text: str
    start_ms: int
    end_ms: int
    gap_ms: int | None
    """From the last frame with speech in it to the first thing heard of the agent's answer; negative if the agent
    began before. None if none came before the caller spoke again."""
    cut_ms: int | None
    """If the caller spoke while the agent did: from the first frame of that to the agent's silence. None otherwise,
    or if the agent didn't yield."""


def exchanges(phone: Handset) -> list[Exchange]:
    """One for each thing the caller said, in order."""
    said = [utterance for utterance in phone.said if utterance.start_ms is not None]
    return [_exchange(*pair, phone.heard) for pair in zip_longest(said, said[1:])]


def _exchange(utterance: Utterance, following: Utterance | None, heard: list[Passage]) -> Exchange:
    start, end = utterance.start_ms or 0.0, utterance.end_ms or 0.0
    until = following.start_ms if following and following.start_ms is not None else float("inf")
    later = (passage for passage in heard if start < passage.start_ms < until)
    answers = (p.audible_ms for p in later if not (p.cut and p.end_ms <= end))  # that was the rest of the last answer
    answer = next(answers, None)
    cut = next((p.end_ms for p in heard if p.cut and p.start_ms <= start < p.end_ms), None)
    return Exchange(
        text=utterance.text,
        start_ms=round(start),
        end_ms=round(end),
        gap_ms=None if answer is None else round(answer - end),
        cut_ms=None if cut is None else round(cut - start),
    )
