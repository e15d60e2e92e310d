"""Text messages by Twilio."""

import asyncio
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Self

from aiohttp import ClientError, ClientSession, TCPConnector, TraceConfig, encode_basic_auth
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from domain.ports import Outgoing, Refused, Unavailable, Uncertain

WITHIN_S = 15.0
"""How long a request may take."""
CHECK_S = 5.0
STOPPED = 21610
"""Twilio's code for a recipient who answered STOP."""

_CONCERNS_THE_ACCOUNT = (401, 403, 404)
"""Statuses that say nothing about the message: it may go once the account is put right."""
_WAS_NOT_TAKEN = (429, 503)

_posted: ContextVar[list[bool]] = ContextVar("posted")
"""What of the request under way was sent: filled as soon as any of it was."""


class TwilioMessages:
    """See `domain.ports.Messages`. Messages are created without a key that would make a second request harmless, so a
    request of which anything was sent and whose answer was lost isn't made again: its outcome is uncertain.

    `async with` it, in the event loop that uses it. `endpoint` is `https://host`, or `http://host:port` for a local
    server; empty for Twilio's own."""

    def __init__(self, account_sid: str, auth_token: str, endpoint: str = "", *, within_s: float = WITHIN_S) -> None:
        self._account_sid, self._auth_token, self._endpoint = account_sid, auth_token, endpoint
        self._within_s = within_s

    async def __aenter__(self) -> Self:
        self._http = _Http()
        # Of the environment, which is wiring's, nothing.
        self._client = Client(
            self._account_sid, self._auth_token, http_client=self._http, environment={"TWILIO_ACCOUNT_SID": ""}
        )
        if self._endpoint:
            self._client.api.base_url = self._endpoint
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()

    async def check(self) -> None:
        """Raises Unavailable unless Twilio knows the account."""
        try:
            async with asyncio.timeout(CHECK_S):
                await self._client.api.accounts(self._account_sid).fetch_async()
        except (TwilioException, ClientError, TimeoutError) as problem:
            raise Unavailable(_explain(problem)) from None

    async def send(self, message: Outgoing) -> str:
        """Twilio's SID of the message."""
        sender = "messaging_service_sid" if message.sender.startswith("MG") else "from_"
        told = {"status_callback": message.status_url} if message.status_url else {}
        posted: list[bool] = []
        token = _posted.set(posted)
        try:
            async with asyncio.timeout(self._within_s):
                created = await self._client.messages.create_async(
                    to=message.to, body=message.text, **{sender: message.sender}, **told
                )
        except TwilioRestException as problem:
            raise _outcome(problem) from None
        except (TwilioException, ClientError, TimeoutError, ValueError) as problem:
            # ValueError: an answer that is no JSON.
            if posted:
                raise Uncertain(f"Twilio's answer was lost ({type(problem).__name__})") from None
            raise Unavailable(_explain(problem)) from None
        finally:
            _posted.reset(token)
        if not isinstance(created.sid, str) or not created.sid:
            raise Uncertain("Twilio's answer named no message")
        return created.sid


class _Http(AsyncHttpClient):  # type: ignore[misc]
    """What the SDK speaks through. Its own client ignores its timeout and warns of itself."""

    def __init__(self) -> None:
        super().__init__(None, True, None)
        trace = TraceConfig()
        trace.on_request_headers_sent.append(self._note_posted)
        # A connection for each: on one that is reused, a server that had just closed it would look like a lost answer.
        self._session = ClientSession(connector=TCPConnector(force_close=True), trace_configs=[trace])

    async def close(self) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (the SDK gives it)
        allow_redirects: bool = False,
    ) -> Response:
        """Raises ClientError. The caller keeps the time."""
        headers = {**(headers or {}), **({"Authorization": encode_basic_auth(*auth)} if auth else {})}
        asked = self._session.request(
            method.upper(), url, params=params, data=data, headers=headers, allow_redirects=allow_redirects
        )
        async with asked as answer:
            return Response(answer.status, await answer.text(), answer.headers)

    @staticmethod
    async def _note_posted(session: ClientSession, context: SimpleNamespace, params: Any) -> None:
        """Runs in the task that makes the request."""
        _posted.get([]).append(True)


def _outcome(problem: TwilioRestException) -> Exception:
    """What an answer with an error says of the message."""
    if problem.status in _WAS_NOT_TAKEN or problem.status in _CONCERNS_THE_ACCOUNT:
        return Unavailable(_explain(problem))
    if problem.status >= 500:
        return Uncertain(_explain(problem))
    return Refused(_explain(problem), opted_out=problem.code == STOPPED)


def _explain(problem: Exception) -> str:
    if isinstance(problem, TwilioRestException):
        code = f"error {problem.code}" if problem.code else f"status {problem.status}"
        return f"Twilio refused ({code}): {str(problem.msg)[:300]}"
    if isinstance(problem, TimeoutError):
        return "Twilio took too long"
    return f"Twilio could not be reached ({type(problem).__name__})"
