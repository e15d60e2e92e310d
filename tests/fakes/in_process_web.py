"""The web within this process: hosts are ASGI apps, and no socket is opened. For stories in virtual time."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2

from domain.ports import Answer, NotSent, Unavailable


class InProcessWeb:
    """See `domain.ports.Web`."""

    def __init__(self, **apps: Any) -> None:
        self.apps = apps
        """By host."""
        self.asked: list[str] = []

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        within_s: float = 10.0,
        most_bytes: int = 1_000_000,
    ) -> Answer:
        host = httpx2.URL(url).host
        self.asked.append(f"{method} {url}")
        if host not in self.apps:
            raise NotSent(f"there is no host {host}")
        transport = httpx2.ASGITransport(app=self.apps[host])
        async with httpx2.AsyncClient(transport=transport) as client:
            try:
                async with asyncio.timeout(within_s):
                    answer = await client.request(method, url, headers=dict(headers or {}), content=body)
            except TimeoutError:
                raise Unavailable(f"{host} took too long") from None
        return Answer(answer.status_code, dict(answer.headers), answer.content, url)
