"""Tools that are HTTP endpoints of an organisation's own."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import structlog

from domain import json_path
from domain.ports import Answer, NotSent, Secrets, TooBig, Unavailable, Web
from domain.references import BadArgument, NoSecret, arguments_in, as_text, filled, path_with, secrets_in
from domain.tool_check import WITH_BODY
from domain.tool_limits import SHARE, too_long
from schemas.http_tool import HttpTool
from schemas.tool import ToolCall, ToolResult

MOST_BYTES = 1_000_000
"""Of an answer."""
UNSURE = (408, 409, 425, 429)
"""Statuses of 4xx that a request gets which was taken, or taken before, as well as one that wasn't."""

log = structlog.get_logger()


class HttpTools:
    """Runs them, through the one way out."""

    def __init__(self, web: Web, secrets: Secrets) -> None:
        self._web, self._secrets = web, secrets

    async def run(self, organisation: str, tool: HttpTool, call: ToolCall) -> ToolResult:
        """What came of it; the arguments are known to be what its schema allows.

        A tool that acts and whose request never left has failed, as it has when the service says so (a status of 4xx).
        Raises Unavailable when it can't be told: no answer once the request was on its way, a status of 3xx or 5xx or
        one that is UNSURE, or any that isn't success once a redirect was followed. A look-up has failed only if what it
        looked for isn't there; anything else raises Unavailable. Cancelling abandons it; it may still have acted."""
        try:
            method, url, headers, body = await self._request(organisation, tool, call)
        except (BadArgument, NoSecret) as problem:
            return ToolResult(id=call.id, error=str(problem))
        try:
            answer = await self._web.fetch(
                method,
                url,
                headers=headers,
                body=body,
                within_s=tool.timeout_ms / 1000 * SHARE,
                most_bytes=MOST_BYTES,
            )
        except NotSent as problem:
            if not tool.acts:
                raise
            return ToolResult(id=call.id, error=str(problem))
        except TooBig as problem:
            if tool.acts and _worked(tool, problem.status):
                return _acted(call, {}, str(problem))
            raise
        return _result(tool, call, answer)

    async def _request(
        self, organisation: str, tool: HttpTool, call: ToolCall
    ) -> tuple[str, str, dict[str, str], bytes]:
        """Raises BadArgument, NoSecret, Unavailable."""
        http, arguments = tool.http, call.arguments
        secrets: dict[str, str] = {}
        for name in sorted(secrets_in([dict(http.headers), http.query, http.body])):
            if (value := await self._secrets.get(organisation, name)) is None:
                raise NoSecret(f"the secret {name!r} isn't set")
            secrets[name] = value
        left = {name: value for name, value in arguments.items() if name not in arguments_in(http.url)}
        url = path_with(http.url, arguments)
        query = filled(http.query, arguments, secrets) if http.query is not None else {}
        headers = {name: filled(value, {}, secrets) for name, value in http.headers.items()}
        headers = {"accept": "application/json", **headers}
        body = b""
        if http.method in WITH_BODY:
            body = orjson.dumps(filled(http.body, arguments, secrets) if http.body is not None else left)
            headers.setdefault("content-type", "application/json")
        elif http.query is None:
            query = left
        if query:
            url += ("&" if "?" in url else "?") + urlencode(list(_flat(query)), quote_via=quote)
        if tool.acts:
            headers["idempotency-key"] = quote(call.key, safe=":")
        return http.method, url, headers, body


def _flat(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A list's values are repeated; an object is sent as JSON."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                text = orjson.dumps(each).decode() if isinstance(each, dict | list) else as_text(each)
                pairs.append((name, text))
    return pairs


def _worked(tool: HttpTool, status: int) -> bool:
    return status in tool.http.success if tool.http.success else 200 <= status < 300


def _refused(answer: Answer) -> bool:
    """Whether a status that isn't success says that nothing was done. A page that a redirect leads to knows nothing of
    the request before it."""
    status = answer.status
    return not answer.redirected and not 300 <= status < 400 and status < 500 and status not in UNSURE


def _result(tool: HttpTool, call: ToolCall, answer: Answer) -> ToolResult:
    status = answer.status
    if not _worked(tool, status):
        sentence = _refusal(status)
        if status in (404, 410) and not tool.acts:
            return ToolResult(id=call.id, error=sentence, absent=True)
        if tool.acts and _refused(answer):
            return ToolResult(id=call.id, error=sentence)
        raise Unavailable(sentence)
    try:
        output = _output(tool, answer.body)
    except json_path.NotFound as problem:
        sentence = f"the service's answer has no {problem}"
        if not tool.acts:
            return ToolResult(id=call.id, error=sentence, absent=True)
        return _acted(call, {}, sentence)
    except ValueError as problem:
        if not tool.acts:
            raise Unavailable(str(problem)) from None
        return _acted(call, {}, str(problem))
    return ToolResult(id=call.id, output=output)


def _acted(call: ToolCall, output: dict[str, Any], why: str) -> ToolResult:
    """It did what it should, and the answer tells less than it could: to call that a failure would have it done
    again."""
    log.warning("tool_answer_unreadable", tool=call.tool, why=why)
    return ToolResult(id=call.id, output=output)


def _refusal(status: int) -> str:
    match status:
        case 401 | 403:
            why = "did not accept our credentials"
        case 404 | 410:
            why = "knows no such thing"
        case 408 | 504:
            why = "took too long"
        case 409:
            why = "says that this is in conflict with what it has"
        case 429:
            why = "was asked too often"
        case 400 | 422:
            why = "did not accept these values"
        case _ if status >= 500:
            why = "had an error of its own"
        case _:
            why = "did not do it"
    return f"the service {why} (status {status})"


def _output(tool: HttpTool, body: bytes) -> dict[str, Any]:
    """Raises NotFound; ValueError for what can't be read or is too long."""
    if not body.strip() and not tool.http.output:
        return {}
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("the service's answer isn't JSON") from None
    if tool.http.output:
        output = {field: json_path.find(path, answer) for field, path in tool.http.output.items()}
    else:
        output = answer if isinstance(answer, dict) else {"result": answer}
    if why := too_long(len(orjson.dumps(output))):
        raise ValueError(f"the service's {why}: take fewer fields of it")
    return output
