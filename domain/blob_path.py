"""What may be a blob, and where."""

import re

LARGEST_BLOB = 20 * 1024 * 1024
"""Bytes."""


def check_blob(path: str, content: bytes = b"") -> None:
    """Raises ValueError for a path that isn't one or a file that is too large."""
    segments = path.split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", each) for each in segments) or len(path) > 900:
        raise ValueError(f"not the path of a blob: {path!r}")
    if len(content) > LARGEST_BLOB:
        raise ValueError(f"a blob holds at most {LARGEST_BLOB} bytes, not {len(content)}")
