"""The whole platform on one port, as a laptop runs it: the media service, the functions, and what feeds them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.wiring import open_ports
from domain import flow_check
from domain.ports import Ports
from domain.reading import warm_up
from functions import tasks, unsubscribe, webhooks
from functions.admin.app import app as admin
from functions.workers import do_tasks, take_events
from media_service.app import MediaService
from offhook.seed import seed
from schemas.settings import Settings


def platform(settings: Settings, ready: Callable[[], None] = lambda: None) -> Starlette:
    """One ASGI app with every route; its lifespan opens the adapters and seeds the demo data, then tells `ready`."""
    opened: list[Ports] = []

    async def get_ports() -> Ports:
        return opened[0]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_ports(settings) as ports:
            warm_up()
            flow_check.warm_up()
            await seed(ports)
            do_tasks(ports)
            take_events(ports)
            opened.append(ports)
            ready()
            async with media.ready():
                yield

    media = MediaService(get_ports)
    hooks, admin_api, posted = webhooks.app(get_ports), admin(get_ports), tasks.app(get_ports)
    unsubscribing = unsubscribe.app(get_ports)
    return Starlette(
        routes=[
            Route("/", page),
            *media.routes,
            Route("/twilio/{rest:path}", _Answering(hooks)),
            Route("/api/{rest:path}", _Answering(admin_api)),
            Route("/tasks/{rest:path}", _Answering(posted)),
            Route("/m/{rest:path}", _Answering(unsubscribing)),
        ],
        lifespan=lifespan,
    )


class _Answering:
    """An app as a route's endpoint: it sees the whole path, as under functions-framework."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = {key: value for key, value in scope.items() if key not in ("router", "endpoint", "path_params")}
        await self._app(scope, receive, send)


async def page(request: Request) -> Response:
    """`/`: a plain page for now."""
    return HTMLResponse((files("offhook") / "demo" / "page.html").read_text())
