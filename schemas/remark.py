"""One entry of a dialogue, as a model sees it."""

from typing import Literal

from schemas.model import Model
from schemas.tool import ToolCall, ToolResult


class Remark(Model):
    """Something said, asked of a tool, or answered by one."""

    role: Literal["caller", "agent", "request", "result"]
    text: str = ""
    """What was said; for the agent only what the caller heard."""
    call: ToolCall | None = None
    """For `request`: what the model asked to run."""
    result: ToolResult | None = None
    """For `result`: what came back."""
    opaque: str = ""
    """For `request`: whatever the provider wants back verbatim, base64 (Gemini's thought signature; the one of a text
    isn't kept, see docs/decisions/0012)."""
