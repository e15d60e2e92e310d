"""Google's Cloud Tasks on a local port: its gRPC protocol over its own message classes, as strict as the real one. What
is due by the clock is really posted, with an ID token that can be checked, and again later if it isn't answered well."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

import aiohttp
import grpc
import grpc.aio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt
from google.cloud import tasks_v2
from google.cloud.tasks_v2.types import CreateTaskRequest, DeleteTaskRequest, GetQueueRequest
from google.protobuf import empty_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from domain.ports import Clock

SERVICE = "google.cloud.tasks.v2.CloudTasks"
QUEUE = "projects/offhook-test/locations/europe-west1/queues/dialling"
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
FARTHEST = timedelta(days=30)
TOMBSTONE = timedelta(hours=1)
"""How long the name of a task that is over isn't free."""
MOST_BYTES = 1_000_000
POLL_S = 0.002


@dataclass(frozen=True)
class Refusal:
    """A call ends with a gRPC status, described as Google does."""

    code: grpc.StatusCode
    message: str = "no"
    reason: str = ""


class Hang:
    """The call is never answered."""


@dataclass
class Posted:
    """A request that a task made."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int = 0
    """How it was answered; 0 if it wasn't."""


@dataclass
class _Kept:
    task: Any
    due: datetime
    attempts: int = 0
    first_attempt: datetime | None = None
    posting: asyncio.Task[None] | None = None
    deadline: datetime | None = None


@dataclass
class TasksKept:
    """What survives the server's end."""

    tasks: dict[str, _Kept] = field(default_factory=dict)
    over: dict[str, datetime] = field(default_factory=dict)
    """By name: when it was done or given up."""


