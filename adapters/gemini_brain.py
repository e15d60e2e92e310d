"""Brain on Gemini, through google-genai with an API key."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from domain.ports import Prompt, Thought, ToolRequest, Unavailable, Usage, Words
from schemas.ids import new_id
from schemas.remark import Remark
from schemas.tool import Tool, ToolCall, ToolResult

if TYPE_CHECKING:  # at run time only if it is chosen: importing it takes a second
    from google.genai import types

DEFAULT_MODEL = "gemini-3.8-flash"
GOOGLE = "https://generativelanguage.googleapis.com/"
MOST_TOKENS = 2048
"""Of one reply, thinking included: far more than anybody says at once on the phone."""
KEEP_CONNECTED_S = 60
"""How long an idle connection is kept: a caller's turn is shorter, so that most replies need no new handshake."""

OPENING = "(The call begins.)"
WAITING = "(The caller is waiting.)"
"""Gemini wants the dialogue to begin and to end with the user's side."""
INTERRUPTED = "It was interrupted. Whether it happened is unknown."
UNSIGNED = b"skip_thought_signature_validator"
"""Google's own mark for a function call that the model didn't make: Gemini 3 refuses one without any signature."""

Json = dict[str, Any]
"""As the SDK takes it: Google's field names in snake case."""


