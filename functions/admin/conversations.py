"""Conversations: what was said, and where the time went."""

from fastapi import APIRouter

from domain.past import path_of
from domain.ports import Ports
from functions.admin.access import Doors, Organisation
from functions.admin.listing import Cursor, Limit, Listing, listing, matching, query
from functions.admin.stored import find
from functions.analyse import turns_of
from schemas.conversation import Conversation, FullConversation, Message, Turn

router = APIRouter(prefix="/api/v1")


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
    where = matching(call_sid=call_sid, agent=agent, state=state)
    page = await query(ports, f"organisations/{organisation}/conversations", where, "-started_at", limit, cursor)
    return listing(page, Conversation)


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
    page = await query(ports, f"{path}/turns", (), "", limit, cursor)
    data = [message for found in page.found for message in messages_of(Turn.model_validate(found.document))]
    return Listing(data=data, has_more=page.next_cursor is not None, next_cursor=page.next_cursor)


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
    stored = await find(ports, organisation, "conversations", id, "conversation")
    return path_of(organisation, id), Conversation.model_validate(stored)
