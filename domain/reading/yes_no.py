"""Yes and no in plain English words."""

import re
from collections.abc import Iterable, Mapping
from itertools import product

from domain.reading.plain import POLITE_END, Finding, listed

_FINE = ("right", "correct", "fine", "good", "great", "okay", "ok", "perfect", "true", "all right", "lovely")
_THAT_IS = ("that's", "that is", "it's", "it is", "this is", "that would be", "that'd be", "that'll be", "it would be")
_REFUSAL = ("no", "nope", "nah", "no thanks", "no thank you")


def _every(*parts: Iterable[str]) -> Iterable[str]:
    return (" ".join(words).strip() for words in product(*parts))


_PHRASES: Mapping[str, Iterable[str]] = {
    "yes": (
        *listed(
            """yes, yeah, yea, yep, yup, y, aye, sure, sure thing, ok, okay, k, alright, all right, exactly, absolutely,
            definitely, certainly, indeed, affirmative, of course, uh huh, mhm, please do, go ahead, go for it, do it,
            do that, let's do it, let's do that, book it, you bet, why not, no problem, not a problem, no worries,
            i think so, i guess so, i suppose so, i believe so, i'm afraid so, i'd like that, i would like that,
            that works, works for me, that suits me, fine by me, fine with me, sounds like a plan, that'll do,
            that's it, that's me, it's me, that's the one"""
        ),
        *_every((*_THAT_IS, "sounds"), _FINE),
        *_every(("i'm", "i am"), ("good", "fine", "okay", "ok"), ("with that", "with it")),
    ),
    # Only where the clause ends: "it is Tuesday" and "good question" are no answers.
    "yes, at the end": (
        *_FINE,
        *_every(("i'd", "i would"), ("like to", "love to")),
        *_every(("i", "we"), ("do", "did", "am", "are", "have", "would", "can", "will")),
        *_every(("it", "that", "he", "she", "there"), ("is", "does", "was", "did", "has")),
    ),
    "no": (
        *listed(
            """no, nope, nah, nay, n, never, negative, not, not really, not at all, not now, absolutely not, not right,
            definitely not, certainly not, of course not, no way, no thanks, no thank you, uh uh, nuh uh, wrong, false,
            incorrect, not correct, not true, i'm not, i am not, rather not, i'd rather not, i'm afraid not, nothing,
            nothing else, i don't think so, i do not think so"""
        ),
        *_every(("i", "we"), ("don't", "do not", "didn't", "wouldn't", "can't", "cannot", "haven't")),
        *_every(("don't", "do not", "please don't"), ("", "do it", "do that")),
        *_every(("that's", "that is", "it's", "it is"), ("not", "wrong", "incorrect")),
        *_every(("that's not", "that is not", "it's not", "that isn't", "it isn't"), ("", *_FINE, "it")),
        *_every(("that", "it", "this"), ("doesn't", "does not", "won't"), ("", "work")),
        *_every(_REFUSAL, ("that's", "it's", "i'm"), ("fine", "good", "great", "okay", "ok", "all right", "it", "all")),
    ),
    "unsure": (
        *_every(("", "i", "i really"), ("don't", "do not"), ("know", "remember", "understand", "mind", "care")),
        *_every(("", "i'm", "i am"), ("not sure", "not so sure", "not really sure", "not quite sure")),
        # "I'm good" declines as often as it agrees.
        *_every(("i'm", "i am"), ("good", "fine", "okay", "ok", "great", "all right")),
        *listed("no idea, no clue, maybe, perhaps, it depends, yes or no, yes and no"),
    ),
    "neither": (
        *listed("right now, right away, right after, right before, no later, no earlier, no sooner, no more, not only"),
        *_every(("is",), ("that", "it", "this"), _FINE),
    ),
}
_MEANING = {phrase.replace("'", ""): meaning for meaning, phrases in _PHRASES.items() for phrase in phrases}
_LONGEST_FIRST = "|".join(
    phrase.replace("'", "'?").replace(" ", ",? ")
    for phrase in sorted((phrase for phrases in _PHRASES.values() for phrase in phrases), key=len, reverse=True)
)
_PHRASE = re.compile(rf"(?<![\w'])(?:{_LONGEST_FIRST})(?![\w'])")
_CLAUSE_BEGINS = re.compile(
    r"(?:^|,|\b(?:and|but|so|well|um+|uh+|er+|o|ah|hmm+|mean|said|say|then|think|guess|actually|sorry|wait|hello|hi"
    r"|just)) ?$"
)


def yes_or_no(text: str) -> Finding | None:
    """The answer given last ("yes, no, I mean no"), without a value if that is "I don't know". In the middle of a
    clause ("there is no rush") none is given."""
    answer = None
    for match in _PHRASE.finditer(text):
        meaning = _MEANING[match[0].replace(",", "").replace("'", "")]
        begins = _CLAUSE_BEGINS.search(text, max(0, match.start() - 12), match.start())
        follows = answer is not None and not text[answer.end : match.start()].strip(" ,")
        ends = POLITE_END.fullmatch(text, match.end())
        if meaning == "neither" or not (begins or follows or ends):
            continue
        if meaning == "yes, at the end" and not (ends or text.startswith(",", match.end())):
            continue
        value = {"no": False, "unsure": None}.get(meaning, True)
        answer = Finding(value, match.start(), match.end())
    return answer
