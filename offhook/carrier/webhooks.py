"""Twilio's HTTP requests to the server: signed, bounded in time, retried as the URL's fragment asks."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from offhook.carrier.overrides import Overrides
from offhook.carrier.signature import sign

USER_AGENT = "TwilioProxy/1.1 (simulated by offhook)"
TOTAL_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    """0: nothing did."""
    content_type: str = ""
    body: bytes = b""
    problem: str = ""
    """In terms of the overrides: ct, no connection; rt, no answer on it; empty also for one that broke off."""
    why: str = ""

    @property
    def cause(self) -> str:
        """For which another attempt may be made: one of `overrides.CAUSES`, or something else."""
        return self.problem if self.status == 0 else f"{self.status // 100}xx"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request to the server, and its answer."""

    at_ms: int
    url: str
    form: Mapping[str, str]
    answer: Answer
    took_ms: int
    attempts: int


class Webhooks:
    """The requests of one account. `async with` it."""

    def __init__(self, auth_token: str) -> None:
        self._auth_token = auth_token

    async def __aenter__(self) -> "Webhooks":
        # A connection each: one kept alive would fail after the server's restart for no fault of its own.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._http = aiohttp.ClientSession(connector=connector, headers={"User-Agent": USER_AGENT})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def sign(self, url: str, form: Mapping[str, str] | None = None) -> str:
        """The account's signature."""
        return sign(self._auth_token, url, form)

    async def ask(
        self, url: str, form: Mapping[str, str], method: str = "POST", signature: str | None = None
    ) -> tuple[Answer, int]:
        """The answer, and how many attempts it took. An error is an answer too. `signature` replaces the right one.
        Cancelling drops the request; the server may have got it."""
        overrides, address = Overrides.of(url), url.partition("#")[0]
        if method == "GET" and form:
            address += ("&" if "?" in address else "?") + urlencode(form)
            form = {}
        headers = {
            "X-Twilio-Signature": self.sign(address, form) if signature is None else signature,
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
        }
        return await persist(overrides, lambda: self._try(method, address, form, headers, overrides))

    async def _try(
        self, method: str, url: str, form: Mapping[str, str], headers: Mapping[str, str], overrides: Overrides
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=overrides.connect_ms / 1000, sock_read=overrides.read_ms / 1000
        )
        data = dict(form) if method == "POST" else None
        began = False
        try:
            address = URL(url, encoded=True)  # to the letter: it is what was signed
            async with self._http.request(
                method, address, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                began = True
                return Answer(response.status, response.content_type, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            return Answer(0, problem="ct", why=str(problem))
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, ValueError) as problem:
            # Twilio tries no more once a part of the answer has come.
            return Answer(0, problem="" if began else "rt", why=str(problem) or type(problem).__name__)


async def persist(overrides: Overrides, attempt: Callable[[], Awaitable[Answer]]) -> tuple[Answer, int]:
    """As many attempts as the overrides want, within the time that there is: the last one's answer, and how many they
    were. Cancelling drops the attempt under way."""
    attempts = 0
    try:
        async with asyncio.timeout(min(overrides.total_ms / 1000, TOTAL_S)):
            while True:
                attempts += 1
                answer = await attempt()
                if answer.cause not in overrides.retry_on or attempts > overrides.retries:
                    return answer, attempts
    except TimeoutError:
        return Answer(0, problem="rt", why="no answer in time"), attempts
