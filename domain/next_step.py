"""What to tell the carrier when a stream or a transfer has ended: a small table."""

from dataclasses import dataclass

from schemas.call import OVER, CallEntry

MOST_TRIES = 3
"""Streams opened in a row without a turn in between; then we give the call up."""


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


@dataclass(frozen=True, slots=True)
class Apologise:
    """Say sorry and hang up."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


Decision = Stream | Dial | Apologise | HangUp


def decide(
    entry: CallEntry, call_status: str, dial_status: str, fallback_number: str | None
) -> tuple[CallEntry, Decision]:
    """The entry as it is to be stored, and what to tell the carrier.

    | stored      | the carrier says       | answer                                         |
    |-------------|------------------------|------------------------------------------------|
    | any         | the call is over       | hang up                                        |
    | over        |                        | hang up, with an apology if it failed          |
    | transfer    |                        | dial                                           |
    | keys        |                        | press them, and another stream                 |
    | dialled     | nothing of the dialling| dial (the question was asked twice)            |
    | dialled     | completed, but the person had declined | as for anything else           |
    | dialled     | completed              | hang up                                        |
    | dialled     | anything else          | the flow's way back, or an apology             |
    | streaming   |                        | another stream; after three the fallback number|
    """
    if call_status in OVER:
        return _over(entry, entry.outcome or "caller_left"), HangUp()
    if dial_status in ("completed", "answered") and entry.briefing and not entry.accepted:
        dial_status = "declined"
    match entry.stage:
        case "over":
            return entry, Apologise() if entry.outcome.startswith("failed") else HangUp()
        case "transfer":
            return entry.model_copy(update={"stage": "dialled"}), Dial(entry.dial, entry.briefing)
        case "keys":
            pressed = _stream(entry, "").model_copy(update={"tries": entry.tries})
            return pressed, Stream(keys=entry.dial)
        case "dialled" if not dial_status:
            return entry, Dial(entry.dial, entry.briefing)
        case "dialled" if dial_status in ("completed", "answered"):
            return _over(entry, entry.outcome or "transferred"), HangUp()
        case "dialled" if entry.way_back:
            return _stream(entry, dial_status), Stream()
        case "dialled":
            return _over(entry, f"failed: transfer {dial_status}"), Apologise()
    if entry.tries < MOST_TRIES:
        never_started = entry.claimed < entry.stream
        return _stream(entry, ""), Stream(pause_s=1 if never_started else 0)
    if fallback_number:
        fallback = {"stage": "dialled", "dial": fallback_number, "way_back": False, "outcome": "failed: streams"}
        return entry.model_copy(update=fallback), Dial(fallback_number)
    return _over(entry, "failed: streams"), Apologise()


def _stream(entry: CallEntry, dial_status: str) -> CallEntry:
    return entry.model_copy(
        update={
            "stage": "streaming",
            "stream": entry.stream + 1,
            "tries": entry.tries + 1,
            "dial": "",
            "dial_status": dial_status,
            "outcome": "",
        }
    )


def _over(entry: CallEntry, outcome: str) -> CallEntry:
    return entry.model_copy(update={"stage": "over", "outcome": outcome})
