"""What is known of one effect of an acting tool."""

from datetime import datetime
from typing import Literal

from schemas.model import Model
from schemas.tool import ToolResult


class Effect(Model):
    """Stored at organisations/{org}/effects/{SHA-256 of the key, hex}."""

    key: str
    """`schemas.tool.ToolCall.key`."""
    tool: str
    state: Literal["intended", "unknown", "done", "failed"]
    """intended: somebody is at it, or died at it. unknown: somebody was, and couldn't tell what came of it. done: it
    acted. failed: it surely didn't, and may be tried again."""
    at: datetime
    """When the last attempt began."""
    until: datetime
    """When it is over at the latest."""
    attempts: int
    result: ToolResult | None = None
    """What came of it; None while that isn't known."""
    expires_at: datetime
