"""How many calls a process bears."""

import asyncio
import contextlib

from media_service.capacity import WINDOW, Capacity
from tests.fakes import virtual_time

MOST = 1000


def sampled(late_ms: float, busy: float, calls: int) -> Capacity:
    capacity = Capacity()
    for _ in range(WINDOW):
        capacity.sample(late_ms, busy, calls)
    return capacity


def test_a_process_that_has_just_begun_takes_calls() -> None:
    assert Capacity().has_room(0, MOST)


def test_an_idle_process_takes_calls_up_to_its_setting() -> None:
    assert sampled(0.1, 0.01, 0).has_room(49, most=50)
    assert not sampled(0.1, 0.01, 0).has_room(50, most=50)


def test_what_a_call_costs_is_learnt_from_those_that_are_on() -> None:
    light, heavy = sampled(0.5, 0.2, 100), sampled(0.5, 0.8, 100)
    assert light.bears(100, MOST) == 425
    assert heavy.bears(100, MOST) == 106


def test_calls_that_have_just_begun_count_before_they_are_felt() -> None:
    capacity = sampled(0.5, 0.8, 100)
    assert capacity.has_room(105, MOST)
    assert not capacity.has_room(106, MOST)


def test_a_loop_that_is_late_takes_no_more_however_idle_its_core_seems() -> None:
    assert not sampled(15, 0.3, 100).has_room(100, MOST)


def test_a_stall_now_and_then_turns_nobody_away() -> None:
    capacity = sampled(0.5, 0.2, 100)
    for late_ms in (200, 0.5, 0.5, 150, 0.5):
        capacity.sample(late_ms, 0.3, 100)
    assert capacity.has_room(100, MOST)


def test_room_comes_back_when_calls_end() -> None:
    capacity = sampled(15, 0.95, 200)
    assert not capacity.has_room(150, MOST)
    for _ in range(WINDOW):
        capacity.sample(0.5, 0.3, 100)
    assert capacity.has_room(150, MOST)


def test_a_busy_process_without_calls_still_takes_one() -> None:
    assert sampled(1, 0.99, 0).has_room(0, MOST)


def test_a_process_that_runs_late_without_calls_takes_its_first() -> None:
    idle = sampled(50, 0.3, 0)
    assert idle.has_room(0, MOST)
    assert idle.has_room(1, MOST)
    assert sampled(50, 0.3, 1).has_room(0, MOST)


def test_it_watches_the_loop_it_runs_in() -> None:
    capacity = Capacity()

    async def story() -> None:
        watching = asyncio.create_task(capacity.watch(lambda: 3))
        await asyncio.sleep(30)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    virtual_time.run(story())
    assert capacity.bears(3, most=7) == 7
