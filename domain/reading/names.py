"""Names in English words: those of a variable's choices, and those of people."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import dropwhile

from domain.reading.plain import LONGEST, Finding, chosen, listed, plain
from schemas.variable import Variable

_ARTICLES = ("a", "an", "the", "my", "your", "some")


def choices(variable: Variable, text: str) -> list[Finding]:
    """Each choice of which the plain words hold a whole name, singular or plural; a longer name weighs more."""
    spoken = [(_stem(m[0]), m.start(), m.end()) for m in re.finditer(r"[^\s,]+", text)]
    found = []
    for choice in variable.choices:
        for name in (choice.value, *choice.says):
            stems = _stems(name)
            for first in range(len(spoken) - len(stems) + 1):
                part = spoken[first : first + len(stems)]
                if part and tuple(stem for stem, _, _ in part) == stems:
                    found.append(Finding(choice.value, part[0][1], part[-1][2], len(stems)))
    return found


def is_beginning(variable: Variable, said: str) -> bool:
    """Whether a choice has a name that begins with what was said and is longer."""
    stems = _stems(said)
    names = [_stems(name) for choice in variable.choices for name in (choice.value, *choice.says)]
    return any(len(name) > len(stems) and name[: len(stems)] == stems for name in names)


@lru_cache(maxsize=1024)
def _stems(name: str) -> tuple[str, ...]:
    words = plain(name.replace("_", " ")).replace(",", "").split()
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return tuple(map(_stem, words))


def _stem(word: str) -> str:
    """The same for singular and plural: party and parties, box and boxes."""
    word = word.removesuffix("'s")
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


_INTRODUCTION = re.compile(
    r"\b(?P<surely>(?:(?:my|the) )?(?:full |first |last )?name(?:'s| is| would be)|(?:you can )?call me)\b:? ?"
    r"|\b(?:i'?m|i am|it'?s|it is|this is|under)\b ?",
    re.IGNORECASE,
)
_MARKS = ',.;:!?"()'
_PART = re.compile(r"[^\W\d_]+(?:['.-][^\W\d_]+)*")
_TITLES = frozenset(listed("mr, mrs, ms, dr, st"))
_BEFORE = frozenset(
    listed("um, uh, huh, er, mm, hm, hmm, mhm, mmhm, well, yes, yeah, yep, sure, ok, okay, hi, hello, oh, so")
)
_AFTER = frozenset(listed("and, here, speaking, calling, from, please, thanks, thank, i, but, sir"))
_NO_PARTS = frozenset(
    listed(
        """a, about, afraid, afternoon, again, agent, all, am, an, any, appointment, are, as, at, be, been, by, bye,
        call, can, can't, clock, could, correct, did, do, does, don't, evening, fine, for, friday, good, goodbye, great,
        half, happy, has, had, have, he, her, hey, how, human, i'd, i'll, i'm, i've, idea, if, in, interested, is, it,
        it's, its, just, know, last, later, like, looking, maybe, me, midnight, mine, monday, month, morning, my, name,
        need, never, next, night, no, none, noon, nope, not, nothing, now, number, o'clock, of, off, on, operator, or,
        order, our, past, person, pm, quarter, ready, repeat, representative, right, saturday, she, some, somebody,
        someone, soon, sorry, sunday, that, that's, the, there, these, they, think, this, those, thursday, time, to,
        today, tomorrow, tonight, trying, tuesday, want, was, we, wednesday, week, were, what, when, where, which, who,
        why, with, won't, would, wrong, year, yesterday, you, your"""
    )
)


def name(variable: Variable, words: str, alone: bool) -> str | None:
    """One of the likely names; else what follows "my name is"; else, if the words are `alone` (nothing else was read
    from them), what may be a name in "it's Sarah Jones" or "Sarah Jones". The words are as the caller gave them."""
    text = plain(words)
    if likely := chosen(choices(variable, text), text):
        return str(likely.value)
    words = words[:LONGEST].replace("’", "'")
    for match in reversed(list(_INTRODUCTION.finditer(words))):
        found, cut_by = _name_at(words[match.end() :].split())
        if found and (match["surely"] or (alone and cut_by in _AFTER)):
            return found
    if not alone:
        return None
    found, cut_by = _name_at(list(dropwhile(lambda word: word.lower().strip(_MARKS) in _BEFORE, words.split())))
    return found if cut_by in _AFTER else None


def _name_at(words: Sequence[str]) -> tuple[str | None, str]:
    """The name that the words begin with, one to four parts, and the word that cuts it off: "and" where they end."""
    parts: list[str] = []
    cut_by = "and"
    for word in words:
        part = word.strip(_MARKS)
        if part.lower() in _BEFORE | _AFTER | _NO_PARTS or not _PART.fullmatch(part) or re.search(r"\d", plain(part)):
            cut_by = part.lower()
            break
        parts.append(_titled(part))
        if word[-1] in ",;!?" or (word[-1] == "." and len(part) > 1 and part.lower() not in _TITLES):
            break
    return (" ".join(parts) if 1 <= len(parts) <= 4 else None), cut_by


def _titled(part: str) -> str:
    """With capitals where nobody set any: O'Brien, Anne-Marie, but McDonald as it is."""
    if not part.islower() and not (part.isupper() and len(part) > 1):
        return part
    return re.sub(r"(?<!\w\w')[^\W\d_]+", lambda letters: letters[0].capitalize(), part)
