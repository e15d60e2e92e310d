"""Requests to one of Google's gRPC services: bounded in time, and repeated while that may help."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Generic, TypeVar

from adapters.google_refusal import explain
from adapters.grpc_channels import GrpcChannels
from domain.ports import Unavailable

if TYPE_CHECKING:  # at run time only if a Google service is chosen: importing it takes a while
    from google.api_core.exceptions import GoogleAPICallError

PAUSE_S = 0.02
"""About how long until a request is repeated; it doubles with each further time."""
LONGEST_PAUSE_S = 0.5

Stub = TypeVar("Stub")
T = TypeVar("T")


class GoogleRequests(Generic[Stub]):
    """`service` is its name for people, `host` its API's. A request that isn't answered within `timeout_s`, all its
    repetitions included, is Unavailable."""

    def __init__(self, service: str, host: str, channels: GrpcChannels[Stub], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._service, self._host = service, host
        self._channels = channels

    async def make(
        self,
        ask: Callable[[Stub], Awaitable[T]],
        again: Collection[str],
        telling: Collection[str] = (),
        failures: list[Exception] | None = None,
    ) -> T:
        """Repeats what fails with the codes `again` (gRPC's names); what so failed is added to `failures`. Errors with
        the codes `telling` pass as they are; others become Unavailable, or ValueError for what makes no sense to
        Google. Cancelled, the request is over at once, whatever became of it."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.api_core.retry import AsyncRetry

        failures = [] if failures is None else failures

        def is_passing(error: Exception) -> bool:
            return isinstance(error, GoogleAPICallError) and code_of(error) in again

        repeat = AsyncRetry(is_passing, PAUSE_S, LONGEST_PAUSE_S, multiplier=2, timeout=None, on_error=failures.append)
        try:
            async with asyncio.timeout(self.timeout_s):
                with self._channels.stream() as stub:
                    return await repeat(ask)(stub)
        except TimeoutError:
            if failures and isinstance(failures[-1], GoogleAPICallError):
                raise explain(failures[-1], self._service, self._host) from None
            raise Unavailable(f"{self._service} took more than {self.timeout_s:g} s") from None
        except GoogleAPICallError as error:
            if code_of(error) in telling:
                raise
            if code_of(error) == "INVALID_ARGUMENT":
                raise ValueError(f"{self._service} refuses it: {error.message}") from None
            raise explain(error, self._service, self._host) from None


def code_of(error: "GoogleAPICallError") -> str:
    """gRPC's name for it."""
    return str(error.grpc_status_code.name) if error.grpc_status_code else ""
