"""When appointments begin, also where the clocks change."""

from datetime import datetime

import pytest

from domain.appointment_times import begins, earlier

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("day", "clock", "zone", "expected"),
    [
        ("2026-11-27", "14:30", NEW_YORK, "2026-11-27T19:30+00:00"),
        ("2026-07-01", "14:30", NEW_YORK, "2026-07-01T18:30+00:00"),
        ("2026-11-27", "00:15", "Asia/Kolkata", "2026-11-26T18:45+00:00"),
        ("2026-11-01", "01:30", NEW_YORK, "2026-11-01T05:30+00:00"),  # comes twice
        ("2026-03-08", "02:30", NEW_YORK, "2026-03-08T07:30+00:00"),  # is skipped: half past three
    ],
)
def test_begins(day: str, clock: str, zone: str, expected: str) -> None:
    assert begins(day, clock, zone) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("24h", "2026-10-31T18:30+00:00"),  # half past two in the afternoon: an hour later by the clock
        ("1d", "2026-10-31T17:30+00:00"),  # half past one, as the appointment
        ("90m", "2026-11-01T17:00+00:00"),
        ("2d", "2026-10-30T17:30+00:00"),
    ],
)
def test_earlier_across_the_end_of_summer_time(before: str, expected: str) -> None:
    start = begins("2026-11-01", "13:30", NEW_YORK)
    assert earlier(start, before, NEW_YORK) == datetime.fromisoformat(expected)
