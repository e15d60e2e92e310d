"""What `offhook doctor` finds, with Google's services on local servers."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from grpc import StatusCode

from adapters.clock import SystemClock
from adapters.firestore_documents import FirestoreDocuments
from adapters.pubsub_bus import PubsubBus
from adapters.wiring import open_port, read_settings
from domain.ports import Event, Page, Unavailable
from offhook import doctor
from offhook.doctor import Finding, examine
from offhook.seed import ORGANISATION, seed
from schemas.settings import Settings
from tests.fakes import gemini_server, tasks_server
from tests.fakes.calendar_server import calendar_server
from tests.fakes.gemini_server import GeminiServer
from tests.fakes.grpc_proxy import proxy
from tests.fakes.ports import paper_ports
from tests.fakes.speech_server import Plan, SpeechServer
from tests.fakes.tasks_server import TasksServer
from tests.fakes.voice_server import VoiceServer

ROOT = Path(__file__).parent.parent.parent


PRODUCTION = {
    "OFFHOOK_ENVIRONMENT": "production",
    "GOOGLE_CLOUD_PROJECT": "offhook",
    "PUBLIC_URL": "https://phone.example.com",
    "OFFHOOK_TASKS_QUEUE": tasks_server.QUEUE,
    "OFFHOOK_TASKS_ACCOUNT": "tasks@offhook.iam.gserviceaccount.com",
    "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef" * 2,
    "OFFHOOK_TICKET_SECRET": "kept-by-nobody-but-this-test-0123456789",
    "OFFHOOK_OWNER_KEY": "another-kept-by-nobody-else-9876543210",
}


def settings(home: Path, **environment: str) -> Settings:
    return read_settings({"OFFHOOK_HOME": str(home), **environment})


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(settings)}


def test_it_names_what_to_do(tmp_path: Path) -> None:
    findings = found(settings(tmp_path))
    assert "TWILIO_AUTH_TOKEN" in findings["carrier"].todo
    assert "PUBLIC_URL" in findings["PUBLIC_URL"].todo
    assert findings["speech"].level == "ok"
    assert findings["GEMINI_API_KEY"].level == "note"
    assert findings["messages"].how.startswith("paper")
    assert findings["mail"].how.startswith("paper")
    real = settings(tmp_path, TWILIO_AUTH_TOKEN="real", PUBLIC_URL="https://x.example.com", GEMINI_API_KEY="k",
                    OFFHOOK_BRAIN="offline", OFFHOOK_SPEECH="pocketsphinx")  # fmt: skip
    assert {finding.what for finding in examine(real) if finding.level == "note"} <= {"PORT"}


def test_a_home_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    secrets = {"OFFHOOK_TICKET_SECRET": "t" * 32, "OFFHOOK_OWNER_KEY": "o" * 32}
    findings = found(settings(tmp_path / "file" / "home", **secrets))
    assert (findings["OFFHOOK_HOME"].level, findings["OFFHOOK_HOME"].todo) == (
        "bad",
        "set it to a folder you may write to",
    )
    assert findings["documents"].how == "sqlite: can't be kept in OFFHOOK_HOME (Not a directory)"


def test_embedded_it_loads_nothing_of_google_s(tmp_path: Path) -> None:
    program = """
