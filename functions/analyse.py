"""What follows a conversation's end: its report."""

from collections.abc import AsyncIterator
from statistics import quantiles

from domain.ports import Event, Ports, Transaction
from schemas.conversation import Conversation, Report, Turn


async def analyse(ports: Ports, event: Event) -> None:
    """Takes `conversation.ended`. The same event again writes the same report."""
    path = f"organisations/{event.body['organisation']}/conversations/{event.body['conversation']}"
    turns = [turn async for turn in turns_of(ports, path)]

    async def body(tx: Transaction) -> None:
        stored = await tx.get(path)
        if stored is not None:
            conversation = Conversation.model_validate(stored)
            report = summarise(conversation, turns)
            tx.put(path, conversation.model_copy(update={"report": report}).model_dump(mode="json"))

    await ports.documents.transact(body)


async def turns_of(ports: Ports, path: str) -> AsyncIterator[Turn]:
    """Every turn of a conversation, in order."""
    cursor = None
    while True:
        page = await ports.documents.query(f"{path}/turns", limit=200, cursor=cursor)
        for found in page.found:
            yield Turn.model_validate(found.document)
        if (cursor := page.next_cursor) is None:
            return


def summarise(conversation: Conversation, turns: list[Turn]) -> Report:
    """The figures of an ended conversation."""
    gaps = [turn.waterfall.first_audio_sent_ms for turn in turns if turn.waterfall.first_audio_sent_ms is not None]
    ended = conversation.ended_at or conversation.started_at
    report = Report(
        seconds=(ended - conversation.started_at).total_seconds(),
        turns=sum(1 for turn in turns if turn.caller or turn.keys),
        interruptions=sum(turn.interrupted for turn in turns),
        discarded_drafts=sum(turn.discarded_drafts for turn in turns),
    )
    if not gaps:
        return report
    cuts = quantiles(gaps * 2 if len(gaps) == 1 else gaps, n=100, method="inclusive")
    return report.model_copy(update={"gap_p50_ms": round(cuts[49]), "gap_p95_ms": round(cuts[94])})
