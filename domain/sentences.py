"""Words as they come → sentences worth speaking."""

import re

_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_SURE_END = re.compile(r"(?:^|\s)[A-Za-z'’]{3,}(?:\.|[!?]+)$|\w[!?]+$")
"""Needs no white space after it to be an end: no number, address or initial goes on like that."""
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|No|a\.m|p\.m|e\.g|i\.e|[A-Z])\.$")
LONGEST = 300
"""Characters after which a sentence is cut at a comma or a space, so that speaking can begin."""


class Sentences:
    """Feed it words; it hands out whole sentences."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, words: str) -> list[str]:
        """Sentences that are complete now: one ends where white space follows its mark, or nothing else can."""
        self._rest += words
        done: list[str] = []
        start = position = 0
        while match := _END.search(self._rest, position):
            position = match.end()
            sentence = self._rest[start : match.start()].strip()
            if not _ABBREVIATION.search(sentence):
                done.append(sentence)
                start = match.end()
        self._rest = self._rest[start:]
        if _SURE_END.search(self._rest) and not _ABBREVIATION.search(self._rest):
            done.append(self._rest.strip())
            self._rest = ""
        if len(self._rest) > LONGEST:
            at = max(self._rest.rfind(", ", 0, LONGEST) + 1, 0) or max(self._rest.rfind(" ", 0, LONGEST), 0) or LONGEST
            done.append(self._rest[:at].strip())
            self._rest = self._rest[at:]
        return [sentence for sentence in done if sentence]

    def end(self) -> list[str]:
        """What is left when no more words come."""
        rest, self._rest = self._rest.strip(), ""
        return [rest] if rest else []
