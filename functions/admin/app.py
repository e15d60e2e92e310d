"""The admin API under /api/v1: what the console, the command line and customers' programs go through."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from domain.ports import Page, Ports, Unavailable, Where
from functions import publish as publishing
from functions.agent_check import UNREACHABLE
from functions.analyse import turns_of
from functions.publish import DraftRefused, NoSuchAgent
from schemas.agent import Agent, AgentDraft, AgentVersion
from schemas.appointment import Appointment
from schemas.conversation import Conversation, FullConversation, Message, Turn
from schemas.finding import Finding
from schemas.ids import new_id
from schemas.key import Key

GetPorts = Callable[[], Awaitable[Ports]]
T = TypeVar("T")


class Listing(BaseModel, Generic[T]):
    """Part of a list: give `next_cursor` back as `cursor` for what follows."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = None


class Problem(Exception):
    """An error as RFC 9457 has it."""

    def __init__(self, status: int, code: str, detail: str, param: str | None = None) -> None:
        self.status, self.code, self.detail, self.param = status, code, detail, param


def app(get_ports: GetPorts) -> FastAPI:
    """The API as one ASGI app."""
    from functions.admin import calendars, chat, knowledge, messages, tools  # which are made of what stands here

    api = FastAPI(title="Offhook", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    api.state.get_ports = get_ports
    api.include_router(router)
    api.include_router(calendars.router)
    api.include_router(chat.router)
    api.include_router(knowledge.router)
    api.include_router(tools.router)
    api.include_router(messages.router)
    api.add_exception_handler(Problem, _problem)
    api.add_exception_handler(Unavailable, _unavailable)
    api.add_exception_handler(NoSuchAgent, _no_such_agent)
    api.add_exception_handler(DraftRefused, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    return api


router = APIRouter(prefix="/api/v1")


async def _ports(request: Request) -> Ports:
    return await request.app.state.get_ports()  # type: ignore[no-any-return]


async def _organisation(request: Request, ports: Annotated[Ports, Depends(_ports)]) -> str:
    """The organisation that the bearer's key belongs to."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Problem(401, "key_missing", "Send an API key: Authorization: Bearer <key>.")
    stored = await ports.documents.get(f"keys/{hash_of(key.strip())}")
    if stored is None:
        raise Problem(401, "key_unknown", "This API key is not known here.")
    return Key.model_validate(stored).organisation


def hash_of(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


Doors = Annotated[Ports, Depends(_ports)]
Organisation = Annotated[str, Depends(_organisation)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=2000)]


@router.get("/conversations")
async def conversations(
    ports: Doors,
    organisation: Organisation,
    call_sid: str | None = None,
    agent: str | None = None,
    state: str | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Listing[Conversation]:
    """The organisation's conversations, the newest first."""
    asked = {"call_sid": call_sid, "agent": agent, "state": state}
    where = [Where(field, "==", value) for field, value in asked.items() if value is not None]
    page = await _query(ports, f"organisations/{organisation}/conversations", where, "-started_at", limit, cursor)
    return _listing(page, Conversation)


@router.get("/conversations/{id}")
async def conversation(ports: Doors, organisation: Organisation, id: str) -> FullConversation:
    """One conversation with its turns."""
    path, stored = await _find(ports, organisation, id)
    turns = [turn async for turn in turns_of(ports, path)]
    return FullConversation(**stored.model_dump(), turns=tuple(turns))


@router.get("/conversations/{id}/messages")
async def messages(
    ports: Doors, organisation: Organisation, id: str, limit: Limit = 100, cursor: Cursor = None
) -> Listing[Message]:
    """What was said, in order; of the agent only what was heard. A page holds the messages of `limit` turns."""
    path, _ = await _find(ports, organisation, id)
    page = await _query(ports, f"{path}/turns", (), "", limit, cursor)
    data = [message for found in page.found for message in messages_of(Turn.model_validate(found.document))]
    return Listing(data=data, has_more=page.next_cursor is not None, next_cursor=page.next_cursor)


@router.get("/appointments")
async def appointments(
    ports: Doors,
    organisation: Organisation,
    date: str | None = None,
    conversation: str | None = None,
    phone: str | None = None,
    calendar: str | None = None,
    state: str | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Listing[Appointment]:
    """The organisation's appointments, the last booked first."""
    asked = {"date": date, "conversation": conversation, "phone": phone, "calendar": calendar, "state": state}
    where = [Where(field, "==", value) for field, value in asked.items() if value is not None]
    page = await _query(ports, f"organisations/{organisation}/appointments", where, "-booked_at", limit, cursor)
    return _listing(page, Appointment)


@router.get("/agents")
async def agents(ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None) -> Listing[Agent]:
    """The organisation's agents, by id."""
    page = await _query(ports, f"organisations/{organisation}/agents", (), "", limit, cursor)
    return _listing(page, Agent)


@router.get("/agents/{id}")
async def agent(ports: Doors, organisation: Organisation, id: str) -> Agent:
    """One agent; `live` is the number of the version that takes its calls."""
    return await publishing.find(ports.documents, organisation, id)


@router.get("/agents/{id}/versions/{number}")
async def version(ports: Doors, organisation: Organisation, id: str, number: int) -> AgentVersion:
    """A published version, as it will always be."""
    known = await publishing.find(ports.documents, organisation, id)
    stored = await ports.documents.get(f"{publishing.path_of(organisation, known.id)}/versions/{number}")
    if stored is None:
        raise Problem(404, "not_found", f"Agent {id!r} has no version {number}.", "number")
    return AgentVersion.model_validate(stored)


@router.post("/agents/{id}/check")
async def check(ports: Doors, organisation: Organisation, id: str, draft: AgentDraft) -> list[Finding]:
    """What would speak against publishing a draft, and what somebody should look at; nothing is published."""
    known = await publishing.find(ports.documents, organisation, id)
    return await publishing.check(ports, organisation, known.id, draft)


@router.post("/agents/{id}/versions", status_code=201, responses={422: {"description": "What speaks against it."}})
async def publish(
    ports: Doors, organisation: Organisation, id: str, draft: AgentDraft, force: bool = False
) -> AgentVersion:
    """Publishes a draft: it becomes the agent's next version and takes the calls from now on, those under way
    excepted. One that would go wrong is refused with `findings`. `force` publishes it all the same if nothing is wrong
    but that a provider could not be asked about it."""
    return await publishing.publish(ports, organisation, id, draft, force)


def messages_of(turn: Turn) -> list[Message]:
    """A turn as messages."""
    found: list[Message] = []
    if turn.caller or turn.keys:
        text = turn.caller or f"[keys {turn.keys}]"
        found.append(Message(role="caller", text=text, at_ms=turn.at_ms, turn=turn.number))
    for reply in turn.replies:
        found.append(Message(role="agent", turn=turn.number, **reply.model_dump()))
    return found


async def _find(ports: Ports, organisation: str, id: str) -> tuple[str, Conversation]:
    path = f"organisations/{organisation}/conversations/{id}"
    stored = await ports.documents.get(path) if id.isidentifier() else None
    if stored is None:
        raise Problem(404, "not_found", f"There is no conversation {id!r}.", "id")
    return path, Conversation.model_validate(stored)


async def _query(ports: Ports, collection: str, where: Any, order: str, limit: int, cursor: str | None) -> Page:
    try:
        return await ports.documents.query(collection, where, order, limit, cursor)
    except ValueError:
        raise Problem(400, "cursor_invalid", "This cursor isn't one that this list gave.", "cursor") from None


def _listing(page: Page, kind: type[T]) -> Listing[T]:
    data = [kind.model_validate(found.document) for found in page.found]  # type: ignore[attr-defined]
    return Listing(data=data, has_more=page.next_cursor is not None, next_cursor=page.next_cursor)


# --- errors ---


async def _problem(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return _answer(problem.status, problem.code, problem.detail, problem.param)


async def _unavailable(request: Request, problem: Exception) -> JSONResponse:
    return _answer(503, "unavailable", f"Try again in a moment: {problem}")


async def _no_such_agent(request: Request, problem: Exception) -> JSONResponse:
    return _answer(404, "not_found", str(problem), "id")


async def _refused(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, DraftRefused)
    unasked = all(finding.code == UNREACHABLE for finding in problem.findings)
    code = "provider_unreachable" if unasked else "draft_refused"
    return _answer(422, code, f"Not published: {problem}.", findings=problem.findings)


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    findings = [_misread(error, problem.body) for error in problem.errors() if error["loc"][0] == "body"]
    return _answer(422, "invalid", str(first["msg"]), str(first["loc"][-1]), findings)


def _misread(error: Any, body: Any) -> Finding:
    """Of a body that isn't what it should be."""
    place = ".".join(map(str, error["loc"][1:]))
    sentence = f"{place}: {error['msg']}" if place else str(error["msg"])
    fix = {"extra_forbidden": "remove it, or correct its name", "missing": "add it"}.get(error["type"], "correct it")
    node = ""
    match error["loc"]:
        case ("body", "flow", "nodes", int(at), *_):
            match body["flow"]["nodes"][at]:
                case {"id": str(id)}:
                    node = id
    return Finding(code="invalid", node=node, sentence=sentence, fix=fix)


async def _http(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(problem.status_code, "error")
    return _answer(problem.status_code, code, str(problem.detail))


def _answer(
    status: int, code: str, detail: str, param: str | None = None, findings: Sequence[Finding] = ()
) -> JSONResponse:
    body: dict[str, Any] = {
        "type": "about:blank",
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": new_id("req"),
    }
    if param:
        body["param"] = param
    if findings:
        body["findings"] = [finding.model_dump() for finding in findings]
    return JSONResponse(body, status_code=status, media_type="application/problem+json")
