"""Brain on Gemini, with an API key or through Vertex AI: `GeminiBrain(api_key=…)` or `GeminiBrain(project=…)`."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from adapters.gemini import DEFAULT_MODEL, Gemini, Json, generation, thinking
from adapters.gemini_caches import Beginning, GeminiCaches, noted
from domain.ports import Prompt, Thought, ToolRequest, Unavailable, Usage, Words
from schemas.ids import new_id
from schemas.remark import Remark
from schemas.tool import Tool, ToolCall, ToolResult

if TYPE_CHECKING:  # at run time only if it is chosen: importing it takes a second
    from google.auth.credentials import Credentials
    from google.genai import types

MOST_TOKENS = 2048
"""Of one reply, thinking included: far more than anybody says at once on the phone."""

MISHAPS = {"STOP", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "OTHER"}
"""How an answer ends that may come out well at the next attempt."""

OPENING = "(The call begins.)"
WAITING = "(The caller is waiting.)"
"""Gemini wants the dialogue to begin and to end with the user's side."""
INTERRUPTED = "It was interrupted. Whether it happened is unknown."
UNSIGNED = b"skip_thought_signature_validator"
"""Google's own mark for a function call that the model didn't make: Gemini 3 refuses one without any signature."""


class GeminiBrain:
    """`async with` it, in the event loop that uses it: leaving closes every connection."""

    def __init__(
        self,
        api_key: str = "",
        project: str = "",
        location: str = "",
        base_url: str = "",
        model: str = DEFAULT_MODEL,
        credentials: "Credentials | None" = None,
        first_words_s: float = 8,
        next_words_s: float = 5,
        timeout_s: float = 15,
    ) -> None:
        """For the first four and `credentials` see Gemini. `model` is for prompts that name none. The first of a reply
        comes within `first_words_s`, what follows without longer gaps than `next_words_s`, all of it within
        `timeout_s`, or it is Unavailable. Raises Unavailable as Gemini does."""
        self._gemini = Gemini(api_key, project, location, base_url, credentials)
        self._caches = GeminiCaches(self._gemini)
        self._model = model
        self._first_words_s, self._next_words_s, self._timeout_s = first_words_s, next_words_s, timeout_s

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self._gemini.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._caches.__aexit__(*error)
        await self._gemini.__aexit__(*error)

    async def check(self, model: str = "") -> None:
        """Asks about the model, at no cost. Raises Unavailable, saying what to do."""
        await self._gemini.check(model or self._model)

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
        model = prompt.model or self._model
        answer = _Answer(thoughts, self._next_words_s)
        try:
            async with asyncio.timeout(self._timeout_s) as whole, asyncio.timeout(self._first_words_s) as answer.limit:
                await self._ask(prompt, model, answer)
        except Unavailable:
            raise
        except TimeoutError:
            late = f"took more than {self._timeout_s:g} s" if whole.expired() else "fell silent"
            raise Unavailable(f"Gemini {late}") from None
        except Exception as error:  # the SDK's own, the transport's, and plain ones for what it can't parse
            raise self._gemini.explain(error, model) from None
        finally:
            thoughts.put_nowait(None)

    async def _ask(self, prompt: Prompt, model: str, answer: "_Answer") -> None:
        """Once more if Gemini said nothing: that happens now and then, and seldom twice."""
        try:
            await self._ask_once(prompt, model, answer)
        except _Nothing:
            await self._ask_once(prompt, model, answer)

    async def _ask_once(self, prompt: Prompt, model: str, answer: "_Answer") -> None:
        from google.genai.errors import ClientError

        beginning = self._caches.find(model, prompt.system, _tools(prompt))
        try:
            await self._stream(prompt, model, beginning, answer)
        except ClientError:
            if not beginning or not beginning.name:
                raise
            self._caches.forget(beginning)  # whatever is wrong: without it the request is an ordinary one
            await self._stream(prompt, model, None, answer)
        finally:
            if beginning and answer.spent.prompt:
                self._caches.learn(beginning, answer.spent)

    async def _stream(self, prompt: Prompt, model: str, beginning: Beginning | None, answer: "_Answer") -> None:
        config: Any = _config(prompt, model)
        contents: Any = _contents(prompt.remarks, model)
        if beginning and beginning.name:
            config |= {"cached_content": beginning.name, "system_instruction": None, "tools": None}
            contents = noted(contents, prompt.system[len(beginning.text) :])
        models = self._gemini.client.aio.models
        answer.spent = Usage()
        await answer.read(await models.generate_content_stream(model=model, contents=contents, config=config))


