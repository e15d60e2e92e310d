"""Messages from the cause to the phone: in virtual time with scripted providers, and on real servers."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from adapters.smtp_mail import SmtpMail
from adapters.sqlite_documents import SqliteDocuments
from adapters.sqlite_queue import SqliteQueue
from adapters.twilio_messages import TwilioMessages
from domain.ended import ended
from domain.outbox import opt_out_id
from domain.ports import Event, Outgoing, Ports, Refused, Task, Unavailable, Uncertain
from functions import unsubscribe, webhooks
from functions.messages import LOST, outbox, send_message
from functions.workers import do_tasks, take_events
from schemas.organisation import Organisation
from schemas.outbound_message import OutboundMessage
from schemas.settings import DEVELOPMENT_AUTH_TOKEN, DEVELOPMENT_SMS_FROM
from tests.fakes import virtual_time
from tests.fakes.hand_set_clock import HandSetClock
from tests.fakes.lab import LoopClock
from tests.fakes.mail_server import MailServer
from tests.fakes.ports import NOW, paper_ports, settings
from tests.fakes.twilio_server import ACCOUNT, TOKEN, TwilioServer
from tests.fakes.working import WorkingBus, WorkingQueue

ROOT = "organisations/org_1"
CALLER, OURS = "+15005550100", "+15005550001"
TEMPLATES = {
    "booked": {"channel": "sms", "text": "Booked, {{name}}: {{date}} at {{time}}. {{organisation}}"},
    "tomorrow": {"channel": "sms", "text": "See you {{date}} at {{time}}."},
    "mail": {"channel": "email", "subject": "Your appointment on {{date}}", "text": "See you at {{time}}, {{name}}."},
    "thanks": {"channel": "sms", "text": "Thank you for calling. Your order {{order}} arrives {{arrival}}."},
}
SETTINGS = {"confirmation": "booked", "reminders": [{"before": "24h", "template": "tomorrow"}]}


class Provider:
    """Sends, or does what it was told instead: raises, or sends and then raises."""

    def __init__(self, clock: LoopClock, *plan: Exception | tuple[Exception]) -> None:
        self._clock, self._plan = clock, [*plan]
        self.sent: list[tuple[datetime, str, str]] = []
        self.tried: list[datetime] = []

    async def send(self, message: Outgoing) -> str:
        self.tried.append(self._clock.now())
        planned = self._plan.pop(0) if self._plan else None
        if isinstance(planned, Exception):
            raise planned
        self.sent.append((self._clock.now(), message.to, message.text))
        if planned:
            raise planned[0]
        return f"SM{len(self.sent)}"


class Town:
    """An organisation, its callers' phones, and all that happens between them."""

    def __init__(self, *plan: Exception | tuple[Exception], twice: bool = False) -> None:
        self.clock = LoopClock(NOW)
        self.sms, self.mail = Provider(self.clock, *plan), Provider(self.clock, *plan)
        self.queue, self.bus = WorkingQueue(self.clock, twice=twice), WorkingBus()
        self.ports = paper_ports(
            clock=self.clock, queue=self.queue, bus=self.bus, messages={"sms": self.sms, "email": self.mail}
        )
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        owner = Organisation(
            id="org_1", name="Willow Dental", slug="willow", time_zone="America/New_York", created_at=NOW
        )
        self.kept[ROOT] = owner.model_dump(mode="json")
        self.kept[f"numbers/{OURS}"] = {"number": OURS, "organisation": "org_1", "agent": "agt_1"}
        for name, template in TEMPLATES.items():
            self.kept[f"{ROOT}/templates/{name}"] = {"name": name, **template}
        self.kept[f"{ROOT}/messaging/appointments"] = SETTINGS
        do_tasks(self.ports)
        take_events(self.ports)

    async def book(self, day: str = "2026-11-27", time: str = "14:30", **changes: Any) -> None:
        self.kept[f"{ROOT}/appointments/apt_1"] = {
            "id": "apt_1", "key": "k", "conversation": "", "date": day, "time": time, "name": "Sarah", "phone": CALLER,
            "email": "", "state": "booked", "booked_at": NOW.isoformat(), **changes,
        }  # fmt: skip
        happened = {"organisation": "org_1", "appointment": "apt_1"}
        await self.bus.publish(Event(f"apt_1.booked.{day}{time}", "appointment.booked", happened))

    async def cancel(self, *, tell: bool = True) -> None:
        self.kept[f"{ROOT}/appointments/apt_1"]["state"] = "cancelled"
        if tell:
            happened = {"organisation": "org_1", "appointment": "apt_1"}
            await self.bus.publish(Event("apt_1.cancelled", "appointment.cancelled", happened))

    async def text(self, id: str = "msg_1", text: str = "Hello.", **changes: Any) -> OutboundMessage:
        now = self.clock.now()
        given = {"channel": "sms", "to": CALLER, "text": text, "due_at": now, "created_at": now, **changes}
        return await outbox(self.ports).schedule("org_1", OutboundMessage(id=id, **given), now)

    def messages(self) -> list[OutboundMessage]:
        """In the order in which they were scheduled."""
        prefix = f"{ROOT}/messages/"
        return [OutboundMessage.model_validate(kept) for path, kept in self.kept.items() if path.startswith(prefix)]

    def message(self) -> OutboundMessage:
        [message] = self.messages()
        return message

    def states(self) -> dict[str, str]:
        return {message.template: message.state for message in self.messages()}


