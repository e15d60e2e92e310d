"""Gemini's REST protocol on a local port, by API key and as Vertex AI, played from a script and as strict about requests
as the real one.

Questions are answered from scripts. Sound is written down by what it holds (`say`, see the speech server), unless a
script says otherwise. Caches are kept until they are dropped or their time is over."""

import asyncio
import base64
import hashlib
import io
import itertools
import json
import random
import re
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from domain import mulaw
from domain.content_words import content_words
from tests.fakes.served import served
from tests.fakes.speech_server import hear

Json = dict[str, Any]

KEY = "AIza-the-secret-key"
PROJECT, LOCATION, TOKEN = "offhook", "europe-west4", "ya29-the-secret-token"
"""Of Vertex AI."""
MODELS = re.compile(r"gemini-(2\.[05]|3|3\.\d)-(flash|pro)(-lite|-preview)*|gemini-flash-latest|gemma-3-27b-it")
"""What it has."""
EMBEDDING_MODEL = "gemini-embedding-001"
FULL_DIMENSIONS = 3072
MOST_EMBEDDED = 100
"""Texts of one request with an API key; Vertex AI takes one."""
TASKS = ("RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "SEMANTIC_SIMILARITY")
FEWEST_CACHED = {2: 2048, 3: 4096}
"""By generation: so many tokens a cache must hold."""
SHORTEST_DEADLINE_S = 10
"""That a request may set."""
LETTERS_A_TOKEN = 4
UNSIGNED = b"skip_thought_signature_validator"
"""Stands, by Google's own documentation, for the signature of a call that the model didn't make."""

# --- What an answer is made of. One that ends with neither a Finish nor a fault is finished with STOP. ---


@dataclass(frozen=True)
class Text:
    text: str
    thought: bool = False
    signature: bytes | None = None
    """Gemini 3 signs the last part of an answer without function calls, which may be an empty text."""


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
    jitter_s: float = 0
    """Up to so much longer."""


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
    reason: str = ""
    """Google's, as a constant."""


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

    @property
    def sound(self) -> bytes:
        """What was sent to be written down, mu-law 8 kHz."""
        return _sound(self.body)

    @property
    def texts(self) -> list[str]:
        """Of all contents."""
        return [part["text"] for content in self.body["contents"] for part in content["parts"] if "text" in part]


@dataclass(frozen=True)
class Embedded:
    """A request for vectors."""

    task: str
    texts: list[str]


@dataclass
class Cache:
    """A cached content as it was made."""

    name: str
    model: str
    body: Json
    expires: float
    """By the loop's clock."""


class GeminiServer:
    """`async with GeminiServer() as server:` listens at `server.url` and gives the scripts of `will_answer` in turn,
    the last one again and again. Requests that Gemini would refuse are answered with 400 and the reason."""

    def __init__(self, otherwise: str = "yes please", vertex: bool = False) -> None:
        """`otherwise` is heard in sound that isn't `say`'s. With `vertex` it is Vertex AI, and takes no API keys."""
        self.requests: list[Seen] = []
        """Those for an answer, in the order in which they came."""
        self.asked = asyncio.Event()
        """Set once there is a request."""
        self.counted: list[str] = []
        """Models that tokens were counted for."""
        self.embedded: list[Embedded] = []
        """Requests for vectors."""
        self.embeds = embed
        """How long the vectors are, and what they are, is up to it."""
        self.caches: dict[str, Cache] = {}
        """By name."""
        self.caching = asyncio.Event()
        """Set once a cache was asked for."""
        self.caches_may_be_made = asyncio.Event()
        self.caches_may_be_made.set()
        self.cached_by_itself = 4
        """Tokens of every prompt."""
        self.refuses: Refusal | None = None
        """Everything but questions."""
        self._otherwise = otherwise
        self._vertex = vertex
        self._scripts: list[Sequence[Step]] = [[Text("Hello.")]]
        self._hearings: list[Sequence[Step]] = []
        self._signatures: dict[str, bytes | None] = {}
        """Of each call it made, by id."""
        self._numbers = itertools.count()
        self._random = random.Random(1)

    def will_answer(self, *scripts: Sequence[Step]) -> None:
        self._scripts = list(scripts)

    def will_hear(self, *scripts: Sequence[Step]) -> None:
        """Sound is answered by these in turn, and after that as it should be."""
        self._hearings = list(scripts)

    def app(self) -> Starlette:
        """What listens there, for who needs no port."""
        top = f"/v1beta1/projects/{PROJECT}/locations/{LOCATION}" if self._vertex else "/v1"
        models = f"{top}/publishers/google/models" if self._vertex else f"{top}/models"
        return Starlette(
            routes=[
                Route(f"{models}/{{model}}:streamGenerateContent", self._answer, methods=["POST"]),
                Route(f"{models}/{{model}}:generateContent", self._answer, methods=["POST"]),
                Route(f"{models}/{{model}}:countTokens", self._count, methods=["POST"]),
                Route(f"{models}/{{model}}:batchEmbedContents", self._embed, methods=["POST"]),
                Route(f"{models}/{{model}}:embedContent", self._embed, methods=["POST"]),
                Route(f"{models}/{{model}}:predict", self._embed, methods=["POST"]),
                Route(f"{top}/cachedContents", self._cache, methods=["POST"]),
            ]
        )

    @contextmanager
    def on_paper(self) -> Iterator[None]:
        """The real client reaches it without a network, and so in virtual time. Its answers then come in one piece."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("httpx2.AsyncHTTPTransport", lambda limits: httpx2.ASGITransport(self.app()))
            yield

    async def __aenter__(self) -> "GeminiServer":
        self._served = served(self.app())
        self.url = await self._served.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._served.__aexit__(None, None, None)

    async def _embed(self, request: Request) -> JSONResponse:
        """Vectors of texts: `batchEmbedContents` with an API key, `embedContent` or the older `predict` on Vertex AI."""
        model, body = request.path_params["model"], _camel(await request.json())
        if self.refuses:
            return _error(self.refuses.status, self.refuses.name, self.refuses.message, self.refuses.reason)
        if refusal := self._refusal(request, model, re.compile(EMBEDDING_MODEL)):
            return refusal
        _, _, method = request.url.path.rpartition(":")
        if (method == "batchEmbedContents") == self._vertex:
            return _error(404, "NOT_FOUND", "there is no such method for this model")
        try:
            tasks, texts, sizes = zip(*_wanted_vectors(body, method), strict=True)
        except (KeyError, ValueError) as problem:
            return _error(400, "INVALID_ARGUMENT", f"can't be embedded: {problem}")
        most = 1 if self._vertex else MOST_EMBEDDED
        if len(texts) > most:
            return _error(400, "INVALID_ARGUMENT", f"batchSize must be {most} but the entered value was {len(texts)}.")
        if not all(texts) or not set(tasks) <= set(TASKS):
            return _error(400, "INVALID_ARGUMENT", "content must not be empty, and the task must be known")
        self.embedded.append(Embedded(tasks[0], list(texts)))
        vectors = [self.embeds(text, size) for text, size in zip(texts, sizes, strict=True)]
        match method:
            case "predict":
                return JSONResponse({"predictions": [{"embeddings": {"values": values}} for values in vectors]})
            case "embedContent":
                return JSONResponse({"embedding": {"values": vectors[0]}, "truncated": False})
        return JSONResponse({"embeddings": [{"values": values} for values in vectors]})

    def _refusal(self, request: Request, model: str, models: re.Pattern[str] = MODELS) -> JSONResponse | None:
        """Of whoever may not ask, and of models that there aren't."""
        if self._vertex:
            if request.headers.get("authorization") != f"Bearer {TOKEN}" or "x-goog-api-key" in request.headers:
                return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        elif request.headers.get("x-goog-api-key") != KEY:
            return _error(400, "INVALID_ARGUMENT", f"API key not valid: {KEY}", reason="API_KEY_INVALID")
        if (deadline := request.headers.get("x-server-timeout")) and int(deadline) < SHORTEST_DEADLINE_S:
            message = f"Manually set deadline {deadline}s is too short. Minimum allowed deadline is 10s."
            return _error(400, "INVALID_ARGUMENT", message)
        if not models.fullmatch(model):
            return _error(404, "NOT_FOUND", f"models/{model} is not found, or is not supported.")
        return None

    async def _count(self, request: Request) -> JSONResponse:
        model = request.path_params["model"]
        if self.refuses:
            return _error(self.refuses.status, self.refuses.name, self.refuses.message, self.refuses.reason)
        if refusal := self._refusal(request, model):
            return refusal
        self.counted.append(model)
        return JSONResponse({"totalTokens": 2})

    async def _cache(self, request: Request) -> JSONResponse:
        body = _camel(await request.json())
        model = body["model"].rpartition("/")[2]
        self.caching.set()
        await self.caches_may_be_made.wait()
        if self.refuses:
            return _error(self.refuses.status, self.refuses.name, self.refuses.message, self.refuses.reason)
        if refusal := self._refusal(request, model):
            return refusal
        tokens = _tokens({"systemInstruction": body.get("systemInstruction"), "tools": body.get("tools")})
        fewest = FEWEST_CACHED.get(_generation(model), 4096)
        if tokens < fewest:
            return _error(400, "INVALID_ARGUMENT", f"Cached content is too small: {tokens}, minimum is {fewest}")
        ttl_s = float(body["ttl"].removesuffix("s"))
        prefix = f"projects/1234/locations/{LOCATION}/" if self._vertex else ""
        name = f"{prefix}cachedContents/c{next(self._numbers)}"
        self.caches[name] = Cache(name, model, body, asyncio.get_running_loop().time() + ttl_s)
        return JSONResponse({"name": name, "model": body["model"], "usageMetadata": {"totalTokenCount": tokens}})

    def _cache_complaint(self, seen: Seen) -> JSONResponse | None:
        name = seen.body.get("cachedContent")
        if not name:
            return None
        if {"systemInstruction", "tools", "toolConfig"} & seen.body.keys():
            message = "CachedContent can not be used with GenerateContent request setting system_instruction or tools."
            return _error(400, "INVALID_ARGUMENT", message)
        cache = self.caches.get(name)
        if not cache or cache.expires <= asyncio.get_running_loop().time() or cache.model != seen.model:
            return _error(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)")
        return None

    async def _answer(self, request: Request) -> ASGIApp:
        model = request.path_params["model"]
        seen = Seen(model, dict(request.headers), _camel(await request.json()), request.client)
        self.requests.append(seen)
        self.asked.set()
        streams = request.url.path.endswith(":streamGenerateContent")
        if refusal := self._refusal(request, model):
            return refusal
        if streams and request.query_params.get("alt") != "sse":
            return _error(400, "INVALID_ARGUMENT", "only server-sent events are spoken here")
        if wrong := "; ".join(complaints(seen.model, seen.body, self._signatures)):
            return _error(400, "INVALID_ARGUMENT", wrong)
        if refusal := self._cache_complaint(seen):
            return refusal
        if seen.sound:
            script = self._hearings.pop(0) if self._hearings else [Text(self._written_down(seen.sound))]
        else:
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        cached = self.caches.get(seen.body.get("cachedContent", ""))
        tokens = _tokens(cached.body) if cached else self.cached_by_itself

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            play = self._play(script, send, tokens) if streams else self._give(script, scope, receive, send)
            playing = asyncio.create_task(play)
            leaving = asyncio.create_task(_gone(receive))
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                seen.left.set()
            for task in (playing, leaving):
                task.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)

        for step in script:
            if isinstance(step, Refusal):
                return _error(step.status, step.name, step.message, step.reason)
        return answer

    def _written_down(self, sound: bytes) -> str:
        words, _ = hear(sound, self._otherwise)
        return json.dumps({"speech": bool(words), "transcript": " ".join(word.word for word in words)})

    async def _give(self, script: Sequence[Step], scope: Scope, receive: Receive, send: Send) -> None:
        """An answer in one piece."""
        text, reason, answer = "", "STOP", None
        for step in script:
            match step:
                case Text(more):
                    text += more
                case Wait():
                    await asyncio.sleep(step.s + self._random.uniform(0, step.jitter_s))
                case Finish():
                    reason = step.reason
                case Blocked():
                    answer = JSONResponse({"promptFeedback": {"blockReason": step.reason}})
                case Raw():
                    answer = Response(step.text, media_type="application/json")
                case Drop():
                    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
                    return
                case _:
                    raise NotImplementedError(step)
        answer = answer or JSONResponse(_chunk([{"text": text}] if text else [], reason))
        await answer(scope, receive, send)

    async def _play(self, script: Sequence[Step], send: Send, cached: int) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def data(chunk: Json | str) -> None:
            text = chunk if isinstance(chunk, str) else json.dumps(chunk)
            body = f"data: {text}\r\n\r\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        finished = False
        for step in script:
            match step:
                case Text(text, thought, signature):
                    part = {"text": text, **({"thought": True} if thought else {}), **_signed(signature)}
                    await data(_chunk([part], cached=cached, vertex=self._vertex))
                case Calls():
                    await data(_chunk(list(self._made(step)), cached=cached, vertex=self._vertex))
                case Wait():
                    await asyncio.sleep(step.s + self._random.uniform(0, step.jitter_s))
                case Finish(reason):
                    finished = True
                    await data(_chunk([], reason, cached))
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
            await data(_chunk([], "STOP", cached))
        await send({"type": "http.response.body", "body": b""})

    def _made(self, step: Calls) -> Iterator[Json]:
        for place, (name, arguments) in enumerate(step.calls):
            signature = step.signature if place == 0 else None
            part: Json = {"functionCall": {"name": name, "args": arguments}, **_signed(signature)}
            if step.ids:
                part["functionCall"]["id"] = f"call{len(self._signatures)}"
                self._signatures[part["functionCall"]["id"]] = signature
            yield part


