"""What every calendar does, be it only in our own book or in Google Calendar as well. A kind joins by its line in KINDS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.appointment_book import SETTLE, AppointmentBook
from adapters.firestore_documents import FirestoreDocuments
from adapters.google_calendar import GoogleCalendar
from adapters.sqlite_documents import SqliteDocuments
from domain.ports import Declined, Documents, Unavailable
from schemas.agent import Holidays, Opening, SpecialDay
from schemas.appointment import Appointment, Booking
from schemas.calendar import Calendar
from schemas.ids import new_id
from schemas.organisation import Organisation
from tests.fakes.calendar_server import CalendarServer, Problem, calendar_server
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW, MemoryBus, MemoryQueue, StoppedClock

SHARED = "chair-1@group.calendar.google.com"
WEEK = ("mon", "tue", "wed", "thu", "fri")
TUESDAY, SATURDAY, SUNDAY, MONDAY = "2026-11-24", "2026-11-28", "2026-11-29", "2026-11-30"
SARAH, TOM = "+12125550100", "+12125550101"


@dataclass
class Practice:
    """An organisation with one calendar, Monday to Friday from nine to five, closed for lunch on Tuesdays."""

    documents: Documents
    book: AppointmentBook
    clock: StoppedClock
    bus: MemoryBus
    queue: MemoryQueue
    google: CalendarServer | None = None
    organisation: Organisation = field(
        default_factory=lambda: Organisation(
            id=new_id("org"), name="Test", slug="test", time_zone="America/New_York", created_at=NOW
        )
    )

    @property
    def root(self) -> str:
        return f"organisations/{self.organisation.id}"

    async def open(self, **changes: Any) -> None:
        hours = [Opening(day=day, opens="09:00", closes="17:00") for day in WEEK if day != "tue"]  # type: ignore[arg-type]
        hours += [Opening(day="tue", opens="09:00", closes="12:00"), Opening(day="tue", opens="13:00", closes="17:00")]
        kind = {"kind": "google", "google_calendar": SHARED} if self.google else {}
        calendar = Calendar(**{"id": "main", "hours": hours, **kind, **changes})
        await self.documents.put(self.root, self.organisation.model_dump(mode="json"))
        await self.documents.put(f"{self.root}/calendars/main", calendar.model_dump(mode="json"))

    async def takes(self, time: str, day: str = TUESDAY, key: str = "", **more: Any) -> Appointment:
        booking = Booking(**{"date": day, "time": time, "phone": SARAH, **more})
        return await self.book.book(self.organisation, booking, key or new_id("key"))

    async def offered(self, first: str = TUESDAY, last: str = "", **more: Any) -> list[str]:
        begin = date.fromisoformat(first)
        end = date.fromisoformat(last) if last else begin
        offer = await self.book.offer(self.organisation, "main", begin, end, **more)
        return [f"{each:%a %H:%M}" for each in offer.times]

    async def cancels(self, id: str, key: str = "") -> Appointment:
        return await self.book.cancel(self.organisation, id, key)

    async def does_its_tasks(self) -> None:
        for task, _ in [*self.queue.tasks.values()]:
            assert task.kind == SETTLE
            await self.book.settle(task.body["organisation"], task.body["appointment"])

    def told(self) -> list[str]:
        return [event.topic for event in self.bus.events.values()]

    async def taken(self) -> int:
        """How many steps of five minutes have an appointment."""
        return len((await self.documents.query(f"{self.root}/calendars/main/taken", limit=1000)).found)


async def declined(attempt: Awaitable[Any]) -> Declined:
    with pytest.raises(Declined) as problem:
        await attempt
    return problem.value


emulators: dict[str, str] = {}
KINDS = ("memory", "sqlite", "firestore", "google")


@asynccontextmanager
async def practice(kind: str, folder: Path) -> AsyncIterator[Practice]:
    async with AsyncExitStack() as stack:
        documents: Documents = MemoryDocuments()
        google, diaries = None, {}
        match kind:
            case "sqlite":
                documents = await stack.enter_async_context(SqliteDocuments(folder / "documents.db"))
            case "firestore":
                documents = await stack.enter_async_context(
                    FirestoreDocuments("calendars", endpoint=emulators["firestore"], insecure=True, timeout_s=60)
                )
            case "google":
                google = await stack.enter_async_context(calendar_server(SHARED))
                diary = GoogleCalendar(google.endpoint, attempt_s=0.5, within_s=1.5)
                diaries = {"google": await stack.enter_async_context(diary)}
        clock, bus, queue = StoppedClock(), MemoryBus(), MemoryQueue()
        yield Practice(documents, AppointmentBook(documents, clock, bus, queue, diaries), clock, bus, queue, google)


Story = Callable[[Practice], Awaitable[None]]
Hold = Callable[[Story], None]


@pytest.fixture(params=KINDS)
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Hold:
    """Lets a story happen in a practice of that kind."""
    return holding(request, tmp_path, request.param)


def holding(request: pytest.FixtureRequest, folder: Path, kind: str) -> Hold:
    if kind == "firestore":
        emulators["firestore"] = request.getfixturevalue("firestore_emulator")

    def run(story: Story) -> None:
        async def whole() -> None:
            async with practice(kind, folder) as there:
                await there.open()
                await story(there)

        asyncio.run(whole())

    return run


# --- Looking ----------------------------------------------------------------------------------------------------------


def test_a_day_offers_its_hours(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        mornings = [f"Tue {hour:02}:{minute:02}" for hour in (9, 10, 11) for minute in (0, 30)]
        afternoons = [f"Tue {hour:02}:{minute:02}" for hour in (13, 14, 15, 16) for minute in (0, 30)]
        assert await here.offered() == mornings + afternoons
        assert await here.offered(minutes=150) == [
            "Tue 09:00",
            "Tue 09:30",
            "Tue 13:00",
            "Tue 13:30",
            "Tue 14:00",
            "Tue 14:30",
        ]

    hold(story)


def test_what_is_booked_is_not_offered_and_what_is_cancelled_is(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("10:00", minutes=60)
        offered = await here.offered()
        assert offered[:4] == ["Tue 09:00", "Tue 09:30", "Tue 11:00", "Tue 11:30"]
        assert (await here.offered(minutes=60))[:2] == ["Tue 09:00", "Tue 11:00"]
        await here.cancels(booked.id)
        assert len(await here.offered()) == 14

    hold(story)


def test_days_of_a_week_are_offered_in_order_but_none_that_is_over(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        here.clock.time = datetime.fromisoformat("2026-11-24T15:40:00-05:00")
        await here.open(lead_minutes=30, days_ahead=3)
        offered = await here.offered("2026-11-20", "2026-12-20")
        assert offered[:3] == ["Tue 16:30", "Wed 09:00", "Wed 09:30"]
        assert offered[-1] == "Fri 16:30"

    hold(story)


def test_a_day_without_free_times_says_why_and_names_others(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        offer = await here.book.offer(here.organisation, "main", date(2026, 11, 29), date(2026, 11, 29))
        assert (offer.times, offer.why) == ([], "We're closed on Sundays.")
        assert [f"{each:%a %H:%M}" for each in offer.instead] == ["Mon 09:00", "Mon 13:00", "Mon 16:30"]

    hold(story)


def test_a_time_is_free_or_there_are_others_nearby(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        day = date(2026, 11, 24)
        assert (await here.book.offer(here.organisation, "main", day, day, "10:00")).why == ""
        await here.takes("10:00")
        offer = await here.book.offer(here.organisation, "main", day, day, "10:00")
        assert offer.why == "That time is taken."
        assert [f"{each:%H:%M}" for each in offer.instead] == ["09:00", "09:30", "10:30"]

    hold(story)


# --- Booking ----------------------------------------------------------------------------------------------------------


def test_an_appointment_is_kept_as_it_was_booked(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes(
            "14:30", key="cnv_1:book", name="Sarah", email="s@example.com", conversation="cnv_1", agent="agt_1"
        )
        assert (booked.date, booked.time, booked.minutes) == (TUESDAY, "14:30", 30)
        assert booked.begins.isoformat() == "2026-11-24T19:30:00+00:00"
        stored = await here.book.get(here.organisation, booked.id)
        assert stored == booked
        assert booked.settled
        assert await here.taken() == 6

    hold(story)


@pytest.mark.parametrize(
    ("day", "time", "minutes", "why"),
    [
        ("2026-11-20", "10:00", None, "That day has passed."),
        (SUNDAY, "10:00", None, "We're closed on Sundays."),
        ("2027-11-22", "10:00", None, "We take appointments up to 90 days ahead."),
        (TUESDAY, "12:00", None, "We're open from 9 AM to noon and from 1 PM to 5 PM on Tuesdays."),
        (TUESDAY, "17:00", None, "We're open from 9 AM to noon and from 1 PM to 5 PM on Tuesdays."),
        (TUESDAY, "10:10", None, "We have no appointments at 10:10 AM."),
        (MONDAY, "16:30", 60, "We're open from 9 AM to 5 PM on Mondays, and an appointment takes 1 hour."),
        ("2026-12-25", "10:00", None, "We're closed on Friday the 25th of December, for Christmas Day."),
        ("2026-12-31", "10:00", None, "We're closed on Thursday the 31st of December, for Inventory."),
        (TUESDAY, "25:00", None, "That is no day and time."),
        ("someday", "10:00", None, "That is no day and time."),
    ],
)
def test_a_time_that_the_calendar_hasnt_is_refused_in_words(
    hold: Hold, day: str, time: str, minutes: int | None, why: str
) -> None:
    async def story(here: Practice) -> None:
        await here.open(
            holidays=Holidays(country="US"), special_days=[SpecialDay(date=date(2026, 12, 31), name="Inventory")]
        )
        problem = await declined(here.takes(time, day, minutes=minutes))
        assert str(problem) == why
        assert problem.instead or why == "That is no day and time."
        assert await here.taken() == 0
        assert here.told() == []

    hold(story)


def test_what_is_too_soon_is_refused(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        here.clock.time = datetime.fromisoformat("2026-11-24T09:40:00-05:00")
        await here.open(lead_minutes=120)
        assert str(await declined(here.takes("09:30"))) == "That time has passed."
        assert str(await declined(here.takes("11:00"))) == "That's too soon: we need 2 hours notice."
        assert (await here.takes("13:00")).time == "13:00"

    hold(story)


def test_a_taken_time_is_refused_with_the_nearest_others(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        await here.takes("09:00")
        problem = await declined(here.takes("09:00"))
        assert str(problem) == "That time is taken."
        assert [f"{each:%H:%M}" for each in problem.instead] == ["09:30", "10:00", "10:30"]
        assert str(await declined(here.takes("09:00", minutes=60))) == "That time is taken."
        assert len(await here.offered()) == 13

    hold(story)


def test_a_calendar_that_does_not_exist_is_refused(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        for id in ("other", "", "main/taken/x", "../main"):
            assert str(await declined(here.takes("09:00", calendar=id))) == "There is no such calendar."

    hold(story)


def test_the_same_key_books_once(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        first = await here.takes("09:00", key="k")
        here.clock.time += timedelta(days=30)  # even when the time has passed
        again = await here.takes("09:00", key="k")
        assert again.id == first.id
        assert await here.taken() == 6
        assert here.told() == ["appointment.booked"]

    hold(story)


def test_a_key_whose_appointment_was_cancelled_books_nothing_again(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("09:00", key="k")
        await here.cancels(booked.id)
        assert "has been cancelled since" in str(await declined(here.takes("09:00", key="k")))
        assert await here.taken() == 0

    hold(story)


def test_a_calendar_that_changes_its_slots_keeps_its_appointments_apart(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        await here.takes("09:00", minutes=50)
        await here.open(slot_minutes=20)
        assert (await here.offered())[:1] == ["Tue 10:00"]
        assert str(await declined(here.takes("09:40"))) == "That time is taken."
        assert (await here.takes("10:00")).minutes == 20

    hold(story)


# --- Cancelling and moving --------------------------------------------------------------------------------------------


def test_cancelling_frees_the_time_once(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("09:00")
        cancelled = await here.cancels(booked.id, "c1")
        assert (cancelled.state, cancelled.cancelled_by, cancelled.cancelled_at) == ("cancelled", "c1", NOW)
        other = await here.takes("09:00", phone=TOM)
        again = await here.cancels(booked.id, "c2")
        assert again.cancelled_by == "c1"
        assert await here.taken() == 6
        assert (await here.book.get(here.organisation, other.id)).state == "booked"  # type: ignore[union-attr]
        assert here.told() == ["appointment.booked", "appointment.cancelled", "appointment.booked"]

    hold(story)


def test_what_is_over_or_was_never_booked_is_not_cancelled(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("09:00")
        here.clock.time = booked.begins
        assert str(await declined(here.cancels(booked.id))) == "That appointment has begun already."
        for id in ("apt_x", "", "..", "a/b"):
            assert str(await declined(here.cancels(id))) == "There is no such appointment."

    hold(story)


def test_an_appointment_is_moved_in_one_instant(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        first = await here.takes("09:00", minutes=60)
        await here.takes("14:00", phone=TOM)
        # It can't be: both stay as they are.
        await declined(here.takes("14:00", instead_of=first.id))
        assert (await here.book.get(here.organisation, first.id)).state == "booked"  # type: ignore[union-attr]
        # By half an hour, into the time that it takes itself.
        moved = await here.takes("09:30", minutes=60, instead_of=first.id, key="m")
        assert (await here.book.get(here.organisation, first.id)).state == "cancelled"  # type: ignore[union-attr]
        assert (await here.takes("09:30", minutes=60, instead_of=first.id, key="m")).id == moved.id
        assert await here.taken() == 18
        assert sorted(here.told()) == ["appointment.booked"] * 3 + ["appointment.cancelled"]
        assert str(await declined(here.takes("15:00", instead_of=first.id))) == "There is no such appointment any more."

    hold(story)


def test_a_caller_s_upcoming_appointments_are_found(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        late = await here.takes("15:00")
        early = await here.takes("09:00")
        await here.takes("10:00", phone=TOM, conversation="cnv_tom")
        gone = await here.takes("11:00")
        await here.cancels(gone.id)
        found = await here.book.upcoming(here.organisation, SARAH)
        assert [(each.id, each.state) for each in found] == [
            (early.id, "booked"), (gone.id, "cancelled"), (late.id, "booked"),
        ]  # fmt: skip
        assert [each.phone for each in await here.book.upcoming(here.organisation, "", "cnv_tom")] == [TOM]
        assert await here.book.upcoming(here.organisation) == []
        here.clock.time = early.begins
        assert early.id not in [each.id for each in await here.book.upcoming(here.organisation, SARAH)]

    hold(story)


# --- Many at once -----------------------------------------------------------------------------------------------------

CALLERS = 50


@pytest.mark.parametrize("capacity", [1, 3])
def test_fifty_callers_at_once_never_share_a_time(
    request: pytest.FixtureRequest, hold: Hold, capacity: int, tmp_path: Path
) -> None:
    async def story(here: Practice) -> None:
        if here.google and capacity > 1:
            return  # it has one appointment at a time
        await here.open(capacity=capacity)

        async def call(n: int) -> str:
            try:
                await here.takes("10:00", key=f"caller {n}")
                return "booked"
            except Declined as problem:
                return str(problem)

        came = await asyncio.gather(*map(call, range(CALLERS)))
        assert sorted(came) == ["That time is taken."] * (CALLERS - capacity) + ["booked"] * capacity
        assert here.told() == ["appointment.booked"] * capacity
        if here.google:
            assert len(here.google.events(SHARED)) == 1

    hold(story)


def test_callers_who_want_overlapping_times_at_once_never_share_a_minute(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        await here.open(slot_minutes=15)

        async def call(n: int) -> Appointment | None:
            try:
                return await here.takes(f"{13 + n // 4 % 3}:{n % 4 * 15:02}", minutes=60, key=f"caller {n}")
            except Declined:
                return None

        booked = [each for each in await asyncio.gather(*map(call, range(CALLERS))) if each]
        assert len(booked) >= 2
        times = sorted(each.begins for each in booked)
        assert all(later - earlier >= timedelta(hours=1) for earlier, later in pairwise(times))
        assert await here.taken() == 12 * len(booked)

    hold(story)


def test_one_key_asked_many_times_at_once_books_once(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        found = await asyncio.gather(*(here.takes("10:00", key="one") for _ in range(20)))
        assert len({each.id for each in found}) == 1
        assert await here.taken() == 6
        assert set(here.told()) == {"appointment.booked"}

    hold(story)


def test_one_appointment_cancelled_many_times_at_once_is_freed_once(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        await here.open(**({} if here.google else {"capacity": 2}))
        booked = await here.takes("10:00")
        other = None if here.google else await here.takes("10:00")
        await asyncio.gather(*(here.cancels(booked.id, f"c{n}") for n in range(20)))
        assert await here.taken() == (6 if other else 0)
        assert here.told().count("appointment.cancelled") == 1

    hold(story)


# --- Telling ----------------------------------------------------------------------------------------------------------


def test_what_happened_is_told_with_an_id_of_its_own(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("10:00")
        await here.cancels(booked.id)
        events = [*here.bus.events.values()]
        assert [(event.id, event.topic) for event in events] == [
            (f"{booked.id}:booked", "appointment.booked"), (f"{booked.id}:cancelled", "appointment.cancelled"),
        ]  # fmt: skip
        assert events[0].body == {"organisation": here.organisation.id, "appointment": booked.id}

    hold(story)


def test_what_a_bus_that_is_down_was_not_told_is_told_later(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        publish = here.bus.publish

        async def refuse(event: Any) -> None:
            raise Unavailable("the bus is down")

        here.bus.publish = refuse  # type: ignore[method-assign]
        booked = await here.takes("10:00")
        assert booked.state == "booked"
        assert here.told() == []
        here.bus.publish = publish  # type: ignore[method-assign]
        await here.does_its_tasks()
        assert here.told() == ["appointment.booked"]
        here.bus.events.clear()
        await here.does_its_tasks()  # once is enough
        assert here.told() == []

    hold(story)


def test_a_process_that_dies_right_after_booking_loses_no_word(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        async def die(event: Any) -> None:
            raise SystemError

        publish, here.bus.publish = here.bus.publish, die  # type: ignore[method-assign]
        with pytest.raises(SystemError):
            await here.takes("10:00")
        here.bus.publish = publish  # type: ignore[method-assign]
        await here.does_its_tasks()
        assert here.told() == ["appointment.booked"]

    hold(story)


def test_a_queue_that_hangs_or_is_down_does_not_keep_anybody_from_booking(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        async def refuse(task: Any, at: Any) -> None:
            raise Unavailable("the queue is down")

        async def hang(task: Any, at: Any) -> None:
            await asyncio.Event().wait()

        for time, way in (("10:00", refuse), ("11:00", hang)):
            here.queue.enqueue = way  # type: ignore[method-assign]
            await here.takes(time)
        assert here.told() == ["appointment.booked"] * 2

    hold(story)


def test_a_reminder_of_what_was_never_booked_does_nothing(hold: Hold) -> None:
    async def story(here: Practice) -> None:
        await here.takes("10:00")
        await here.book.settle(here.organisation.id, "apt_never")
        await here.book.settle("org_never", "apt_never")

    hold(story)


# --- Google Calendar --------------------------------------------------------------------------------------------------


@pytest.fixture
def google(request: pytest.FixtureRequest, tmp_path: Path) -> Hold:
    return holding(request, tmp_path, "google")


def server(here: Practice) -> CalendarServer:
    assert here.google
    return here.google


def test_an_appointment_becomes_an_event_and_goes_again(google: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("14:30", name="Sarah", email="s@example.com", agent="agt_1")
        [event] = server(here).events(SHARED)
        assert (event["summary"], event["start"], event["end"]) == (
            "Appointment: Sarah",
            {"dateTime": "2026-11-24T19:30:00Z", "timeZone": "America/New_York"},
            {"dateTime": "2026-11-24T20:00:00Z", "timeZone": "America/New_York"},
        )
        assert f"Phone: {SARAH}" in event["description"]
        await here.cancels(booked.id)
        assert server(here).events(SHARED) == []

    google(story)


def test_people_s_own_entries_keep_their_times(google: Hold) -> None:
    async def story(here: Practice) -> None:
        server(here).put_in(SHARED, "2026-11-24T09:15:00-05:00", "2026-11-24T10:00:00-05:00")
        server(here).put_in(
            SHARED, "2026-11-24T14:00:00-05:00", "2026-11-24T15:00:00-05:00", transparency="transparent"
        )
        assert (await here.offered())[0] == "Tue 10:00"
        assert str(await declined(here.takes("09:30"))) == "That time is taken."
        assert (await here.takes("14:00")).state == "booked"

    google(story)


def test_a_person_who_was_faster_keeps_the_time(google: Hold) -> None:
    async def story(here: Practice) -> None:
        def enter() -> None:
            server(here).put_in(SHARED, "2026-11-24T10:15:00-05:00", "2026-11-24T11:00:00-05:00")
            server(here).before_insert = None

        server(here).before_insert = enter
        problem = await declined(here.takes("10:00", key="k"))
        assert str(problem) == "That time is taken."
        assert [f"{each:%H:%M}" for each in problem.instead] == ["09:00", "09:30", "11:00"]
        assert len(server(here).events(SHARED)) == 1
        assert await here.taken() == 0
        await here.does_its_tasks()
        assert here.told() == []  # nobody was ever told of it

    google(story)


@pytest.mark.parametrize(
    "failure", ["lost", Problem(503, "backendError"), Problem(403, "rateLimitExceeded"), "html", "hang"]
)
def test_what_may_pass_is_tried_again_and_books_once(google: Hold, failure: Any) -> None:
    async def story(here: Practice) -> None:
        for before in range(3):  # the first request asks what is free, the second puts the event in
            server(here).failures = [None] * before + [failure]  # type: ignore[list-item]
            booked = await here.takes(f"{9 + before}:00")
            await here.does_its_tasks()
            stored = await here.book.get(here.organisation, booked.id)
            assert stored
            assert stored.settled
        assert len(server(here).events(SHARED)) == 3

    google(story)


def test_what_google_never_answered_is_unknown_and_comes_right_later(google: Hold) -> None:
    async def story(here: Practice) -> None:
        server(here).failures = [None, *["hang"] * 20]  # type: ignore[list-item]
        with pytest.raises(Unavailable, match="Google Calendar"):
            await here.takes("10:00", key="k")
        assert here.told() == []
        server(here).failures = []
        assert await here.taken() == 6  # nobody else gets it meanwhile
        await here.does_its_tasks()
        assert len(server(here).events(SHARED)) == 1
        assert here.told() == ["appointment.booked"]

    google(story)


def test_asked_once_more_with_its_key_it_is_entered(google: Hold) -> None:
    async def story(here: Practice) -> None:
        server(here).failures = [None, Problem(500, "internalError"), *["hang"] * 20]  # type: ignore[list-item]
        with pytest.raises(Unavailable):
            await here.takes("10:00", key="k")
        server(here).failures = []
        await here.takes("10:00", key="k")
        assert len(server(here).events(SHARED)) == 1
        assert here.told() == ["appointment.booked"]

    google(story)


def test_an_event_that_can_not_be_taken_out_now_is_taken_out_later(google: Hold) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("10:00")
        server(here).failures = [Problem(401, "authError")]
        assert (await here.cancels(booked.id)).state == "cancelled"
        assert len(server(here).events(SHARED)) == 1
        await here.does_its_tasks()
        assert server(here).events(SHARED) == []
        assert here.told() == ["appointment.booked", "appointment.cancelled"]

    google(story)


@pytest.mark.parametrize("way", ["deleted", "never there"])
def test_an_event_that_a_person_took_out_is_no_trouble(google: Hold, way: str) -> None:
    async def story(here: Practice) -> None:
        booked = await here.takes("10:00")
        [event] = server(here).events(SHARED)
        if way == "deleted":
            event["status"] = "cancelled"
        else:
            del server(here).calendars[SHARED][event["id"]]
        await here.cancels(booked.id)
        assert here.told() == ["appointment.booked", "appointment.cancelled"]

    google(story)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Problem(401, "authError"), "did not accept the credentials"),
        (Problem(403, "accessNotConfigured"), "run `gcloud services enable calendar-json.googleapis.com`"),
        (
            Problem(403, "forbidden", details=[{"reason": "SERVICE_DISABLED"}]),
            "run `gcloud services enable calendar-json.googleapis.com`",
        ),
        (Problem(403, "insufficientPermissions"), "need the scope https://www.googleapis.com/auth/calendar"),
        (Problem(403, "requiredAccessLevel"), "lets us only read that calendar: share it"),
        (Problem(403, "quotaExceeded"), r"has no quota left \(quotaExceeded\)"),
        (Problem(400, "badRequest"), r"failed \(INVALID_ARGUMENT badRequest\)"),
    ],
    ids=str,
)
def test_refusals_say_what_to_do(google: Hold, failure: Problem, words: str) -> None:
    async def story(here: Practice) -> None:
        server(here).failures = [failure]
        with pytest.raises(Unavailable, match=words) as problem:
            await here.offered()
        assert "words of Google's" not in str(problem.value)

    google(story)


def test_a_calendar_that_is_not_shared_is_named(google: Hold) -> None:
    async def story(here: Practice) -> None:
        async with GoogleCalendar(server(here).endpoint) as diary:
            await diary.check(SHARED)
            with pytest.raises(Unavailable, match=r"has no calendar 'other@x', or it isn't shared with us: share it"):
                await diary.check("other@x")
            with pytest.raises(Unavailable, match="'other@x', or it isn't shared"):
                await diary.busy("other@x", NOW, NOW + timedelta(days=1))
            server(here).access = "reader"
            with pytest.raises(Unavailable, match="lets us only read"):
                await diary.check(SHARED)

    google(story)


def test_nobody_there_is_unavailable_soon() -> None:
    async def story() -> None:
        async with GoogleCalendar("http://127.0.0.1:9", within_s=0.3) as diary:
            with pytest.raises(Unavailable, match="could not be reached"):
                await diary.check(SHARED)

    asyncio.run(story())
