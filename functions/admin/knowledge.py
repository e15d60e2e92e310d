"""The admin API's documents: adding, replacing and removing what agents know, and trying what is found."""

from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from domain.blob_path import LARGEST_BLOB
from domain.knowing import MOST, told
from domain.ports import Unreadable
from functions import knowledge
from functions.admin.access import Doors, Organisation
from functions.admin.listing import Cursor, Limit, Listing, listing, query
from functions.admin.problems import Problem
from functions.knowledge import File, Gone, WebPage
from schemas.knowledge_document import KnowledgeDocument
from schemas.passage import Passage

T = TypeVar("T")

router = APIRouter(prefix="/api/v1/knowledge")

LARGEST_BODY = LARGEST_BLOB + 64 * 1024
"""Bytes: a document, and what a form has around it."""


class Text(BaseModel):
    """A text that is written here: Markdown, whose headings are kept with what stands under them."""

    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1)


class Page(BaseModel):
    """A page that is fetched."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(min_length=1)
    title: str = Field(default="", max_length=200)


class Answer(BaseModel):
    """What was found, the best first."""

    data: list[Passage]


_FORM = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary"}, "title": {"type": "string"}},
    "required": ["file"],
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/json": {"schema": {"anyOf": [Text.model_json_schema(), Page.model_json_schema()]}},
        },
    }
}


@router.post("", status_code=202, openapi_extra=_BODY)
async def add(ports: Doors, organisation: Organisation, request: Request) -> KnowledgeDocument:
    """Adds a document: a file, a text, or a web page. It is read afterwards; its `state` tells when that is done."""
    source, title = await _given(request)
    return await _taken(knowledge.add(ports, organisation, source, title))


@router.get("")
async def documents(
    ports: Doors, organisation: Organisation, limit: Limit = 20, cursor: Cursor = None
) -> Listing[KnowledgeDocument]:
    """The organisation's documents, the newest first."""
    page = await query(ports, f"organisations/{organisation}/knowledge", (), "-created_at", limit, cursor)
    return listing(page, KnowledgeDocument)


@router.post("/search")
async def search(
    ports: Doors,
    organisation: Organisation,
    q: Annotated[str, Query(min_length=1, max_length=1000)],
    document: Annotated[list[str] | None, Query(description="Of these documents; of all, unless given.")] = None,
    limit: Annotated[int, Query(ge=1, le=20)] = MOST,
) -> Answer:
    """What an agent would be told of for a caller's words."""
    return Answer(data=told(await ports.knowledge.search(organisation, q, document or ("*",), limit)))


@router.get("/{id}")
async def document(ports: Doors, organisation: Organisation, id: str) -> KnowledgeDocument:
    """One document, and how far its reading is."""
    return await _taken(knowledge.find(ports, organisation, id))


@router.put("/{id}", status_code=202, openapi_extra=_BODY)
async def replace(ports: Doors, organisation: Organisation, id: str, request: Request) -> KnowledgeDocument:
    """Puts another in its place. What the old one said is found until the new one was read."""
    source, title = await _given(request)
    return await _taken(knowledge.add(ports, organisation, source, title, id))


@router.post("/{id}/read", status_code=202)
async def read_again(ports: Doors, organisation: Organisation, id: str) -> KnowledgeDocument:
    """Has it read once more; a web page is fetched anew."""
    return await _taken(knowledge.read_again(ports, organisation, id))


@router.delete("/{id}", status_code=204, response_class=Response)
async def remove(ports: Doors, organisation: Organisation, id: str) -> None:
    """Removes it. Nothing of it is found any more."""
    await _taken(knowledge.remove(ports, organisation, id))


async def _taken(doing: Awaitable[T]) -> T:
    """What came of it, its refusals as the API's."""
    try:
        return await doing
    except Gone as problem:
        raise Problem(404, "not_found", f"There is no document {str(problem)!r}.", "id") from None
    except Unreadable as problem:
        raise Problem(422, "unreadable", f"This document can't be used: {problem}.") from None


async def _given(request: Request) -> tuple[File | WebPage, str]:
    """What the request holds, and its title."""
    size = request.headers.get("content-length", "")
    if not size.isdecimal():
        raise Problem(411, "length_required", "Tell the size of what you send: Content-Length.")
    if int(size) > LARGEST_BODY:
        raise Problem(413, "too_large", f"A document holds at most {LARGEST_BLOB // 1024 // 1024} MB.", "file")
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    match declared:
        case "multipart/form-data":
            return await _uploaded(request)
        case "application/json":
            return _written(await request.body())
    raise Problem(415, "unsupported_media_type", "Send a form (multipart/form-data) with a `file`, or JSON.")


async def _uploaded(request: Request) -> tuple[File | WebPage, str]:
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            file, title = form.get("file"), form.get("title") or ""
            if not isinstance(file, UploadFile) or not isinstance(title, str):
                raise Problem(422, "invalid", "The form needs a `file`.", "file")
            return File(file.filename or "", await file.read(), file.content_type or ""), title
    except HTTPException as problem:
        if problem.status_code != 400:
            raise
        raise Problem(400, "invalid", f"The form can't be read: {problem.detail}") from None


def _written(body: bytes) -> tuple[File | WebPage, str]:
    try:
        fields = orjson.loads(body)
        given = (Page if isinstance(fields, dict) and "url" in fields else Text).model_validate(fields)
    except orjson.JSONDecodeError:
        raise Problem(400, "invalid", "The body is no JSON.") from None
    except ValidationError as problem:
        first = problem.errors()[0]
        param = str(first["loc"][-1]) if first["loc"] else None
        raise Problem(422, "invalid", str(first["msg"]), param) from None
    if isinstance(given, Page):
        return WebPage(given.url), given.title
    return File("", given.text.encode(), "text/markdown"), given.title
