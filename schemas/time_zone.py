"""A time zone's name."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def _known(name: str) -> str:
    """Asked of the zone itself: listing them all takes 70 ms, and validation is on the way of every call."""
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it as IANA does: Europe/Berlin") from None
    return name


TimeZone = Annotated[str, AfterValidator(_known)]
"""IANA name."""
