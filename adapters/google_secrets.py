"""Organisations' secrets in Google's Secret Manager: one secret for each organisation and name, labelled with both."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TypeVar

from adapters.google_refusal import explain
from adapters.grpc_channels import GrpcChannels
from domain.ports import Unavailable
from domain.secret import check_secret

if TYPE_CHECKING:  # at run time only if these are chosen: importing it takes a second
    import grpc.aio  # type: ignore[import-untyped]
    from google.auth.credentials import Credentials
    from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient

T = TypeVar("T")
HOST = "secretmanager.googleapis.com"
SERVICE = "Google Secret Manager"
KEPT_S = 60.0
"""How long a value is used without asking again: a caller waits for each question."""
ATTEMPT_S = 3.0
WITHIN_S = 10.0
ORGANISATION, NAME = "offhook_organisation", "offhook_name"
"""Labels."""

_ORGANISATION = re.compile(r"[a-z0-9_]{1,63}")


class GoogleSecrets:
    """See `domain.ports.Secrets`. `async with` it, in the event loop that uses it. `endpoint` is host:port; without
    credentials the environment's are used; `insecure` is for a local server."""

    def __init__(
        self,
        project: str,
        endpoint: str = f"{HOST}:443",
        credentials: "Credentials | None" = None,
        *,
        insecure: bool = False,
        kept_s: float = KEPT_S,
        within_s: float = WITHIN_S,
    ) -> None:
        self._project, self._kept_s, self._within_s = project, kept_s, within_s
        self._channels: GrpcChannels[SecretManagerServiceAsyncClient] = GrpcChannels(
            endpoint, _client, credentials, insecure
        )
        self._kept: dict[str, tuple[float, str | None]] = {}

    async def __aenter__(self) -> Self:
        await self._channels.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._kept.clear()
        await self._channels.__aexit__()

    async def check(self) -> None:
        """Raises Unavailable unless Secret Manager answers and lets us list."""
        await self.names("check")

    async def get(self, organisation: str, name: str) -> str | None:
        path, now = self._path(organisation, name), asyncio.get_running_loop().time()
        at, value = self._kept.get(path, (-self._kept_s, None))
        if now - at < self._kept_s:
            return value

        async def read(client: "SecretManagerServiceAsyncClient") -> str | None:
            from google.api_core.exceptions import FailedPrecondition, NotFound

            try:
                answer = await client.access_secret_version(
                    name=f"{path}/versions/latest", retry=None, timeout=ATTEMPT_S
                )
                return str(answer.payload.data.decode())
            except (NotFound, FailedPrecondition):  # the latter: somebody disabled or destroyed it
                return None
            except UnicodeDecodeError:
                raise Unavailable(f"the secret {name!r} in {SERVICE} isn't text") from None

        value = await self._ask(read)
        self._kept[path] = now, value
        return value

    async def put(self, organisation: str, name: str, value: str) -> None:
        check_secret(name, value)
        path = self._path(organisation, name)

        async def write(client: "SecretManagerServiceAsyncClient") -> None:
            from google.api_core.exceptions import AlreadyExists
            from google.cloud import secretmanager_v1 as sm

            secret = sm.Secret(
                replication=sm.Replication(automatic=sm.Replication.Automatic()),
                labels={ORGANISATION: organisation, NAME: name},
            )
            with suppress(AlreadyExists):
                await client.create_secret(
                    parent=f"projects/{self._project}",
                    secret_id=path.rpartition("/")[2],
                    secret=secret,
                    retry=None,
                    timeout=ATTEMPT_S,
                )
            await client.add_secret_version(
                parent=path, payload=sm.SecretPayload(data=value.encode()), retry=None, timeout=ATTEMPT_S
            )

        await self._ask(write)
        self._kept.pop(path, None)

    async def forget(self, organisation: str, name: str) -> None:
        path = self._path(organisation, name)

        async def delete(client: "SecretManagerServiceAsyncClient") -> None:
            from google.api_core.exceptions import NotFound

            with suppress(NotFound):
                await client.delete_secret(name=path, retry=None, timeout=ATTEMPT_S)

        await self._ask(delete)
        self._kept.pop(path, None)

    async def names(self, organisation: str) -> Sequence[str]:
        self._path(organisation, "x")

        async def list_all(client: "SecretManagerServiceAsyncClient") -> list[str]:
            found = await client.list_secrets(
                request={
                    "parent": f"projects/{self._project}",
                    "filter": f"labels.{ORGANISATION}={organisation}",
                    "page_size": 1000,
                },
                retry=None,
                timeout=ATTEMPT_S,
            )
            return sorted([str(secret.labels[NAME]) async for secret in found if NAME in secret.labels])

        return await self._ask(list_all)

    def _path(self, organisation: str, name: str) -> str:
        check_secret(name)
        if not _ORGANISATION.fullmatch(organisation):
            raise ValueError("not an organisation's id")
        # Neither holds a hyphen, so that no two pairs make the same id.
        return f"projects/{self._project}/secrets/offhook-{organisation}-{name}"

    async def _ask(self, work: "Callable[[SecretManagerServiceAsyncClient], Awaitable[T]]") -> T:
        """Asks until it works or the time is up; each piece of work may be done twice."""
        from google.api_core import exceptions as google

        passing = (google.ServiceUnavailable, google.DeadlineExceeded, google.InternalServerError)
        pause = 0.1
        try:
            async with asyncio.timeout(self._within_s):
                while True:
                    try:
                        with self._channels.stream() as client:
                            return await work(client)
                    except passing as error:
                        problem = explain(error, SERVICE, HOST)
                        await asyncio.sleep(pause)
                        pause = min(pause * 2, 1.0)
        except google.GoogleAPICallError as error:
            raise explain(error, SERVICE, HOST) from None
        except TimeoutError:
            raise (problem if pause > 0.1 else Unavailable(f"{SERVICE} took too long")) from None


def _client(channel: "grpc.aio.Channel") -> "SecretManagerServiceAsyncClient":
    from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcAsyncIOTransport,
    )

    return SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel))