class GeminiBrain:
    """Keeps its connections, which belong to one event loop, until its `async with` is left."""

    def __init__(
        self, api_key: str, model: str = DEFAULT_MODEL, base_url: str | None = None, timeout_s: float = 15
    ) -> None:
        """`timeout_s` bounds a whole reply. Raises Unavailable without a key or the `google` extra."""
        try:
            import httpx2
            from google import genai
        except ImportError as missing:
            raise Unavailable(f"Gemini needs the `google` extra: {missing.name} is not installed") from missing
        if not api_key.strip():
            raise Unavailable("Gemini needs an API key")
        # A transport of our own, because with aiohttp the SDK waits 1 to 10 s and tries again behind our back.
        connections = httpx2.Limits(max_keepalive_connections=100, keepalive_expiry=KEEP_CONNECTED_S)
        transport = httpx2.AsyncHTTPTransport(limits=connections)
        self._client = genai.Client(
            enterprise=False,  # this and the address are said, lest the SDK look for them in the environment
            api_key=api_key,
            http_options=genai.types.HttpOptions(
                base_url=base_url or GOOGLE,
                timeout=round(timeout_s * 1000),
                retry_options=genai.types.HttpRetryOptions(attempts=1),
                async_client_args={"transport": transport},
            ),
        )
        self._model = model
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aio.aclose()
        self._client.close()

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        """Raises Unavailable, also after the first words. Cancelling it, or closing the iterator, closes the
        request at once."""
        thoughts: asyncio.Queue[Thought | None] = asyncio.Queue()  # one reply's at most
        # Only cancelling the task that reads makes the SDK close its socket. So that it happens also when our
        # iterator is merely closed, that is a task of its own, which never waits for anything but the socket.
        reading = asyncio.create_task(self._read(prompt, thoughts))
        try:
            while (thought := await thoughts.get()) is not None:
                yield thought
            await reading  # raises what went wrong
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, prompt: Prompt, thoughts: asyncio.Queue[Thought | None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._ask(prompt, thoughts)
        except Unavailable:
            raise
        except TimeoutError:
            raise Unavailable(f"Gemini took more than {self._timeout_s:g} s") from None
        except Exception as error:
            # The SDK raises its own errors, the transport's, and plain ones for what it can't parse. None of their
            # texts is passed on: Google's have been seen to repeat the key.
            raise Unavailable(_in_a_sentence(error)) from None
        finally:
            thoughts.put_nowait(None)

    async def _ask(self, prompt: Prompt, thoughts: asyncio.Queue[Thought | None]) -> None:
        model = prompt.model or self._model
        contents: Any = _contents(prompt.remarks, model)
        config: Any = _config(prompt, model)
        stream = await self._client.aio.models.generate_content_stream(model=model, contents=contents, config=config)
        answered, ending, usage = False, "none", Usage()
        # To the end whatever comes: leaving early would leave the socket open.
        async for chunk in stream:
            for thought in _thoughts(chunk):
                answered = answered or isinstance(thought, ToolRequest) or bool(thought.text.strip())
                thoughts.put_nowait(thought)
            ending = _ending(chunk) or ending
            usage = _usage(chunk) or usage
        if ending == "none":
            raise Unavailable("Gemini's answer broke off")
        if not answered or ending not in ("STOP", "MAX_TOKENS"):
            raise Unavailable(f"Gemini gave no whole answer ({ending})")
        thoughts.put_nowait(usage)


# --- What Gemini is asked ------------------------------------------------------------------------------------------


def _config(prompt: Prompt, model: str) -> Json:
    return {
        "system_instruction": prompt.system or None,
        "temperature": prompt.temperature,
        "max_output_tokens": MOST_TOKENS,
        "thinking_config": _thinking(model),
        "tools": [{"function_declarations": [_declaration(tool) for tool in prompt.tools]}] if prompt.tools else None,
        "automatic_function_calling": {"disable": True},
        "automatic_continuation": False,
    }


def _declaration(tool: Tool) -> Json:
    # A function without parameters is one without a schema: an object without properties is refused.
    schema = tool.parameters if tool.parameters.get("properties") else None
    return {"name": tool.name, "description": tool.description, "parameters_json_schema": schema}


def _generation(model: str) -> tuple[int, int]:
    """`gemini-2.5-flash` → (2, 5). A name without a number ("gemini-flash-latest") means the newest."""
    numbers = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    if numbers:
        return int(numbers[1]), int(numbers[2] or 0)
    return (99, 0) if "gemini" in model else (0, 0)


def _thinking(model: str) -> Json | None:
    """As little as the model can: the caller is waiting. The large models can't do without; what the other
    generation understands is an error."""
    large = "pro" in model
    if _generation(model) >= (3, 0):
        return {"thinking_level": "LOW" if large else "MINIMAL"}
    if _generation(model) >= (2, 5):
        return {"thinking_budget": 128 if large else 0}
    return None


def _contents(remarks: Sequence[Remark], model: str) -> list[Json]:
    """The dialogue in turns of user and model. A turn of function responses holds nothing else."""
    turns: list[Json] = []
    for place, remark in enumerate(remarks):
        if remark.role == "request" and remark.call:
            _add_call(turns, remark.call, remark.opaque, _result(remarks[place:], remark.call.id), model)
        elif remark.text:
            _add(turns, "user" if remark.role == "caller" else "model", {"text": remark.text})
    if not turns or turns[0]["role"] == "model":
        turns.insert(0, {"role": "user", "parts": [{"text": OPENING}]})
    if turns[-1]["role"] == "model":
        _add(turns, "user", {"text": WAITING})
    return turns


def _add(turns: list[Json], role: str, part: Json) -> None:
    if not turns or turns[-1]["role"] != role or _responds(turns):
        turns.append({"role": role, "parts": []})
    turns[-1]["parts"].append(part)


def _responds(turns: list[Json]) -> bool:
    """Whether the last turn consists of function responses."""
    return bool(turns) and "function_response" in turns[-1]["parts"][-1]


def _add_call(turns: list[Json], call: ToolCall, opaque: str, result: ToolResult, model: str) -> None:
    """A function call with its response right behind it, as Gemini insists.

    Of calls that the newer models make at once only the first is signed, and it must stay the first of its turn:
    an unsigned one behind a response joins the turn before."""
    signs = _generation(model) >= (3, 0)
    request: Json = {"function_call": {"id": call.id, "name": call.tool, "args": call.arguments}}
    response = {"output": result.output} if result.error is None else {"error": result.error}
    answer: Json = {"function_response": {"id": call.id, "name": call.tool, "response": response}}
    if signs and not opaque and _responds(turns):
        turns[-2]["parts"].append(request)
        turns[-1]["parts"].append(answer)
        return
    if opaque or signs:
        request["thought_signature"] = base64.b64decode(opaque) if opaque else UNSIGNED
    _add(turns, "model", request)
    _add(turns, "user", answer)


def _result(remarks: Sequence[Remark], id: str) -> ToolResult:
    """What the first of these that answers that call says."""
    answers = (remark.result for remark in remarks if remark.result and remark.result.id == id)
    return next(answers, ToolResult(id=id, error=INTERRUPTED))


# --- What Gemini says ----------------------------------------------------------------------------------------------


def _thoughts(chunk: "types.GenerateContentResponse") -> Iterator[Words | ToolRequest]:
    for part in chunk.parts or ():
        call = part.function_call
        if call and call.name:
            signature = base64.b64encode(part.thought_signature or b"").decode()
            yield ToolRequest(call.id or new_id("req"), call.name, call.args or {}, opaque=signature)
        elif part.text and not part.thought:
            yield Words(part.text)


def _ending(chunk: "types.GenerateContentResponse") -> str:
    """Why the answer ends with this chunk, in Google's words; empty if it doesn't."""
    if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
        return str(chunk.prompt_feedback.block_reason.value)
    reason = chunk.candidates[0].finish_reason if chunk.candidates else None
    return str(reason.value) if reason else ""


def _usage(chunk: "types.GenerateContentResponse") -> Usage | None:
    spent = chunk.usage_metadata
    if not spent:
        return None
    return Usage(
        prompt=spent.prompt_token_count or 0,
        reply=(spent.candidates_token_count or 0) + (spent.thoughts_token_count or 0),
        cached=spent.cached_content_token_count or 0,
    )


def _in_a_sentence(error: Exception) -> str:
    from google.genai.errors import APIError

    match error:
        case APIError(details={"error": {"details": [*details]}}):
            reasons = [detail.get("reason", "") for detail in details if isinstance(detail, dict)]
            return f"Gemini refused: {error.code} {' '.join(filter(None, reasons)) or error.status}"
        case APIError():
            return f"Gemini refused: {error.code} {error.status}"
        case _:
            return f"Gemini could not be reached or understood ({type(error).__name__})"