class TasksServer:
    """`async with TasksServer(clock) as server:` listens at `server.endpoint` (gRPC) and publishes the certificates of
    its tokens at `server.certificates_url`. `will_answer` makes the next calls fail, in turn; permissions that its
    callers lack are in `lacking`."""

    def __init__(
        self,
        clock: Clock,
        kept: TasksKept | None = None,
        *,
        max_attempts: int = 100,
        max_retry_s: float = 0.0,
        min_backoff_s: float = 0.1,
        max_backoff_s: float = 3600.0,
    ) -> None:
        self._clock, self.kept = clock, kept or TasksKept()
        self._max_attempts, self._max_retry = max_attempts, timedelta(seconds=max_retry_s)
        self._min_backoff_s, self._max_backoff_s = min_backoff_s, max_backoff_s
        self.state = tasks_v2.Queue.State.RUNNING
        self.posted: list[Posted] = []
        self.calls = 0
        self.lacking: set[str] = set()
        """Such as "cloudtasks.tasks.create"."""
        self._answers: list[Refusal | Hang] = []

    def will_answer(self, *answers: Refusal | Hang) -> None:
        self._answers = list(answers)

    @property
    def tasks(self) -> list[Any]:
        """Those that are not over."""
        return [kept.task for kept in self.kept.tasks.values()]

    async def __aenter__(self) -> "TasksServer":
        self._server = grpc.aio.server()
        rpcs = {
            "CreateTask": grpc.unary_unary_rpc_method_handler(
                self._create, CreateTaskRequest.deserialize, tasks_v2.Task.serialize
            ),
            "DeleteTask": grpc.unary_unary_rpc_method_handler(
                self._delete, DeleteTaskRequest.deserialize, empty_pb2.Empty.SerializeToString
            ),
            "GetQueue": grpc.unary_unary_rpc_method_handler(
                self._queue, GetQueueRequest.deserialize, tasks_v2.Queue.serialize
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, rpcs),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        app = web.Application()
        app.router.add_get("/certs", self._certificates)
        self._web = web.AppRunner(app)
        await self._web.setup()
        site = web.TCPSite(self._web, "127.0.0.1", 0)
        await site.start()
        self.certificates_url = f"http://127.0.0.1:{self._web.addresses[0][1]}/certs"
        self._http = aiohttp.ClientSession()
        self._dispatching = asyncio.create_task(self._dispatch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._dispatching.cancel()
        posting = [kept.posting for kept in self.kept.tasks.values() if kept.posting]
        for task in posting:
            task.cancel()
        await asyncio.gather(self._dispatching, *posting, return_exceptions=True)
        for kept in self.kept.tasks.values():
            kept.posting = None  # one that was cancelled before it began can't say so
        await self._http.close()
        await self._web.cleanup()
        await self._server.stop(None)

    # --- Its methods ---

    async def _create(self, request: Any, context: Any) -> Any:
        await self._fail(context)
        task, now = request.task, self._clock.now()
        await self._want("cloudtasks.tasks.create", request.parent, context)
        if request.parent != QUEUE:
            await _abort(context, Refusal(grpc.StatusCode.NOT_FOUND, "Requested entity was not found."))
        account = task.http_request.oidc_token.service_account_email
        await self._want("iam.serviceAccounts.actAs", account, context)
        if wrong := _complaint(request.parent, task, now):
            await _abort(context, Refusal(grpc.StatusCode.INVALID_ARGUMENT, wrong))
        if task.name in self.kept.tasks:
            await _abort(context, Refusal(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists"))
        if now - self.kept.over.get(task.name, now - TOMBSTONE) < TOMBSTONE:
            message = "The task cannot be created because a task with this name existed too recently."
            await _abort(context, Refusal(grpc.StatusCode.ALREADY_EXISTS, message))
        due = max(now, _time(task) or now)
        self.kept.tasks[task.name] = _Kept(task, due)
        return tasks_v2.Task(name=task.name, schedule_time=due, create_time=now)

    async def _delete(self, request: Any, context: Any) -> Any:
        await self._fail(context)
        await self._want("cloudtasks.tasks.delete", request.name, context)
        if self.kept.tasks.pop(request.name, None) is None:
            await _abort(context, Refusal(grpc.StatusCode.NOT_FOUND, "Requested entity was not found."))
        self.kept.over[request.name] = self._clock.now()
        return empty_pb2.Empty()

    async def _queue(self, request: Any, context: Any) -> Any:
        await self._fail(context)
        await self._want("cloudtasks.queues.get", request.name, context)
        if request.name != QUEUE:
            await _abort(context, Refusal(grpc.StatusCode.NOT_FOUND, "Requested entity was not found."))
        return tasks_v2.Queue(name=QUEUE, state=self.state)

    async def _fail(self, context: Any) -> None:
        self.calls += 1
        match self._answers.pop(0) if self._answers else None:
            case Refusal() as refusal:
                await _abort(context, refusal)
            case Hang():
                await asyncio.Event().wait()

    async def _want(self, permission: str, resource: str, context: Any) -> None:
        if permission in self.lacking:
            message = (
                f'The principal (user or service account) lacks IAM permission "{permission}" for the resource '
                f'"{resource}" (or the resource may not exist).'
            )
            await _abort(context, Refusal(grpc.StatusCode.PERMISSION_DENIED, message, "IAM_PERMISSION_DENIED"))

    async def _certificates(self, request: web.Request) -> web.Response:
        return web.json_response({KEY_ID: _key()[1]})

    # --- Dispatching ---

    async def _dispatch(self) -> None:
        while True:
            now = self._clock.now()
            for kept in list(self.kept.tasks.values()):
                if kept.posting is None and kept.due <= now and self.state == tasks_v2.Queue.State.RUNNING:
                    kept.deadline = now + kept.task.dispatch_deadline
                    kept.posting = asyncio.create_task(self._attempt(kept))
                elif kept.posting and kept.deadline and now > kept.deadline:
                    kept.posting.cancel()
            await asyncio.sleep(POLL_S)

    async def _attempt(self, kept: _Kept) -> None:
        kept.first_attempt = kept.first_attempt or self._clock.now()
        posted = Posted(kept.task.http_request.url, self._headers(kept), kept.task.http_request.body)
        kept.attempts += 1
        self.posted.append(posted)
        try:
            with suppress(aiohttp.ClientError):
                async with self._http.post(posted.url, data=posted.body, headers=posted.headers) as answer:
                    posted.status = answer.status
        finally:
            kept.posting = None
            self._settle(kept, posted.status)

    def _settle(self, kept: _Kept, status: int) -> None:
        now = self._clock.now()
        assert kept.first_attempt
        own = kept.task.retry_config
        attempts = own.max_attempts if own else self._max_attempts
        duration = own.max_retry_duration if own else self._max_retry
        spent = kept.attempts >= attempts and now - kept.first_attempt >= duration
        if 200 <= status < 300 or spent:
            self.kept.tasks.pop(kept.task.name, None)  # it may be deleted meanwhile
            self.kept.over[kept.task.name] = now
        else:
            backoff_s = min(self._min_backoff_s * 2 ** min(kept.attempts - 1, 16), self._max_backoff_s)
            kept.due = now + timedelta(seconds=backoff_s)

    def _headers(self, kept: _Kept) -> dict[str, str]:
        request = kept.task.http_request
        _, _, queue, id = re.split(r"/(?:locations|queues|tasks)/", kept.task.name)
        headers = {
            **request.headers,
            "User-Agent": "Google-Cloud-Tasks",
            "X-CloudTasks-QueueName": queue,
            "X-CloudTasks-TaskName": id,
            "X-CloudTasks-TaskRetryCount": str(kept.attempts),
            "X-CloudTasks-TaskExecutionCount": str(kept.attempts),
            "X-CloudTasks-TaskETA": str(kept.due.timestamp()),
        }
        if oidc := request.oidc_token:
            headers["Authorization"] = f"Bearer {token(oidc.service_account_email, oidc.audience or request.url)}"
        return headers


def _complaint(parent: str, task: Any, now: datetime) -> str:
    request = task.http_request
    prefix, _, id = task.name.rpartition("/tasks/")
    if task.name and (prefix != parent or not TASK_ID.fullmatch(id)):
        return f'Task name must be formatted: "{parent}/tasks/<TASK_ID>"'
    if "http_request" not in task or not re.match(r"https?://[^/ ]+", request.url):
        return "HttpRequest.url must begin with http:// or https://"
    if (due := _time(task)) and due > now + FARTHEST:
        return "Task.scheduleTime is too far in the future: at most 30 days"
    if task.dispatch_deadline and not timedelta(seconds=15) <= task.dispatch_deadline <= timedelta(minutes=30):
        return "Task.dispatchDeadline must be between [15s, 30m]"
    if request.oidc_token and not re.fullmatch(r"[^@ ]+@[^@ ]+", request.oidc_token.service_account_email):
        return "OidcToken.service_account_email must be set"
    if len(tasks_v2.Task.serialize(task)) > MOST_BYTES:
        return "Task size too large"
    return ""


def _time(task: Any) -> datetime | None:
    return datetime.fromtimestamp(task.schedule_time.timestamp(), UTC) if task.schedule_time else None


async def _abort(context: Any, refusal: Refusal) -> None:
    details = []
    if refusal.reason:
        packed = AnyMessage()
        packed.Pack(error_details_pb2.ErrorInfo(reason=refusal.reason, domain="googleapis.com"))
        details = [packed]
    status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message, details=details)
    await context.abort_with_status(rpc_status.to_status(status))


# --- ID tokens -----------------------------------------------------------------------------------------------------

KEY_ID = "the-only-key"


@cache
def _key() -> tuple[str, str]:
    """A private key and its certificate, in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tasks.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def token(email: str, audience: str, **claims: Any) -> str:
    """An ID token as Google would sign for a service account, unless `claims` say otherwise."""
    now = int(datetime.now(UTC).timestamp())
    payload = {
        "iss": "https://accounts.google.com",
        "aud": audience,
        "email": email,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    return bytes(jwt.encode(crypt.RSASigner.from_string(_key()[0], KEY_ID), payload)).decode()


# --- The service that tasks are posted to ----------------------------------------------------------------------------


class Receiver(Protocol):
    async def receive(self, body: bytes, headers: Mapping[str, str]) -> int: ...


class TasksRoute:
    """A service's `/tasks/{kind}` at `url`, which stays the same when it is left and entered again. Requests go to the
    instances in turn."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._instances: list[Receiver] = []
        self._busy: dict[Receiver, set[asyncio.Task[int]]] = {}

    async def __aenter__(self) -> "TasksRoute":
        app = web.Application()
        app.router.add_post("/tasks/{kind}", self._pass_on)
        self._web = web.AppRunner(app, shutdown_timeout=0)
        await self._web.setup()
        await web.TCPSite(self._web, "127.0.0.1", self._port, reuse_address=True).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web.cleanup()

    @asynccontextmanager
    async def instance(self, receiver: Receiver, grace_s: float = 10) -> AsyncIterator[None]:
        """Leaving waits for its requests under way, at most so long, and then cancels them."""
        self._instances.append(receiver)
        busy = self._busy.setdefault(receiver, set())
        try:
            yield
        finally:
            self._instances.remove(receiver)
            if busy:
                await asyncio.wait(busy, timeout=grace_s)
            for task in list(busy):
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._instances:
            return web.Response(status=503)
        self._instances.append(receiver := self._instances.pop(0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        work = asyncio.create_task(receiver.receive(body, headers))
        self._busy[receiver].add(work)
        work.add_done_callback(self._busy[receiver].discard)
        await asyncio.wait([work])
        return web.Response(status=503 if work.cancelled() else work.result())
