"""The words of a Word file, as Markdown."""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from adapters.table_text import lines_of
from domain.ports import Unreadable

MOST_UNPACKED = 150 * 1024 * 1024
"""Bytes, pictures included."""
MOST_XML = 40 * 1024 * 1024
"""Bytes of one part, of which a tree is made many times that size."""
MOST_PARTS = 5000
MOST_RATIO = 200
"""How much larger than its packed form a part of more than a MB may be."""


def extract(content: bytes) -> tuple[str, str]:
    """The title that its properties tell, and its Markdown. Raises Unreadable."""
    _refuse_bombs(content)
    import docx
    from docx.opc.exceptions import PackageNotFoundError

    try:
        document = docx.Document(io.BytesIO(content))
    except (PackageNotFoundError, KeyError, ValueError, SyntaxError) as problem:
        raise Unreadable("it is damaged: Word's file format isn't in it") from problem
    title = str(document.core_properties.title or "")
    return " ".join(title.split()), "\n\n".join(_blocks(document))


def _refuse_bombs(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as problem:
        raise Unreadable("it is damaged: its archive can't be opened") from problem
    if any(part.flag_bits & 1 for part in parts):
        raise Unreadable("it has a password; save it without one")
    sizes = [part.file_size for part in parts]
    packed = any(
        part.file_size > 1024 * 1024 and part.file_size > MOST_RATIO * max(part.compress_size, 1) for part in parts
    )
    xml = max((part.file_size for part in parts if part.filename.endswith((".xml", ".rels"))), default=0)
    if len(parts) > MOST_PARTS or sum(sizes) > MOST_UNPACKED or xml > MOST_XML or packed:
        raise Unreadable("it holds far more than its size tells, and isn't unpacked")


def _blocks(document: Any) -> Iterator[str]:
    from docx.table import Table

    for part in document.iter_inner_content():
        if isinstance(part, Table):
            rows = [list(_cells(row)) for row in part.rows]
            if lines := lines_of(rows):
                yield "\n".join(lines)
        elif text := " ".join(part.text.split()):
            yield _prefix(part) + text


def _cells(row: Any) -> Iterator[str]:
    """Those that were merged, once."""
    before = None
    for cell in row.cells:
        if cell._tc is not before:
            yield cell.text
        before = cell._tc


def _prefix(paragraph: Any) -> str:
    style = str(paragraph.style.name or "") if paragraph.style is not None else ""
    if style == "Title":
        return "# "
    if found := re.fullmatch(r"[Hh]eading ([1-9])", style):
        return "#" * min(int(found[1]), 6) + " "
    numbered = paragraph._p.pPr is not None and paragraph._p.pPr.numPr is not None
    return "- " if numbered or style.startswith("List") else ""
