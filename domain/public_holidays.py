"""Public holidays of a country and its regions, from the package `holidays`.

Importing it and working out a country's first holidays takes 0.3 to 0.8 s, so that is done only for agents that keep
them, and by `make_ready` off the audio loop; after that, asking takes 50 us."""

from collections.abc import Container
from datetime import date
from functools import cache
from typing import Any

from schemas.agent import Holidays


class UnknownHolidays(ValueError):
    """There are none of this country, or it has no such region. The message names those that it has."""


def check(holidays: Holidays) -> None:
    """Raises UnknownHolidays."""
    import holidays as package

    regions = package.list_supported_countries(include_aliases=True).get(holidays.country)
    if regions is None:
        raise UnknownHolidays(f"there are no public holidays of a country {holidays.country!r}")
    if holidays.region and holidays.region not in regions:
        known = ", ".join(regions) or "none"
        raise UnknownHolidays(f"{holidays.country!r} has no region {holidays.region!r} with holidays; it has {known}")


def is_holiday(holidays: Holidays, day: date) -> bool:
    """Whether the day is one, or the day off in place of one that fell on a weekend. Where none are known, none is: a
    call is rather taken."""
    return day in _of(holidays)


def make_ready(holidays: Holidays, year: int) -> None:
    """Loads them, so that asking takes no time. Run it in a thread where others wait."""
    is_holiday(holidays, date(year, 1, 1))
    is_holiday(holidays, date(year + 1, 1, 1))


@cache
def _of(holidays: Holidays) -> Container[date]:
    import holidays as package

    known: Any = package
    try:
        days: Container[date] = known.country_holidays(holidays.country, subdiv=holidays.region or None)
    except NotImplementedError:
        return frozenset()
    return days
