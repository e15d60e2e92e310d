"""A server that speaks Google Calendar's REST API (v3) as strictly as Google's does, as far as we use it.

What it refuses, and how, is from the API's reference and its page on errors."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
EVENT_ID = re.compile(r"[a-v0-9]{5,1024}")
Json = dict[str, Any]


class Problem(Exception):
    def __init__(self, status: int, reason: str, **more: Any) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason, self.more = status, reason, more


class CalendarServer:
    def __init__(self) -> None:
        self.calendars: dict[str, dict[str, Json]] = {}
        """By id: those that are shared with us, with their events by id; what was deleted stays as cancelled."""
        self.access = "writer"
        self.token = "local"
        self.asked: list[str] = []
        """Method and the path's last part, request by request."""
        self.failures: list[Problem | str] = []
        """For the next requests, one each: "lost" does what was asked and breaks off; "hang" never answers; "html" answers
        as a proxy would."""
        self.before_insert: Any = None
        """Called as an event is about to be put in: a person who is faster."""
        self.endpoint = ""
        self._now = datetime(2026, 11, 1, tzinfo=UTC)

    def put_in(self, calendar: str, begins: str, ends: str, **more: Any) -> Json:
        """Somebody's own entry."""
        id = f"person{len(self.calendars[calendar])}"
        event = {"id": id, "start": {"dateTime": begins}, "end": {"dateTime": ends}, **more}
        return self._keep(calendar, event)

    def events(self, calendar: str) -> list[Json]:
        """Those that are there."""
        return [each for each in self.calendars[calendar].values() if each["status"] != "cancelled"]

    def _keep(self, calendar: str, event: Json) -> Json:
        self._now += timedelta(seconds=1)
        event = {"status": "confirmed", **event, "created": f"{self._now:%Y-%m-%dT%H:%M:%S}.000Z"}
        self.calendars[calendar][event["id"]] = event
        return event

    # --- routes ---

    async def free_busy(self, request: web.Request) -> web.Response:
        question = await request.json()
        begins, ends = _time(question.get("timeMin")), _time(question.get("timeMax"))
        if ends <= begins:
            raise Problem(400, "timeRangeEmpty")
        if ends - begins > timedelta(days=92):
            raise Problem(400, "timeRangeTooLong")
        calendars: Json = {}
        for item in question["items"]:
            if item["id"] not in self.calendars:
                calendars[item["id"]] = {"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}
                continue
            busy: list[list[datetime]] = []
            for event in sorted(self.events(item["id"]), key=_begins):
                start, end = _begins(event), _ends(event)
                if event.get("transparency") == "transparent" or end <= begins or start >= ends:
                    continue
                if busy and start <= busy[-1][1]:
                    busy[-1][1] = max(end, busy[-1][1])
                else:
                    busy.append([max(start, begins), end])
            calendars[item["id"]] = {"busy": [{"start": _written(a), "end": _written(min(b, ends))} for a, b in busy]}
        return web.json_response({"kind": "calendar#freeBusy", "calendars": calendars})

    async def insert(self, request: web.Request) -> web.Response:
        calendar, event = self._calendar(request, writes=True), await request.json()
        if self.before_insert:
            self.before_insert()
        if unknown := event.keys() - {"id", "summary", "description", "start", "end", "extendedProperties"}:
            raise Problem(400, "invalid", message=f"not tried here: {unknown}")
        if not EVENT_ID.fullmatch(event.get("id", "")):
            raise Problem(400, "invalid", message="Invalid resource id value.")
        if _begins(event) >= _ends(event):
            raise Problem(400, "timeRangeEmpty")
        for name, value in event["extendedProperties"]["private"].items():
            assert (len(name) <= 44, len(value) <= 1024) == (True, True)
        if event["id"] in self.calendars[calendar]:
            raise Problem(409, "duplicate", message="The requested identifier already exists.")
        return web.json_response(self._keep(calendar, event))

    async def list(self, request: web.Request) -> web.Response:
        calendar, query = self._calendar(request), request.query
        begins = _time(query["timeMin"]) if "timeMin" in query else None
        ends = _time(query["timeMax"]) if "timeMax" in query else None
        items = [
            event
            for event in self.events(calendar)
            if (ends is None or _begins(event) < ends) and (begins is None or _ends(event) > begins)
        ]
        answer = {"kind": "calendar#events", "accessRole": self.access, "items": items[: int(query["maxResults"])]}
        if fields := query.get("fields"):
            answer = {name: answer[name] for name in fields.split(",")}
        return web.json_response(answer)

    async def delete(self, request: web.Request) -> web.Response:
        calendar = self._calendar(request, writes=True)
        event = self.calendars[calendar].get(request.match_info["event"])
        if event is None:
            raise Problem(404, "notFound")
        if event["status"] == "cancelled":
            raise Problem(410, "deleted")
        event["status"] = "cancelled"
        return web.Response(status=204)

    def _calendar(self, request: web.Request, writes: bool = False) -> str:
        id = request.match_info["calendar"]
        if id not in self.calendars:
            raise Problem(404, "notFound")
        if writes and self.access not in ("writer", "owner"):
            raise Problem(403, "requiredAccessLevel")
        return id

    @web.middleware
    async def _strict(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path.rpartition('/')[2]}")
        failure = self.failures.pop(0) if self.failures else None
        try:
            if isinstance(failure, Problem):
                raise failure
            if failure == "hang":
                await asyncio.sleep(60)
            if failure == "html":
                return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                raise Problem(401, "authError")
            answer: web.StreamResponse = await handler(request)
            if failure == "lost":
                assert request.transport
                request.transport.abort()
            return answer
        except Problem as problem:
            error = {"domain": "global", "reason": problem.reason, "message": "words of Google's"}
            body = {"code": problem.status, "message": "words of Google's", "errors": [error], **problem.more}
            return web.json_response({"error": body}, status=problem.status)


def _time(text: Any) -> datetime:
    if not isinstance(text, str) or not RFC_3339.fullmatch(text):
        raise Problem(400, "badRequest")
    return datetime.fromisoformat(text)


def _begins(event: Json) -> datetime:
    return _time(event["start"]["dateTime"])


def _ends(event: Json) -> datetime:
    return _time(event["end"]["dateTime"])


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def calendar_server(*calendars: str) -> AsyncIterator[CalendarServer]:
    """Runs on a free port while the block does, with these calendars shared."""
    server = CalendarServer()
    server.calendars = {id: {} for id in calendars}
    app = web.Application(middlewares=[server._strict])
    root = "/calendar/v3"
    app.router.add_post(f"{root}/freeBusy", server.free_busy)
    app.router.add_post(f"{root}/calendars/{{calendar}}/events", server.insert)
    app.router.add_get(f"{root}/calendars/{{calendar}}/events", server.list)
    app.router.add_delete(f"{root}/calendars/{{calendar}}/events/{{event}}", server.delete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.endpoint = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
