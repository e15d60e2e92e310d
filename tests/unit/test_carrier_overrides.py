"""The simulated carrier keeps to the overrides behind a webhook's URL, and asks no longer than Twilio does."""

import asyncio

import pytest

from offhook.carrier.overrides import Overrides
from offhook.carrier.webhooks import Answer, persist
from tests.fakes import virtual_time

OK, ERROR, REFUSED = Answer(204), Answer(503), Answer(403)
NO_CONNECTION, NO_ANSWER, BROKEN_OFF = Answer(0, problem="ct"), Answer(0, problem="rt"), Answer(0)


def asked(url: str, *answers: Answer, each_s: float = 0.0) -> tuple[Answer, int, float]:
    """The last answer, how many attempts that took, and how many seconds."""
    coming = iter(answers)

    async def attempt() -> Answer:
        await asyncio.sleep(each_s)
        return next(coming)

    async def story() -> tuple[Answer, int, float]:
        answer, attempts = await persist(Overrides.of(url), attempt)
        return answer, attempts, asyncio.get_running_loop().time()

    return virtual_time.run(story())


def test_without_overrides_only_a_missing_connection_is_tried_again_and_once() -> None:
    assert Overrides.of("https://h/status") == Overrides(5000, 15_000, 15_000, 1, frozenset({"ct"}))
    assert asked("https://h/status", NO_CONNECTION, OK)[:2] == (OK, 2)
    assert asked("https://h/status", NO_CONNECTION, NO_CONNECTION, OK)[:2] == (NO_CONNECTION, 2)
    for failure in (ERROR, REFUSED, NO_ANSWER):
        assert asked("https://h/status", failure, OK)[:2] == (failure, 1)


@pytest.mark.parametrize(
    ("policy", "retried"),
    [
        ("5xx", {ERROR}),
        ("ct,rt", {NO_CONNECTION, NO_ANSWER}),
        ("4xx", {REFUSED}),
        ("5xx,ct,rt", {ERROR, NO_CONNECTION, NO_ANSWER}),
        ("all", {ERROR, REFUSED, NO_CONNECTION, NO_ANSWER}),
    ],
)
def test_what_the_policy_names_is_tried_again_and_nothing_else(policy: str, retried: set[Answer]) -> None:
    for answer in (OK, ERROR, REFUSED, NO_CONNECTION, NO_ANSWER, BROKEN_OFF, Answer(301)):
        _, attempts, _ = asked(f"https://h/status#rc=2&rp={policy}", answer, answer, answer)
        assert attempts == (3 if answer in retried else 1), answer


@pytest.mark.parametrize("count", [0, 1, 5])
def test_it_is_tried_again_as_often_as_the_count_says(count: int) -> None:
    answer, attempts, _ = asked(f"https://h/status#rc={count}&rp=5xx", *[ERROR] * 6)
    assert (answer, attempts) == (ERROR, count + 1)


def test_after_fifteen_seconds_nobody_asks_any_more() -> None:
    answer, attempts, took_s = asked("https://h/next#rc=5&rp=rt&rt=4900", *[NO_ANSWER] * 6, each_s=4.9)
    assert (answer.problem, attempts, took_s) == ("rt", 4, 15)
    assert asked("https://h/next#rc=5&rp=rt&tt=6000", *[NO_ANSWER] * 6, each_s=4.9)[2] == 6


def test_all_that_twilio_describes_is_understood() -> None:
    overrides = Overrides.of("https://h/a?b=c#ct=100&rt=200&tt=300&rc=0&rp=4xx,rt&sni=n&e=ashburn,sao-paulo,dublin")
    assert overrides == Overrides(100, 200, 300, 0, frozenset({"4xx", "rt"}))


@pytest.mark.parametrize(
    "fragment",
    ["rc=6", "rc=", "rc=-1", "ct=50", "rt=15001", "tt=1e3", "rp=5xx;ct", "rp=500", "sni=yes", "e=", "retries=3", "top"],
)
def test_what_twilio_does_not_describe_changes_nothing_and_is_told_on(fragment: str) -> None:
    overrides = Overrides.of(f"https://h/status#{fragment}&rc=2")
    [strange] = overrides.misunderstood
    assert strange.rstrip("=") == fragment.rstrip("=")
    assert overrides == Overrides(retries=2, misunderstood=overrides.misunderstood)
