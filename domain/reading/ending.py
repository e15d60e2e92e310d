"""How a caller's words end: in the middle of something, or where a sentence may. English only so far.

Only the words tell: recognisers' commas and full stops come late, or never."""

import re
from functools import lru_cache
from typing import Literal

from domain.reading.plain import plain

Ending = Literal["thinking", "unfinished", "loose", "unclear", "sentence"]
"""thinking: asked for a moment ("let me see"). unfinished: more is sure to come ("my number is"). loose: may be all,
but begs for more ("I have a question"). unclear: nobody can tell. sentence: nothing is missing."""

LONGEST = 30
"""Words that are looked at, the last ones: the audio loop waits meanwhile."""

_AUXILIARY = (
    r"(?:(?:is|are|was|were|am|do|does|did|have|has|had|can|could|will|would|shall|should|may|might|must)(?:n't)?"
    r"|can't|won't)"
)
_PRONOUN = r"(?:i|you|we|they|he|she|it|there|this|that)"
_QUESTION_WORD = r"(?:what|when|where|who|how|why|which)"
_POSSESSIVE = r"(?:my|your|our|their|the|a|an)"
_OPENERS = (
    r"^(?:(?:(?:hi|hello|hey)(?: there)?|yes|yeah|yep|no|nope|ok|okay|so|well|um+|uh+|er+|and|but|o|ah|right|actually"
    r"|sorry|please|then|now|also|excuse me|(?:i was|i'm|i am)(?: just)? wondering(?: if)?|i wonder(?: if)?)[ ,]+)*+"
)


def _ends(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[ ,])(?:{'|'.join(alternatives)})$")


_THINKING = _ends(
    r"(?:hold on|hang on|bear with me|moment|wait)(?:[ ,]+(?:please|moment|a bit|i))*",
    r"(?:let me|i'll|i'll just|i have to) (?:see|think|check|look|get|find|grab)(?: (?:at|in|for|up|about))?"
    r"(?: (?:it|that|here|(?:my|the|this|that) [\w']+|(?:if|what|when|where)(?: [\w']+){0,5}))?",
    r"what (?:is|was) it again|how do (?:i|you) (?:say|put)(?: (?:it|this))?",
)
_STRANDED = re.compile(
    rf"{_OPENERS}(?:{_QUESTION_WORD}'s\b|{_QUESTION_WORD}\b.* {_AUXILIARY}\b).* (?:at|for|from|about|with|to|in|on|of"
    r"|like|do|have|need|want|get|bring|order|book|buy|know|see|think|take)$"
    r"|\b(?:(?:go|carry)(?: right)? on|(?:come|log|check|drop|fit me|book me|put me) in|(?:come|drop|stop) by)$"
    r"|\b(?:think|guess|hope|believe|suppose|afraid) so$"
    rf"|\b(?<!if )(?!there|this){_PRONOUN} (?!am|have|had|was|were){_AUXILIARY}$"
)
"""Ends in a word that seldom ends a sentence, and may be one: "who am I speaking to", "yes it is"."""
_CLAUSE = re.compile(
    rf"\b{_QUESTION_WORD}\b(?: [\w']+)* (?:{_POSSESSIVE}|{_PRONOUN})\b(?: [\w']+)* (?:is|are|was|were|costs?)$"
    rf"|\b{_QUESTION_WORD}(?: \w+)? (?:is|are|was|were) {_PRONOUN}$"
    rf"|^(?:yes|yeah|no|sure)[ ,]+(?!this){_PRONOUN} {_AUXILIARY}$"
)
"""Ends in such a word, and has all it needs: "what the delivery charge is", "how much is it", "yes I am"."""
_UNFINISHED = _ends(
    # Words that join, and such as lean on the next one.
    r"and|or|but|because|if|whether|so|than|unless|although|except|like|as",
    r"a|an|the|my|your|our|their|its|another|this|next|every|some|any|these|those|double|triple|plus|point|half|quarter",
    r"at|on|to|for|of|in|by|with|from|between|past|about|around|into|until|till|after|before|without|near|during|since",
    r"um+|uh+|er+|erm|ah+|hmm+|you know|i mean|maybe|perhaps|probably|just|basically",
    # A subject without its verb, a verb without its object.
    r"i|we|they|he|she|(?:i|we|they|you|he|she|it|that|there|here|who|what|where|how)'(?:m|s|re|d|ve|ll)",
    rf"(?:{_AUXILIARY}|if|that|because|and|when) you|(?:do|does|did|is|was|can|could|will|would|if|that|because) it",
    rf"{_AUXILIARY}|be|been|being|going|calling|trying|looking|wondering|hoping|wanted",
    r"(?<!what )(?<!all )(?:i|we)(?: just| also| really)? (?:want|need|think|guess|wonder|got|bought|ordered)",
    r"(?:i|i'd|we|we'd|would) prefer",
    r"(?:to|can i|could i|can you|could you|can we|could we|can't|i'll|do you)"
    r" (?:book|change|make|get|have|buy|order|ask|tell|give|send|find|know|bring|use|put|take|add|check|see|do|sell)",
    rf"(?:tell|let|give|show|send) me|(?:me|know|see|sure|out|ask|wondering) {_QUESTION_WORD}",
)
_BEGUN = re.compile(
    rf"{_OPENERS}(?:my|the|our) (?:[\w']+ )?(?:name|number|address|email|code|thing|problem|question|reason|issue)$"
    rf"|{_OPENERS}(?:i believe|the point)$"
    rf"|\b{_QUESTION_WORD}(?: \w+)? (?:do|does|did|will|would|can|could|should) {_POSSESSIVE} [\w']+$"
)
"""A subject that nothing was said of yet: "my order number", "when will my order"."""

