"""Appointments in Google Calendar, by its REST API (v3).

An event's id is ours and made of the appointment's: one that is sent twice, because an answer was lost, is refused the
second time as a duplicate of itself. The time is asked for before (`freeBusy`, by who keeps the book) and looked at
once more after an event was put in: if somebody's own entry of the same time is older, ours is taken out again. What is
left is an entry that a person makes after that look; then both stand, and the person has seen ours.

Nobody is invited: a service account may not, and the confirmation is ours to send."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from adapters.google_refusal import NO_TOKEN, refusal
from adapters.grpc_channels import default_credentials
from domain.ports import Unavailable
from schemas.appointment import Appointment
from schemas.organisation import Organisation

if TYPE_CHECKING:  # at run time only if a calendar of Google's is used
    import aiohttp
    from google.auth.credentials import Credentials

SERVICE, HOST = "Google Calendar", "calendar-json.googleapis.com"
GOOGLE = "https://www.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/calendar"
ATTEMPT_S = 2.0
"""For one request."""
WITHIN_S = 3.5
"""For one request with its repetitions. A caller waits meanwhile."""
PAUSE_S = 0.1
"""About how long until a request is repeated; it doubles with each further time."""
OURS = "offhook"
"""The private property of our events: the organisation's id."""

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    410: "NOT_FOUND",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TOO_MANY = ("rateLimitExceeded", "userRateLimitExceeded")
"""Reasons of a 403 that only mean: later. `quotaExceeded` lasts for a day."""
_USED_UP = (*_TOO_MANY, "quotaExceeded", "dailyLimitExceeded", "calendarUsageLimitsExceeded")

Json = dict[str, Any]


class _Refused(Exception):
    """An answer that is none of 2xx."""

    def __init__(self, status: int, body: Any) -> None:
        error = body.get("error") if isinstance(body, dict) else None
        error = error if isinstance(error, dict) else {}
        details = [each for each in error.get("details") or () if isinstance(each, dict)]
        errors = [each for each in error.get("errors") or () if isinstance(each, dict)]
        self.status = status
        self.reason = str(next((each["reason"] for each in [*details, *errors] if each.get("reason")), ""))

    def may_pass(self) -> bool:
        return self.status in (429, 500, 502, 503, 504) or (self.status == 403 and self.reason in _TOO_MANY)

    def unavailable(self) -> Unavailable:
        code = _CODES.get(self.status, str(self.status))
        reason = self.reason if self.reason.replace("_", "").isalnum() else ""
        match reason:
            case "accessNotConfigured":
                reason = "SERVICE_DISABLED"
            case "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
                return Unavailable(f"{SERVICE} was asked without the right to: the credentials need the scope {SCOPE}")
            case "requiredAccessLevel" | "forbidden" | "requiredAccessLevelNotMet":
                return Unavailable(f"{SERVICE} lets us only read that calendar: {SHARE}")
            case _ if reason in _USED_UP:
                code = "RESOURCE_EXHAUSTED"
        return refusal(code, reason, "", reason if code == "RESOURCE_EXHAUSTED" else "", SERVICE, HOST)


SHARE = "share it with the service account, with the right to make changes to events"