import sys
from adapters.wiring import read_settings
from offhook.doctor import examine
examine(read_settings())
print([name for name in sys.modules if name.startswith(("google.a", "google.g", "grpc"))])
"""
    environment = {"OFFHOOK_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Google:
    """Its services, all well."""

    def __init__(self) -> None:
        self.speech = SpeechServer()
        self.voice = VoiceServer()
        self.gemini = GeminiServer()
        self.tasks = TasksServer(SystemClock())

    def settings(self, home: Path, **changes: str) -> Settings:
        environment = {
            "GOOGLE_CLOUD_PROJECT": "offhook",
            "OFFHOOK_SPEECH": "google",
            "OFFHOOK_SPEECH_ENDPOINT": f"http://{self.speech.endpoint}",
            "OFFHOOK_VOICE": "google",
            "OFFHOOK_VOICE_ENDPOINT": f"http://{self.voice.endpoint}",
            "GEMINI_API_KEY": gemini_server.KEY,
            "OFFHOOK_GEMINI_ENDPOINT": self.gemini.url,
            "OFFHOOK_QUEUE": "cloud_tasks",
            "OFFHOOK_QUEUE_ENDPOINT": f"http://{self.tasks.endpoint}",
            "OFFHOOK_TASKS_QUEUE": tasks_server.QUEUE,
            "OFFHOOK_TASKS_ACCOUNT": "tasks@offhook.iam.gserviceaccount.com",
        }
        return settings(home, **{**environment, **changes})


def tell(home: Path, story: Callable[[Google, Callable[..., Awaitable[dict[str, Finding]]]], Awaitable[None]]) -> None:
    """`story` gets the services and the doctor."""

    async def whole() -> None:
        google = Google()

        async def doctor(**changes: str) -> dict[str, Finding]:
            return await asyncio.to_thread(found, google.settings(home, **changes))

        async with google.speech, google.voice, google.gemini, google.tasks:
            await story(google, doctor)

    asyncio.run(whole())


async def keep_demo_agents(home: Path, **changes: Any) -> None:
    """As the platform would, with changes to a version."""
    async with open_port(settings(home), "documents") as documents:
        await seed(paper_ports(documents=documents))
        path = f"organisations/{ORGANISATION}/agents/agt_demo_orders/versions/1"
        await documents.put(path, {**await documents.get(path), **changes})


def test_each_of_google_s_services_is_really_asked(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        await keep_demo_agents(tmp_path)
        findings = await doctor()
        assert {findings[port].how for port in ("speech", "brain", "voice", "queue")} == {
            "google: Google Speech-to-Text answers",
            "gemini: Gemini answers",
            "google: Google Text-to-Speech answers",
            "cloud_tasks: Cloud Tasks answers",
        }
        assert findings["documents"].how == "sqlite: files in OFFHOOK_HOME"
        assert findings["agents"].how == "every live agent gets its language, model and voice"
        assert [finding for finding in findings.values() if finding.level == "bad"] == []
        assert google.speech.streams
        assert google.voice.listings
        assert google.gemini.counted
        assert google.tasks.calls
        assert google.tasks.tasks == []

    tell(tmp_path, story)


def test_roles_that_are_missing_are_all_told_at_once(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        google.tasks.lacking = {"cloudtasks.queues.get", "iam.serviceAccounts.actAs", "cloudtasks.tasks.delete"}
        queue = (await doctor())["queue"]
        assert queue.level == "bad"
        assert "grant `roles/cloudtasks.viewer` on the queue to" in queue.how
        assert "may not act as OFFHOOK_TASKS_ACCOUNT: grant `roles/iam.serviceAccountUser` on it to" in queue.how
        assert "OFFHOOK_TASKS_ACCOUNT=tasks@offhook.iam.gserviceaccount.com" in queue.todo
        google.tasks.lacking = {"cloudtasks.tasks.create"}
        assert "`roles/cloudtasks.enqueuer` on the queue" in (await doctor())["queue"].how

    tell(tmp_path, story)


def test_a_store_that_may_only_be_read_is_told(tmp_path: Path, firestore_emulator: str) -> None:
    def deny_writing(method: str) -> StatusCode | None:
        return StatusCode.PERMISSION_DENIED if method == "Commit" else None

    async def story() -> None:
        chosen = {"GOOGLE_CLOUD_PROJECT": "offhook", "OFFHOOK_DOCUMENTS": "firestore", "OFFHOOK_BRAIN": "offline"}
        async with FirestoreDocuments("offhook", endpoint=firestore_emulator, insecure=True, timeout_s=60) as documents:
            await documents.check_writing()  # an emulator's first answers take longer than the doctor waits
        async with proxy(firestore_emulator, deny_writing) as endpoint:
            denied = settings(tmp_path, **chosen, FIRESTORE_EMULATOR_HOST=endpoint)
            finding = (await asyncio.to_thread(found, denied))["documents"]
        assert finding.level == "bad"
        assert finding.how.startswith("firestore: Firestore refused permission: grant `roles/datastore.user` to")
        assert "GOOGLE_CLOUD_PROJECT=offhook, OFFHOOK_FIRESTORE_DATABASE=(default)" in finding.todo
        allowed = settings(tmp_path, **chosen, FIRESTORE_EMULATOR_HOST=firestore_emulator)
        assert (await asyncio.to_thread(found, allowed))["documents"].level == "ok"

    asyncio.run(story())


def test_what_is_wrong_with_one_is_told_with_its_fix_and_hides_no_other(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        disabled = Plan(fails=(StatusCode.PERMISSION_DENIED, "not used before"), reason="SERVICE_DISABLED", after=0)
        google.speech.will(*[disabled] * 4)  # gRPC may call the first ones INTERNAL, which is worth another attempt
        refused = tasks_server.Refusal(StatusCode.PERMISSION_DENIED, reason="IAM_PERMISSION_DENIED")
        google.tasks.will_answer(refused)
        findings = await doctor(GEMINI_API_KEY="mistyped")
        assert "run `gcloud services enable speech.googleapis.com`" in findings["speech"].how
        assert "`roles/cloudtasks.enqueuer` and `roles/cloudtasks.viewer`" in findings["queue"].how
        assert "did not accept the API key" in findings["brain"].how
        assert "mistyped" not in findings["brain"].how
        assert {port for port, finding in findings.items() if finding.level == "bad"} >= {"speech", "queue", "brain"}
        assert findings["voice"].level == "ok"

    tell(tmp_path, story)


def test_who_is_asked_next_is_examined_too(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        chosen = {"OFFHOOK_SPEECH": "pocketsphinx", "OFFHOOK_SPEECH_NEXT": "google,gemini", "OFFHOOK_BRAIN": "offline",
                  "OFFHOOK_BRAIN_NEXT": "gemini", "OFFHOOK_VOICE_NEXT": "espeak"}  # fmt: skip
        google.gemini.refuses = gemini_server.Refusal(429, "RESOURCE_EXHAUSTED")
        findings = await doctor(**chosen)
        assert [(what, finding.level) for what, finding in findings.items() if what.startswith(("sp", "br", "vo"))] == [
            ("speech", "ok"), ("speech, then google", "ok"), ("speech, then gemini", "bad"),
            ("brain", "ok"), ("brain, then gemini", "bad"), ("voice", "ok"), ("voice, then espeak", "ok"),
        ]  # fmt: skip
        assert findings["speech, then google"].how == "google: Google Speech-to-Text answers"
        assert "no quota left" in findings["brain, then gemini"].how
        assert findings["voice, then espeak"].how == "espeak: a plain, clear voice, offline"
        assert (findings["GEMINI_API_KEY"].level, findings["GEMINI_API_KEY"].how) == ("ok", "set")

    tell(tmp_path, story)


def test_a_topic_that_was_not_deployed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Undeployed:
        async def check(self) -> None:
            pass

        async def check_topics(self, topics: Sequence[str], pushed: bool = False) -> None:
            raise Unavailable(f"{topics} {'are not pushed' if pushed else 'are not there'}")

        async def query(self, *asked: Any, **how: Any) -> Page:
            return Page([], None)

    @asynccontextmanager
    async def open_undeployed(settings: Settings, port: str) -> AsyncIterator[Undeployed]:
        if port != "bus":
            raise Unavailable("not here")
        yield Undeployed()

    monkeypatch.setattr(doctor, "open_port", open_undeployed)
    chosen = {"GOOGLE_CLOUD_PROJECT": "offhook", "OFFHOOK_BUS": "pubsub", "OFFHOOK_BRAIN": "offline"}
    bus = found(settings(tmp_path, **chosen))["bus"]
    assert (bus.level, bus.how) == ("bad", "pubsub: ['conversation.ended'] are not there")
    on_an_emulator = settings(tmp_path, **chosen, PUBSUB_EMULATOR_HOST="127.0.0.1:9")
    assert found(on_an_emulator)["bus"].level == "ok"
    in_production = settings(tmp_path, **PRODUCTION)
    assert found(in_production)["bus"].how == "pubsub: ['conversation.ended'] are not pushed"


def test_pub_sub_is_looked_at_without_taking_anything_from_it(pubsub_emulator: str) -> None:
    async def story() -> None:
        async def receive(event: Event) -> None:
            arrived.put_nowait(event)

        arrived: asyncio.Queue[Event] = asyncio.Queue()
        project = f"looked-at-{uuid4().hex[:8]}"
        async with PubsubBus(project, endpoint=pubsub_emulator, insecure=True, timeout_s=60) as bus:
            with pytest.raises(
                Unavailable, match=r"no topic 'conversation\.ended' in this project: `gcloud pubsub topics create"
            ):
                await bus.check_topics(["conversation.ended"])
            bus.subscribe("conversation.ended", "analyse", receive)
            event = Event("1", "conversation.ended", {})
            await bus.check_topics(["conversation.ended"])
            await bus.publish(event)
            await bus.check_topics(["conversation.ended"])
            assert await arrived.get() == event
        async with PubsubBus(project, endpoint=pubsub_emulator, insecure=True, timeout_s=60) as bus:
            with bus._channels.stream() as clients:
                await clients.subscriber.delete_subscription(
                    {"subscription": f"projects/{project}/subscriptions/analyse"}
                )
            with pytest.raises(Unavailable, match="nobody is subscribed to Pub/Sub's topic"):
                await bus.check_topics(["conversation.ended"])

    asyncio.run(story())


def test_what_the_live_agents_ask_for_and_will_not_get_is_told(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        await keep_demo_agents(tmp_path, language="tlh", voice="en-US-Chirp3-HD-Nobody")
        problems = await told_of_orders(google.settings(tmp_path))
        assert [finding.level for finding in problems] == ["bad", "bad"]
        assert "refused model telephony for tlh" in problems[0].how
        assert "has no voice 'en-US-Chirp3-HD-Nobody'" in problems[1].how
        assert problems[1].todo == "publish it anew: choose another `voice`, or none for the provider's default"

    tell(tmp_path, story)


async def told_of_orders(chosen: Settings) -> list[Finding]:
    """What the doctor has to say of the order desk."""
    return [finding for finding in await asyncio.to_thread(examine, chosen)
            if finding.what == "agent Order desk of Kettle and Lamp"]  # fmt: skip


def test_an_agent_is_judged_by_everyone_it_may_ask(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        await keep_demo_agents(tmp_path, language="de-DE", voice="de-DE-Chirp3-HD-Kore")
        assert await told_of_orders(google.settings(tmp_path)) == []
        more = google.settings(tmp_path, OFFHOOK_SPEECH_NEXT="pocketsphinx", OFFHOOK_VOICE_NEXT="espeak")
        assert [finding.how for finding in await told_of_orders(more)] == [
            "pocketsphinx understands English only, not de-DE"
        ]
        await keep_demo_agents(tmp_path, voice="", providers={"speech": ["google"], "voice": ["espeak"]})
        assert await told_of_orders(more) == []
        asked = {"voice": ["espeak", "google"], "brain": ["nobody"]}
        await keep_demo_agents(tmp_path, language="en-US", voice="Kore", providers=asked)
        assert [finding.how for finding in await told_of_orders(more)] == [
            "there is no brain provider 'nobody'", "espeak-ng has no voice 'Kore'"
        ]  # fmt: skip

    tell(tmp_path, story)


def test_a_provider_that_does_not_work_speaks_against_no_agent(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        await keep_demo_agents(tmp_path, model="gemini-9-nothing")
        findings = await doctor(GEMINI_API_KEY="mistyped", OFFHOOK_BRAIN_NEXT="offline")
        assert findings["brain"].level == "bad"
        assert findings["agents"].level == "ok"
        assert "as far as those providers can tell that work" in findings["agents"].how
        findings = await doctor()
        assert "has no model 'gemini-9-nothing'" in findings["agent Order desk of Kettle and Lamp"].how

    tell(tmp_path, story)


def test_without_google_too_an_agent_s_wishes_are_looked_at(tmp_path: Path) -> None:
    asyncio.run(keep_demo_agents(tmp_path, voice="en-US-Chirp3-HD-Kore"))
    assert [finding.how for finding in asyncio.run(told_of_orders(settings(tmp_path)))] == [
        "espeak-ng has no voice 'en-US-Chirp3-HD-Kore'"
    ]


def test_google_s_calendars_are_asked_whether_they_take_appointments(tmp_path: Path) -> None:
    async def story() -> None:
        async with calendar_server("shared@x") as google:
            chosen = settings(tmp_path, OFFHOOK_CALENDAR_ENDPOINT=google.endpoint)
            async with open_port(chosen, "documents") as documents:
                await documents.put("organisations/o", {})
                for id, calendar in (("a", "shared@x"), ("b", "other@x"), ("c", "")):
                    kind = {"kind": "google", "google_calendar": calendar} if calendar else {"kind": "own"}
                    await documents.put(f"organisations/o/calendars/{id}", {"id": id, "hours": [], **kind})
            findings = await asyncio.to_thread(found, chosen)
            assert (findings["calendar a"].level, findings["calendar b"].level) == ("ok", "bad")
            assert "share it with the service account" in findings["calendar b"].how
            assert "calendar c" not in findings

    asyncio.run(story())


def test_a_live_version_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async def story(google: Google, doctor: Callable[..., Awaitable[dict[str, Finding]]]) -> None:
        await keep_demo_agents(tmp_path, speed="fast")
        finding = (await doctor())["agent Order desk of Kettle and Lamp"]
        assert (finding.level, finding.how) == ("bad", "its live version can't be read")

    tell(tmp_path, story)


def test_without_credentials_each_service_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    chosen = {"GOOGLE_CLOUD_PROJECT": "offhook", "OFFHOOK_DOCUMENTS": "firestore", "OFFHOOK_BUS": "pubsub",
              "OFFHOOK_QUEUE": "cloud_tasks", "OFFHOOK_TASKS_QUEUE": tasks_server.QUEUE,
              "OFFHOOK_TASKS_ACCOUNT": "tasks@offhook.iam.gserviceaccount.com",
              "OFFHOOK_SPEECH": "google", "OFFHOOK_VOICE": "google", "OFFHOOK_BRAIN": "gemini"}  # fmt: skip
    findings = found(settings(tmp_path, **chosen))
    for port in ("documents", "bus", "queue", "speech", "voice", "brain"):
        assert findings[port].level == "bad"
        assert "there are no Google credentials" in findings[port].how
    assert "Cloud Tasks can't reach http://127.0.0.1:8080" in findings["TASKS_URL"].how