# --- Vectors ---


def embed(text: str, dimensions: int) -> list[float]:
    """Of the words alone: texts that share words lie close together, whatever they mean. Not of length 1, as shortened
    vectors of this model aren't."""
    vector = [0.0] * dimensions
    for word in content_words(text):
        stem = re.sub(r"(?<=\w{3})(ing|ed|es|s|e|y)$", "", word)
        digest = hashlib.sha256(stem.encode()).digest()
        vector[int.from_bytes(digest[:4]) % dimensions] += 3.0 if digest[4] % 2 else -3.0
    vector[0] += 0.01
    return vector


def _wanted_vectors(body: Json, method: str) -> Iterator[tuple[str, str, int]]:
    """Task, text and dimensions of each."""
    match method:
        case "predict":
            dimensions = body.get("parameters", {}).get("outputDimensionality", FULL_DIMENSIONS)
            for each in body["instances"]:
                yield each["taskType"], each["content"], dimensions
        case "embedContent":
            config = body["embedContentConfig"]
            yield config["taskType"], _only_text(body), config.get("outputDimensionality", FULL_DIMENSIONS)
        case _:
            for each in body["requests"]:
                if each["model"] != f"models/{EMBEDDING_MODEL}":
                    raise ValueError(f"model {each['model']}")
                yield each["taskType"], _only_text(each), each.get("outputDimensionality", FULL_DIMENSIONS)


