"""The queue on Cloud Tasks: what is its own beside what every queue does, over a server that speaks Google's protocol."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from google.cloud import tasks_v2
from grpc import StatusCode

from adapters.cloud_tasks_queue import CloudTasksQueue, GoogleTokens
from domain.ports import Task, Unavailable
from tests.fakes.hand_set_clock import HandSetClock
from tests.fakes.tasks_server import QUEUE, Hang, Refusal, TasksRoute, TasksServer, token

CALLER = "tasks@offhook-test.iam.gserviceaccount.com"
DIAL = Task("attempt 1 of campaign cmp_7", "dial", {"number": "+15005550001"})


class Place:
    """A queue, the server behind it and the route that it posts to."""

    def __init__(self, server: TasksServer, route: TasksRoute, clock: HandSetClock, queue: CloudTasksQueue) -> None:
        self.server, self.route, self.clock, self.queue = server, route, clock, queue
        self.done: list[Task] = []
        self.fail: Exception | None = None

    async def work(self, task: Task) -> None:
        if self.fail:
            raise self.fail
        self.done.append(task)

    async def until(self, condition: Callable[[], bool], step_s: float = 0) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.clock.move_on(step_s)
                await asyncio.sleep(0.005)

    async def receive(self, id_token: str, body: bytes | None = None) -> int:
        envelope = body if body is not None else msgspec.json.encode(DIAL)
        return await self.queue.receive(envelope, {"authorization": f"Bearer {id_token}"})

    @property
    def good_token(self) -> str:
        return token(CALLER, self.route.url)

    def after(self, **time: float) -> datetime:
        return self.clock.now() + timedelta(**time)


def tell(story: Callable[[Place], Awaitable[None]], settings: Any = None, **queue: Any) -> None:
    async def told() -> None:
        clock = HandSetClock()
        async with TasksServer(clock, **settings or {}) as server, TasksRoute() as route:
            verify = GoogleTokens(clock, server.certificates_url).verify
            name = queue.pop("queue", QUEUE)
            adapter = CloudTasksQueue(
                name, route.url, CALLER, clock, endpoint=server.endpoint, insecure=True, verify=verify, **queue
            )
            async with adapter, route.instance(adapter, grace_s=0):
                place = Place(server, route, clock, adapter)
                adapter.serve("dial", place.work)
                await story(place)

    asyncio.run(told())


# --- What Google is asked ------------------------------------------------------------------------------------------


def test_a_task_is_a_request_that_google_signs() -> None:
    async def story(place: Place) -> None:
        await place.queue.enqueue(DIAL, place.after(minutes=5))
        (task,) = place.server.tasks
        request = task.http_request
        assert (request.url, request.http_method.name) == (f"{place.route.url}/tasks/dial", "POST")
        assert (request.oidc_token.service_account_email, request.oidc_token.audience) == (CALLER, place.route.url)
        assert msgspec.json.decode(request.body, type=Task) == DIAL
        assert task.schedule_time == place.after(minutes=5)
        assert task.dispatch_deadline == timedelta(seconds=600)
        id = task.name.removeprefix(f"{QUEUE}/tasks/")
        assert id.endswith("-attempt_1_of_campaign_cmp_7")
        place.clock.move_on(300)
        await place.until(lambda: place.done == [DIAL])
        assert place.server.posted[0].headers["X-CloudTasks-TaskName"] == id

    tell(story)


def test_an_audience_of_its_own_is_asked_for_and_demanded() -> None:
    async def story(place: Place) -> None:
        await place.queue.enqueue(DIAL, place.clock.now())
        await place.until(lambda: place.done == [DIAL])
        assert await place.receive(place.good_token) == 401

    tell(story, audience="https://functions.example.com")


@pytest.mark.parametrize("name", ["", "a" * 600, "ünï/cödé:*?", "../../x", "\ud83d"])
def test_any_name_will_do(name: str) -> None:
    async def story(place: Place) -> None:
        await place.queue.enqueue(Task(name, "dial"), place.clock.now())
        await place.until(lambda: place.done == [Task(name, "dial")])

    if name == "\ud83d":
        with pytest.raises(ValueError, match="surrogate"):
            tell(story)
    else:
        tell(story)


def test_names_that_begin_alike_do_not_as_ids() -> None:
    async def story(place: Place) -> None:
        for n in range(10):
            await place.queue.enqueue(Task(f"attempt {n}", "dial"), place.after(hours=1))
        assert len({task.name.rpartition("/")[2][:4] for task in place.server.tasks}) == 10

    tell(story)


def test_a_kind_may_have_any_name() -> None:
    async def story(place: Place) -> None:
        place.queue.serve("a/b ?#", place.work)
        await place.queue.enqueue(Task("1", "a/b ?#"), place.clock.now())
        await place.until(lambda: place.done == [Task("1", "a/b ?#")])

    tell(story)


def test_a_task_too_large_is_refused() -> None:
    async def story(place: Place) -> None:
        with pytest.raises(ValueError, match="bytes"):
            await place.queue.enqueue(Task("1", "dial", {"notes": "x" * 1_000_000}), place.clock.now())
        await place.queue.enqueue(Task("1", "dial", {"notes": "x" * 800_000}), place.clock.now())
        await place.until(lambda: len(place.done) == 1)

    tell(story)


@pytest.mark.parametrize(
    "queue", ["", "dialling", "projects/p/locations/l/queues/", "projects/p/locations/l/queues/a_b"]
)
def test_what_cannot_be_a_queue_is_refused(queue: str) -> None:
    with pytest.raises(ValueError, match="queues"):
        CloudTasksQueue(queue, "https://functions.example.com", CALLER, HandSetClock())


def test_nobody_s_account_is_refused() -> None:
    with pytest.raises(ValueError, match="service account"):
        CloudTasksQueue(QUEUE, "https://functions.example.com", "", HandSetClock())


# --- Its time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [29, 29.5, 30, 31, 100])
def test_a_task_may_be_due_later_than_google_takes_it(days: float) -> None:
    async def story(place: Place) -> None:
        due = place.after(days=days)
        await place.queue.enqueue(DIAL, due)
        while place.clock.now() < due - timedelta(hours=12):
            place.clock.move_on(6 * 3600)
            await place.until(lambda: all(task.schedule_time > place.clock.now() for task in place.server.tasks))
        assert place.done == []
        assert len(place.server.tasks) == 1
        place.clock.move_on((due - place.clock.now()).total_seconds())
        await place.until(lambda: place.server.tasks == [])
        assert place.done == [DIAL]

    tell(story)


def test_a_name_is_known_for_a_while_after_its_task_is_done() -> None:
    async def story(place: Place) -> None:
        await place.queue.enqueue(DIAL, place.clock.now())
        await place.until(lambda: place.done == [DIAL])
        await place.until(lambda: place.server.tasks == [])
        await place.queue.enqueue(DIAL, place.clock.now())
        assert place.server.tasks == []
        place.clock.move_on(2 * 3600)
        await place.queue.enqueue(DIAL, place.clock.now())
        await place.until(lambda: place.done == [DIAL, DIAL])

    tell(story)


def test_failures_are_tried_again_ever_later_and_then_given_up() -> None:
    async def story(place: Place) -> None:
        place.fail = LookupError("no line")
        await place.queue.enqueue(DIAL, place.clock.now())
        await place.until(lambda: place.server.tasks == [], step_s=0.1)
        assert [posted.status for posted in place.server.posted] == [500] * 5
        retries = [posted.headers["X-CloudTasks-TaskRetryCount"] for posted in place.server.posted]
        assert retries == ["0", "1", "2", "3", "4"]

    tell(story, {"max_attempts": 5})


# --- Who may call --------------------------------------------------------------------------------------------------


def test_only_google_s_word_counts() -> None:
    async def story(place: Place) -> None:
        url = place.route.url
        assert await place.receive(place.good_token) == 200
        assert await place.queue.receive(b"{}", {}) == 401
        assert await place.queue.receive(b"{}", {"authorization": "Basic dGVzdDp0ZXN0"}) == 401
        for bad in (
            "",
            "nonsense",
            "ünï",
            place.good_token[:-8],
            place.good_token.replace(".", ".e30", 1),
            token(CALLER, "https://elsewhere.example.com"),
            token(CALLER, url, exp=1),
            token(CALLER, url, iat=9_999_999_999, exp=9_999_999_999),
            token(CALLER, url, iss="https://evil.example.com"),
        ):
            assert await place.receive(bad) == 401, bad
        assert await place.receive(token("someone@else.example.com", url)) == 403
        assert await place.receive(token(CALLER, url, email_verified=False)) == 403
        assert await place.receive(token("", url)) == 403
        assert place.done == [DIAL]

    tell(story)


def test_certificates_are_fetched_once_and_again_after_a_while() -> None:
    async def story() -> None:
        clock = HandSetClock()
        async with TasksServer(clock) as server:
            tokens = GoogleTokens(clock, server.certificates_url)
            assert (await tokens.verify(token(CALLER, "a"), "a"))["email"] == CALLER
        assert (await tokens.verify(token(CALLER, "a"), "a"))["email"] == CALLER
        clock.move_on(3600)
        with pytest.raises(Unavailable, match="certificates"):
            await tokens.verify(token(CALLER, "a"), "a")

    asyncio.run(story())


def test_a_token_that_cannot_be_checked_is_to_come_again() -> None:
    async def story(place: Place) -> None:
        clock = HandSetClock()
        tokens = GoogleTokens(clock, "http://127.0.0.1:1/certs")
        async with CloudTasksQueue(QUEUE, place.route.url, CALLER, clock, insecure=True, verify=tokens.verify) as queue:
            assert await queue.receive(b"{}", {"authorization": f"Bearer {place.good_token}"}) == 500

    tell(story)


# --- What comes in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"name": 1, "kind": "dial", "body": {}}', b"null"])
def test_what_is_no_task_is_refused(body: bytes) -> None:
    async def story(place: Place) -> None:
        assert await place.receive(place.good_token, body) == 400
        assert place.done == []

    tell(story)


def test_a_kind_that_nobody_serves_comes_again() -> None:
    async def story(place: Place) -> None:
        await place.queue.enqueue(Task("1", "email"), place.clock.now())
        await place.until(lambda: bool(place.server.posted and place.server.posted[0].status))
        assert place.server.posted[0].status == 404
        place.queue.serve("email", place.work)
        await place.until(lambda: place.done == [Task("1", "email")], step_s=0.1)

    tell(story)


def test_work_is_cancelled_with_its_request() -> None:
    async def story(place: Place) -> None:
        begun = asyncio.Event()

        async def work(task: Task) -> None:
            begun.set()
            await asyncio.Event().wait()

        place.queue.serve("wait", work)
        body = msgspec.json.encode(Task("1", "wait"))
        receiving = asyncio.create_task(place.receive(place.good_token, body))
        await begun.wait()
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving

    tell(story)


def test_work_that_takes_too_long_is_begun_again() -> None:
    async def story(place: Place) -> None:
        tries: list[Task] = []

        async def work(task: Task) -> None:
            tries.append(task)
            if len(tries) == 1:
                await asyncio.Event().wait()

        place.queue.serve("wait", work)
        await place.queue.enqueue(Task("1", "wait"), place.clock.now())
        await place.until(lambda: len(tries) == 1)
        place.clock.move_on(59)
        await asyncio.sleep(0.02)
        assert len(tries) == 1
        await place.until(lambda: place.server.tasks == [], step_s=1)
        assert len(tries) == 2

    tell(story, work_s=60)


# --- Trouble -------------------------------------------------------------------------------------------------------

PASSING = [
    Refusal(StatusCode.UNAVAILABLE),
    Refusal(StatusCode.ABORTED),
    Refusal(StatusCode.INTERNAL),
    Refusal(StatusCode.RESOURCE_EXHAUSTED),
    Refusal(StatusCode.DEADLINE_EXCEEDED),
]


@pytest.mark.parametrize("refusal", [*PASSING, Hang()])
def test_what_may_pass_is_tried_again(refusal: Refusal | Hang) -> None:
    async def story(place: Place) -> None:
        place.server.will_answer(refusal, refusal)
        await place.queue.enqueue(DIAL, place.clock.now())
        await place.until(lambda: place.done == [DIAL])
        assert place.server.calls == 3

    tell(story, attempt_s=0.2)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(StatusCode.UNAVAILABLE), "could not be reached"),
        (Refusal(StatusCode.UNAUTHENTICATED), "did not accept the credentials"),
        (Refusal(StatusCode.PERMISSION_DENIED, reason="IAM_PERMISSION_DENIED"), "refused permission"),
        (
            Refusal(StatusCode.PERMISSION_DENIED, reason="SERVICE_DISABLED"),
            "gcloud services enable cloudtasks.googleapis.com",
        ),
        (Refusal(StatusCode.RESOURCE_EXHAUSTED), "no quota left"),
        (Refusal(StatusCode.INVALID_ARGUMENT, "secret"), r"failed \(INVALID_ARGUMENT\)"),
        (Hang(), "too long"),
    ],
)
def test_trouble_is_told_in_a_sentence_with_its_fix(refusal: Refusal | Hang, words: str) -> None:
    async def story(place: Place) -> None:
        for ask in (lambda: place.queue.enqueue(DIAL, place.clock.now()), place.queue.check):
            place.server.will_answer(*[refusal] * 100)
            with pytest.raises(Unavailable, match=words) as problem:
                await ask()
            assert "secret" not in str(problem.value)

    # Only who hangs is given up soon: a busy machine may be as slow as that.
    tell(story, **({"attempt_s": 0.05, "within_s": 0.2} if isinstance(refusal, Hang) else {"within_s": 1.0}))


def test_a_queue_that_is_not_there_or_paused_is_told() -> None:
    async def paused(place: Place) -> None:
        await place.queue.check()
        place.server.state = tasks_v2.Queue.State.PAUSED
        with pytest.raises(Unavailable, match="paused: resume it"):
            await place.queue.check()

    async def missing(place: Place) -> None:
        for ask in (lambda: place.queue.enqueue(DIAL, place.clock.now()), place.queue.check):
            with pytest.raises(
                Unavailable, match="has no queue 'projects/offhook-test/locations/x/queues/y': create it with `gcloud"
            ):
                await ask()

    tell(paused)
    tell(missing, queue="projects/offhook-test/locations/x/queues/y")


# --- Whether anything could be enqueued ----------------------------------------------------------------------------


def test_trying_to_enqueue_leaves_nothing_behind() -> None:
    async def story(place: Place) -> None:
        await place.queue.check_writing()
        await place.queue.check_writing()
        assert place.server.calls == 4
        assert place.server.tasks == []
        place.clock.move_on(4000)
        await place.queue.enqueue(DIAL, place.clock.now())
        await place.until(lambda: place.done == [DIAL])
        assert [posted.url for posted in place.server.posted] == [f"{place.route.url}/tasks/dial"]

    tell(story)


def test_a_trial_that_could_not_be_taken_back_comes_once_and_nothing_is_done() -> None:
    async def story(place: Place) -> None:
        place.server.lacking = {"cloudtasks.tasks.delete"}
        await place.queue.check_writing()
        (task,) = place.server.tasks
        assert task.http_request.oidc_token.service_account_email == CALLER
        place.clock.move_on(3599)
        await asyncio.sleep(0.05)
        assert place.server.posted == []
        place.clock.move_on(1)
        await place.until(lambda: place.server.tasks == [])
        assert [posted.status for posted in place.server.posted] == [200]
        assert place.done == []

    tell(story)


def test_a_trial_that_nobody_answers_is_soon_given_up() -> None:
    async def story(place: Place) -> None:
        place.server.lacking = {"cloudtasks.tasks.delete"}
        elsewhere = CloudTasksQueue(
            QUEUE, "http://127.0.0.1:1", CALLER, place.clock, endpoint=place.server.endpoint, insecure=True
        )
        async with elsewhere:
            await elsewhere.check_writing()
        await place.until(lambda: place.server.tasks == [], step_s=60)
        assert len(place.server.posted) == 2

    tell(story)


@pytest.mark.parametrize(
    ("permission", "sentence"),
    [
        (
            "cloudtasks.tasks.create",
            "Google Cloud Tasks refused permission (IAM_PERMISSION_DENIED): grant `roles/cloudtasks.enqueuer` on the "
            "queue to the account that Offhook runs as",
        ),
        (
            "iam.serviceAccounts.actAs",
            "Google Cloud Tasks may not act as OFFHOOK_TASKS_ACCOUNT: grant `roles/iam.serviceAccountUser` on it to the "
            "account that Offhook runs as",
        ),
    ],
)
def test_whoever_may_not_enqueue_is_told_the_role(permission: str, sentence: str) -> None:
    async def story(place: Place) -> None:
        place.server.lacking = {permission}
        await place.queue.check()
        with pytest.raises(Unavailable) as problem:
            await place.queue.check_writing()
        assert str(problem.value) == sentence
        assert place.server.tasks == []

    tell(story)


def test_whoever_may_not_look_at_the_queue_is_told_that_role() -> None:
    async def story(place: Place) -> None:
        place.server.lacking = {"cloudtasks.queues.get"}
        await place.queue.check_writing()
        with pytest.raises(Unavailable, match=r"grant `roles/cloudtasks\.viewer` on the queue to"):
            await place.queue.check()

    tell(story)


def test_cancelling_an_enqueueing_ends_it() -> None:
    async def story(place: Place) -> None:
        place.server.will_answer(Hang())
        enqueueing = asyncio.create_task(place.queue.enqueue(DIAL, place.clock.now()))
        await place.until(lambda: place.server.calls == 1)
        enqueueing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await enqueueing

    tell(story)
