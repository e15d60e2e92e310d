"""What is wrong with something that somebody wrote."""

from schemas.model import Model


class Finding(Model):
    """One thing that is wrong, and what to do about it."""

    code: str
    """What kind of thing, for programs: it stays the same when the sentence is put better."""
    node: str | None = None
    """The flow's, if it is in one."""
    sentence: str
    fix: str = ""
    """Empty if the sentence says it."""

    def __str__(self) -> str:
        where = f"node {self.node!r}: " if self.node else ""
        return f"{where}{self.sentence}"
