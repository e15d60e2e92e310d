"""Cloud Tasks' requests: work that was put off comes back here at its time."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functions.workers import GetPorts

LARGEST_TASK = 1024 * 1024
"""Bytes of a request; Cloud Tasks has none larger."""


@runtime_checkable
class PostedQueue(Protocol):
    """A queue whose tasks come as requests."""

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Does the task, unless the request isn't the queue's own; the status to answer with."""
        ...


def app(get_ports: GetPorts) -> Starlette:
    """The route as an ASGI app. `get_ports` gives ports whose queue has its workers."""

    async def take(request: Request) -> Response:
        queue = (await get_ports()).queue
        if not isinstance(queue, PostedQueue):
            return Response(status_code=404)
        return Response(status_code=await queue.receive(await request.body(), request.headers))

    return Starlette(routes=[Route("/tasks/{kind}", take, methods=["POST"])], max_body_size=LARGEST_TASK)
