"""Requests of Twilio's, which it signs."""

import structlog
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from domain.ports import Ports

log = structlog.get_logger()


async def signed_form(ports: Ports, request: Request) -> FormData | Response:
    """The form, or the refusal of a request that Twilio didn't sign."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return PlainTextResponse("not a form of Twilio's\n", status_code=403)
    form = await request.form()
    query = f"?{request.url.query}" if request.url.query else ""
    urls = [f"{url}{request.url.path}{query}" for url in ports.settings.public_urls]
    signature = request.headers.get("x-twilio-signature", "")
    if any(ports.telephony.verify(url, form, signature) for url in urls):  # type: ignore[arg-type]
        return form
    # The first thing that a deployer gets wrong is PUBLIC_URL, so say what the signature was checked against.
    log.warning("webhook_refused", why="signature", validated=urls, signed=bool(signature))
    return PlainTextResponse("wrong signature\n", status_code=403)


def text(form: FormData, name: str) -> str:
    """A field of it, empty if it isn't there."""
    value = form.get(name)
    return value if isinstance(value, str) else ""
