"""Text in whatever encoding."""

from domain.ports import Unreadable

_ALLOWED = frozenset("\t\n\r\f\x1a\ufeff")


def text_of(content: bytes) -> str:
    """UTF-8, UTF-16 by its mark, or what it most probably is. Raises Unreadable for what is no text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if content.startswith(mark):
            try:
                return _text(content.decode(encoding))
            except UnicodeDecodeError:
                continue
    import charset_normalizer  # takes a moment, and is seldom wanted

    best = charset_normalizer.from_bytes(content).best()
    if best is None:
        raise Unreadable("its letters are in no known encoding; save it as UTF-8")
    return _text(str(best))


def _text(text: str) -> str:
    strange = sum(1 for char in text if char < " " and char not in _ALLOWED)
    if strange > len(text) / 100:
        raise Unreadable("it is no text")
    return text
