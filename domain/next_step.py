"""What to tell the carrier when a stream or a transfer has ended: a small table."""

from dataclasses import dataclass

from schemas.call import OVER, CallEntry

MOST_TRIES = 3
"""Streams opened in a row without a turn in between; then we give the call up."""
TALKED = ("completed", "answered")
"""How the carrier calls a transfer that somebody answered."""
UNANSWERED = "failed: transfer"
"""How the outcome of a call begins that nobody took."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Open a stream, after a pause in seconds, or after keys were pressed."""

    pause_s: int = 0
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Dial:
    """Put the caller through; with a briefing the person is asked first."""

    number: str
    briefing: str = ""
    instead: bool = False
    """Nobody answered at another number: the caller is told so first."""


@dataclass(frozen=True, slots=True)
class NobodyFree:
    """Say that nobody can take the call, and hang up."""


@dataclass(frozen=True, slots=True)
class Apologise:
    """Say sorry and hang up."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


Decision = Stream | Dial | NobodyFree | Apologise | HangUp


def decide(
    entry: CallEntry, call_status: str, dial_status: str, fallback_number: str | None, bridged: bool | None = None
) -> tuple[CallEntry, Decision]:
    """The entry as it is to be stored, and what to tell the carrier. `bridged` is whether the two really talked, if the
    carrier says so.

    | stored      | the carrier says       | answer                                         |
    |-------------|------------------------|------------------------------------------------|
    | any         | the call is over       | hang up                                        |
    | over        |                        | hang up, with an apology if it failed          |
    | transfer    |                        | dial                                           |
    | keys        |                        | press them, and another stream                 |
    | dialled     | nothing of the dialling| dial (the question was asked twice)            |
    | dialled     | completed, but the person had declined | as for anything else           |
    | dialled     | completed              | the flow's way on, or hang up                  |
    | dialled     | anything else          | the flow's way back, or the fallback number, or: nobody is free |
    | streaming   |                        | another stream; after three the fallback number|
    """
    if call_status in OVER:
        return _over(entry, entry.outcome or "caller_left"), HangUp()
    if dial_status in TALKED and entry.briefing and not (entry.accepted if bridged is None else bridged):
        dial_status = "declined"
    match entry.stage:
        case "over" if entry.outcome.startswith(UNANSWERED):
            return entry, NobodyFree()
        case "over":
            return entry, Apologise() if entry.outcome.startswith("failed") else HangUp()
        case "transfer":
            return entry.model_copy(update={"stage": "dialled"}), Dial(entry.dial, entry.briefing)
        case "keys":
            pressed = _stream(entry, "").model_copy(update={"tries": entry.tries})
            return pressed, Stream(keys=entry.dial)
        case "dialled" if not dial_status:
            return entry, Dial(entry.dial, entry.briefing)
        case "dialled" if dial_status in TALKED and entry.way_on:
            return _stream(entry, "completed"), Stream()
        case "dialled" if dial_status in TALKED:
            return _over(entry, entry.outcome or "transferred"), HangUp()
        case "dialled" if entry.way_back:
            return _stream(entry, dial_status), Stream()
        case "dialled" if fallback_number and fallback_number != entry.dial:
            return _dial(entry, fallback_number, entry.outcome), Dial(fallback_number, instead=True)
        case "dialled":
            outcome = entry.outcome if entry.outcome.startswith("failed") else f"{UNANSWERED} {dial_status}"
            return _over(entry, outcome), NobodyFree()
    if entry.tries < MOST_TRIES:
        never_started = entry.claimed < entry.stream  # nor was the flow told how a transfer went
        return _stream(entry, entry.dial_status if never_started else ""), Stream(pause_s=1 if never_started else 0)
    if fallback_number:
        return _dial(entry, fallback_number, "failed: streams"), Dial(fallback_number)
    return _over(entry, "failed: streams"), Apologise()


def accept(entry: CallEntry, stream: int) -> CallEntry | None:
    """The person takes the call that this stream led to: the entry as it is to be stored; None if nobody waits for them
    there any more."""
    if entry.stage != "dialled" or entry.stream != stream or not entry.briefing:
        return None
    return entry.model_copy(update={"accepted": True})


def _dial(entry: CallEntry, number: str, outcome: str) -> CallEntry:
    """The number for calls that nobody else can take: whoever answers there isn't asked first."""
    fallback = {"stage": "dialled", "dial": number, "briefing": "", "way_back": False, "way_on": False}
    return entry.model_copy(update={**fallback, "outcome": outcome})


def _stream(entry: CallEntry, dial_status: str) -> CallEntry:
    return entry.model_copy(
        update={
            "stage": "streaming",
            "stream": entry.stream + 1,
            "tries": entry.tries + 1,
            "dial": "",
            "dial_status": dial_status,
            "briefing": "",
            "accepted": False,
            "way_back": False,
            "way_on": False,
            "outcome": "",
        }
    )


def _over(entry: CallEntry, outcome: str) -> CallEntry:
    return entry.model_copy(update={"stage": "over", "outcome": outcome})
