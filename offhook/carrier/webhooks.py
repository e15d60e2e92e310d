"""Twilio's HTTP requests to the server: signed, bounded in time, retried as the URL's fragment asks."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import aiohttp
from yarl import URL

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
    """In terms of the overrides: ct, no connection; rt, no answer on it."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request to the server, and its answer."""

    at_ms: int
    url: str
    form: Mapping[str, str]
    answer: Answer
    took_ms: int
    attempts: int


@dataclass(frozen=True)
class Overrides:
    """Twilio's connection overrides: `#ct=2000&rt=4000&rc=3&rp=5xx,ct,rt` at the end of a webhook's URL."""

    connect_ms: int = 5000
    read_ms: int = 15_000
    total_ms: int = 15_000
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def parse(cls, fragment: str) -> "Overrides":
        """What isn't understood is passed over, as by Twilio."""
        given = dict(parse_qsl(fragment))

        def number(key: str, default: int) -> int:
            return int(given[key]) if given.get(key, "").isdecimal() else default

        return cls(
            connect_ms=number("ct", cls.connect_ms),
            read_ms=number("rt", cls.read_ms),
            total_ms=number("tt", cls.total_ms),
            retries=number("rc", cls.retries),
            retry_on=frozenset(given["rp"].split(",")) if "rp" in given else cls.retry_on,
        )

    def again(self, answer: Answer) -> bool:
        """Whether such an answer is worth another attempt."""
        if "all" in self.retry_on and not 200 <= answer.status < 300:
            return True
        return {0: answer.problem, 4: "4xx", 5: "5xx"}.get(answer.status // 100, "") in self.retry_on


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
        address, _, fragment = url.partition("#")
        if method == "GET" and form:
            address += ("&" if "?" in address else "?") + urlencode(form)
            form = {}
        headers = {
            "X-Twilio-Signature": self.sign(address, form) if signature is None else signature,
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
        }
        overrides = Overrides.parse(fragment)
        attempts = 1
        try:
            async with asyncio.timeout(min(overrides.total_ms / 1000, TOTAL_S)):
                answer = await self._try(method, address, form, headers, overrides)
                while overrides.again(answer) and attempts <= overrides.retries:
                    attempts += 1
                    answer = await self._try(method, address, form, headers, overrides)
        except TimeoutError:
            answer = Answer(0, problem="rt", why="no answer in time")
        return answer, attempts

    async def _try(
        self, method: str, url: str, form: Mapping[str, str], headers: Mapping[str, str], overrides: Overrides
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=overrides.connect_ms / 1000, sock_read=overrides.read_ms / 1000
        )
        data = dict(form) if method == "POST" else None
        try:
            address = URL(url, encoded=True)  # to the letter: it is what was signed
            async with self._http.request(
                method, address, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return Answer(response.status, response.content_type, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            return Answer(0, problem="ct", why=str(problem))
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, ValueError) as problem:
            return Answer(0, problem="rt", why=str(problem) or type(problem).__name__)
