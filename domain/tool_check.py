"""What would go wrong with a tool or an MCP server that an organisation defines, told before it is stored."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from domain import json_path, parameters
from domain.controls import CONTROLS
from domain.prompt import MOVES
from domain.references import arguments_in, misspelt_in, secrets_in
from schemas.http_tool import HttpTool
from schemas.mcp_server import McpServer
from schemas.tool import Tool

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
CALLABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
"""What models take as the name of a function."""
WITH_BODY = ("POST", "PUT", "PATCH")

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = {
    "accept-encoding",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers that are the platform's own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    param: str
    """Which field: `http.url`."""
    sentence: str

    def __str__(self) -> str:
        return f"{self.param}: {self.sentence}"


def check_tool(tool: HttpTool, taken: Collection[str] = ()) -> Iterator[Fault]:
    """Everything. `taken` are the names of the platform's own tools, beside those that move or end a conversation."""
    http = tool.http
    if not NAME.fullmatch(tool.name):
        yield Fault("name", "a name is made of a-z, 0-9 and _, begins with a letter and has 64 characters at most")
    if tool.name in taken or tool.name in CONTROLS or tool.name in MOVES:
        yield Fault("name", f"{tool.name!r} is one of the platform's own tools")
    try:
        properties = parameters.settled(tool.parameters).get("properties", {})
    except parameters.BadSchema as problem:
        yield Fault("parameters", str(problem))
        properties = None
    yield from _check_url("http.url", http.url)
    yield from _check_headers("http.headers", http.headers)
    for param, part in (("http.url", http.url), ("http.query", http.query), ("http.body", http.body)):
        for found in sorted(misspelt_in(part)):
            yield Fault(param, f"{found} is neither an argument nor a secret")
        for name in sorted(arguments_in(part)):
            if properties is not None and name not in properties:
                yield Fault(param, f"{{{{{name}}}}} is not one of the parameters")
    for name in sorted(arguments_in(http.url)):
        if properties is not None and name in properties and name not in tool.parameters.get("required", ()):
            yield Fault("http.url", f"{{{{{name}}}}} must be a required parameter: the path can't do without it")
    if http.body is not None and http.method not in WITH_BODY:
        yield Fault("http.body", f"{http.method} sends none")
    for field, path in http.output.items():
        try:
            json_path.check(path)
        except json_path.BadPath as problem:
            yield Fault(f"http.output.{field}", f"{path!r} can't be read: {problem}")
    yield from check_use(tool)


def check_use(tool: Tool, param: str = "") -> Iterator[Fault]:
    """Of how a tool is used, whatever it is."""
    if tool.if_unknown == "verify" and not tool.verify:
        yield Fault(f"{param}verify", "name the look-up that tells whether it acted")
    if tool.verify and tool.verify == tool.name:
        yield Fault(f"{param}verify", "a tool can't verify itself")
    for variable, path in tool.saves.items():
        try:
            json_path.check(path)
        except json_path.BadPath as problem:
            yield Fault(f"{param}saves.{variable}", f"{path!r} can't be read: {problem}")


def check_server(server: McpServer) -> Iterator[Fault]:
    """Everything."""
    if "{" in server.url:
        yield Fault("url", "nothing can be filled in here; secrets go into headers")
    yield from _check_url("url", server.url)
    yield from _check_headers("headers", server.headers)
    for name, chosen in server.tools.items():
        full = f"{server.id}.{name}"
        if not CALLABLE.fullmatch(full):
            yield Fault("tools", f"{full!r} can't be a tool's name: letters, digits, _, -, : and . only, 128 at most")
        tool = Tool(name=full, parameters={}, **{"description": "", **chosen.model_dump()})
        yield from check_use(tool, f"tools.{name}.")


def _check_url(param: str, url: str) -> Iterator[Fault]:
    scheme, _, rest = url.partition("://")
    authority, path = re.split(r"[/?#\\]", rest, maxsplit=1)[0], rest
    if scheme not in ("http", "https") or not authority:
        yield Fault(param, "it must begin with https:// and a host")
        return
    if "{" in authority:
        yield Fault(param, "nothing can be filled into its host")
        return
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        yield Fault(param, f"it isn't an address: {problem}")
        return
    if "@" in authority:
        yield Fault(param, "it names a user; put credentials into a header, as a secret")
    plain = url.replace("{{ ", "").replace(" }}", "")
    if port == 0 or not parts.hostname or not url.isprintable() or " " in plain or "\\" in plain:
        yield Fault(param, "it isn't an address")
    if "#" in path:
        yield Fault(param, "what follows # is never sent")
    if secrets_in(url):
        yield Fault(param, "secrets go into headers, the query or the body")
    if arguments_in(parts.query):
        yield Fault(param, "arguments of the query go into `query`")


def _check_headers(param: str, headers: Mapping[str, str]) -> Iterator[Fault]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            yield Fault(param, f"{name!r} can't be a header's name")
        elif name.lower() in _OURS:
            yield Fault(param, f"{name} is set by the platform itself")
        if not (value.isascii() and value.isprintable()):
            yield Fault(param, f"{name} holds characters that a header can't")
        if arguments_in(value) or misspelt_in(value):
            yield Fault(param, f"only {{{{secret:name}}}} can be filled into {name}")
