"""Lists, a page at a time."""

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from domain.ports import Page, Ports, Where
from functions.admin.problems import Problem

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=2000)]


class Listing(BaseModel, Generic[T]):
    """Part of a list: give `next_cursor` back as `cursor` for what follows."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = None


async def query(ports: Ports, collection: str, where: Any, order: str, limit: int, cursor: str | None) -> Page:
    try:
        return await ports.documents.query(collection, where, order, limit, cursor)
    except ValueError:
        raise Problem(400, "cursor_invalid", "This cursor isn't one that this list gave.", "cursor") from None


def matching(**asked: str | None) -> list[Where]:
    """The fields that are asked for, each to be like this."""
    return [Where(field, "==", value) for field, value in asked.items() if value is not None]


def listing(page: Page, kind: type[T]) -> Listing[T]:
    data = [kind.model_validate(found.document) for found in page.found]  # type: ignore[attr-defined]
    return Listing(data=data, has_more=page.next_cursor is not None, next_cursor=page.next_cursor)
