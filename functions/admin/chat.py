"""Typed conversations over the API: begin one, say something, leave. With `Accept: text/event-stream` an answer comes
sentence by sentence."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from domain.ports import Ports, Unavailable
from functions.admin.access import Doors, Organisation
from functions.admin.problems import Problem
from functions.chat import LONGEST_LINE, Busy, Chat, Ended, chat_again, chat_with
from schemas.conversation import Conversation

router = APIRouter(prefix="/api/v1")
log = structlog.get_logger()

_exchanges = set[asyncio.Task[None]]()
"""Under way: who asked may have gone, what was begun is finished."""


class Beginning(BaseModel):
    """With whom to talk."""

    model_config = ConfigDict(extra="forbid")

    agent: str
    """The agent's id."""


class Line(BaseModel):
    """What the caller writes."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=LONGEST_LINE, pattern=r"\S")]


class Answer(BaseModel):
    """What the agent said to it, and where the conversation stands then."""

    sentences: list[str]
    conversation: Conversation


_STREAM = {200: {"content": {"text/event-stream": {}}, "description": "The answer, or its sentences as they come."}}


@router.post("/conversations", status_code=201, responses={201: _STREAM[200]}, response_model=Answer)
async def begin(
    ports: Doors, organisation: Organisation, beginning: Beginning, accept: Annotated[str, Header()] = ""
) -> Response | Answer:
    """Begins a typed conversation with an agent's live version; the answer is its greeting."""
    chat = await chat_with(ports, organisation, beginning.agent)
    if chat is None:
        sentence = f"There is no agent {beginning.agent!r} that takes calls."
        raise Problem(422, "agent_unknown", sentence, "agent")
    return await _answer(chat, chat.open(), accept, 201)


@router.post("/conversations/{id}/messages", responses={200: _STREAM[200]}, response_model=Answer)
async def say(
    ports: Doors, organisation: Organisation, id: str, line: Line, accept: Annotated[str, Header()] = ""
) -> Response | Answer:
    """Says something to the agent. One line at a time: while one is being answered, another is refused (409)."""
    chat = await _find(ports, organisation, id)
    if chat.stored.state == "ended":
        raise Problem(409, "conversation_ended", "This conversation is over.")
    return await _answer(chat, chat.say(line.text), accept)


@router.post("/conversations/{id}/end")
async def end(ports: Doors, organisation: Organisation, id: str) -> Conversation:
    """The caller leaves. Leaving twice changes nothing."""
    chat = await _find(ports, organisation, id)
    try:
        await chat.hang_up()
    except Busy as problem:
        raise _problem(problem) from None
    return chat.stored


async def _find(ports: Ports, organisation: str, id: str) -> Chat:
    try:
        chat = await chat_again(ports, organisation, id)
    except Busy as problem:
        raise _problem(problem) from None
    if chat is None:
        raise Problem(404, "not_found", f"There is no typed conversation {id!r}.", "id")
    return chat


async def _answer(chat: Chat, said: AsyncIterator[str], accept: str, status: int = 200) -> Response | Answer:
    """The whole answer, or a stream of it. Cancelling leaves the exchange to be finished by itself."""
    sentences = asyncio.Queue[str | Exception | None]()

    async def exchange() -> None:
        try:
            async with aclosing(said) as each:  # type: ignore[type-var]
                async for sentence in each:
                    sentences.put_nowait(sentence)
            sentences.put_nowait(None)
        except Exception as problem:
            sentences.put_nowait(problem)

    task = asyncio.create_task(exchange())
    _exchanges.add(task)
    task.add_done_callback(_exchanges.discard)
    if "text/event-stream" in accept:
        return EventSourceResponse(_events(chat, sentences), status_code=status)
    told: list[str] = []
    while (sentence := await sentences.get()) is not None:
        if isinstance(sentence, Exception):
            raise _problem(sentence)
        told.append(sentence)
    return Answer(sentences=told, conversation=chat.stored)


async def _events(chat: Chat, sentences: asyncio.Queue[str | Exception | None]) -> AsyncIterator[ServerSentEvent]:
    """`sentence` for each, then `conversation` with where it stands, or `problem`."""
    while (sentence := await sentences.get()) is not None:
        if isinstance(sentence, Exception):
            problem = _problem(sentence)
            body = {"status": problem.status, "code": problem.code, "detail": problem.detail}
            yield ServerSentEvent(json.dumps(body), event="problem")
            return
        yield ServerSentEvent(json.dumps({"text": sentence}), event="sentence")
    yield ServerSentEvent(chat.stored.model_dump_json(), event="conversation")


def _problem(problem: Exception) -> Problem:
    match problem:
        case Busy():
            return Problem(409, "busy", f"{problem}; try again in a moment.")
        case Ended():
            return Problem(409, "conversation_ended", "This conversation is over.")
        case Unavailable():
            return Problem(503, "unavailable", f"Try again in a moment: {problem}")
    log.error("chat_broke", exc_info=problem)
    return Problem(500, "internal", "Something went wrong on our side; the conversation can go on.")
