"""The page behind an e-mail's link: ends all e-mails of an organisation to its recipient, with one click (RFC 8058)."""

from collections.abc import Awaitable, Callable
from html import escape

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from domain.ports import Ports, Unavailable
from domain.unsubscribe import PATH, is_ours
from functions.opt_outs import opt_out
from schemas.organisation import Organisation
from schemas.outbound_message import OutboundMessage

LARGEST_FORM = 4 * 1024

log = structlog.get_logger()

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1rem }}</style></head>
<body><h1>{title}</h1><p>{text}</p>{more}</body></html>"""
_BUTTON = '<form method="post"><button name="List-Unsubscribe" value="One-Click">Unsubscribe</button></form>'


def app(get_ports: Callable[[], Awaitable[Ports]]) -> Starlette:
    """The route as an ASGI app. Asking for the page changes nothing, since mail scanners follow links; posting does."""

    async def page(request: Request) -> Response:
        ports = await get_ports()
        organisation, id, signature = (request.query_params.get(name, "") for name in ("o", "m", "s"))
        if not is_ours(organisation, id, signature, ports.settings.ticket_secret):
            return _page(404, "This link isn't good", "It is incomplete, or not one of ours.")
        try:
            stored = await ports.documents.get(f"organisations/{organisation}/messages/{id}")
            owner = await ports.documents.get(f"organisations/{organisation}")
            if stored is None or owner is None:
                return _page(404, "This link isn't good any more", "Please use the one of a later e-mail.")
            name, to = Organisation.model_validate(owner).name, OutboundMessage.model_validate(stored).to
            if request.method != "POST":
                return _page(200, "Unsubscribe", f"No more e-mails from {name} to {to}?", _BUTTON)
            await opt_out(ports, organisation, "email", to, "link")
        except Unavailable as problem:
            log.error("not_unsubscribed", message=id, why=str(problem))
            return _page(503, "Please try again", "Something went wrong on our side.")
        return _page(200, "You are unsubscribed", f"{to} gets no more e-mails from {name}.")

    return Starlette(routes=[Route(PATH, page, methods=["GET", "POST"])], max_body_size=LARGEST_FORM)


def _page(status: int, title: str, text: str, more: str = "") -> Response:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(_PAGE.format(title=escape(title), text=escape(text), more=more), status, headers)
