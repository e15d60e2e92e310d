"""Twilio's REST API for messages, as strict as it is: credentials, form fields, and errors as JSON."""

import asyncio
import base64
import contextlib
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

ACCOUNT = "AC" + "1" * 32
TOKEN = "secret"
FIELDS = {"To", "From", "MessagingServiceSid", "Body", "StatusCallback"}
BLOCKED, INVALID = "+15005550004", "+15005550001"

ERRORS = {
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    21211: (400, "Invalid 'To' Phone Number"),
    21212: (400, "Invalid From Number"),
    21602: (400, "Message body is required"),
    21603: (400, "A 'From' phone number is required"),
    21604: (400, "A 'To' phone number is required"),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
}


@dataclass
class TwilioServer:
    """`async with` it. `answers` are what the next requests get instead of the truth: a status with Twilio's code, or
    `lost` (the message is created and the connection breaks) or `hang` (likewise, and nothing is ever answered)."""

    answers: list[Any] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    """What was created: the form, and its sid."""
    odd: list[str] = field(default_factory=list)
    """What Twilio wouldn't have understood."""
    requests: int = 0
    connections: set[Any] = field(default_factory=set)
    """The client's ends of them."""

    async def __aenter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = Starlette(
            routes=[
                Route("/2010-04-01/Accounts/{account}/Messages.json", self._create, methods=["POST"]),
                Route("/2010-04-01/Accounts/{account}.json", self._account, methods=["GET"]),
            ]
        )
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        while not self._server.started:
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving

    async def tell(self, url: str, sid: str, status: str, **more: str) -> int:
        """A status callback, signed."""
        form = {
            "AccountSid": ACCOUNT, "MessageSid": sid, "SmsSid": sid, "MessageStatus": status, "SmsStatus": status,
            "ApiVersion": "2010-04-01", **more,
        }  # fmt: skip
        signature = RequestValidator(TOKEN).compute_signature(url, form)
        async with httpx2.AsyncClient() as http:
            return (await http.post(url, data=form, headers={"X-Twilio-Signature": signature})).status_code

    async def _account(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        return JSONResponse({"sid": ACCOUNT, "status": "active"})

    async def _create(self, request: Request) -> Response:
        self.requests += 1
        self.connections.add(request.client)
        if refused := self._refused(request):
            return refused
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.odd += sorted(set(form) - FIELDS)
        planned = self.answers.pop(0) if self.answers else None
        if isinstance(planned, int) and planned < 1000:
            return PlainTextResponse("upstream connect error", status_code=planned)
        if isinstance(planned, int):
            return _error(planned)
        if code := _wrong(form):
            return _error(code)
        sid = f"SM{secrets.token_hex(16)}"
        self.messages.append({**form, "sid": sid})
        if planned == "lost":
            request.scope["extensions"] = {}
            transport_of(self._server).abort()
        if planned in ("hang", "lost"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone(request), 10)
            return Response(status_code=499)
        shown = {"sid": sid, "to": form["To"], "from": form.get("From"), "body": form["Body"], "status": "queued",
                 "num_segments": "1", "direction": "outbound-api", "error_code": None, "error_message": None,
                 "account_sid": ACCOUNT, "api_version": "2010-04-01"}  # fmt: skip
        return JSONResponse(shown, status_code=201)

    @staticmethod
    async def _gone(request: Request) -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)

    def _refused(self, request: Request) -> Response | None:
        if request.path_params["account"] != ACCOUNT:
            return _error(20404)
        scheme, _, told = request.headers.get("authorization", "").partition(" ")
        expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        return None if scheme.lower() == "basic" and told == expected else _error(20003)


def transport_of(server: uvicorn.Server) -> Any:
    """Of the one connection that is open."""
    [connection] = server.server_state.connections
    return connection.transport


def _wrong(form: dict[str, str]) -> int:
    to, sender = form.get("To", ""), form.get("From") or form.get("MessagingServiceSid", "")
    checks: list[tuple[Callable[[], bool], int]] = [
        (lambda: not to, 21604),
        (lambda: not sender, 21603),
        (lambda: not form.get("Body"), 21602),
        (lambda: len(form["Body"]) > 1600, 21617),
        (lambda: to == INVALID or not to.removeprefix("+").isdecimal(), 21211),
        (lambda: not sender.startswith(("+", "MG")), 21212),
        (lambda: to == BLOCKED, 21610),
    ]
    return next((code for wrong, code in checks if wrong()), 0)


def _error(code: int) -> Response:
    status, message = ERRORS[code]
    shown = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return JSONResponse(shown, status_code=status)
