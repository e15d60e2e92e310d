"""The words of a PDF."""

import io
import re
from typing import Any

from domain.ports import Unreadable

MOST_PAGES = 1000
_HYPHENATED = re.compile(r"(\w)[-\u2010\u00ad]\n(?=[^\W\d_A-Z])")
_WRAPPED = re.compile(r"(?<=[^\s.!?:;])[ \t]*\n[ \t]*(?=[^\W\dA-Z_]|[(\"'])")


def extract(content: bytes) -> tuple[str, str]:
    """The title that its properties tell, and its text. Raises Unreadable."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("it has a password; save it without one")
        if len(reader.pages) > MOST_PAGES:
            raise Unreadable(f"it has more than {MOST_PAGES} pages; split it")
        pages = [page.extract_text() for page in reader.pages]
        title = _title(reader)
    except Unreadable:
        raise
    except (PyPdfError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise Unreadable("it is damaged: it can't be read as a PDF") from problem
    text = "\n\n".join(filter(None, (page.strip() for page in pages)))
    if sum(map(str.isalpha, text)) < 20:
        raise Unreadable("it holds pictures without text; have its text recognised (OCR) first")
    return title, _WRAPPED.sub(" ", _HYPHENATED.sub(r"\1", text))


def _title(reader: Any) -> str:
    title = reader.metadata.title if reader.metadata else None
    return " ".join(title.split()) if isinstance(title, str) else ""
