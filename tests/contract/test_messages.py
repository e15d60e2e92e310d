"""What every provider of messages does. An adapter joins by its line in ADAPTERS."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.paper_messages import PaperMessages
from adapters.smtp_mail import SmtpMail
from adapters.twilio_messages import TwilioMessages
from domain.ports import Messages, Outgoing, Refused, Unavailable, Uncertain
from tests.fakes.hand_set_clock import HandSetClock
from tests.fakes.mail_server import MailServer
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.twilio_server import ACCOUNT, BLOCKED, INVALID, TOKEN, TwilioServer

SMS = Outgoing("msg_1", "+15005550100", "See you on Friday.", sender="+15005550006")
MAIL = Outgoing("msg_1", "ann@example.com", "See you on Friday.", sender="Willow", subject="Your appointment")


class Arrived(NamedTuple):
    to: str
    text: str
    sender: str
    subject: str


class Post(NamedTuple):
    """A provider, and what reached the other side."""

    messages: Messages
    example: Outgoing
    arrived: Callable[[], list[Arrived]]
    server: Any = None


@asynccontextmanager
async def twilio(folder: Path) -> AsyncIterator[Post]:
    async with TwilioServer() as server, TwilioMessages(ACCOUNT, TOKEN, server.endpoint, within_s=5) as messages:
        yield Post(
            messages,
            SMS,
            lambda: [Arrived(each["To"], each["Body"], each["From"], "") for each in server.messages],
            server,
        )
        assert server.odd == []


@asynccontextmanager
async def smtp(folder: Path, encryption: str = "starttls") -> AsyncIterator[Post]:
    async with MailServer(folder, encryption) as server:
        sender = "Offhook <desk@willow.example>"
        messages = SmtpMail(server.url, sender, HandSetClock(), tls_context=server.trusted, answer_s=5)
        yield Post(
            messages,
            MAIL,
            lambda: [
                Arrived(
                    str(each["To"]),
                    str(each.get_content()).replace("\r\n", "\n").removesuffix("\n"),
                    each["From"].addresses[0].display_name,
                    str(each["Subject"]),
                )
                for each in server.mail
            ],
            server,
        )


@asynccontextmanager
async def paper(folder: Path, example: Outgoing) -> AsyncIterator[Post]:
    documents = MemoryDocuments()
    yield Post(
        PaperMessages(documents, HandSetClock()),
        example,
        lambda: [
            Arrived(each["to"], each["text"], each["sender"], each["subject"]) for each in documents.kept.values()
        ],
    )


Open = Callable[[Path], AbstractAsyncContextManager[Post]]

REAL: dict[str, Open] = {
    "twilio": twilio,
    "smtp with starttls": smtp,
    "smtp with tls": lambda folder: smtp(folder, "tls"),
    "smtp in the clear": lambda folder: smtp(folder, "off"),
}
ADAPTERS: dict[str, Open] = {
    **REAL,
    "paper sms": lambda folder: paper(folder, SMS),
    "paper mail": lambda folder: paper(folder, MAIL),
}

Story = Callable[[Post], Awaitable[None]]
Hold = Callable[[Story], None]


def holding(open: Open, folder: Path) -> Hold:
    def hold(story: Story) -> None:
        async def run() -> None:
            async with open(folder) as post:
                await story(post)

        asyncio.run(run())

    return hold


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Hold:
    return holding(request.param, tmp_path)


TEXTS = [
    "See you on Friday.",
    "Grüße aus Köln — 14:30, naïve café ☕ 👍🏽 {[€]}",
    "two\nlines\n.\n..and one that begins with dots",
    "=?utf-8?q?no?= & <b>not bold</b> %40 + ;",
    "long " * 300,
]


@pytest.mark.parametrize("text", TEXTS, ids=["plain", "accents", "lines", "signs", "long"])
def test_a_message_arrives_as_it_was_given(hold: Hold, text: str) -> None:
    async def story(post: Post) -> None:
        given = replace(post.example, text=text)
        assert await post.messages.send(given)
        assert post.arrived() == [Arrived(given.to, text, given.sender, given.subject)]

    hold(story)


def test_each_message_has_a_name_of_its_own(hold: Hold) -> None:
    async def story(post: Post) -> None:
        first, second = post.example, replace(post.example, id="msg_2")
        assert await post.messages.send(first) != await post.messages.send(second)
        assert len(post.arrived()) == 2

    hold(story)


def test_several_at_once_all_arrive(hold: Hold) -> None:
    async def story(post: Post) -> None:
        given = [replace(post.example, id=f"msg_{n}", text=f"number {n}") for n in range(10)]
        await asyncio.gather(*map(post.messages.send, given))
        assert sorted(each.text for each in post.arrived()) == sorted(each.text for each in given)

    hold(story)


@pytest.mark.parametrize("open", REAL.values(), ids=list(REAL))
def test_a_provider_that_answers_is_well(open: Open, tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        await post.messages.check()  # type: ignore[attr-defined]
        assert post.arrived() == []

    holding(open, tmp_path)(story)


@pytest.mark.parametrize(
    ("provider", "to"),
    [("twilio", INVALID), ("smtp with tls", "nobody@example.com"), ("smtp with tls", "änn@example.com")],
)
def test_a_recipient_that_nobody_is_is_refused(provider: str, to: str, tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        with pytest.raises(Refused) as refusal:
            await post.messages.send(replace(post.example, to=to))
        assert not refusal.value.opted_out
        assert post.arrived() == []
        await post.messages.send(post.example)  # and nothing hangs on

    holding(REAL[provider], tmp_path)(story)


TWILIO_ANSWERS: list[tuple[Any, type[Exception], str]] = [
    (20429, Unavailable, "20429"),
    (503, Unavailable, "503"),
    (500, Uncertain, "500"),
    (504, Uncertain, "504"),
    (21610, Refused, "unsubscribed"),
    (21617, Refused, "1600"),
    (400, Refused, "400"),
]


@pytest.mark.parametrize(("answer", "outcome", "says"), TWILIO_ANSWERS)
def test_what_twilio_s_answers_mean(answer: Any, outcome: type[Exception], says: str, tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        post.server.answers.append(answer)
        with pytest.raises(outcome, match=says):
            await post.messages.send(post.example)
        assert post.server.requests == 1

    holding(twilio, tmp_path)(story)


def test_twilio_tells_of_a_recipient_who_said_stop(tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        with pytest.raises(Refused) as refusal:
            await post.messages.send(replace(post.example, to=BLOCKED))
        assert refusal.value.opted_out

    holding(twilio, tmp_path)(story)


@pytest.mark.parametrize("answer", ["lost", "hang"])
def test_a_lost_answer_of_twilio_s_is_uncertain_and_nothing_is_sent_again(answer: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with TwilioServer([answer]) as server:
            async with TwilioMessages(ACCOUNT, TOKEN, server.endpoint, within_s=1) as messages:
                with pytest.raises(Uncertain):
                    await messages.send(SMS)
            assert (server.requests, len(server.messages)) == (1, 1)

    asyncio.run(story())


def test_where_no_twilio_answers_nothing_was_sent() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        async with TwilioMessages(ACCOUNT, TOKEN, f"http://127.0.0.1:{port}") as messages:
            with pytest.raises(Unavailable, match="could not be reached"):
                await messages.send(SMS)
            with pytest.raises(Unavailable, match="could not be reached"):
                await messages.check()

    asyncio.run(story())


def test_wrong_credentials_are_put_off_not_held_against_the_message() -> None:
    async def story() -> None:
        async with TwilioServer() as server:
            for account, token in ((ACCOUNT, "wrong"), ("AC2", TOKEN)):
                async with TwilioMessages(account, token, server.endpoint) as messages:
                    with pytest.raises(Unavailable, match=r"20003|20404"):
                        await messages.send(SMS)
                    with pytest.raises(Unavailable, match=r"20003|20404"):
                        await messages.check()

    asyncio.run(story())


def test_a_messaging_service_sends_and_twilio_is_told_where_to_tell_the_rest(tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        service = "MG" + "a" * 32
        url = "https://phone.example.com/twilio/message-status?organisation=org_1&message=msg_1"
        sid = await post.messages.send(replace(post.example, sender=service, status_url=url))
        [created] = post.server.messages
        assert created == {
            "To": SMS.to, "Body": SMS.text, "MessagingServiceSid": service, "StatusCallback": url, "sid": sid,
        }  # fmt: skip

    async def run() -> None:
        async with twilio(tmp_path) as post:
            await story(post)

    asyncio.run(run())


def test_each_request_to_twilio_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """One that was kept may just have been closed, which would look like a lost answer."""

    async def story(post: Post) -> None:
        for _ in range(3):
            await post.messages.send(post.example)
        assert len(post.server.connections) == 3

    holding(twilio, tmp_path)(story)


# --- SMTP's own ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "answer", "outcome"),
    [
        ("MAIL", "451 4.3.0 try later", Unavailable),
        ("MAIL", "530 5.7.0 sign in first", Unavailable),
        ("MAIL", "550 5.7.1 not from you", Refused),
        ("RCPT", "450 4.2.0 greylisted", Unavailable),
        ("RCPT", "550 5.1.1 no such user", Refused),
        ("DATA", "452 4.3.1 no room", Unavailable),
        ("DATA", "554 5.6.0 spam", Refused),
        ("DATA", "lost", Uncertain),
    ],
)
def test_what_a_mail_server_s_answers_mean(step: str, answer: str, outcome: type[Exception], tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        post.server.answers[step] = [answer]
        with pytest.raises(outcome):
            await post.messages.send(post.example)
        assert len(post.arrived()) == (1 if answer == "lost" else 0)
        await post.messages.send(post.example)

    holding(smtp, tmp_path)(story)


def test_wrong_credentials_of_the_mail_server_s_are_put_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with MailServer(tmp_path) as server:
            url = server.url.replace("p%40ss", "wrong")
            mail = SmtpMail(url, "desk@willow.example", HandSetClock(), tls_context=server.trusted)
            with pytest.raises(Unavailable, match="refused the credentials"):
                await mail.send(MAIL)
            with pytest.raises(Unavailable, match="refused the credentials"):
                await mail.check()

    asyncio.run(story())


def test_nothing_is_said_to_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with MailServer(tmp_path) as server:
            with pytest.raises(Unavailable, match="certificate"):
                await SmtpMail(server.url, "desk@willow.example", HandSetClock()).send(MAIL)
            assert server.mail == []

    asyncio.run(story())


def test_nor_to_one_that_offers_no_encryption(tmp_path: Path) -> None:
    async def story() -> None:
        async with MailServer(tmp_path, "off") as server:
            url = server.url.removesuffix("/?starttls=off")
            with pytest.raises(Unavailable, match="encryption"):
                await SmtpMail(url, "desk@willow.example", HandSetClock()).send(MAIL)
            assert server.mail == []

    asyncio.run(story())


def test_where_no_mail_server_answers_nothing_was_sent() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(Unavailable, match="could not be reached"):
            await SmtpMail(f"smtp://127.0.0.1:{port}", "desk@willow.example", HandSetClock()).send(MAIL)

    asyncio.run(story())


def test_an_e_mail_says_who_wrote_it_and_how_to_end_them(tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        link = "https://phone.example.com/m/unsubscribe?" + "o=org_1&m=msg_1&s=" + "x" * 80
        id = await post.messages.send(
            replace(post.example, sender="Weide & Söhne, Zahnärzte", reply_to="desk@example.com", unsubscribe_url=link)
        )
        [mail] = post.server.mail
        assert mail["From"].addresses[0].addr_spec == "desk@willow.example"
        assert mail["From"].addresses[0].display_name == "Weide & Söhne, Zahnärzte"
        assert mail["Reply-To"] == "desk@example.com"
        assert mail["List-Unsubscribe"] == f"<{link}>"
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Message-ID"] == id == "<msg_1@willow.example>"
        assert mail["Date"].datetime == HandSetClock().now()
        assert mail["Auto-Submitted"] == "auto-generated"
        assert post.server.envelopes == [("desk@willow.example", ["ann@example.com"])]

    holding(smtp, tmp_path)(story)


def test_a_header_can_t_be_smuggled_in(tmp_path: Path) -> None:
    async def story(post: Post) -> None:
        for smuggled in ({"subject": "Hello\r\nBcc: all@example.com"}, {"sender": "A\r\nBcc: all@example.com"}):
            with pytest.raises(Refused):
                await post.messages.send(replace(post.example, **smuggled))
        assert post.arrived() == []

    holding(smtp, tmp_path)(story)
