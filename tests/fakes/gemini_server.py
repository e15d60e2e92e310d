"""Gemini's REST protocol on a local port, played from a script and as strict about requests as the real one."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

Json = dict[str, Any]

KEY = "AIza-the-secret-key"
UNSIGNED = b"skip_thought_signature_validator"
"""Stands, by Google's own documentation, for the signature of a call that the model didn't make."""

# --- What an answer is made of. One that ends with neither a Finish nor a fault is finished with STOP. ---


@dataclass(frozen=True)
class Text:
    text: str
    thought: bool = False


@dataclass(frozen=True)
class Calls:
    """Function calls made at once: each a name and arguments. The first is signed, as by Gemini 3."""

    calls: Sequence[tuple[str, Json]]
    signature: bytes | None = b"\x00signed\xfe\xff"
    ids: bool = True
    """Older models give none."""


@dataclass(frozen=True)
class Wait:
    s: float


@dataclass(frozen=True)
class Finish:
    reason: str


@dataclass(frozen=True)
class Blocked:
    """The prompt itself was refused: there are no candidates."""

    reason: str


@dataclass(frozen=True)
class ErrorChunk:
    """An error in the middle of a stream that began well."""

    error: Json


@dataclass(frozen=True)
class Raw:
    """Anything at all, in place of a chunk."""

    text: str


class Drop:
    """The connection breaks."""


class CutShort:
    """The answer ends properly, as far as HTTP goes, without having been finished."""


@dataclass(frozen=True)
class Refusal:
    """Instead of an answer: an HTTP status."""

    status: int
    name: str
    message: str = "no"


Step = Text | Calls | Wait | Finish | Blocked | ErrorChunk | Raw | Drop | CutShort | Refusal


@dataclass
class Seen:
    """A request as it came."""

    model: str
    headers: dict[str, str]
    body: Json
    """With all of Google's names in camel case, whichever of its two spellings they came in."""
    client: Any
    """The address at the other end of the connection."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client went away before the answer was complete."""