_LOOSE = _ends(
    r"(?:any|some)(?:thing|one|body)|(?:a|another)(?: quick| small)? (?:question|problem|issue|complaint|couple)",
    r"quick question|(?:speak|talk)(?:ing)?|well|not",
)
_LETTERS = re.compile(r"(?:^|[ ,])((?:(?:double )?[a-z][ ,]+)+(?:double )?[a-z])$")

_SENTENCE = re.compile(
    "|".join(
        (
            # Closing words.
            r".*\bthat(?:'s| is|'ll be| will be| would be) (?:all|it|everything)\b.*",
            r".*\b(?:thanks|thank you)(?: very much| so much| a lot| again| for .+)?",
            r".+ .+ please",
            # Questions.
            rf"{_OPENERS}{_QUESTION_WORD}\b.*(?:\b{_AUXILIARY}|'s|'re)\b.* [\w']+",
            rf"{_OPENERS}{_AUXILIARY} (?:{_POSSESSIVE} [\w']+|(?!{_POSSESSIVE}\b)[\w']+) .+",
            # Orders.
            rf"{_OPENERS}(?:tell|send|give|book|cancel|call|put|connect|transfer|change|help|show|text|move|make|remind)"
            r" (?:me|us|my|the|a|an|it|that) .+",
            # Statements: who, and three words on; what, and a verb.
            rf"{_OPENERS}(?!(?:if|when|since|as|although|because)\b)(?:.* )?(?:i|we|you|they|he|she|it|there|that|this)"
            r"(?:'\w+)?(?: [\w']+){3,}",
            rf"{_OPENERS}{_PRONOUN}'\w+ [\w']+ [\w']+(?: [\w']+)*",
            rf"{_OPENERS}(?:my|our|the|your)(?: [\w']+){{1,4}} (?:{_AUXILIARY}|\w+ed|\w+s)(?: [\w']+)+",
        )
    )
)


@lru_cache(maxsize=256)
def ending(words: str) -> Ending:
    """How they end, in some tens of µs; never raises."""
    text = plain(" ".join(words.split()[-LONGEST:]))
    if _THINKING.search(text):
        return "thinking"
    if spelt := _LETTERS.search(text):
        return _spelling(text[: spelt.start()], spelt[1])
    if _BEGUN.search(text):
        return "unfinished"
    if _UNFINISHED.search(text):
        if _CLAUSE.search(text):
            return "sentence"
        return "unclear" if _STRANDED.search(text) else "unfinished"
    if _LOOSE.search(text):
        return "loose"
    return "sentence" if _SENTENCE.fullmatch(text) else "unclear"


def _spelling(before: str, letters: str) -> Ending:
    """Nobody knows how long a name is that is being spelt, unless it was said before."""
    spelt = re.sub(r"[ ,]", "", re.sub(r"double ([a-z])", r"\1\1", letters))
    words = re.sub(r"['-]", "", before).split()
    if spelt in words:
        return "sentence"
    return "unfinished" if any(word.startswith(spelt) for word in words) else "loose"
