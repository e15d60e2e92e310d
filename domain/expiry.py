"""When a document may go: its top-level field `expires_at`, if it has one."""

import re
from datetime import datetime

from domain.ports import Document

FIELD = "expires_at"
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


def expiry_of(document: Document) -> datetime | None:
    """The time after which the store may delete the document, aware; None for never. Raises ValueError.

    Stores delete some time later, a day or so at most. Until then the document is there like any other: whoever minds
    looks at the field. What lies in collections below it has expiries of its own, or stays."""
    text = document.get(FIELD)
    if text is None:
        return None
    try:
        if isinstance(text, str) and _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{FIELD} is {text!r}; it must be a time with its offset, such as 2026-12-31T23:59:59Z")