Story = Callable[[Town], Awaitable[None]]


def live(story: Story, *plan: Exception | tuple[Exception], twice: bool = False) -> Town:
    """Tells the story in virtual time, and waits until all that follows from it is done."""

    async def run() -> Town:
        town = Town(*plan, twice=twice)
        await story(town)
        await town.queue.idle()
        return town

    return virtual_time.run(run())


FRIDAY_BOOKED = "Booked, Sarah: Friday 27 November at 2:30 PM. Willow Dental"


# --- Appointments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twice", [False, True])
def test_who_books_gets_a_confirmation_now_and_a_reminder_a_day_before(twice: bool) -> None:
    async def story(town: Town) -> None:
        await town.book()

    town = live(story, twice=twice)
    assert town.sms.sent == [
        (NOW, CALLER, FRIDAY_BOOKED),
        (datetime.fromisoformat("2026-11-26T14:30-05:00"), CALLER, "See you Friday 27 November at 2:30 PM."),
    ]
    assert town.states() == {"booked": "sent", "tomorrow": "sent"}


def test_by_e_mail_where_the_template_says_so() -> None:
    async def story(town: Town) -> None:
        town.kept[f"{ROOT}/messaging/appointments"] = {"confirmation": "mail", "reminders": []}
        await town.book(email="Sarah@Example.com")

    town = live(story)
    assert town.mail.sent == [(NOW, "sarah@example.com", "See you at 2:30 PM, Sarah.")]
    assert town.message().subject == "Your appointment on Friday 27 November"


def test_who_left_no_address_gets_nothing() -> None:
    async def story(town: Town) -> None:
        await town.book(phone="")

    assert live(story).messages() == []


@pytest.mark.parametrize("tell", [True, False])
def test_who_cancels_gets_no_reminder(tell: bool) -> None:
    async def story(town: Town) -> None:
        await town.book()
        await asyncio.sleep(3600)
        await town.cancel(tell=tell)
        await asyncio.sleep(1)
        assert town.states()["tomorrow"] == ("cancelled" if tell else "queued")

    town = live(story)
    assert [text for _, _, text in town.sms.sent] == [FRIDAY_BOOKED]
    assert town.states() == {"booked": "sent", "tomorrow": "cancelled"}
    assert "cancelled" in town.messages()[1].why


def test_who_moves_it_is_reminded_of_the_new_time_only() -> None:
    async def story(town: Town) -> None:
        await town.book()
        await asyncio.sleep(3600)
        await town.book("2026-11-30", "09:00")

    town = live(story)
    assert [(f"{at:%m-%d %H:%M}", text) for at, _, text in town.sms.sent] == [
        ("11-21 14:00", FRIDAY_BOOKED),
        ("11-21 15:00", "Booked, Sarah: Monday 30 November at 9:00 AM. Willow Dental"),
        ("11-29 14:00", "See you Monday 30 November at 9:00 AM."),
    ]
    assert [message.why for message in town.messages() if message.state == "cancelled"] == ["the appointment was moved"]


def test_who_books_for_today_needs_no_reminder_of_yesterday() -> None:
    async def story(town: Town) -> None:
        await town.book("2026-11-21", "16:00")

    assert live(story).states() == {"booked": "sent"}


