"""What an agent must never say: each sentence of a model's is checked before it is spoken."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from phonenumbers import PhoneNumberMatcher

from domain import prompt
from domain.controls import CONTROLS
from domain.reading.plain import plain
from schemas.agent import AgentVersion

IN_A_ROW = 7
"""Words of an instruction that are no accident."""

_TO_THE_MODEL = re.compile(r"\b(?:you|your|yours|yourself|never|always|must|don't|do not)\b", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_FUNCTIONS = re.compile(rf"\b(?:{'|'.join(name for name in (*prompt.MOVES, *CONTROLS) if '_' in name)})\b")
_ABOUT_ITSELF = re.compile(
    r"\b(?:my|the|these|those|your) (?:system )?(?:prompt|instructions) (?:is|are|say|says|tell|tells|read|reads)\b"
)
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+\w")


def offence(sentence: str, version: AgentVersion, known: Iterable[str], country: str = "US") -> str:
    """Why the sentence must not be spoken; empty if it may be. `known` is all text of this conversation and its agent:
    a phone number or an e-mail address that isn't in it is somebody else's, or made up. `country` (ISO 3166 two
    letters) tells what is a phone number."""
    if topic := _forbidden(sentence, version.guardrails.forbidden):
        return f"it speaks of {topic!r}"
    if _gives_away(sentence, version):
        return "it gives the agent's instructions away"
    if stranger := _stranger(sentence, known, country):
        return f"nobody in this conversation has mentioned {stranger}"
    return ""


def _forbidden(sentence: str, topics: Sequence[str]) -> str:
    said = f" {_bare(sentence)} "
    return next((topic for topic in topics if topic.strip() and f" {_bare(topic)} " in said), "")


def _gives_away(sentence: str, version: AgentVersion) -> bool:
    if _FUNCTIONS.search(sentence) or _ABOUT_ITSELF.search(sentence.lower()):
        return True
    words = _bare(sentence).split()
    runs = {" ".join(words[at : at + IN_A_ROW]) for at in range(len(words) - IN_A_ROW + 1)}
    return not runs.isdisjoint(_instructions(version.prompt, version.personality))


@lru_cache(maxsize=256)
def _instructions(*texts: str) -> frozenset[str]:
    """What is said to the model and not through it, in runs of words. A fact in a prompt ("we open at nine") is there
    to be told."""
    runs = set[str]()
    for text in (prompt.MANNERS, *texts):
        for sentence in _SENTENCES.split(text):
            if _TO_THE_MODEL.search(sentence) or text is prompt.MANNERS:
                words = _bare(sentence).split()
                runs.update(" ".join(words[at : at + IN_A_ROW]) for at in range(len(words) - IN_A_ROW + 1))
    return frozenset(runs)


def _stranger(sentence: str, known: Iterable[str], country: str) -> str:
    addresses = [match[0].lower() for match in _ADDRESS.finditer(sentence)]
    numbers = [str(match.number.national_number) for match in PhoneNumberMatcher(sentence, country)]
    if not addresses and not numbers:
        return ""
    texts = list(known)
    said, figures = "\n".join(texts).lower(), [_figures(text) for text in texts]
    for address in addresses:
        if address not in said:
            return "that address"
    for number in numbers:
        if not any(number in each for each in figures):
            return "that number"
    return ""


def _figures(text: str) -> str:
    return re.sub(r"\D", "", text)


def _bare(text: str) -> str:
    return re.sub(r"[^\w']+", " ", plain(text)).strip()
