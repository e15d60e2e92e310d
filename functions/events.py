"""Events as Google's triggers deliver them: a CloudEvent around a Pub/Sub message."""

import json
from base64 import b64decode
from typing import Any

import structlog

from domain.ports import Event

log = structlog.get_logger()


def event_of(topic: str, delivered: Any) -> Event | None:
    """The event that a CloudEvent's message holds. None if it holds none: it would be no better another time."""
    try:
        message = delivered.data["message"]
        body = json.loads(b64decode(message["data"]))
        id = message.get("attributes", {}).get("id") or message["messageId"]
        if isinstance(body, dict):
            return Event(str(id), topic, body)
        raise TypeError("it is not an object")
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        log.error("event_unreadable", topic=topic, why=f"{type(problem).__name__}: {problem}")
        return None