def test_a_reminder_that_comes_too_late_is_none() -> None:
    async def story(town: Town) -> None:
        town.kept[f"{ROOT}/messaging/appointments"] = {"reminders": [{"before": "10m", "template": "tomorrow"}]}
        await town.book("2026-11-21", "16:00")

    town = live(story, Unavailable("down"), Unavailable("down"), Unavailable("down"), Unavailable("down"))
    assert town.sms.sent == []
    assert town.message().why == "the appointment's time has passed"


def test_a_template_that_is_gone_stops_nothing_else() -> None:
    async def story(town: Town) -> None:
        del town.kept[f"{ROOT}/templates/booked"]
        await town.book()

    assert live(story).states() == {"tomorrow": "sent"}


# --- After the call --------------------------------------------------------------------------------------------------


def test_the_caller_gets_what_the_agent_promises_after_the_call() -> None:
    async def story(town: Town) -> None:
        flow = {
            "start": "s",
            "nodes": [{"id": "s", "type": "start"}],
            "variables": [{"name": "order", "kind": "digits"}, {"name": "arrival", "kind": "date"}],
        }
        town.kept[f"{ROOT}/agents/agt_1/versions/1"] = {
            "agent": "agt_1", "number": 1, "published_at": NOW.isoformat(), "follow_up": "thanks", "flow": flow,
        }  # fmt: skip
        town.kept[f"{ROOT}/conversations/cnv_1"] = {
            "id": "cnv_1", "organisation": "org_1", "agent": "agt_1", "version": 1, "channel": "phone", "number": OURS,
            "caller": CALLER, "state": "ended", "started_at": NOW.isoformat(),
            "variables": {"order": "47129", "arrival": "2026-11-25"},
        }  # fmt: skip
        for _ in range(2):
            await town.bus.publish(ended("org_1", "cnv_1"))

    town = live(story)
    assert town.sms.sent == [(NOW, CALLER, "Thank you for calling. Your order 47129 arrives Wednesday 25 November.")]
    assert (town.message().sender, town.message().conversation) == (OURS, "cnv_1")


def test_after_a_handover_they_get_what_the_agent_promises_that_had_the_call_last() -> None:
    async def story(town: Town) -> None:
        flow = {"start": "s", "nodes": [{"id": "s", "type": "start"}]}
        first = {"agent": "agt_1", "number": 1, "published_at": NOW.isoformat(), "flow": flow}
        kinds = [{"name": "order", "kind": "digits"}, {"name": "arrival", "kind": "date"}]
        second = {**first, "agent": "agt_2", "number": 3, "follow_up": "thanks", "flow": {**flow, "variables": kinds}}
        town.kept[f"{ROOT}/agents/agt_1/versions/1"] = first
        town.kept[f"{ROOT}/agents/agt_2/versions/3"] = second
        town.kept[f"{ROOT}/conversations/cnv_1"] = {
            "id": "cnv_1", "organisation": "org_1", "agent": "agt_1", "version": 1, "channel": "phone", "number": OURS,
            "caller": CALLER, "state": "ended", "started_at": NOW.isoformat(),
            "team": {"agt_2": 3}, "held_by": "agt_2", "variables": {"order": "47129", "arrival": "2026-11-25"},
        }  # fmt: skip
        await town.bus.publish(ended("org_1", "cnv_1"))

    town = live(story)
    assert town.sms.sent == [(NOW, CALLER, "Thank you for calling. Your order 47129 arrives Wednesday 25 November.")]


# --- Trouble ---------------------------------------------------------------------------------------------------------


def test_what_couldn_t_be_sent_is_tried_again_later() -> None:
    async def story(town: Town) -> None:
        await town.text()

    town = live(story, Unavailable("Twilio refused (error 20429)"), Unavailable("Twilio refused (error 20429)"))
    assert [(at - NOW).total_seconds() for at in town.sms.tried] == [0, 30, 120]
    assert (town.message().state, town.message().attempts, town.message().why) == ("sent", 3, "")


def test_not_sooner_either_if_the_task_of_before_comes_again() -> None:
    async def story(town: Town) -> None:
        await town.text()
        await asyncio.sleep(10)
        await send_message(town.ports, Task("x", "send_message", {"organisation": "org_1", "message": "msg_1"}))

    town = live(story, Unavailable("down"))
    assert [(at - NOW).total_seconds() for at in town.sms.tried] == [0, 30]


