"""What the platform wrote down about a call: read over its API, by whoever has a key."""

import asyncio
from typing import Any, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from schemas.conversation import Conversation, FullConversation, Message

MOST_PAGES = 100
WRONG_KEY = "the API doesn't know this key; OFFHOOK_HOME or OFFHOOK_OWNER_KEY isn't the platform's"
SETTLED_S = 3.0
"""So long after a call the platform has for writing its end down."""


class NoRecords(Exception):
    """The API can't be read. The message is one sentence."""


class _Page(BaseModel):
    data: list[Any]
    has_more: bool = False
    next_cursor: str | None = None


M = TypeVar("M", bound=BaseModel)


class Records:
    """Reads one server's API with one key. `async with` it. Every read raises NoRecords."""

    def __init__(self, server: str, key: str) -> None:
        self._root = f"{server.rstrip('/')}/api/v1"
        self._headers = {"Authorization": f"Bearer {key}"}

    async def __aenter__(self) -> "Records":
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=5))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def find(self, call_sid: str) -> str | None:
        """The id of a call's conversation; None if there is none (yet)."""
        found = await self._all("/conversations", {"call_sid": call_sid})
        return _read(Conversation, found[0]).id if found else None

    async def messages(self, id: str) -> list[Message]:
        """All that was said so far."""
        return [_read(Message, message) for message in await self._all(f"/conversations/{id}/messages", {})]

    async def ended(self, id: str) -> FullConversation:
        """The conversation, once its end is written down; as it is if that takes too long."""
        deadline = asyncio.get_running_loop().time() + SETTLED_S
        while True:
            conversation = _read(FullConversation, await self._get(f"/conversations/{id}", {}))
            if conversation.state != "active" or asyncio.get_running_loop().time() > deadline:
                return conversation
            await asyncio.sleep(0.1)

    async def appointments(self, conversation: str) -> int:
        """How many were booked in it."""
        return len(await self._all("/appointments", {"conversation": conversation, "limit": "100"}))

    async def _all(self, path: str, query: dict[str, str]) -> list[Any]:
        """A list's whole content, page by page."""
        items: list[Any] = []
        for _ in range(MOST_PAGES):
            page = _read(_Page, await self._get(path, query))
            items += page.data
            if not page.has_more or page.next_cursor is None:
                break
            query = query | {"cursor": page.next_cursor}
        return items

    async def _get(self, path: str, query: dict[str, str]) -> Any:
        try:
            async with self._http.get(self._root + path, params=query) as response:
                if response.status == 401:
                    raise NoRecords(WRONG_KEY)
                if response.status != 200:
                    raise NoRecords(f"the API answered {response.status} to {path}")
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
            raise NoRecords(f"the API can't be read: {problem}") from None


def _read(model: type[M], fields: Any) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as problem:
        error = problem.errors()[0]
        raise NoRecords(f"the API's {model.__name__} is not as expected: {error['loc']}: {error['msg']}") from None
