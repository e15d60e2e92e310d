"""The whole platform on Google's services, as far as one machine has them: Google's own emulators of Firestore and
Pub/Sub, and local servers that speak the protocols of the others. Chosen by settings alone."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from adapters.clock import SystemClock
from adapters.wiring import open_port, read_settings
from offhook.carrier import recordings
from offhook.carrier.handset import Handset
from offhook.doctor import examine
from schemas.settings import Settings
from tests.fakes import gemini_server, tasks_server
from tests.fakes.gemini_server import GeminiServer, Text
from tests.fakes.house import House, house
from tests.fakes.speech_server import SpeechServer
from tests.fakes.storage_server import BUCKET, StorageServer
from tests.fakes.tasks_server import TasksServer
from tests.fakes.voice_server import Answer, VoiceServer, spelled

PROJECT = "whole-platform"


class Ahead:
    """A clock that may go ahead of time."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.by


class Google:
    """Its services; `async with` it."""

    def __init__(self, firestore: str, pubsub: str) -> None:
        self.firestore, self.pubsub = firestore, pubsub
        self.speech = SpeechServer(project=PROJECT, otherwise="my order")
        self.voice = VoiceServer()
        self.voice.will_answer(*[Answer(sound=spelled("okay"))] * 100)  # it would speak slowly
        self.gemini = GeminiServer()
        self.gemini.will_answer([Text("An order it is. "), Text("Is there anything else?")])
        self.time = Ahead()
        self.tasks = TasksServer(self.time)
        self.storage = StorageServer()

    async def __aenter__(self) -> "Google":
        async with AsyncExitStack() as stack:
            for server in (self.speech, self.voice, self.gemini, self.tasks, self.storage):
                await stack.enter_async_context(server)
            self._servers = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._servers.aclose()

    def settings(self, home: Path) -> Settings:
        """As the environment gives them."""
        return read_settings(
            {
                "OFFHOOK_HOME": str(home),
                "GOOGLE_CLOUD_PROJECT": PROJECT,
                "OFFHOOK_DOCUMENTS": "firestore",
                "FIRESTORE_EMULATOR_HOST": self.firestore,
                "OFFHOOK_BUS": "pubsub",
                "PUBSUB_EMULATOR_HOST": self.pubsub,
                "OFFHOOK_QUEUE": "cloud_tasks",
                "OFFHOOK_QUEUE_ENDPOINT": f"http://{self.tasks.endpoint}",
                "OFFHOOK_TASKS_QUEUE": tasks_server.QUEUE,
                "OFFHOOK_TASKS_ACCOUNT": "tasks@offhook.iam.gserviceaccount.com",
                "OFFHOOK_CERTIFICATES_URL": self.tasks.certificates_url,
                "OFFHOOK_KNOWLEDGE": "firestore",
                "OFFHOOK_BLOBS": "cloud_storage",
                "OFFHOOK_BUCKET": BUCKET,
                "OFFHOOK_STORAGE_ENDPOINT": self.storage.url,
                "OFFHOOK_SPEECH": "google",
                "OFFHOOK_SPEECH_ENDPOINT": f"http://{self.speech.endpoint}",
                "OFFHOOK_VOICE": "google",
                "OFFHOOK_VOICE_ENDPOINT": f"http://{self.voice.endpoint}",
                "GEMINI_API_KEY": gemini_server.KEY,
                "OFFHOOK_GEMINI_ENDPOINT": self.gemini.url,
            }
        )


async def asks_for_an_order(phone: Handset) -> None:
    """In words that are understood, by keys, and in words that only a model can make sense of."""
    await phone.listen(300)
    await phone.say(recordings.line("my order", "slt"), "my order")
    await phone.listen(300)
    await phone.press("47129")
    await phone.listen(300)
    await phone.say(recordings.line("my order", "slt"), "my order")
    await phone.listen(300)
    await phone.press("2")


async def report(here: House, id: str) -> Any:
    """Of an ended conversation; it is made once Pub/Sub delivered its end."""
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer owner"}) as http:
        while True:
            if found := (await http.get(f"{here.url}/api/v1/conversations/{id}")).json()["report"]:
                return found
            await asyncio.sleep(0.05)