def test_but_not_for_ever() -> None:
    async def story(town: Town) -> None:
        await town.text()

    town = live(story, *[Unavailable("down")] * 20)
    assert len(town.sms.tried) == 8
    assert (town.message().state, town.message().why) == ("failed", "down")


def test_a_refusal_is_final() -> None:
    async def story(town: Town) -> None:
        await town.text()

    town = live(story, Refused("Twilio refused (error 21211): Invalid 'To' Phone Number"))
    assert len(town.sms.tried) == 1
    assert (town.message().state, town.message().why[:14]) == ("failed", "Twilio refused")


def test_an_answer_that_was_lost_is_not_tried_again() -> None:
    async def story(town: Town) -> None:
        await town.text()

    town = live(story, (Uncertain("Twilio's answer was lost"),))
    assert (len(town.sms.tried), town.message().state) == (1, "unknown")


class Died(Exception):
    """The process did, as far as its worker can tell."""


def test_a_death_between_sending_and_noting_it_sends_nothing_twice() -> None:
    async def story(town: Town) -> None:
        await town.text()

    town = live(story, (Died(),))
    assert len(town.sms.sent) == len(town.sms.tried) == 1
    assert (town.message().state, town.message().why) == ("unknown", LOST)


def test_a_store_that_goes_between_sending_and_noting_it_sends_nothing_twice() -> None:
    async def story(town: Town) -> None:
        documents: Any = town.ports.documents
        send = town.sms.send

        async def send_and_lose_the_store(message: Outgoing) -> str:
            sent = await send(message)
            documents.failing = True
            return sent

        town.sms.send = send_and_lose_the_store  # type: ignore[method-assign]
        await town.text()
        await asyncio.sleep(2.5)
        documents.failing = False

    town = live(story)
    assert (len(town.sms.sent), town.message().state) == (1, "unknown")


def test_the_same_message_scheduled_again_is_one() -> None:
    async def story(town: Town) -> None:
        await asyncio.gather(*(town.text() for _ in range(3)))
        await asyncio.sleep(5)
        assert (await town.text(text="Other words.")).state == "sent"

    assert len(live(story).sms.sent) == 1


def test_two_deliveries_of_one_task_send_once() -> None:
    async def story(town: Town) -> None:
        await town.text()
        task = Task("x", "send_message", {"organisation": "org_1", "message": "msg_1"})
        await asyncio.gather(*(send_message(town.ports, task) for _ in range(5)))

    town = live(story)
    assert (len(town.sms.sent), town.message().state) == (1, "sent")


# --- Those who want none ---------------------------------------------------------------------------------------------


def carrier(town: Town, path: str, form: dict[str, str]) -> Any:
    """Twilio's webhook, signed."""

    async def get_ports() -> Ports:
        return town.ports

    url = f"http://127.0.0.1:8080{path}"
    signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(url, form)
    with TestClient(webhooks.app(get_ports), base_url="http://127.0.0.1:8080") as client:
        return client.post(path, data=form, headers={"X-Twilio-Signature": signature})


def says(town: Town, word: str, to: str = OURS, **more: str) -> None:
    answer = carrier(town, "/twilio/sms", {"From": CALLER, "To": to, "Body": word, "MessageSid": "SM9", **more})
    assert (answer.status_code, answer.text) == (200, "<Response/>")


class Standing:
    """A town whose time stands still, so that webhooks can be asked in between."""

    def __init__(self, *plan: Exception) -> None:
        self.town = virtual_time.run(self._made(*plan))
        self.town.ports = replace(self.town.ports, clock=HandSetClock())

    async def _made(self, *plan: Exception) -> Town:
        return Town(*plan)

    def text(self, **changes: Any) -> OutboundMessage:
        """Scheduled, and if it is due, sent."""

        async def run() -> OutboundMessage:
            await self.town.text(f"msg_{len(self.town.messages())}", **changes)
            await self.town.queue.idle()
            return self.town.messages()[-1]

        return virtual_time.run(run())


def test_who_says_stop_gets_nothing_until_start() -> None:
    standing = Standing()
    assert standing.text(sender=OURS).state == "sent"
    says(standing.town, "Stop")
    says(standing.town, "Stop")
    assert standing.text(sender=OURS).state == "suppressed"
    says(standing.town, "hello?")
    assert standing.text(sender=OURS).state == "suppressed"
    says(standing.town, "START")
    assert standing.text(sender=OURS).state == "sent"
    assert len(standing.town.sms.sent) == 2


