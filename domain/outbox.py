"""Messages that are to be sent: filled in, checked, kept, and put off until they are due."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import PhoneNumberType

from domain.moment import Moment
from domain.ports import Clock, Documents, Queue, Taken, Task
from domain.sms import segments
from domain.template import written
from schemas.message_template import MOST_CHARACTERS, Channel, MessageTemplate
from schemas.organisation import Organisation
from schemas.outbound_message import OutboundMessage
from schemas.variable import Kind, Value

SEND = "send_message"
"""The kind of the queue's tasks."""
OPTED_OUT = "the recipient wants no messages"

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class Unsendable(Exception):
    """There is no sending this message to anybody like that. `param` is what is wrong with it, the message says how."""

    def __init__(self, param: str, why: str) -> None:
        super().__init__(why)
        self.param = param


def message_id(organisation: str, *about: str) -> str:
    """The same for the same message: what names it is what it is about."""
    return "msg_" + hashlib.sha256("\n".join((organisation, *about)).encode()).hexdigest()[:20]


def opt_out_id(channel: Channel, address: str) -> str:
    """Of an address as `address_of` gives it."""
    return hashlib.sha256(f"{channel}:{address}".encode()).hexdigest()


def address_of(channel: Channel, text: str, country: str = "US") -> str:
    """E.164, or an e-mail address in lower case. A number without a country code is one of the country. Raises
    Unsendable."""
    if channel == "email":
        if len(text.strip()) <= 254 and _EMAIL.fullmatch(text.strip()):
            return text.strip().lower()
        raise Unsendable("to", f"{text!r} is not an e-mail address")
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise Unsendable("to", f"{text!r} is not a phone number") from None
    if not phonenumbers.is_possible_number(number):
        raise Unsendable("to", f"{text!r} is not a phone number")
    if phonenumbers.number_type(number) == PhoneNumberType.PREMIUM_RATE:
        raise Unsendable("to", f"{text!r} is a premium-rate number, which nothing is sent to")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def fill(
    template: MessageTemplate,
    id: str,
    to: str,
    values: Mapping[str, Value],
    kinds: Mapping[str, Kind],
    organisation: Organisation,
    now: datetime,
    **about: str,
) -> OutboundMessage:
    """A message by the template; `{{organisation}}` is its name. Raises Unsendable for an address that is none."""
    moment = Moment(now.astimezone(ZoneInfo(organisation.time_zone)), organisation.country)
    known = {"organisation": organisation.name, **values}
    return OutboundMessage(
        id=id,
        channel=template.channel,
        to=address_of(template.channel, to, organisation.country),
        sender=template.sender,
        reply_to=template.reply_to,
        subject=" ".join(written(template.subject, known, kinds, moment, template.language).split()),
        text=written(template.text, known, kinds, moment, template.language),
        template=template.name,
        due_at=now,
        created_at=now,
        **about,
    )


class Outbox:
    """Puts messages among those that are to be sent; the worker of `functions.messages` sends them.

    `sms_from` is the number that organisations without one of their own share, empty for none; `channels` are those
    that the deployment can send by."""

    def __init__(
        self, documents: Documents, queue: Queue, clock: Clock, sms_from: str, channels: frozenset[Channel]
    ) -> None:
        self._documents, self._queue, self._clock = documents, queue, clock
        self._sms_from, self._channels = sms_from, channels

    async def schedule(self, organisation: str, message: OutboundMessage, at: datetime) -> OutboundMessage:
        """Sees to it that it is sent at that time, or as soon as can be. One whose id is known already is not sent
        again: what is returned is the message as it stands, `suppressed` if the recipient wants none. Raises
        Unsendable, Unavailable. Cancelled, it may be scheduled or not; scheduling it again makes sure."""
        now = self._clock.now()
        message = message.model_copy(
            update={
                "sender": await self._sender(organisation, message),
                "segments": self._segments(message),
                "due_at": max(at, now),
                "created_at": now,
            }
        )
        if await self.opted_out(organisation, message):
            message = message.model_copy(update={"state": "suppressed", "why": OPTED_OUT, "settled_at": now})
        path = f"organisations/{organisation}/messages/{message.id}"
        try:
            await self._documents.create(path, message.model_dump(mode="json"))
        except Taken:
            message = OutboundMessage.model_validate(await self._documents.get(path))
        if message.state == "queued":
            await self.put_off(organisation, message)
        return message

    async def put_off(self, organisation: str, message: OutboundMessage) -> None:
        """Has it sent when it is due. Raises Unavailable."""
        body = {"organisation": organisation, "message": message.id}
        await self._queue.enqueue(Task(f"{message.id}-{message.attempts}", SEND, body), message.due_at)

    async def opted_out(self, organisation: str, message: OutboundMessage) -> bool:
        """Whether the recipient wants no messages: of the organisation's, or by the number that it shares."""
        id = opt_out_id(message.channel, message.to)
        if await self._documents.get(f"organisations/{organisation}/optouts/{id}"):
            return True
        return self.is_shared(message) and bool(await self._documents.get(f"optouts/{id}"))

    def is_shared(self, message: OutboundMessage) -> bool:
        """Whether it comes from the number that organisations share."""
        return message.channel == "sms" and message.sender == self._sms_from

    def _segments(self, message: OutboundMessage) -> int:
        if message.channel not in self._channels:
            variable = {"sms": "OFFHOOK_MESSAGES", "email": "OFFHOOK_MAIL"}[message.channel]
            raise Unsendable("channel", f"this deployment sends no {message.channel}: set {variable}")
        if not message.text.strip():
            raise Unsendable("text", "the message says nothing")
        if message.channel == "email":
            return 0
        if len(message.text) > MOST_CHARACTERS:
            raise Unsendable(
                "text", f"the text has {len(message.text)} characters; {MOST_CHARACTERS} are the most that one can have"
            )
        return segments(message.text)

    async def _sender(self, organisation: str, message: OutboundMessage) -> str:
        """The number that it comes from: an organisation speaks with no other's."""
        if message.channel == "email":
            return message.sender
        wanted = message.sender
        if not wanted and message.conversation:
            talk = await self._documents.get(f"organisations/{organisation}/conversations/{message.conversation}")
            wanted = str((talk or {}).get("number", ""))
        if _E164.fullmatch(wanted):
            number = await self._documents.get(f"numbers/{wanted}")
            if number and number.get("organisation") == organisation:
                return wanted
        if message.sender:
            raise Unsendable("sender", f"{message.sender!r} is not a number of this organisation's")
        if self._sms_from:
            return self._sms_from
        raise Unsendable("sender", "there is no number to send from: name a sender, or set OFFHOOK_SMS_FROM")
