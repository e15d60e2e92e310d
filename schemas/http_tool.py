"""A tool of an organisation's own: an HTTP endpoint, described as data."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.model import Model
from schemas.tool import Tool
from schemas.variable import Name

Status = Annotated[int, Field(ge=100, le=599)]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Endpoint(Model):
    """Where a request goes and what it carries. In its texts `{{name}}` stands for an argument and `{{secret:name}}`
    for one of the organisation's secrets."""

    method: Method = "GET"
    url: Annotated[str, Field(max_length=2000)]
    """Arguments may stand in its path, each within one segment: `https://api.example.com/orders/{{order_number}}`."""
    headers: dict[str, Annotated[str, Field(max_length=2000)]] = {}
    """Secrets may stand in them, arguments not."""
    query: dict[str, str] | None = None
    """By parameter: a text; one without a value is left out. None: with GET and DELETE, all arguments that the path
    doesn't hold."""
    body: dict[str, Any] | None = None
    """JSON, with texts in it; one that is a single `{{name}}` keeps the argument's type, one without a value is left
    out. None: with POST, PUT and PATCH, all arguments that the path doesn't hold."""
    success: tuple[Status, ...] = ()
    """Statuses that mean that it worked; empty for 200 to 299."""
    output: dict[Name, str] = {}
    """By field of the tool's output: what of the JSON answer it takes, as a field's name or a JSON path (RFC 9535:
    `$.items[0].price`). Empty for the whole answer."""


class HttpTool(Tool):
    """Stored at organisations/{org}/tools/{name}. What must hold beyond its types is `domain.tool_check`'s matter."""

    http: Endpoint