def test_stop_to_a_number_that_several_share_is_for_that_number_alone() -> None:
    standing = Standing()
    says(standing.town, "STOP", to=DEVELOPMENT_SMS_FROM)
    assert standing.text().state == "suppressed"
    assert standing.text(sender=OURS).state == "sent"
    says(standing.town, "unstop", to=DEVELOPMENT_SMS_FROM)
    assert standing.text().state == "sent"


def test_twilio_s_own_reading_counts() -> None:
    standing = Standing()
    says(standing.town, "Basta", OptOutType="STOP")
    assert standing.text(sender=OURS).state == "suppressed"


def test_stop_between_scheduling_and_sending_is_heeded() -> None:
    async def story(town: Town) -> None:
        await town.book()
        await asyncio.sleep(3600)
        town.kept[f"{ROOT}/optouts/{opt_out_id('sms', CALLER)}"] = {"id": "x"}
        town.kept[f"optouts/{opt_out_id('sms', CALLER)}"] = {"id": "x"}

    town = live(story)
    assert town.states() == {"booked": "sent", "tomorrow": "suppressed"}
    assert len(town.sms.sent) == 1


def test_what_twilio_knows_of_a_stop_we_know_then() -> None:
    standing = Standing(Refused("Twilio refused (error 21610)", opted_out=True))
    assert standing.text(sender=OURS).state == "suppressed"
    assert standing.text(sender=OURS).state == "suppressed"
    assert len(standing.town.sms.tried) == 1


# --- On real servers -------------------------------------------------------------------------------------------------


def real(folder: Path, clock: HandSetClock, queue: SqliteQueue, documents: SqliteDocuments, **messages: Any) -> Ports:
    here = settings(home=str(folder), public_url="http://127.0.0.1:9", twilio_auth_token=TOKEN)
    return paper_ports(clock=clock, queue=queue, documents=documents, settings=here, messages=messages)


