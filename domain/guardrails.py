"""What an agent must never say: each sentence of a model's is checked before it is spoken, and each message
that it writes before it is sent."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from phonenumbers import PhoneNumberMatcher

from domain import prompt
from domain.controls import CONTROLS
from domain.reading.plain import LONGEST, plain
from domain.redaction import runs
from schemas.agent import AgentVersion

IN_A_ROW = 7
"""Words of an instruction that are no accident."""
FEWEST = 3
"""A shorter instruction gives itself away as a whole, if it has so many words."""
BEFORE = 200
"""Characters of what was said before that a number or an address may have begun in."""
SHORTEST_NUMBER = 7
"""Digits told one by one that may be a phone number."""

_TO_THE_MODEL = re.compile(r"\b(?:you|your|yours|yourself|never|always|must|don't|do not)\b", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_TO_BE_SAID = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”")
_FUNCTIONS = re.compile(rf"\b(?:{'|'.join(name for name in (*prompt.MOVES, *CONTROLS) if '_' in name)})\b")
_ABOUT_ITSELF = re.compile(
    r"\b(?:my|the|these|those|your) (?:system )?(?:prompt|instructions) (?:is|are|say|says|tell|tells|read|reads)\b"
)
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_DOT = re.compile(r"\s+(?:dot|point)\s+", re.IGNORECASE)
_AT = re.compile(r"\s+at\s+(?=[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b)", re.IGNORECASE)
_NOBODY = {"us", "me", "it", "them", "up", "online", "site", "website", "page", "shop", "store"}
"""Words before "at" and a web site's name: "visit us at acme dot com" is no address."""
_CUT = re.compile(r"[\s.,;:!?…]+$")


def offence(
    sentence: str,
    version: AgentVersion,
    known: Iterable[str],
    country: str = "US",
    *,
    before: str = "",
    instructions: Sequence[str] = (),
) -> str:
    """Why the sentence must not be spoken; empty if it may be. `known` is all text of this conversation and its agent:
    a phone number or an e-mail address that isn't in it is somebody else's, or made up. `country` (ISO 3166 two
    letters) tells what is a phone number. `before` is what was said just before it, `instructions` what the model was
    told besides the version's prompt."""
    if topic := _forbidden(sentence, version.guardrails.forbidden):
        return f"it speaks of {topic!r}"
    if _gives_away(sentence, version, instructions):
        return "it gives the agent's instructions away"
    if stranger := _stranger(sentence, before[-BEFORE:], known, country):
        return f"nobody in this conversation has mentioned {stranger}"
    return ""


def offence_in(
    arguments: Mapping[str, Any],
    version: AgentVersion,
    known: Iterable[str],
    country: str = "US",
    *,
    instructions: Sequence[str] = (),
) -> str:
    """The same for all texts in what a model gives a tool: a message that it sends says as much as a sentence."""
    texts = list(known)
    for text in _texts(arguments):
        before = ""
        for sentence in _SENTENCES.split(text):
            if why := offence(sentence, version, texts, country, before=before, instructions=instructions):
                return why
            before = f"{before} {sentence}"[-BEFORE:]
    return ""


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for part in value.values():
                yield from _texts(part)
        case list() | tuple():
            for part in value:
                yield from _texts(part)


def _forbidden(sentence: str, topics: Sequence[str]) -> str:
    said = f" {_bare(sentence)} "
    return next((topic for topic in topics if topic.strip() and f" {_bare(topic)} " in said), "")


def _gives_away(sentence: str, version: AgentVersion, instructions: Sequence[str]) -> bool:
    if _FUNCTIONS.search(sentence) or _ABOUT_ITSELF.search(sentence.lower()):
        return True
    words, protected = _bare(sentence).split(), _instructions(version.prompt, version.personality, *instructions)
    return any(not protected.isdisjoint(_in_a_row(words, length)) for length in range(FEWEST, IN_A_ROW + 1))


@lru_cache(maxsize=256)
def _instructions(*texts: str) -> frozenset[str]:
    """What is said to the model and not through it, in runs of words; short ones whole. A fact in a prompt ("we open at
    nine"), a question and what stands in quotes are there to be told."""
    rows = set[str]()
    for text in (prompt.MANNERS, *texts):
        for sentence in _SENTENCES.split(_TO_BE_SAID.sub(" ", text)):
            if _TO_THE_MODEL.search(sentence) or text is prompt.MANNERS:
                words = _bare(sentence).split()
                if len(words) >= IN_A_ROW:
                    rows |= _in_a_row(words, IN_A_ROW)
                elif len(words) >= FEWEST and not sentence.rstrip().endswith("?"):
                    rows.add(" ".join(words))
    return frozenset(rows)


def _in_a_row(words: Sequence[str], length: int) -> set[str]:
    return {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}


def _stranger(sentence: str, before: str, known: Iterable[str], country: str) -> str:
    addresses = _addresses(sentence) | _addresses_over(before, sentence)
    numbers = _numbers(sentence, country)
    if before:
        joined = f"{_CUT.sub('', before)} "
        numbers |= _numbers(joined + sentence, country, over=len(joined))
    if not addresses and not numbers:
        return ""
    texts = list(known)
    said = "\n".join(_written(text).lower() for text in texts)
    figures = [re.sub(r"\D", "", text) for text in texts]
    figures += ["".join(part.digits for run in runs(text) for part in run) for text in texts]
    if any(address not in said for address in addresses):
        return "that address"
    if any(not any(number in each for each in figures) for number in numbers):
        return "that number"
    return ""


def _numbers(text: str, country: str, over: int | None = None) -> set[str]:
    """The phone numbers in a text, in figures or told digit by digit; only those that begin before the place `over` and
    end behind it, if that is given."""

    def counts(start: int, end: int) -> bool:
        return over is None or start < over < end

    matches = PhoneNumberMatcher(text, country)
    found = {str(each.number.national_number) for each in matches if counts(each.start, each.end)}
    for run in runs(text):
        digits = "".join(part.digits for part in run)
        one_by_one = all(part.digits == part.digits[0] * len(part.digits) and len(part.digits) < 4 for part in run)
        if one_by_one and len(digits) >= SHORTEST_NUMBER and counts(run[0].start, run[-1].end):
            sign = "+" if text[: run[0].start].rstrip().lower().endswith(("+", "plus")) else ""
            found |= {str(each.number.national_number) for each in PhoneNumberMatcher(sign + digits, country)}
    for each in PhoneNumberMatcher(plain(text), country) if over is None else ():
        found.add(str(each.number.national_number))
    return found


def _addresses(text: str) -> set[str]:
    """The e-mail addresses in a text, as they are written ("bob at other dot example" as well)."""
    found = {match[0].lower() for match in _ADDRESS.finditer(_written(text))}
    return {each for each in found if each.partition("@")[0] not in _NOBODY or each in text.lower()}


def _addresses_over(before: str, sentence: str) -> set[str]:
    """Those that begin before the sentence and end in it."""
    if not before:
        return set()
    joined = _addresses(f"{_CUT.sub('', before)} {sentence}")
    if (last := before.split()[-1:]) and "@" in last[0] and not _ADDRESS.search(last[0]):
        joined |= _addresses(last[0] + sentence.lstrip())
    return joined - _addresses(before)


def _written(text: str) -> str:
    return _AT.sub("@", _DOT.sub(".", text))


def _bare(text: str) -> str:
    pieces = (text[at : at + LONGEST] for at in range(0, len(text), LONGEST))
    return re.sub(r"[^\w']+", " ", " ".join(map(plain, pieces))).strip()
