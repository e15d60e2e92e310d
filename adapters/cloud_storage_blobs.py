"""Blobs in a Cloud Storage bucket, by its JSON API: what we want of it are four requests."""

import asyncio
import io
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from adapters.grpc_channels import default_credentials
from domain.blob_path import check_blob
from domain.ports import Unavailable

if TYPE_CHECKING:  # at run time only if it is chosen
    from aiohttp import ClientSession
    from google.auth.credentials import Credentials

NAME = "Cloud Storage"
GOOGLE = "https://storage.googleapis.com"
TIMEOUT_S = 30.0
"""For one request, its repetitions included: 20 MB take a while."""
ATTEMPTS = 4
PAUSE_S = 0.2
"""Until the second attempt; it doubles with each further one."""


class CloudStorageBlobs:
    """See `domain.ports.Blobs`. `async with` it, in the event loop that uses it.

    The service account needs `roles/storage.objectUser` on the bucket."""

    def __init__(
        self, bucket: str, url: str = GOOGLE, credentials: "Credentials | None" = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Without credentials those of the environment are used; one at http:// is a local server and gets none.
        A request that takes longer than `timeout_s` is Unavailable."""
        self._bucket, self._url = bucket, url.rstrip("/")
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._token = asyncio.Lock()
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Raises Unavailable if there are no credentials."""
        import aiohttp

        if self._credentials is None and not self._url.startswith("http://"):
            self._credentials = await asyncio.to_thread(default_credentials)
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session
        await self._session.close()

    async def check(self) -> None:
        """Lists one object. Raises Unavailable."""
        if (await self._ask("GET", f"{self._objects}?maxResults=1&fields=kind"))[0] == 404:
            raise Unavailable(f"{NAME} has no bucket {self._bucket!r}: create it, or correct OFFHOOK_BUCKET")

    async def put(self, path: str, content: bytes) -> None:
        check_blob(path, content)
        to = f"{self._url}/upload/storage/v1/b/{self._bucket}/o?uploadType=media&name={quote(path, safe='')}"
        if (await self._ask("POST", to, content))[0] == 404:
            raise Unavailable(f"{NAME} has no bucket {self._bucket!r}: create it, or correct OFFHOOK_BUCKET")

    async def get(self, path: str) -> bytes | None:
        status, content = await self._ask("GET", f"{self._object(path)}?alt=media")
        return None if status == 404 else content

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", self._object(path))

    async def exists(self, path: str) -> bool:
        status, _ = await self._ask("GET", f"{self._object(path)}?fields=name")
        return status != 404

    @property
    def _objects(self) -> str:
        return f"{self._url}/storage/v1/b/{self._bucket}/o"

    def _object(self, path: str) -> str:
        check_blob(path)
        return f"{self._objects}/{quote(path, safe='')}"

    async def _ask(self, method: str, url: str, content: bytes | None = None) -> tuple[int, bytes]:
        """Status (2xx or 404) and body. All four requests may be repeated. Raises Unavailable."""
        import aiohttp

        why = "took too long"
        try:
            async with asyncio.timeout(self._timeout_s):
                for attempt in range(ATTEMPTS):
                    if attempt:
                        await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
                    try:
                        status, body = await self._ask_once(method, url, content)
                    except aiohttp.ClientError as problem:
                        why = f"could not be reached ({type(problem).__name__})"
                        continue
                    if status < 300 or status == 404:
                        return status, body
                    why = _refusal(status)
                    if status not in (408, 429) and status < 500:
                        break
        except TimeoutError:
            pass
        raise Unavailable(f"{NAME} {why}")

    async def _ask_once(self, method: str, url: str, content: bytes | None) -> tuple[int, bytes]:
        import yarl

        assert self._session
        headers = {"Content-Type": "application/octet-stream"} if content is not None else {}
        if self._credentials is not None:
            headers["Authorization"] = f"Bearer {await self._fresh_token(self._credentials)}"
        # As it is: a slash that is quoted belongs to the object's name.
        whole = yarl.URL(url, encoded=True)
        data = None if content is None else io.BytesIO(content)  # sent in pieces
        async with self._session.request(method, whole, data=data, headers=headers) as answer:
            return answer.status, await answer.read()

    async def _fresh_token(self, credentials: "Credentials") -> str:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        async with self._token:
            if not credentials.valid:
                try:
                    await asyncio.to_thread(credentials.refresh, Request())
                except GoogleAuthError:
                    why = "was not asked, for no token could be had: check the service account and its key"
                    raise Unavailable(f"{NAME} {why}") from None
            return str(credentials.token)


def _refusal(status: int) -> str:
    match status:
        case 401:
            return "did not accept the credentials: check the service account and its key"
        case 403:
            return "refused permission: give the service account the role `roles/storage.objectUser` on the bucket"
        case 429:
            return "has no quota left: ask for more under IAM & Admin, Quotas"
    return f"failed ({status})"
