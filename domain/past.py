"""What is kept of a conversation: its journal (the last snapshot, and the signals after it), and where it stands."""

from collections.abc import Sequence
from datetime import datetime

from domain.conversation import Conversation
from domain.ports import Clock, Document, Documents, Taken
from domain.state import State
from schemas.signals import SIGNALS, Signal


def batch(number: int, now: datetime, signals: Sequence[Signal], state: State | None = None) -> Document:
    """A batch of the journal as it is stored; with the state behind it, if it is a snapshot."""
    return {
        "number": number,
        "written_at": now.isoformat(),
        # As texts: nobody searches in them, and a store takes a text some ten times faster than what it says.
        "signals": SIGNALS.dump_json(list(signals)).decode(),
        "snapshot": state.model_dump_json() if state else "",
    }


def batch_path(path: str, number: int) -> str:
    """Where the journal's batch of this number is kept; `path` is the conversation's."""
    return f"{path}/journal/{number:08d}"


def path_of(organisation: str, conversation: str) -> str:
    """Where the conversation is kept."""
    return f"organisations/{organisation}/conversations/{conversation}"


def standing(conversation: Conversation) -> Document:
    """Where the conversation stands, as it is stored with it; nothing before it began."""
    flow = conversation.state.flow
    if flow is None:
        return {}
    return {"held_by": conversation.version.agent, "node": flow.node, "variables": flow.variables}


async def take(documents: Documents, path: str, clock: Clock) -> tuple[State | None, list[Signal], int]:
    """Takes the conversation over: the last snapshot, the signals after it, and the number of the next batch.

    An empty batch is put behind the journal's last, so that whoever wrote before finds its next number taken, and
    nothing can be added to what was read here. Raises Unavailable."""
    while True:
        state, signals, number = await read(documents, path)
        try:
            await documents.create(batch_path(path, number), batch(number, clock.now(), ()))
        except Taken:
            continue  # the line before this one has just written its last
        return state, signals, number + 1


async def read(documents: Documents, path: str) -> tuple[State | None, list[Signal], int]:
    """The last snapshot, the signals after it, and the number of the next batch. Raises Unavailable."""
    state: State | None = None
    signals: list[Signal] = []
    number, cursor = 0, None
    while True:
        page = await documents.query(f"{path}/journal", limit=200, cursor=cursor)
        for found in page.found:
            number += 1
            signals += SIGNALS.validate_json(found.document["signals"])
            if snapshot := found.document["snapshot"]:
                state, signals = State.model_validate_json(snapshot), []
        if (cursor := page.next_cursor) is None:
            return state, signals, number
