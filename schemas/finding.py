"""Something that was found in a flow, or in what an agent asks for, before it takes a call."""

from typing import Literal

from schemas.model import Model


class Finding(Model):
    """One thing that is wrong, or looks it."""

    code: str
    """Stable, for programs: `unreachable-node`. All are listed in docs/flows.md."""
    level: Literal["error", "warning"] = "error"
    """error: it takes no calls like this. warning: somebody should look at it."""
    node: str = ""
    """The id of the node; empty for the flow or the agent as a whole."""
    sentence: str
    """What is the matter."""
    fix: str = ""
    """What to do about it; empty if the sentence says it."""

    def __str__(self) -> str:
        return f"node {self.node!r}: {self.sentence}" if self.node else self.sentence