class GeminiServer:
    """`async with GeminiServer() as server:` listens at `server.url` and gives the scripts of `will_answer` in turn,
    the last one again and again. Requests that Gemini would refuse are answered with 400 and the reason."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.asked = asyncio.Event()
        """Set once there is a request."""
        self._scripts: list[Sequence[Step]] = [[Text("Hello.")]]
        self._signatures: dict[str, bytes | None] = {}
        """Of each call it made, by id."""

    def will_answer(self, *scripts: Sequence[Step]) -> None:
        self._scripts = list(scripts)

    async def __aenter__(self) -> "GeminiServer":
        app = Starlette(routes=[Route("/v1/models/{model}:streamGenerateContent", self._answer, methods=["POST"])])
        config = uvicorn.Config(app, log_config=None)
        config.load()
        # uvicorn's protocol without uvicorn's Server, which minds signals and takes its time to stop.
        self._connected = ServerState()

        def connect() -> asyncio.Protocol:
            return H11Protocol(config, self._connected, app_state={})

        self._listening = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for connection in list(self._connected.connections):
            connection.shutdown()
        await asyncio.gather(*self._connected.tasks, return_exceptions=True)
        await self._listening.wait_closed()

    async def _answer(self, request: Request) -> ASGIApp:
        seen = Seen(request.path_params["model"], dict(request.headers), _camel(await request.json()), request.client)
        self.requests.append(seen)
        self.asked.set()
        if request.query_params.get("alt") != "sse" or seen.headers.get("x-goog-api-key") != KEY:
            return _error(400, "INVALID_ARGUMENT", f"API key not valid: {KEY}", reason="API_KEY_INVALID")
        if wrong := "; ".join(complaints(seen.model, seen.body, self._signatures)):
            return _error(400, "INVALID_ARGUMENT", wrong)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        for step in script:
            if isinstance(step, Refusal):
                return _error(step.status, step.name, step.message)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            playing = asyncio.create_task(self._play(script, send))
            leaving = asyncio.create_task(_gone(receive))
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                seen.left.set()
            for task in (playing, leaving):
                task.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)

        return answer

    async def _play(self, script: Sequence[Step], send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def data(chunk: Json | str) -> None:
            text = chunk if isinstance(chunk, str) else json.dumps(chunk)
            body = f"data: {text}\r\n\r\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        finished = False
        for step in script:
            match step:
                case Text(text, thought):
                    await data(_chunk([{"text": text, **({"thought": True} if thought else {})}]))
                case Calls():
                    await data(_chunk(list(self._made(step))))
                case Wait(s):
                    await asyncio.sleep(s)
                case Finish(reason):
                    finished = True
                    await data(_chunk([], reason))
                case Blocked(reason):
                    finished = True
                    await data({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 7}})
                case ErrorChunk(error):
                    finished = True
                    await data({"error": error})
                case Raw(text):
                    await data(text)
                case CutShort():
                    finished = True
                case Drop():
                    return  # uvicorn closes a connection whose answer is not complete
        if not finished:
            await data(_chunk([], "STOP"))
        await send({"type": "http.response.body", "body": b""})

    def _made(self, step: Calls) -> Iterator[Json]:
        for place, (name, arguments) in enumerate(step.calls):
            signature = step.signature if place == 0 else None
            part: Json = {"functionCall": {"name": name, "args": arguments}}
            if step.ids:
                part["functionCall"]["id"] = f"call{len(self._signatures)}"
                self._signatures[part["functionCall"]["id"]] = signature
            if signature:
                part["thoughtSignature"] = base64.b64encode(signature).decode()
            yield part


# --- What Gemini would refuse ---

FIELDS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent"}


def complaints(model: str, body: Json, signatures: dict[str, bytes | None]) -> Iterator[str]:
    """All that is wrong with a request. `signatures` are those of the calls that the server made."""
    for name in body.keys() - FIELDS:
        yield f"unknown field {name}"
    yield from _thinking_complaints(model, body.get("generationConfig", {}).get("thinkingConfig", {}))
    yield from _tool_complaints([f for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])])
    contents = body.get("contents", [])
    if not contents or contents[0]["role"] != "user" or contents[-1]["role"] != "user":
        yield "contents must begin and end with the user"
    before: Json = {"role": "", "parts": []}
    for content in [*contents, {"role": "", "parts": []}]:
        yield from _content_complaints(content)
        yield from _order_complaints(before, content)
        before = content
    if int("".join(re.findall(r"gemini-(\d+)", model)) or 0) >= 3:
        for content in contents:
            yield from _signature_complaints(_calls(content), content["parts"], signatures)


def _thinking_complaints(model: str, thinking: Json) -> Iterator[str]:
    newer = "gemini-2" not in model
    if thinking.keys() - {"thinkingLevel", "thinkingBudget", "includeThoughts"}:
        yield "unknown field in thinkingConfig"
    if "thinkingBudget" in thinking and ("thinkingLevel" in thinking or newer):
        yield "thinkingBudget is not supported here"
    if "thinkingLevel" in thinking and not newer:
        yield "thinkingLevel is not supported by this model"
    if "pro" in model and (thinking.get("thinkingLevel") == "MINIMAL" or thinking.get("thinkingBudget") == 0):
        yield "this model can't do without thinking"


def _tool_complaints(functions: list[Json]) -> Iterator[str]:
    if len({function["name"] for function in functions}) < len(functions):
        yield "duplicate function declaration"
    for function in functions:
        if not re.fullmatch(r"[a-zA-Z_][\w.:-]{0,63}", function["name"]):
            yield f"invalid function name {function['name']}"
        schema = function.get("parametersJsonSchema", {"properties": {"any": {}}})
        if not schema.get("properties"):
            yield f"{function['name']}: properties should be non-empty for OBJECT type"


def _content_complaints(content: Json) -> Iterator[str]:
    for part in content["parts"]:
        kinds = part.keys() & {"text", "functionCall", "functionResponse"}
        if len(kinds) != 1 or part.get("text") == "":
            yield "a part must have exactly one field, and not be empty"
        if ("functionCall" in kinds and content["role"] != "model") or (
            "functionResponse" in kinds and (content["role"] != "user" or "name" not in part["functionResponse"])
        ):
            yield "functions are called by the model and answered by the user, by name"


def _order_complaints(before: Json, content: Json) -> Iterator[str]:
    calls = [(call.get("id"), call["name"]) for call in _calls(before)]
    responses = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
    if calls != [(response.get("id"), response["name"]) for response in responses]:
        yield "the function responses must be those of the calls right before them, in number, id and name"
    if responses and len(responses) < len(content["parts"]):
        yield "a turn of function responses must hold nothing else"
    if before["role"] == content["role"] != "" and not ("functionResponse" in before["parts"][-1] and not responses):
        yield f"two turns of {content['role']} in a row"


def _signature_complaints(calls: list[Json], parts: list[Json], signatures: dict[str, bytes | None]) -> Iterator[str]:
    given = [part.get("thoughtSignature") for part in parts if "functionCall" in part]
    for place, (call, signature) in enumerate(zip(calls, given, strict=True)):
        made = signatures.get(call.get("id", ""), UNSIGNED if place == 0 else None)
        if (base64.urlsafe_b64decode(signature.replace("+", "-").replace("/", "_")) if signature else None) != made:
            yield f"function call {call['name']} has not the thought_signature it came with"
        if place == 0 and not signature:
            yield f"function call {call['name']} is missing a thought_signature"


def _calls(content: Json) -> list[Json]:
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


# --- The wire ---


def _chunk(parts: list[Json], reason: str = "") -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "cachedContentTokenCount": 4}
    return {"candidates": [candidate], **({"usageMetadata": usage} if reason else {})}


def _error(status: int, name: str, message: str, reason: str = "") -> JSONResponse:
    error: Json = {"code": status, "status": name, "message": message}
    if reason:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return JSONResponse({"error": error}, status)


def _camel(value: Any) -> Any:
    """Google takes each of its names in both spellings. What belongs to the user is left alone."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {name: re.sub(r"_(\w)", lambda match: match[1].upper(), name) for name in value}
    own = {"args", "response", "parametersJsonSchema"}
    return {names[name]: item if names[name] in own else _camel(item) for name, item in value.items()}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