def _only_text(request: Json) -> str:
    [part] = request["content"]["parts"]
    return str(part["text"])


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
    if _generation(model) >= 3:
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
        kinds = part.keys() & {"text", "functionCall", "functionResponse", "inlineData"}
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
        made = signatures.get(call.get("id", "")) or (UNSIGNED if place == 0 else None)
        if (base64.urlsafe_b64decode(signature.replace("+", "-").replace("/", "_")) if signature else None) != made:
            yield f"function call {call['name']} has not the thought_signature it came with"
        if place == 0 and not signature:
            yield f"function call {call['name']} is missing a thought_signature"


def _calls(content: Json) -> list[Json]:
    return [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def _generation(model: str) -> int:
    return int("".join(re.findall(r"gemini-(\d+)", model)) or 0)


# --- The wire ---


def _sound(body: Json) -> bytes:
    """Of the one recording in a request, mu-law 8 kHz; empty without one."""
    for content in body.get("contents", []):
        for part in content["parts"]:
            if "inlineData" in part:
                assert part["inlineData"]["mimeType"] == "audio/wav"
                data = part["inlineData"]["data"].replace("-", "+").replace("_", "/")
                with wave.open(io.BytesIO(base64.b64decode(data))) as file:
                    assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, mulaw.RATE)
                    return mulaw.from_pcm(file.readframes(file.getnframes()))
    return b""


def _signed(signature: bytes | None) -> Json:
    """What that adds to a part."""
    return {"thoughtSignature": base64.b64encode(signature).decode()} if signature else {}


def _tokens(body: Json) -> int:
    return len(json.dumps(body)) // LETTERS_A_TOKEN


def _chunk(parts: list[Json], reason: str = "", cached: int = 4, vertex: bool = False) -> Json:
    """Each says what the answer has come to so far; on Vertex AI only the last does."""
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    usage: Json = {"promptTokenCount": cached + 8, "cachedContentTokenCount": cached, "candidatesTokenCount": 1}
    if reason:
        candidate["finishReason"] = reason
        usage |= {"candidatesTokenCount": 5, "thoughtsTokenCount": 2}
    elif vertex:
        usage = {"trafficType": "ON_DEMAND"}
    return {"candidates": [candidate], "usageMetadata": usage}


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
