"""Cloud Storage's JSON API on a local port, as strict as the real one about names, tokens and what there is."""

from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.served import served

BUCKET, TOKEN = "offhook-bucket", "ya29-the-secret-token"
OCTETS = "application/octet-stream"


class StorageServer:
    """`async with StorageServer() as server:` listens at `server.url`."""

    def __init__(self, token: str = "") -> None:
        """With a token it asks for that one."""
        self.kept: dict[str, bytes] = {}
        self.failures: list[int] = []
        """Statuses of the next answers; 0 for a connection that breaks."""
        self.asked = 0
        self._token = token

    async def __aenter__(self) -> "StorageServer":
        objects = "/storage/v1/b/{bucket}/o"
        app = Starlette(
            routes=[
                Route("/upload/storage/v1/b/{bucket}/o", self._upload, methods=["POST"]),
                Route(objects, self._list, methods=["GET"]),
                Route(f"{objects}/{{name:path}}", self._object, methods=["GET", "DELETE"]),
            ]
        )
        self._served = served(app)
        self.url = await self._served.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._served.__aexit__(None, None, None)

    def _refusal(self, request: Request) -> Response | None:
        self.asked += 1
        if self.failures:
            status = self.failures.pop(0)
            if not status:
                return _Broken()
            return _error(status, "it failed")
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            return _error(401, "Anonymous caller does not have storage.objects access")
        if request.path_params["bucket"] != BUCKET:
            return _error(404, "The specified bucket does not exist.")
        return None

    async def _upload(self, request: Request) -> Response:
        content = await request.body()
        if refusal := self._refusal(request):
            return refusal
        name = request.query_params.get("name", "")
        if request.query_params.get("uploadType") != "media" or not name or request.headers["content-type"] != OCTETS:
            return _error(400, "Required: name")
        self.kept[name] = content
        return JSONResponse({"kind": "storage#object", "name": name, "size": str(len(content))})

    async def _list(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse({"kind": "storage#objects"})

    async def _object(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        # An object's name is one segment of the path: its slashes come quoted, or it is another resource.
        _, _, raw = request.scope["raw_path"].decode().partition("/o/")
        name = unquote(raw)
        if "/" in raw or name not in self.kept:
            return _error(404, f"No such object: {BUCKET}/{name}")
        if request.method == "DELETE":
            del self.kept[name]
            return Response(status_code=204)
        if request.query_params.get("alt") == "media":
            return Response(self.kept[name], media_type=OCTETS)
        return JSONResponse({"name": name})


class _Broken(Response):
    """The connection is lost instead of an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": status, "message": message}}, status)
