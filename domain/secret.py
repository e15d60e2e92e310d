"""What an organisation's secret may be called, and may be."""

import re

MOST = 10_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def check_secret(name: str, value: str = "x") -> None:
    """Raises ValueError; its message doesn't hold the value."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a secret's name is made of a-z, 0-9 and _, begins with a letter and has 40 characters at most"
        )
    if not 1 <= len(value) <= MOST or not value.isascii() or not value.isprintable():
        raise ValueError(f"a secret is 1 to {MOST} printable characters of ASCII, on one line")
