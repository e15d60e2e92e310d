"""Performs what a conversation asks of its brain and its tools; the same on the phone and in a chat."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
import structlog

from domain.acts import RunTool, Think
from domain.once import NotBegun
from domain.ports import Brain, ToolRequest, Tools, Unavailable, Usage, Words
from domain.sentences import Sentences
from schemas.organisation import Organisation
from schemas.signals import Failed, Requested, Returned, Signal, Spent, Thought, ThoughtOut
from schemas.tool import ToolResult

log = structlog.get_logger()


async def think(brain: Brain, act: Think) -> AsyncIterator[Signal]:
    """The model's answer as signals, their time left at 0: Thought a sentence, Requested, Spent as soon as more of its
    cost is known, and at last ThoughtOut or Failed. It may take for ever: patience is the caller's business. Cancelling
    closes the request."""
    sentences = Sentences()
    try:
        async with aclosing(brain.think(act.prompt)) as thoughts:  # type: ignore[type-var]
            async for thought in thoughts:
                match thought:
                    case Words(text=text):
                        for sentence in sentences.feed(text):
                            yield Thought(at=0, reply=act.reply, text=sentence)
                    case ToolRequest(id=id, tool=tool, arguments=arguments, opaque=opaque):
                        fit = _storable(arguments)
                        yield Requested(at=0, reply=act.reply, id=id, tool=tool, arguments=fit, opaque=opaque)
                    case Usage(prompt=prompt, reply=written):
                        yield Spent(at=0, reply=act.reply, prompt_tokens=prompt, reply_tokens=written)
        for sentence in sentences.end():
            yield Thought(at=0, reply=act.reply, text=sentence)
        yield ThoughtOut(at=0, reply=act.reply)
    except Unavailable as problem:
        yield Failed(at=0, reply=act.reply, what="brain", why=str(problem))


def _storable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The model's arguments; none of them if they hold what the journal can't (a number beyond 64 bits, half a
    character), so that the tool's own check refuses them."""
    try:
        orjson.dumps(arguments)
    except TypeError:
        return {}
    return dict(arguments)


async def run_tool(tools: Tools, organisation: Organisation, act: RunTool) -> Returned:
    """What the tool came to, within its time. An acting tool that went away before it said so may have acted: it is
    asked once more, since it then says what came of the first time, unless it says beforehand that it can't tell. If
    that fails as well, the outcome is unknown. Cancelling abandons it; an acting tool may still have acted."""
    call, acts = act.call, act.acts
    begun = act.again
    """Whether it may have acted."""

    async def ask() -> ToolResult:
        nonlocal begun
        try:
            return await tools.run(organisation, call)
        except NotBegun:
            raise
        except Unavailable:
            begun = True
            raise

    def lost(why: str, unknown: bool) -> Returned:
        prefix = f"the outcome of {call.tool} is unknown: " if unknown else ""
        return Returned(at=0, id=call.id, error=f"{prefix}{why}", unknown=unknown)

    try:
        async with asyncio.timeout(act.timeout_ms / 1000):
            try:
                result = await ask()
            except Unavailable as problem:
                tool = (await tools.offered(organisation)).get(call.tool)
                if not acts or tool is None or tool.if_unknown == "escalate":
                    raise
                log.warning("tool_asked_again", tool=call.tool, key=call.key, why=str(problem))
                result = await ask()
    except TimeoutError:
        return lost(f"{call.tool} took longer than {act.timeout_ms} ms", acts)
    except Unavailable as problem:
        return lost(str(problem), acts and begun)
    except Exception:  # a tool's bug is the tool's failure; the call goes on
        log.exception("tool_broke", tool=call.tool)
        return lost(f"{call.tool} broke", acts)
    return Returned(at=0, id=call.id, output=result.output, error=result.error)
