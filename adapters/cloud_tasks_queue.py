"""A queue on Google's Cloud Tasks: work comes back, at its time, as a request to this service's own `/tasks/{kind}`."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote
from uuid import uuid4

import msgspec
import structlog

from adapters.google_refusal import explain
from adapters.grpc_channels import GrpcChannels
from domain.ports import Clock, Document, Task, Unavailable
from schemas.google_names import is_queue, is_service_account

if TYPE_CHECKING:  # at run time only if this queue is chosen: importing it takes a second
    import grpc.aio  # type: ignore[import-untyped]
    from google.auth.credentials import Credentials
    from google.cloud.tasks_v2 import CloudTasksAsyncClient

HOST = "cloudtasks.googleapis.com"
SERVICE = "Google Cloud Tasks"
FARTHEST = timedelta(days=29)
"""Ahead of its time a task is taken at most 30 days; one for later is enqueued again on the way."""
MOST_BYTES = 900_000
"""Of a task as JSON. The service takes 1 MB, headers included."""
WORK_S = 600
"""How long a worker may take, 15 s to 30 min."""
WITHIN_S = 10.0
ATTEMPT_S = 3.0
CERTIFICATES_URL = "https://www.googleapis.com/oauth2/v1/certs"
CERTIFICATES_FOR = timedelta(minutes=10)
ISSUERS = ("accounts.google.com", "https://accounts.google.com")
SKEW_S = 10
NOTHING = "nothing"
"""The kind of a task that asks for nothing: it is there to be enqueued. Every queue serves it."""
UNTRIED_S = 3600
"""How long until such a task would come, if it couldn't be taken back."""

log = structlog.get_logger()

