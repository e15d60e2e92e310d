"""What organisations' own tools may take, whatever they are."""

MOST_OUTPUT = 32_000
"""Bytes of an answer that are kept, as JSON: it goes to the model and into the journal."""
SHARE = 0.95
"""Of the tool's time: the rest is for telling what happened."""


def too_long(size: int) -> str:
    """What is said of an answer of so many bytes; empty if it may be kept."""
    return f"answer is too long ({size} bytes)" if size > MOST_OUTPUT else ""
