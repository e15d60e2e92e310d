"""What other formats leave to a model, in our terms."""

DONE = "The task of this step is done, and the conversation can go on."
"""The condition of an edge that has none, out of a conversation that a model holds: it judges that by itself."""
_FIND_OUT = "Find out which of these holds, and ask the caller only if you can't tell yet."
_NOT = "This doesn't hold: "


def find_out() -> str:
    """The prompt of a conversation that takes a branch's place."""
    return _FIND_OUT


def opposite(condition: str) -> str:
    """A condition that holds when the other doesn't."""
    return f"{_NOT}{condition}"
