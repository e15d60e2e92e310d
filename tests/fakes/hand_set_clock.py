"""A clock that stands still until somebody moves it on."""

from datetime import UTC, datetime, timedelta


class HandSetClock:
    def __init__(self) -> None:
        self._time = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self._time

    def move_on(self, seconds: float) -> None:
        self._time += timedelta(seconds=seconds)
