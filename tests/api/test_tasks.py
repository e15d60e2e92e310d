"""The route that Cloud Tasks' requests come in by."""

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.clock import SystemClock
from adapters.cloud_tasks_queue import CloudTasksQueue
from domain.ports import Ports
from functions import tasks
from functions.workers import doing_tasks
from schemas.call import CallEntry
from tests.api.test_entry_points import function
from tests.fakes.ports import NOW, paper_ports

ACCOUNT = "tasks@offhook.iam.gserviceaccount.com"
SID = "CA" + "1" * 32
LEFT_ALONE = {"name": "left-alone-1", "kind": "left_alone", "body": {"call_sid": SID}}


async def verify(token: str, audience: str) -> Mapping[str, Any]:
    if token != "google's" or audience != "http://here":
        raise ValueError
    return {"email": ACCOUNT, "email_verified": True}


@asynccontextmanager
async def route(ports: Ports) -> Any:
    """A client of it."""

    async def get_ports() -> Ports:
        await asyncio.sleep(0)
        return ports

    transport = httpx2.ASGITransport(tasks.app(doing_tasks(get_ports)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
        yield http


def cloud_tasks() -> CloudTasksQueue:
    queue = "projects/offhook/locations/europe-west1/queues/later"
    return CloudTasksQueue(queue, "http://here", ACCOUNT, SystemClock(), insecure=True, verify=verify)


async def keep_a_call(ports: Ports) -> None:
    """One that was taken and never got its stream."""
    root = "organisations/org_1"
    entry = CallEntry(organisation="org_1", conversation="cnv_1", agent="agt_1", number="+15005550001",
                      caller="+15005550100", created_at=NOW)  # fmt: skip
    await ports.documents.put(f"calls/{SID}", entry.model_dump(mode="json"))
    conversation = {"id": "cnv_1", "organisation": "org_1", "agent": "agt_1", "version": 1, "channel": "phone",
                    "call_sid": SID, "started_at": NOW.isoformat()}  # fmt: skip
    await ports.documents.put(f"{root}/conversations/cnv_1", conversation)


def test_the_first_requests_find_their_worker_and_the_work_is_done() -> None:
    async def story() -> None:
        ports = paper_ports(queue=cloud_tasks())
        await keep_a_call(ports)
        async with route(ports) as http:
            post = {"json": LEFT_ALONE, "headers": {"Authorization": "Bearer google's"}}
            answers = await asyncio.gather(*(http.post("/tasks/left_alone", **post) for _ in range(3)))
        assert [answer.status_code for answer in answers] == [200] * 3
        kept = await ports.documents.get("organisations/org_1/conversations/cnv_1")
        assert kept
        assert (kept["state"], kept["outcome"]) == ("ended", "failed")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "headers", "content", "status"),
    [
        ("POST", {}, b"{}", 401),
        ("POST", {"Authorization": "Bearer forged"}, b"{}", 401),
        ("POST", {"Authorization": "Bearer google's"}, b"nonsense", 400),
        ("POST", {"Authorization": "Bearer google's"}, b'{"name": "n", "kind": "strange", "body": {}}', 404),
        ("POST", {"Authorization": "Bearer google's"}, b"x" * 2_000_000, 413),
        ("GET", {}, b"", 405),
    ],
)
def test_what_is_no_task_of_ours_is_refused(method: str, headers: dict[str, str], content: bytes, status: int) -> None:
    async def story() -> None:
        async with route(paper_ports(queue=cloud_tasks())) as http:
            answer = await http.request(method, "/tasks/left_alone", headers=headers, content=content)
            assert answer.status_code == status

    asyncio.run(story())


def test_a_queue_that_does_its_own_tasks_has_no_such_route() -> None:
    async def story() -> None:
        async with route(paper_ports()) as http:
            assert (await http.post("/tasks/left_alone", json=LEFT_ALONE)).status_code == 404

    asyncio.run(story())


def test_it_answers_under_functions_framework(tmp_path: Path) -> None:
    with function("tasks", tmp_path) as url:
        assert httpx2.get(f"{url}/tasks/left_alone", timeout=30).status_code == 405
        assert httpx2.post(f"{url}/tasks/left_alone", json=LEFT_ALONE, timeout=30).status_code == 404  # SQLite's
