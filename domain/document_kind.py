"""What kind of file somebody gave us: by what it holds first, then by its name and content type."""

from domain.blob_path import LARGEST_BLOB
from domain.ports import Unreadable
from schemas.knowledge_document import FileKind

KINDS = "text, Markdown, HTML, PDF (.pdf) or Word (.docx)"

_BY_ENDING: dict[str, FileKind] = {
    "txt": "text",
    "text": "text",
    "csv": "text",
    "md": "markdown",
    "markdown": "markdown",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "pdf": "pdf",
    "docx": "docx",
}
_BY_TYPE: dict[str, FileKind] = {
    "text/plain": "text",
    "text/csv": "text",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}


def kind_of(name: str, content_type: str, content: bytes) -> FileKind:
    """`name` is a file's or a page's, `content_type` may be empty. Raises Unreadable for what can't be a document."""
    if not content.strip():
        raise Unreadable("it is empty")
    if len(content) > LARGEST_BLOB:
        raise Unreadable(f"it is larger than {LARGEST_BLOB // 1024 // 1024} MB")
    _, dot, ending = name.rpartition("/")[2].partition("?")[0].rpartition(".")
    ending = ending.lower() if dot else ""
    declared = content_type.partition(";")[0].strip().lower()
    claimed = _BY_ENDING.get(ending) or _BY_TYPE.get(declared)
    if b"%PDF-" in content[:1024]:
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        if b"word/" in content:
            return "docx"
        raise Unreadable(f"it is an archive, or an Office file other than .docx; it must be {KINDS}")
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("it is an old Office file, or one with a password; save it as .docx without one")
    if claimed in ("pdf", "docx"):
        raise Unreadable(f"it is called a .{claimed} file, but is none")
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(f"it is no text; it must be {KINDS}")
    start = content[:500].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if claimed in (None, "text") and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    unknown = ending if ending and not claimed else ""
    if claimed is None and (unknown or declared not in ("", "application/octet-stream")):
        raise Unreadable(f"files of the kind {unknown or declared!r} can't be read; it must be {KINDS}")
    return claimed or "text"
