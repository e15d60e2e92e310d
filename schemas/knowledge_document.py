"""A document that agents know: a price list, the house rules, a page of the web site."""

from datetime import datetime
from typing import Literal

from schemas.model import Model

FileKind = Literal["text", "markdown", "html", "pdf", "docx"]
"""What can be read."""


class KnowledgeDocument(Model):
    """Stored at organisations/{org}/knowledge/{id}."""

    id: str
    organisation: str
    title: str
    """What people call it; agents are told it as the source."""
    title_given: bool = False
    """Whether somebody chose it; else it is the document's own, as soon as that was read."""
    kind: FileKind | Literal["web"]
    """web: a page, fetched anew whenever it is read."""
    source: str = ""
    """The file's name, or the page's address; empty for a text that was written here."""
    state: Literal["reading", "ready", "failed"] = "reading"
    """While it is read, and if that fails, what it said before stays findable."""
    doing: Literal["", "waiting", "fetching", "extracting", "keeping"] = "waiting"
    """While it is read: how far that is."""
    why: str = ""
    """Why it failed, in a sentence for whoever added it."""
    reading: int = 1
    """How often it was to be read: once as it was added, and again each time it was replaced or was to be re-read."""
    size: int = 0
    """Bytes of the original; 0 for a page that wasn't fetched yet."""
    sha256: str = ""
    """Of the original, hex; empty for a page that wasn't fetched yet."""
    passages: int = 0
    """How many of its passages are findable."""
    created_at: datetime
    updated_at: datetime
    """When it was added, replaced, or asked to be re-read the last time."""
    read_at: datetime | None = None
    """When it was last read with success."""
