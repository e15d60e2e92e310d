"""A document's text → passages that can be found, and understood, alone."""

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 800
"""Characters of a passage without its headings; it ends where a sentence does if one can fit."""
LONGEST_HEADING = 120
MOST = 5000
"""Passages of a document."""

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:[ \t]+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(\*\*|__)(\S(?:.*?\S)?)\1")


def split(markdown: str) -> list[str]:
    """In order. Each begins with the headings that it stands under, in a line of their own. No two are the same."""
    from semantic_text_splitter import MarkdownSplitter  # takes a moment

    splitter = MarkdownSplitter(LONGEST)
    found: dict[str, None] = {}
    for path, section in _sections(clean(markdown)):
        for chunk in splitter.chunks(section):
            if any(map(str.isalnum, chunk)):
                found[f"{path}\n{chunk}" if path else chunk] = None
    return list(found)


def title_of(markdown: str) -> str:
    """The first heading of the highest level; empty without any."""
    headings = [found for line in markdown.splitlines() if (found := _HEADING.fullmatch(line)) and found[2]]
    best = min(headings, key=lambda found: len(found[1]), default=None)
    return clean(_plain(best[2]), LONGEST_HEADING) if best else ""


def clean(text: str, most: int | None = None) -> str:
    """Without what nobody can see or say: control characters, invisible and bidirectional marks; at most so long.
    Line breaks stay."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n\n"))
    seen = "".join(" " if char == "\t" else char for char in text if char in "\n\t" or _is_seen(char))
    seen = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \u00a0]+$", "", seen, flags=re.MULTILINE)).strip()
    return seen if most is None or len(seen) <= most else f"{seen[: most - 1].rstrip()}…"


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs", "Cn")


def _sections(markdown: str) -> Iterator[tuple[str, str]]:
    """What stands under each heading, with the path of headings to it."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""

    def section() -> tuple[str, str]:
        return " › ".join(heading for _, heading in path), _plain("\n".join(lines))

    def under(level: int, heading: str) -> None:
        lines.clear()
        while path and path[-1][0] >= level:
            path.pop()
        if heading := clean(_plain(heading), LONGEST_HEADING):
            path.append((level, heading))

    for line in _without_front_matter(markdown).split("\n"):
        if found := _FENCE.match(line):
            fence = "" if fence == found[1] else fence or found[1]
        if not fence and (found := _HEADING.fullmatch(line)):
            yield section()
            under(len(found[1]), found[2])
        elif not fence and lines and _is_underlined(lines, line):
            heading = lines.pop()
            yield section()
            under(1 if "=" in line else 2, heading)
        else:
            lines.append(line)
    yield section()


def _is_underlined(before: list[str], line: str) -> bool:
    """A heading of one line, with a line of dashes below."""
    alone = len(before) == 1 or not before[-2].strip()
    is_text = bool(before[-1].strip()) and not re.match(r"\s*([-*+>|#]|\d+\.)", before[-1])
    return alone and is_text and bool(_UNDERLINE.fullmatch(line))


def _without_front_matter(markdown: str) -> str:
    return re.sub(r"\A---\n(?:.*\n)*?---(?:\n|\Z)", "", markdown)


def _plain(text: str) -> str:
    """Links as their words, emphasis without its marks: nobody says them."""
    return _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", text))
