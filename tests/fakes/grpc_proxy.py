"""A proxy for any gRPC service, which fails as it is told to."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

Fault = Callable[[str], grpc.StatusCode | bytes | None]
"""Given a method's name at the end of each call: what to answer in place of the truth, a refusal or a message."""


@asynccontextmanager
async def proxy(endpoint: str, fault: Fault) -> AsyncIterator[str]:
    """Its host:port. Every call reaches the server behind; the fault decides whether its answer comes back. Calls with
    one request only."""
    async with grpc.aio.insecure_channel(endpoint) as channel:

        class Everything(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                method: str = details.method

                async def call(request: bytes, context: Any) -> AsyncIterator[bytes]:
                    answers: list[bytes] = []
                    refusal = None
                    try:
                        answers = [answer async for answer in channel.unary_stream(method)(request)]
                    except grpc.aio.AioRpcError as error:
                        refusal = error.code(), error.details()
                    match fault(method.rpartition("/")[2]):
                        case grpc.StatusCode() as code:
                            refusal = code, "the proxy says so"
                        case bytes() as message:
                            answers, refusal = [message], None
                    if refusal:
                        await context.abort(*refusal)
                    for answer in answers:
                        yield answer

                # On the wire, one answer is a stream of one.
                return grpc.unary_stream_rpc_method_handler(call)

        server = grpc.aio.server()
        server.add_generic_rpc_handlers([Everything()])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(1)