async def until(condition: Callable[[], Awaitable[bool]], meanwhile: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            meanwhile()
            await asyncio.sleep(0.02)


async def state(ports: Ports, id: str = "msg_1") -> str:
    kept = await ports.documents.get(f"{ROOT}/messages/{id}")
    return str(kept["state"]) if kept else ""


def test_a_mail_server_that_has_no_time_gets_it_later(tmp_path: Path) -> None:
    async def story() -> None:
        clock = HandSetClock()
        answers = {"RCPT": ["451 4.7.1 greylisted"], "DATA": ["452 4.3.1 no room"]}
        async with (
            MailServer(tmp_path, answers=answers) as server,
            SqliteDocuments(tmp_path / "documents.db", clock) as documents,
            SqliteQueue(tmp_path / "queue.db", clock, poll_s=0.01) as queue,
        ):
            mail = SmtpMail(server.url, "desk@willow.example", clock, tls_context=server.trusted)
            ports = real(tmp_path, clock, queue, documents, email=mail)
            do_tasks(ports)
            now = clock.now()
            message = OutboundMessage(id="msg_1", channel="email", to="ann@example.com", subject="Hello", text="Hello.",
                                      due_at=now, created_at=now)  # fmt: skip
            await outbox(ports).schedule("org_1", message, now)
            await until(lambda: _is(ports, "sent"), meanwhile=lambda: clock.move_on(1))
            [mail_] = server.mail
            assert mail_["Subject"] == "Hello"
            link = mail_["List-Unsubscribe"].strip("<>").removeprefix("http://127.0.0.1:9")
            kept = await documents.get(f"{ROOT}/messages/msg_1")
            assert kept
            assert kept["attempts"] == 3
            await documents.put(
                ROOT, {"id": "org_1", "name": "Willow & Co", "slug": "w", "created_at": now.isoformat()}
            )
            await _unsubscribes(ports, link)

    async def _is(ports: Ports, wanted: str) -> bool:
        return await state(ports) == wanted

    async def _unsubscribes(ports: Ports, link: str) -> None:
        import httpx2

        async def get_ports() -> Ports:
            return ports

        transport = httpx2.ASGITransport(unsubscribe.app(get_ports))
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
            page = await http.get(link)
            assert page.status_code == 200
            assert "Willow &amp; Co" in page.text
            assert await ports.documents.get(f"{ROOT}/optouts/{opt_out_id('email', 'ann@example.com')}") is None
            for _ in range(2):
                done = await http.post(link, data={"List-Unsubscribe": "One-Click"})
                assert done.status_code == 200
            assert await ports.documents.get(f"{ROOT}/optouts/{opt_out_id('email', 'ann@example.com')}")
            assert (await http.post(link[:-1] + ("A" if link[-1] != "A" else "B"))).status_code == 404

    asyncio.run(story())


def test_twilio_is_busy_then_takes_it_and_tells_what_became_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        clock = HandSetClock()
        async with (
            TwilioServer([20429, 503]) as server,
            TwilioMessages(ACCOUNT, TOKEN, server.endpoint) as sms,
            SqliteDocuments(tmp_path / "documents.db", clock) as documents,
            SqliteQueue(tmp_path / "queue.db", clock, poll_s=0.01) as queue,
        ):
            ports = real(tmp_path, clock, queue, documents, sms=sms)
            do_tasks(ports)
            now = clock.now()
            message = OutboundMessage(id="msg_1", channel="sms", to=CALLER, text="Hello.", due_at=now, created_at=now)
            await outbox(ports).schedule("org_1", message, now)
            await until(lambda: _is(ports, "sent"), meanwhile=lambda: clock.move_on(1))
            [created] = server.messages
            assert created["StatusCallback"].endswith("/twilio/message-status?organisation=org_1&message=msg_1")

    async def _is(ports: Ports, wanted: str) -> bool:
        return await state(ports) == wanted

    asyncio.run(story())


SENDER = """
import asyncio, sys
from adapters.wiring import open_ports, read_settings
from functions.messages import outbox
from functions.workers import do_tasks
from schemas.outbound_message import OutboundMessage

async def main():
    async with open_ports(read_settings()) as ports:
        do_tasks(ports)
        now = ports.clock.now()
        message = OutboundMessage(id="msg_1", channel="sms", to="+15005550100", text="Hello.", due_at=now, created_at=now)
        await outbox(ports).schedule("org_1", message, now)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def test_a_process_killed_amidst_sending_leaves_one_message_and_says_that_it_doesn_t_know(tmp_path: Path) -> None:
    async def story() -> None:
        async with TwilioServer(["hang"]) as server:
            environment = {
                "OFFHOOK_HOME": str(tmp_path), "OFFHOOK_SPEECH": "paced", "OFFHOOK_VOICE": "paced",
                "OFFHOOK_MESSAGES": "twilio", "OFFHOOK_SMS_FROM": "+15005550006", "TWILIO_ACCOUNT_SID": ACCOUNT,
                "TWILIO_AUTH_TOKEN": TOKEN, "OFFHOOK_TWILIO_ENDPOINT": server.endpoint,
                "PYTHONPATH": str(Path(__file__).parent.parent.parent),
            }  # fmt: skip
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, env=environment)
            try:
                await until(lambda: _created(server))
            finally:
                process.kill()
                await process.wait()
            clock = HandSetClock()
            clock.move_on(
                timedelta(days=36500).total_seconds()
            )  # whenever this is run, the dead process's lease is over
            async with (
                TwilioMessages(ACCOUNT, TOKEN, server.endpoint) as sms,
                SqliteDocuments(tmp_path / "documents.db", clock) as documents,
                SqliteQueue(tmp_path / "queue.db", clock, poll_s=0.01) as queue,
            ):
                ports = real(tmp_path, clock, queue, documents, sms=sms)
                do_tasks(ports)
                await until(lambda: _is(ports, "unknown"))
                assert (server.requests, len(server.messages)) == (1, 1)
                # And once Twilio tells of it, it is known.
                [created] = server.messages
                await _told(ports, created["sid"], "delivered")
                assert await state(ports) == "delivered"

    async def _created(server: TwilioServer) -> bool:
        return bool(server.messages)

    async def _is(ports: Ports, wanted: str) -> bool:
        return await state(ports) == wanted

    async def _told(ports: Ports, sid: str, status: str) -> None:
        import httpx2

        async def get_ports() -> Ports:
            return ports

        path = "/twilio/message-status?organisation=org_1&message=msg_1"
        form = {"MessageSid": sid, "MessageStatus": status}
        signature = RequestValidator(TOKEN).compute_signature(f"http://127.0.0.1:9{path}", form)
        transport = httpx2.ASGITransport(webhooks.app(get_ports))
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as http:
            answer = await http.post(path, data=form, headers={"X-Twilio-Signature": signature})
            assert answer.status_code == 204

    asyncio.run(story())