def test_a_whole_call_runs_on_google_s_services(firestore_emulator: str, pubsub_emulator: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with Google(firestore_emulator, pubsub_emulator) as google:
            chosen = google.settings(tmp_path)
            changes = chosen.model_dump(exclude={"home", "port", "owner_key", "ticket_secret"})
            async with house(tmp_path, **changes) as here:
                call = await here.carrier.call("+15005550002", caller=asks_for_an_order)
                assert call.violations == []
                assert call.ended == "agent"
                id = await here.records.find(call.sid)
                assert id is not None
                assert (await here.records.ended(id)).outcome == "answered"
                async with asyncio.timeout(20):
                    assert (await report(here, id))["turns"] == 4
                async with httpx2.AsyncClient() as http:
                    for port in ("documents", "bus", "queue", "speech", "brain", "voice", "knowledge", "blobs"):
                        health = await http.get(f"{here.url}/health/{port}")
                        assert health.json()["status"] == "ok", health.text
                    forged = await http.post(f"{here.url}/tasks/left_alone", json={"name": "x", "kind": "left_alone"})
                    assert forged.status_code == 401
                google.time.by = timedelta(minutes=3)
                async with asyncio.timeout(20):
                    while not (google.tasks.posted and google.tasks.posted[0].status):
                        await asyncio.sleep(0.05)
                assert google.tasks.posted[0].url == f"{here.url}/tasks/left_alone"
                assert google.tasks.posted[0].status == 200

            async with open_port(chosen, "documents") as firestore:
                path = f"organisations/org_demo/conversations/{id}"
                kept = await firestore.get(path)
                assert (kept["state"], kept["outcome"], kept["report"]["turns"]) == ("ended", "answered", 4)
                turns = [found.document for found in (await firestore.query(f"{path}/turns")).found]
                assert [turn["caller"] or turn["keys"] for turn in turns[1:]] == ["my order", "47129", "my order", "2"]
                replies = " ".join(reply["text"] for turn in turns for reply in turn["replies"])
                assert "Order 4 7 1 2 9" in replies
                assert "An order it is. Is there anything else?" in replies
            assert google.speech.streams
            assert google.gemini.requests
            assert google.voice.sessions
            assert not (tmp_path / "documents.db").exists()

            findings = await asyncio.to_thread(examine, chosen)
            assert [finding for finding in findings if finding.level == "bad"] == []
            answers = {finding.what for finding in findings if finding.how.endswith(" answers")}
            assert answers == {"documents", "bus", "queue", "speech", "brain", "voice", "knowledge", "blobs"}

    asyncio.run(story())


def test_documents_are_read_and_found_on_google_s_services(
    firestore_emulator: str, pubsub_emulator: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with Google(firestore_emulator, pubsub_emulator) as google:
            changes = google.settings(tmp_path).model_dump(exclude={"home", "port", "owner_key", "ticket_secret"})
            owner = {"Authorization": "Bearer owner"}
            async with house(tmp_path, **changes) as here, httpx2.AsyncClient(headers=owner) as http:
                api = f"{here.url}/api/v1/knowledge"
                file = ("prices.md", b"# Price list\n## Cleaning\nA cleaning costs 80 dollars.\n")
                taken = (await http.post(api, files={"file": file})).json()
                assert taken["state"] == "reading"
                async with asyncio.timeout(30):
                    while (known := (await http.get(f"{api}/{taken['id']}")).json())["state"] == "reading":
                        await asyncio.sleep(0.05)
                assert (known["state"], known["title"], known["passages"]) == ("ready", "Price list", 1), known
                assert list(google.storage.kept) == [f"organisations/org_demo/knowledge/{taken['id']}"]
                found = await http.post(f"{api}/search", params={"q": "the price list: what does a cleaning cost"})
                assert [each["text"] for each in found.json()["data"]] == [
                    "Price list › Cleaning A cleaning costs 80 dollars."
                ]
                assert (await http.delete(f"{api}/{taken['id']}")).status_code == 204
                assert google.storage.kept == {}
                found = await http.post(f"{api}/search", params={"q": "the price list: what does a cleaning cost"})
                assert found.json()["data"] == []
            assert {each.task for each in google.gemini.embedded} >= {"RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"}

    asyncio.run(story())