class GoogleCalendar:
    """See `domain.ports.Diary`. `async with` it, in the event loop that uses it. Credentials and connections are made
    when it is first asked."""

    def __init__(
        self,
        endpoint: str = "",
        credentials: "Credentials | None" = None,
        attempt_s: float = ATTEMPT_S,
        within_s: float = WITHIN_S,
    ) -> None:
        """`endpoint` is `https://host[:port]`, or `http://host:port` for a local server, which gets no real token.
        Without credentials the environment's are used (Application Default Credentials)."""
        self._root = f"{(endpoint or GOOGLE).rstrip('/')}/calendar/v3"
        self._is_local = endpoint.startswith("http://")
        self._credentials = credentials
        self._attempt_s, self._within_s = attempt_s, within_s
        self._http: aiohttp.ClientSession | None = None
        self._refreshing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http:
            await self._http.close()

    async def check(self, calendar: str) -> None:
        """Whether we may put events into it. Raises Unavailable."""
        found = await self._ask("GET", f"{_events(calendar)}?maxResults=1&fields=accessRole", calendar=calendar)
        if found.get("accessRole") not in ("writer", "owner"):
            raise Unavailable(f"{SERVICE} lets us only read {calendar!r}: {SHARE}")

    async def busy(self, calendar: str, begins: datetime, ends: datetime) -> list[tuple[datetime, datetime]]:
        question = {"timeMin": _written(begins), "timeMax": _written(ends), "items": [{"id": calendar}]}
        answer = await self._ask("POST", "/freeBusy", question)
        found = answer.get("calendars", {}).get(calendar, {})
        if errors := found.get("errors"):  # a calendar that isn't shared is no error of the request
            raise _missing(calendar) if errors[0].get("reason") == "notFound" else _odd(f"freeBusy: {errors[0]!r:.80}")
        try:
            return [(_read(each["start"]), _read(each["end"])) for each in found["busy"]]
        except (KeyError, TypeError, ValueError):
            raise _odd("freeBusy") from None

    async def enter(self, organisation: Organisation, appointment: Appointment) -> bool:
        calendar, id = appointment.google_calendar, appointment.external_id
        try:
            await self._ask("POST", _events(calendar), _event(organisation, appointment), calendar=calendar)
        except _Refused as problem:
            if problem.status != 409:
                raise problem.unavailable() from None
        if await self._is_first(organisation, appointment):
            return True
        await self._delete(calendar, id)
        return False

    async def _is_first(self, organisation: Organisation, appointment: Appointment) -> bool:
        """Whether nobody's own entry of that time was there before."""
        calendar, id = appointment.google_calendar, appointment.external_id
        begins, ends = appointment.begins, appointment.begins + timedelta(minutes=appointment.minutes)
        query = f"timeMin={quote(_written(begins))}&timeMax={quote(_written(ends))}&singleEvents=true&maxResults=250"
        found = await self._ask("GET", f"{_events(calendar)}?{query}", calendar=calendar)
        events = [each for each in found.get("items", ()) if each.get("status") != "cancelled"]
        ours = next((each for each in events if each.get("id") == id), None)
        if ours is None:
            return True  # somebody took it out at once; that is not for us to undo
        return not any(
            _age(each) < _age(ours)
            for each in events
            if each.get("transparency") != "transparent"
            and each.get("extendedProperties", {}).get("private", {}).get(OURS) != organisation.id
        )

    async def strike(self, appointment: Appointment) -> None:
        await self._delete(appointment.google_calendar, appointment.external_id)

    async def _delete(self, calendar: str, id: str) -> None:
        try:
            await self._ask("DELETE", f"{_events(calendar)}/{id}?sendUpdates=none")
        except _Refused as problem:
            if problem.status == 404:
                await self.check(calendar)  # the same is said of a calendar that we may not see any more
            elif problem.status != 410:
                raise problem.unavailable() from None

    # --- Requests ----------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, body: Json | None = None, calendar: str = "") -> Json:
        """The answer's object. Raises Unavailable; _Refused where somebody can make something of it: a 404, unless
        `calendar` says what must have been missing, and a 409. Cancelled, it is over at once, whatever became of it."""
        last: Unavailable | None = None
        try:
            async with asyncio.timeout(self._within_s):
                for attempt in range(100):
                    if attempt:
                        await asyncio.sleep(PAUSE_S * min(2**attempt, 16) * random.uniform(0.5, 1))
                    try:
                        return await self._ask_once(method, path, body)
                    except _Refused as problem:
                        if not problem.may_pass():
                            if problem.status == 404 and calendar:
                                raise _missing(calendar) from None
                            if problem.status in (404, 409, 410):
                                raise
                            raise problem.unavailable() from None
                        last = problem.unavailable()
                    except _Lost as problem:
                        last = Unavailable(f"{SERVICE} could not be reached ({problem})")
        except TimeoutError:
            pass
        raise last or Unavailable(f"{SERVICE} took more than {self._within_s:g} s")

    async def _ask_once(self, method: str, path: str, body: Json | None) -> Json:
        import aiohttp

        headers = {"Authorization": f"Bearer {await self._token()}"}
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._attempt_s))
        try:
            async with self._http.request(method, f"{self._root}{path}", json=body, headers=headers) as answer:
                if answer.status == 204:
                    return {}
                content = await answer.json(content_type=None)
                if answer.status >= 300:
                    raise _Refused(answer.status, content)
                if not isinstance(content, dict):
                    raise _odd(path.partition("?")[0])
                return content
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise _Lost(type(problem).__name__) from None
        except ValueError:  # no JSON: something between us and Google answered
            raise _Refused(answer.status if answer.status >= 300 else 502, None) from None

    async def _token(self) -> str:
        if self._is_local:
            return "local"
        async with self._refreshing:
            try:
                if self._credentials is None:
                    self._credentials = await asyncio.to_thread(default_credentials, SCOPE)
            except ImportError as missing:
                raise Unavailable(f"{SERVICE} needs the `google` extra: {missing.name} is not installed") from missing
            if not self._credentials.valid:
                await asyncio.to_thread(_refresh, self._credentials)
            return str(self._credentials.token)


class _Lost(Exception):
    """No answer came."""


def _refresh(credentials: "Credentials") -> None:
    """Blocks."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    try:
        credentials.refresh(partial(Request(), timeout=ATTEMPT_S))  # type: ignore[no-untyped-call]
    except GoogleAuthError:
        raise Unavailable(f"{SERVICE} {NO_TOKEN}") from None


def _missing(calendar: str) -> Unavailable:
    return Unavailable(f"{SERVICE} has no calendar {calendar!r}, or it isn't shared with us: {SHARE}")


def _odd(what: str) -> Unavailable:
    return Unavailable(f"{SERVICE} gave an answer that can't be understood ({what})")


def _events(calendar: str) -> str:
    return f"/calendars/{quote(calendar, safe='')}/events"


def _event(organisation: Organisation, appointment: Appointment) -> Json:
    begins = appointment.begins.astimezone(UTC)
    who = appointment.name or appointment.phone
    about = {
        "Name": appointment.name,
        "Phone": appointment.phone,
        "E-mail": appointment.email,
        "Note": appointment.note,
        "Booked by": appointment.agent,
        "Appointment": appointment.id,
    }
    return {
        "id": appointment.external_id,
        "summary": f"Appointment: {who}" if who else "Appointment",
        "description": "\n".join(f"{name}: {value}" for name, value in about.items() if value),
        "start": {"dateTime": _written(begins), "timeZone": organisation.time_zone},
        "end": {
            "dateTime": _written(begins + timedelta(minutes=appointment.minutes)),
            "timeZone": organisation.time_zone,
        },
        "extendedProperties": {"private": {OURS: organisation.id, "appointment": appointment.id}},
    }


def _age(event: Mapping[str, Any]) -> tuple[str, str]:
    """Sorts the older one first."""
    return str(event.get("created", "")), str(event.get("id", ""))


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return at.astimezone(UTC)
