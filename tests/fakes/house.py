"""The whole platform on a free port of this machine, with its real server, store and media service."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from offhook.carrier.carrier import Carrier
from offhook.carrier.records import Records
from offhook.main import server
from offhook.platform import platform
from schemas.settings import Paced
from tests.fakes.ports import settings


class House:
    """A running platform and those who talk to it."""

    def __init__(self, url: str, carrier: Carrier, records: Records, home: Path) -> None:
        self.url, self.carrier, self.records, self.home = url, carrier, records, home


@asynccontextmanager
async def house(home: Path, **changes: Any) -> AsyncIterator[House]:
    """Runs while the block does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paced = {"speech": "paced", "voice": "paced", "paced": Paced(first_audio_ms=20, spoken_word_ms=40)}
    chosen = settings(**{"home": str(home), "port": port, **paced, **changes})
    serving = server(platform(chosen), chosen, log_level="critical")
    task = asyncio.create_task(serving.serve())
    while not serving.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.02)
    url = f"http://127.0.0.1:{port}"
    try:
        async with Carrier(url) as carrier, Records(url, "owner") as records:
            yield House(url, carrier, records, home)
    finally:
        serving.should_exit = True
        await task
