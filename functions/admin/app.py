"""The admin API under /api/v1: what the console, the command line and customers' programs go through."""

from fastapi import FastAPI

from functions.admin import agents, calendars, chat, conversations, knowledge, messages, tools
from functions.admin.access import GetPorts
from functions.admin.problems import answer_with_problems

RESOURCES = (agents, calendars, chat, conversations, knowledge, messages, tools)


def app(get_ports: GetPorts) -> FastAPI:
    """The API as one ASGI app."""
    api = FastAPI(title="Offhook", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    api.state.get_ports = get_ports
    for resource in RESOURCES:
        api.include_router(resource.router)
    answer_with_problems(api)
    return api
