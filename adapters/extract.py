"""What runs in a reader's process: a file comes in, its passages go out as JSON.

`python -m adapters.extract KIND` reads standard input and writes {"title", "passages"}, or {"unreadable"} with the
reason. A file that wants more memory or time than is good for any ends the process and nothing else."""

import sys
from contextlib import suppress

import orjson

from domain.passages import LONGEST_HEADING, MOST, clean, split, title_of
from domain.ports import Reading, Unreadable
from schemas.knowledge_document import FileKind

MOST_CHARACTERS = 3_000_000
MOST_MEMORY = 1536 * 1024 * 1024
"""Bytes of address space, of which Python and its libraries take a part."""


def extract(kind: FileKind, content: bytes) -> Reading:
    """Raises Unreadable."""
    title, text = _text(kind, content)
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f"it holds more than {MOST_CHARACTERS:,} characters; split it")
    passages = split(text)
    if not passages:
        raise Unreadable("it holds no words")
    if len(passages) > MOST:
        raise Unreadable(f"it makes more than {MOST:,} passages; split it")
    return Reading(clean(title, LONGEST_HEADING) or title_of(text), passages)


def _text(kind: FileKind, content: bytes) -> tuple[str, str]:
    """Its title, if it tells one, and Markdown."""
    match kind:
        case "html":
            from adapters.extract_html import extract as of_html

            return of_html(content)
        case "pdf":
            from adapters.extract_pdf import extract as of_pdf

            return of_pdf(content)
        case "docx":
            from adapters.extract_docx import extract as of_docx

            return of_docx(content)
        case "text" | "markdown":
            from adapters.extract_text import text_of

            return "", text_of(content)


def _answer(kind: FileKind, content: bytes) -> dict[str, object]:
    try:
        found = extract(kind, content)
    except Unreadable as problem:
        return {"unreadable": str(problem)}
    except MemoryError:
        return {"unreadable": "it takes too much memory to read"}
    return {"title": found.title, "passages": list(found.passages)}


def _bound(memory: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # where there are no such bounds, the time is one
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


if __name__ == "__main__":
    _bound(MOST_MEMORY)
    sys.stdout.buffer.write(orjson.dumps(_answer(sys.argv[1], sys.stdin.buffer.read())))  # type: ignore[arg-type]