Verify = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""From an ID token and the audience it must be for to its claims. Raises ValueError for a bad one."""


class _Envelope(msgspec.Struct, omit_defaults=True):
    """What a request to `/tasks/{kind}` carries, as JSON."""

    name: str
    kind: str
    body: dict[str, Any]
    at: datetime | None = None
    """When it is due, if that is later than the service could be told."""


class CloudTasksQueue:
    """See `domain.ports.Queue`. `queue` is `projects/…/locations/…/queues/…`, `url` where this service is reached by
    Google ("https://functions.example.com"), which posts tasks to `{url}/tasks/{kind}` with an ID token of
    `service_account` for `audience` (the url, if empty).

    Whatever serves that route gives body and headers to `receive` and answers with its status. A name is known while
    its task is, and for an hour or more after. The queue's own settings govern retries; a task that used them all up
    is gone, for Cloud Tasks keeps no dead letters.

    `async with` it, in the event loop that uses it. `endpoint` is host:port; without credentials the environment's
    are used; `insecure` is for a local server. `verify` checks ID tokens; Google's by default."""

    def __init__(
        self,
        queue: str,
        url: str,
        service_account: str,
        clock: Clock,
        audience: str = "",
        endpoint: str = f"{HOST}:443",
        credentials: "Credentials | None" = None,
        *,
        insecure: bool = False,
        verify: Verify | None = None,
        work_s: int = WORK_S,
        within_s: float = WITHIN_S,
        attempt_s: float = ATTEMPT_S,
    ) -> None:
        """Raises ValueError for what can't be a queue's name or a service account's."""
        if not is_queue(queue):
            raise ValueError(f"not projects/…/locations/…/queues/…: {queue!r}")
        if not is_service_account(service_account):
            raise ValueError(f"not a service account's e-mail address: {service_account!r}")
        self._queue, self._url, self._service_account = queue, url.rstrip("/"), service_account
        self._audience = audience or self._url
        self._clock = clock
        self._channels = GrpcChannels["CloudTasksAsyncClient"](endpoint, _client, credentials, insecure)
        self._verify = verify or GoogleTokens(clock).verify
        self._work_s, self._within_s, self._attempt_s = work_s, within_s, attempt_s
        self._workers: dict[str, Callable[[Task], Awaitable[None]]] = {NOTHING: _do_nothing}

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        await self._channels.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channels.__aexit__(*error)

    async def check(self) -> None:
        """Raises Unavailable unless the queue exists and runs."""
        from google.cloud.tasks_v2 import Queue

        queue = await self._call("get_queue", name=self._queue)
        if queue.state != Queue.State.RUNNING:
            raise Unavailable(
                f"{SERVICE}: the queue is {queue.state.name.lower()}: resume it with `gcloud tasks queues resume`"
            )

    async def check_writing(self) -> None:
        """Enqueues a task that asks for nothing, in the service account's name, and takes it back. Whoever may not
        delete tasks leaves it behind: in an hour it comes once and nothing is done. Raises Unavailable. Cancelled, it
        may be left behind as well."""
        id = uuid4().hex  # another each time: of a task that was deleted the name stays taken
        await self._enqueue(Task(id, NOTHING), self._clock.now() + timedelta(seconds=UNTRIED_S), id, attempts=1)
        with suppress(Unavailable):
            await self._call("delete_task", name=f"{self._queue}/tasks/{id}")

    async def enqueue(self, task: Task, at: datetime) -> None:
        """Raises ValueError for a naive time or a task too large, Unavailable. Cancelled, the task may be enqueued or
        not."""
        if at.tzinfo is None:
            raise ValueError(f"a time without a zone: {at}")
        await self._enqueue(task, at, f"{_digest(task.name)}-{_readable(task.name)}")

    def serve(self, kind: str, work: Callable[[Task], Awaitable[None]]) -> None:
        """Raises ValueError if the kind is served already."""
        if kind in self._workers:
            raise ValueError(f"kind {kind!r} is served already")
        self._workers[kind] = work

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Does the task that a request to `/tasks/{kind}` carries (`headers` by their names in lower case). The HTTP
        status to answer with: 200 done; 401, 403 for callers that aren't the queue; 400 no task; 404 a kind that
        nobody serves, which a newer release may; 500 the work failed. All but 200 make Cloud Tasks try again, until
        the queue's limits; none of them slows the queue's other tasks, as 429 and 503 would.
        Cancelling cancels the work."""
        if refused := await self._refuses(headers.get("authorization", "")):
            return refused
        try:
            envelope = msgspec.json.decode(body, type=_Envelope)
        except msgspec.MsgspecError:
            log.error("a task that is none was dropped or will be", bytes=len(body))
            return 400
        task = Task(envelope.name, envelope.kind, envelope.body)
        work = self._workers.get(task.kind)
        if work is None:
            log.error("nobody serves this kind of task", kind=task.kind, task=task.name)
            return 404
        try:
            if envelope.at and envelope.at > self._clock.now():
                await self._enqueue_on_the_way(task, envelope.at)
            else:
                await work(task)
        except Exception:
            log.exception("a task failed", kind=task.kind, task=task.name)
            return 500
        return 200

    async def _refuses(self, authorization: str) -> int:
        """401 or 403, or 0 for Cloud Tasks itself."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return 401
        try:
            claims = await self._verify(token.strip(), self._audience)
        except ValueError as problem:
            log.warning("a task's token was refused", why=type(problem).__name__)
            return 401
        except Unavailable as problem:
            log.warning("a task's token could not be checked", why=str(problem))
            return 500
        return 0 if claims.get("email") == self._service_account and claims.get("email_verified") else 403

    async def _enqueue_on_the_way(self, task: Task, at: datetime) -> None:
        """Under another name each time, for those of tasks that were done aren't free again at once."""
        to_go = -((self._clock.now() - at) // FARTHEST)
        await self._enqueue(task, at, f"{_digest(task.name)}-{to_go}-{_readable(task.name)}")

    async def _enqueue(self, task: Task, at: datetime, id: str, attempts: int = 0) -> None:
        """`attempts` in place of what the queue gives every task."""
        from google.api_core.exceptions import AlreadyExists
        from google.cloud import tasks_v2

        farthest = self._clock.now() + FARTHEST
        envelope = _Envelope(task.name, task.kind, task.body, at if at > farthest else None)
        body = msgspec.json.encode(envelope)
        if len(body) > MOST_BYTES:
            raise ValueError(f"task {task.name!r} has {len(body)} bytes; {MOST_BYTES} are the most")
        request = tasks_v2.HttpRequest(
            url=f"{self._url}/tasks/{quote(task.kind, safe='')}",
            http_method=tasks_v2.HttpMethod.POST,
            headers={"Content-Type": "application/json"},
            body=body,
            oidc_token=tasks_v2.OidcToken(service_account_email=self._service_account, audience=self._audience),
        )
        wanted = tasks_v2.Task(
            name=f"{self._queue}/tasks/{id}",
            http_request=request,
            schedule_time=min(at, farthest),
            dispatch_deadline=timedelta(seconds=self._work_s),
        )
        if attempts:  # both, since a task is given up only once either is used up
            once = timedelta(seconds=1)
            wanted.retry_config = tasks_v2.RetryConfig(max_attempts=attempts, max_retry_duration=once)
        with suppress(AlreadyExists):  # which is what the name is for
            await self._call("create_task", parent=self._queue, task=wanted)

    async def _call(self, method: str, **arguments: Any) -> Any:
        """Tries again what may pass. Raises Unavailable, AlreadyExists."""
        from google.api_core import exceptions as google
        from google.api_core.retry_async import AsyncRetry, if_exception_type

        again = AsyncRetry(
            if_exception_type(
                google.ServiceUnavailable,
                google.DeadlineExceeded,
                google.Aborted,
                google.InternalServerError,
                google.ResourceExhausted,
            ),
            initial=0.05,
            maximum=1.0,
            timeout=self._within_s,
        )

        async def once() -> Any:
            with self._channels.stream() as client:
                return await getattr(client, method)(**arguments, retry=None, timeout=self._attempt_s)

        try:
            async with asyncio.timeout(self._within_s):
                return await again(once)()
        except google.AlreadyExists:
            raise
        except google.RetryError as error:
            if isinstance(error.cause, google.GoogleAPICallError):
                raise explain(error.cause, SERVICE, HOST) from None
            raise Unavailable(f"{SERVICE} took too long") from None
        except google.NotFound:
            raise Unavailable(
                f"{SERVICE} has no queue {self._queue!r}: create it with `gcloud tasks queues create`, or correct "
                "OFFHOOK_TASKS_QUEUE"
            ) from None
        except google.InvalidArgument:
            raise Unavailable(
                f"{SERVICE} failed (INVALID_ARGUMENT): correct OFFHOOK_TASKS_QUEUE (its location may not exist), "
                "OFFHOOK_TASKS_ACCOUNT or TASKS_URL"
            ) from None
        except google.GoogleAPICallError as error:
            raise explain(error, SERVICE, HOST) from None
        except TimeoutError:
            raise Unavailable(f"{SERVICE} took too long") from None


class GoogleTokens:
    """Checks Google's ID tokens against the certificates that it publishes."""

    def __init__(self, clock: Clock, certificates_url: str = CERTIFICATES_URL) -> None:
        self._clock, self._url = clock, certificates_url
        self._fetched: tuple[datetime, Any] | None = None

    async def verify(self, token: str, audience: str) -> Mapping[str, Any]:
        """The claims of a token that Google signed for the audience and that is valid now. Raises ValueError for any
        other, Unavailable when the certificates can't be had."""
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        certificates = await self._certificates()
        try:
            check: Any = jwt.decode
            claims: Mapping[str, Any] = check(token, certificates, audience=audience, clock_skew_in_seconds=SKEW_S)
        except GoogleAuthError as problem:
            raise ValueError(str(problem)) from None
        if claims.get("iss") not in ISSUERS:
            raise ValueError("a token that Google didn't issue")
        return claims

    async def _certificates(self) -> Any:
        now = self._clock.now()
        if self._fetched is None or not timedelta() <= now - self._fetched[0] < CERTIFICATES_FOR:
            self._fetched = now, await self._fetch()
        return self._fetched[1]

    async def _fetch(self) -> Document:
        import aiohttp

        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
                session.get(self._url, raise_for_status=True) as answer,
            ):
                return dict(await answer.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
            raise Unavailable(f"Google's certificates could not be fetched ({type(problem).__name__})") from None


async def _do_nothing(task: Task) -> None:
    pass


def _digest(name: str) -> str:
    """In front of a task's id: ids that begin alike slow the whole queue."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _readable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:100]


def _client(channel: "grpc.aio.Channel") -> "CloudTasksAsyncClient":
    from google.cloud.tasks_v2 import CloudTasksAsyncClient
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

    return CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