class _Nothing(Unavailable):
    """Gemini ended its answer before it said anything, for no reason that lies in the prompt."""


class _Answer:
    """One reply, as it comes."""

    limit: asyncio.Timeout
    """Until something comes."""
    spent: Usage
    """By the latest request, as far as Gemini has said."""

    def __init__(self, thoughts: asyncio.Queue[Thought | None], next_words_s: float) -> None:
        self.spent = Usage()
        self._thoughts, self._next_words_s = thoughts, next_words_s

    async def read(self, stream: "AsyncIterator[types.GenerateContentResponse]") -> None:
        """Raises Unavailable unless it is a whole answer, or one that only became too long."""
        loop = asyncio.get_running_loop()
        answered, ending = False, ""
        # To the end whatever comes: leaving early would leave the socket open.
        async for chunk in stream:
            self.limit.reschedule(loop.time() + self._next_words_s)
            for thought in _thoughts(chunk):
                answered = answered or isinstance(thought, ToolRequest) or bool(thought.text.strip())
                self._thoughts.put_nowait(thought)
            ending = _ending(chunk) or ending
            self._count(_usage(chunk))
        if not ending:
            raise Unavailable("Gemini's answer broke off")
        if not answered and ending in MISHAPS:
            raise _Nothing(f"Gemini gave no answer ({ending})")
        if not answered or ending not in ("STOP", "MAX_TOKENS"):
            raise Unavailable(f"Gemini gave no whole answer ({ending})")

    def _count(self, spent: Usage) -> None:
        """Tells by how much the request's cost has risen. Gemini says with every chunk what it has come to so far;
        Vertex AI says less until the last."""
        before = self.spent
        self.spent = Usage(
            max(before.prompt, spent.prompt), max(before.reply, spent.reply), max(before.cached, spent.cached)
        )
        if self.spent != before:
            more = (self.spent.prompt - before.prompt, self.spent.reply - before.reply)
            self._thoughts.put_nowait(Usage(*more, self.spent.cached - before.cached))


# --- What Gemini is asked ------------------------------------------------------------------------------------------


def _config(prompt: Prompt, model: str) -> Json:
    return {
        "system_instruction": prompt.system or None,
        "temperature": prompt.temperature,
        "max_output_tokens": MOST_TOKENS,
        "thinking_config": thinking(model),
        "tools": _tools(prompt) or None,
        "automatic_function_calling": {"disable": True},
        "automatic_continuation": False,
    }


def _tools(prompt: Prompt) -> list[Json]:
    return [{"function_declarations": [_declaration(tool) for tool in prompt.tools]}] if prompt.tools else []


def _declaration(tool: Tool) -> Json:
    # A function without parameters is one without a schema: an object without properties is refused.
    schema = tool.parameters if tool.parameters.get("properties") else None
    return {"name": tool.name, "description": tool.description, "parameters_json_schema": schema}


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
    signs = generation(model) >= (3, 0)
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


def _usage(chunk: "types.GenerateContentResponse") -> Usage:
    spent = chunk.usage_metadata
    if not spent:
        return Usage()
    return Usage(
        prompt=spent.prompt_token_count or 0,
        reply=(spent.candidates_token_count or 0) + (spent.thoughts_token_count or 0),
        cached=spent.cached_content_token_count or 0,
    )
