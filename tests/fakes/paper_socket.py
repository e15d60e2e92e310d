"""A WebSocket of paper: what it receives is scripted, what it sends is kept."""

import json
from typing import Any

from starlette.websockets import WebSocketDisconnect


class PaperSocket:
    def __init__(self, *messages: Any) -> None:
        self._messages = [self._frame(message) for message in messages]
        self.sent: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.scope: dict[str, Any] = {}

    @staticmethod
    def _frame(message: Any) -> dict[str, Any]:
        match message:
            case bytes():
                return {"type": "websocket.receive", "bytes": message}
            case str():
                return {"type": "websocket.receive", "text": message}
            case _:
                return {"type": "websocket.receive", "text": json.dumps(message)}

    async def receive(self) -> dict[str, Any]:
        return self._messages.pop(0) if self._messages else {"type": "websocket.disconnect", "code": 1006}

    async def send_text(self, text: str) -> None:
        if self.closed is not None:
            raise WebSocketDisconnect(self.closed)
        self.sent.append(json.loads(text))

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = code
