"""Where the time of a typical turn went, by the conversations' own record."""

from collections.abc import Sequence
from statistics import median

from adapters.wiring import open_port
from domain.ports import Documents
from offhook.bench.agent import ORGANISATION
from schemas.conversation import Turn, Waterfall
from schemas.settings import Settings

MOST_CONVERSATIONS = 50
FEWEST_TURNS = 3
STAGES = (
    "drafted_ms",
    "final_ms",
    "settled_ms",
    "reply_ready_ms",
    "first_audio_sent_ms",
    "first_audio_played_ms",
)


async def typical_turn(settings: Settings) -> Waterfall | None:
    """The median of each stage, over turns that went through all of them, counted from the end of the caller's speech;
    None if there were too few. Cancelling closes the store."""
    async with open_port(settings, "documents") as documents:
        return median_of(await turns_taken(documents))


async def turns_taken(documents: Documents) -> list[Turn]:
    """Those of the first conversations."""
    path = f"organisations/{ORGANISATION}/conversations"
    turns: list[Turn] = []
    for conversation in (await documents.query(path, limit=MOST_CONVERSATIONS)).found:
        for found in (await documents.query(f"{conversation.path}/turns", limit=1000)).found:
            turns.append(Turn.model_validate(found.document))
    return turns


def median_of(turns: Sequence[Turn]) -> Waterfall | None:
    """See `typical_turn`."""
    falls = [turn.waterfall for turn in turns]
    whole = [fall for fall in falls if all(getattr(fall, stage) is not None for stage in STAGES)]
    if len(whole) < FEWEST_TURNS:
        return None
    return Waterfall(**{stage: round(median(getattr(fall, stage) for fall in whole)) for stage in STAGES})
