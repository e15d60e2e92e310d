"""The functions as Google Cloud runs them: under functions-framework, each in a process of its own."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from twilio.request_validator import RequestValidator

from adapters.sqlite_documents import SqliteDocuments
from schemas.settings import DEVELOPMENT_AUTH_TOKEN

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def function(target: str, home: Path) -> Iterator[str]:
    """Its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "OFFHOOK_HOME": str(home),
        "OFFHOOK_SPEECH": "paced",
        "OFFHOOK_VOICE": "paced",
        "OFFHOOK_OWNER_KEY": "owner",
        "PUBLIC_URL": url,
        "HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "functions_framework", "--target", target, "--source", "functions/main.py"]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def test_the_webhooks_answer_under_functions_framework(tmp_path: Path) -> None:
    form = {"CallSid": "CA" + "1" * 32, "From": "+15005550100", "To": "+15005559999"}
    with function("twilio", tmp_path) as url:
        unsigned = httpx2.post(f"{url}/twilio/voice", data=form, timeout=30)
        assert unsigned.status_code == 403
        signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(f"{url}/twilio/voice", form)
        signed = httpx2.post(f"{url}/twilio/voice", data=form, headers={"X-Twilio-Signature": signature}, timeout=30)
        assert signed.status_code == 200
        assert "not in service" in signed.text
        assert httpx2.get(f"{url}/twilio/voice", timeout=30).status_code == 405
        assert httpx2.get(f"{url}/elsewhere", timeout=30).status_code == 404


def test_what_follows_a_conversation_s_end_is_triggered_by_its_event(tmp_path: Path) -> None:
    path = "organisations/org_1/conversations/cnv_1"
    begun = {
        "id": "cnv_1",
        "organisation": "org_1",
        "agent": "agt_1",
        "version": 1,
        "channel": "phone",
        "state": "ended",
        "started_at": "2026-11-21T14:00:00Z",
        "ended_at": "2026-11-21T14:01:00Z",
    }
    happened = {"organisation": "org_1", "conversation": "cnv_1"}

    async def with_documents(work: Callable[[SqliteDocuments], Awaitable[Any]]) -> Any:
        async with SqliteDocuments(tmp_path / "documents.db") as documents:
            return await work(documents)

    def tell(url: str, data: str) -> int:
        event = {"message": {"data": data, "attributes": {"id": "cnv_1.ended"}, "messageId": "1"}}
        headers = {
            "ce-id": "1",
            "ce-source": "//pubsub.googleapis.com/projects/p/topics/conversation.ended",
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        return httpx2.post(url, json=event, headers=headers, timeout=30).status_code

    asyncio.run(with_documents(lambda documents: documents.put(path, begun)))
    with function("analyse", tmp_path) as url:
        assert tell(url, b64encode(json.dumps(happened).encode()).decode()) == 200
        assert tell(url, "not base64 at all") == 200  # it would be no better the next time
    stored = asyncio.run(with_documents(lambda documents: documents.get(path)))
    assert stored["report"]["seconds"] == 60.0


def test_the_admin_api_answers_under_functions_framework(tmp_path: Path) -> None:
    with function("admin_api", tmp_path) as url:
        assert httpx2.get(f"{url}/api/v1/conversations", timeout=30).status_code == 401
        assert httpx2.get(f"{url}/api/v1/openapi.json", timeout=30).status_code == 200


def test_the_page_that_ends_e_mails_answers_under_functions_framework(tmp_path: Path) -> None:
    with function("unsubscribe", tmp_path) as url:
        assert "This link isn" in httpx2.get(f"{url}/m/unsubscribe?o=org_1&m=msg_1&s=x", timeout=30).text
        assert httpx2.get(f"{url}/elsewhere", timeout=30).status_code == 404


def test_an_appointment_s_messages_are_triggered_by_its_event(tmp_path: Path) -> None:
    root = "organisations/org_1"
    kept: dict[str, dict[str, Any]] = {
        root: {"id": "org_1", "name": "Willow", "slug": "willow", "created_at": "2026-11-21T14:00:00Z"},
        f"{root}/messaging/appointments": {"confirmation": "booked"},
        f"{root}/templates/booked": {"name": "booked", "channel": "sms", "text": "See you {{date}}."},
        f"{root}/appointments/apt_1": {
            "id": "apt_1", "date": "2099-11-27", "time": "14:30", "phone": "+15005550100", "state": "booked",
        },
    }  # fmt: skip
    happened = {"organisation": "org_1", "appointment": "apt_1"}
    data = b64encode(json.dumps(happened).encode()).decode()
    event = {"message": {"data": data, "attributes": {"id": "apt_1.booked"}, "messageId": "1"}}
    headers = {"ce-id": "1", "ce-source": "//pubsub", "ce-specversion": "1.0", "ce-type": "x"}

    async def keep() -> None:
        async with SqliteDocuments(tmp_path / "documents.db") as documents:
            for path, document in kept.items():
                await documents.put(path, document)

    async def messages() -> list[str]:
        async with SqliteDocuments(tmp_path / "documents.db") as documents:
            return [found.document["text"] for found in (await documents.query(f"{root}/messages")).found]

    asyncio.run(keep())
    with function("appointment_booked", tmp_path) as url:
        for _ in range(2):
            assert httpx2.post(url, json=event, headers=headers, timeout=30).status_code == 200
    assert asyncio.run(messages()) == ["See you Friday 27 November 2099."]
