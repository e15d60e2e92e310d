"""One call: it asks the server what to do and does what its TwiML says, until somebody hangs up."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime, localtime
from typing import Literal
from urllib.parse import urljoin

from domain.mulaw import silence
from offhook.carrier import recordings, twiml
from offhook.carrier.handset import Caller, Handset, HungUp
from offhook.carrier.noise import LineNoise
from offhook.carrier.overrides import Overrides
from offhook.carrier.person import Document, HangsUp, Human, Leg
from offhook.carrier.stream import MediaStream
from offhook.carrier.violation import Breach, Violation
from offhook.carrier.webhooks import Answer, Webhook, Webhooks

RING_S = 0.5
ANYBODY = ""
"""Among the people: whoever is dialled at a number that isn't listed."""
LARGEST_TWIML = 64 * 1024
MOST_VIOLATIONS = 1000
APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."

NO_ANSWER = 11200
NO_CONNECTION = 11205
TOO_LARGE = 11750
NOT_XML_TYPE = 12300
CALLBACK_REFUSED = 15003

Ended = Literal["agent", "caller", "transfer", "error", "time limit"]


class Unreachable(Exception):
    """Nothing answers at the server's address."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """What a call gets wrong on purpose. None leaves things as they should be."""

    signature: str | None = None
    """Of the webhooks."""
    stream_signature: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Put over a stream's own, such as its ticket."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened in a call, for reading."""

    at_ms: int
    who: Literal["caller", "carrier"]
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """Whose numbers are called, and what they are configured with."""

    sid: str
    voice_url: str
    status_url: str
    say_ms_per_character: float
    """How fast the carrier's own voice speaks."""
    webhooks: Webhooks


class _ApplicationError(Exception):
    """The call can't go on: Twilio apologises and hangs up."""


class Call:
    """One call. Times are in ms since it began, which is when the carrier first asks the server about it."""

    def __init__(
        self,
        account: Account,
        to: str,
        from_: str,
        people: Mapping[str, Human],
        forgery: Forgery,
        noise: LineNoise | None,
        watch: Callable[["Call", Note], None],
    ) -> None:
        self.sid = _sid("CA")
        self.to = to
        self.from_ = from_
        self.ended: Ended = "agent"
        """Who ended it; "transfer" if a human had been talked to last, "error" if Twilio had to apologise."""
        self.duration_s = 0.0
        """Since it was answered."""
        self.phone = Handset(self.now, self._caller_did, noise)
        self.streams: list[MediaStream] = []
        self.webhooks: list[Webhook] = []
        """In the order of their answers."""
        self.violations: list[Violation] = []
        self.dialled: list[str] = []
        self.briefings: list[str] = []
        """What people who were dialled were told before they were connected."""
        self.keys: list[str] = []
        """What was pressed at this end, for a menu at the caller's."""
        self.log: list[Note] = []
        self._account = account
        self._people = people
        self._forgery = forgery
        self._watch = watch
        self._status = "ringing"
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time()

    def now(self) -> float:
        """Ms since the call began."""
        return (self._loop.time() - self._zero) * 1000

    # --- the call's life --------------------------------------------------------------------------------------

    async def run(self, caller: Caller, patience_s: float, longest_s: float) -> None:
        """See `Carrier.call`."""
        self._note("carrier", f"{self.from_ or 'a withheld number'} calls {self.to}")
        document = None
        try:
            document = await self._fetch(self._account.voice_url, "POST")
        except _ApplicationError:
            if self.webhooks[0].answer.problem == "ct":
                raise Unreachable(f"nothing answers at {self._account.voice_url}") from None
        answered_ms = self.now()
        self._caller_error: BaseException | None = None
        async with asyncio.TaskGroup() as self._tasks:
            clock = self._tasks.create_task(self.phone.run())
            calling = self._tasks.create_task(self._live(caller, patience_s))
            carrying = self._tasks.create_task(self._carry(document))
            try:
                await asyncio.wait({calling, carrying}, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
                if not carrying.done():
                    self.ended = "caller" if calling.done() else "time limit"
            except asyncio.CancelledError:
                self.ended = "caller"
                raise
            finally:
                calling.cancel()
                carrying.cancel()
                await asyncio.wait({calling, carrying})
                clock.cancel()
                self.duration_s = (self.now() - answered_ms) / 1000
                self._note("carrier", f"the call is over after {self.duration_s:.1f} s: {self.ended}")
                await self._complete()
        if self._caller_error:
            raise self._caller_error

    async def _live(self, caller: Caller, patience_s: float) -> None:
        """The caller's side of the call, until the caller hangs up."""
        try:
            await caller(self.phone)
        except HungUp:
            return
        except Exception as error:
            self._caller_error = error
            return
        await asyncio.sleep(patience_s)
        self._note("caller", "(gives up waiting for the call to end, and hangs up)")

    async def _carry(self, document: Document | None) -> None:
        """The carrier's side: TwiML, until there is no more of it. None: there never was any."""
        try:
            if document is None:
                raise _ApplicationError
            while document is not None:
                document = await self._execute(document)
        except _ApplicationError:
            self.ended = "error"
            await self._say(APPLICATION_ERROR)

    async def _complete(self) -> None:
        """The number's status callback."""
        final = self._status if self._status in ("busy", "no-answer") else "completed"
        seconds = round(self.duration_s)
        self._status = final
        form = self._form() | {
            "CallDuration": str(seconds),
            "Duration": str(-(-seconds // 60)),
            "Timestamp": format_datetime(localtime()),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": "0",
        }
        await self._report(self._account.status_url, form)

    # --- verbs ------------------------------------------------------------------------------------------------

    async def _execute(self, document: Document) -> Document | None:
        """Carries the verbs out in turn. Returns the document that one of them led to, or None: hang up."""
        for verb in document.verbs:
            if self._status == "ringing":
                if isinstance(verb, twiml.Reject):
                    self._status = "busy" if verb.reason == "busy" else "no-answer"
                    self._note("carrier", f"rejected ({verb.reason})")
                    return None
                self._status = "in-progress"
            match verb:
                case twiml.Say() | twiml.Play() | twiml.Pause():
                    await self._prompt(verb, document.url)
                case twiml.Hangup() | twiml.Reject():
                    return None
                case twiml.Redirect():
                    return await self._fetch(urljoin(document.url, verb.url), verb.method)
                case twiml.Connect():
                    await self._stream(verb.stream, document.url)
                    if verb.action is not None:
                        return await self._fetch(urljoin(document.url, verb.action), verb.method)
                case twiml.Dial():
                    came_to = await self._dial(verb, document.url)
                    if verb.action is not None:
                        return await self._fetch(urljoin(document.url, verb.action), verb.method, came_to)
                case twiml.Gather():
                    digits = await self._gather(verb, document.url)
                    if digits or verb.action_on_empty_result:
                        action = urljoin(document.url, verb.action or "")
                        return await self._fetch(action, verb.method, {"Digits": digits})
        return None

    async def _prompt(self, verb: twiml.Say | twiml.Play | twiml.Pause, base: str) -> None:
        match verb:
            case twiml.Say(text=text):
                await self._say(text)
            case twiml.Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case twiml.Play(url=url, digits=digits, loop=loop):
                sound = await self._recording(urljoin(base, url)) if url else b""
                self._note("carrier", f"plays {url or digits}")
                if digits:
                    self.keys.append(digits)
                await self._play(sound * loop + silence(_pressing_ms(digits)))

    async def _say(self, text: str) -> None:
        self._note("carrier", f"says: {text}")
        await self._play(silence(round(len(text) * self._account.say_ms_per_character)))

    async def _play(self, sound: bytes) -> None:
        """The caller hears the carrier."""
        try:
            self.phone.hear(sound)
            await asyncio.sleep((self.phone.heard_until_ms - self.now()) / 1000)
        finally:
            self.phone.flush()

    async def _recording(self, url: str) -> bytes:
        answer = await self._ask(url, self._form(), "GET")
        if not 200 <= answer.status < 300:
            self._breach(NO_ANSWER, f"{url} answered {answer.status or answer.why} when its sound was wanted")
            raise _ApplicationError
        try:
            return recordings.decode(answer.body)
        except recordings.NoSound as problem:
            self._breach(NOT_XML_TYPE, f"{url} is no sound: {problem}")
            raise _ApplicationError from None

    async def _stream(self, noun: twiml.Stream, base: str) -> None:
        """Opens a stream and waits until the server closes it."""
        parameters = dict(noun.parameters) | dict(self._forgery.parameters)
        noun = replace(noun, parameters=tuple(parameters.items()))
        sid = _sid("MZ")
        stream = MediaStream(sid, noun, self.phone, self._account.sid, self.sid, self._breach)
        self.streams.append(stream)

        def tell(event: str, error: str = "") -> None:
            if noun.status_callback:
                form = {
                    "AccountSid": self._account.sid,
                    "CallSid": self.sid,
                    "StreamSid": sid,
                    "StreamName": noun.name or sid,
                    "StreamEvent": event,
                    "Timestamp": localtime().isoformat(timespec="milliseconds"),
                }
                if error:
                    form["StreamError"] = error
                url = urljoin(base, noun.status_callback)
                self._tasks.create_task(self._report(url, form, noun.status_callback_method))

        def started() -> None:
            self.ended = "agent"
            self._note("carrier", "a media stream is open")
            tell("stream-started")

        signature = self._forgery.stream_signature
        try:
            await stream.run(self._account.webhooks.sign(noun.url) if signature is None else signature, started)
        finally:
            if stream.error:
                self._note("carrier", f"the media stream failed, {stream.error}")
                tell("stream-error", stream.error)
            else:
                self._note("carrier", f"the media stream was closed ({stream.close_code})")
                tell("stream-stopped")

    async def _dial(self, verb: twiml.Dial, base: str) -> dict[str, str]:
        """Puts the caller through to a human, whom the test has told what to do."""
        human = self._people.get(verb.number) or self._people[ANYBODY]
        self.dialled.append(verb.number)
        self._note("carrier", f"dials {verb.number}")
        await asyncio.sleep(min(RING_S, verb.timeout_s))
        came_to = {"DialCallStatus": human.result, "DialCallSid": _sid("CA"), "DialBridged": "false"}
        if human.result == "completed":
            answered_ms = self.now()
            if not verb.url or await self._brief(verb, human, came_to["DialCallSid"], base):
                self.ended = "transfer"
                came_to["DialBridged"] = "true"
                await asyncio.sleep(human.seconds)
            came_to["DialCallDuration"] = str(round((self.now() - answered_ms) / 1000))
        self._note("carrier", f"{verb.number}: {human.result}")
        return came_to

    async def _brief(self, verb: twiml.Dial, human: Human, sid: str, base: str) -> bool:
        """Whether the person is to be connected, once their leg's own TwiML was carried out."""
        caller = verb.caller_id or self.from_
        form = self._form() | {"CallSid": sid, "ParentCallSid": self.sid, "Direction": "outbound-dial"}
        form |= {"From": caller, "Caller": caller, "To": verb.number, "Called": verb.number}

        async def fetch(url: str, method: str, form: Mapping[str, str]) -> Document:
            return Document(url, _read(await self._ask(url, dict(form), method), url))

        def note(what: str) -> None:
            self._note("carrier", f"{verb.number} {what}")

        leg = Leg(human, form, fetch, note, self._account.say_ms_per_character)
        try:
            await leg.brief(urljoin(base, verb.url), verb.url_method)
        except HangsUp:
            return False
        except Breach as breach:
            self._breach(breach.code, breach.what)
            note(f"is told: {APPLICATION_ERROR}")
            return False
        finally:
            self.briefings += leg.told
        return True

    async def _gather(self, verb: twiml.Gather, base: str) -> str:
        """The keys pressed until there are enough of them, or none came for too long."""
        prompting = self._loop.create_task(self._prompt_all(verb.prompts, base))
        keypad = self.phone.far = _Keypad(prompting.cancel)
        digits = ""
        try:
            await asyncio.wait({prompting})
            if not prompting.cancelled():
                prompting.result()
            while verb.num_digits is None or len(digits) < verb.num_digits:
                digit = await asyncio.wait_for(keypad.pressed.get(), verb.timeout_s)
                if digit == verb.finish_on_key:
                    break
                digits += digit
        except TimeoutError:
            pass  # so many keys it is
        finally:
            prompting.cancel()
            self.phone.far = None
        self._note("carrier", f"gathered {digits!r}")
        return digits

    async def _prompt_all(self, prompts: tuple[twiml.Say | twiml.Play | twiml.Pause, ...], base: str) -> None:
        for prompt in prompts:
            await self._prompt(prompt, base)

    # --- webhooks ---------------------------------------------------------------------------------------------

    def _form(self) -> dict[str, str]:
        """What every webhook of a call carries."""
        return {
            "CallSid": self.sid,
            "AccountSid": self._account.sid,
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
            "CallStatus": self._status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
        }

    async def _ask(self, url: str, form: dict[str, str], method: str = "POST") -> Answer:
        for what in Overrides.of(url).misunderstood:
            self._breach(twiml.BAD_URL, f"{url}: Twilio knows no override {what!r}")
        asked_ms = self.now()
        answer, attempts = await self._account.webhooks.ask(url, form, method, self._forgery.signature)
        took_ms = round(self.now() - asked_ms)
        self.webhooks.append(Webhook(round(asked_ms), url, form, answer, took_ms, attempts))
        return answer

    async def _fetch(self, url: str, method: str, more: Mapping[str, str] | None = None) -> Document:
        """The TwiML at an address. Raises _ApplicationError."""
        answer = await self._ask(url, self._form() | dict(more or {}), method)
        try:
            return Document(url, _read(answer, url))
        except Breach as breach:
            self._breach(breach.code, breach.what)
            raise _ApplicationError from None

    async def _report(self, url: str, form: dict[str, str], method: str = "POST") -> None:
        """A status callback: whatever it answers changes nothing."""
        answer = await self._ask(url, form, method)
        if not 200 <= answer.status < 300:
            self._breach(CALLBACK_REFUSED, f"{url} answered {answer.status or answer.why} to a status callback")

    def _breach(self, code: int, what: str) -> None:
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(Violation(round(self.now()), code, what))

    def _caller_did(self, what: str) -> None:
        self._note("caller", what)

    def _note(self, who: Literal["caller", "carrier"], text: str) -> None:
        note = Note(round(self.now()), who, text)
        self.log.append(note)
        self._watch(self, note)


class _Keypad:
    """The far end of a telephone while keys are gathered: the first one ends the prompt."""

    def __init__(self, end_prompt: Callable[[], object]) -> None:
        self.pressed = asyncio.Queue[str]()
        self._end_prompt = end_prompt

    async def frame(self, sound: bytes) -> None:
        """Nobody listens."""

    async def key(self, digit: str) -> None:
        """A key of the caller's."""
        self._end_prompt()
        self.pressed.put_nowait(digit)


def _read(answer: Answer, url: str) -> tuple[twiml.Verb, ...]:
    if answer.status == 0:
        code = NO_CONNECTION if answer.problem == "ct" else NO_ANSWER
        raise Breach(code, f"{url}: {answer.why}")
    if not 200 <= answer.status < 300:
        raise Breach(NO_ANSWER, f"{url} answered {answer.status}")
    if answer.content_type not in ("text/xml", "application/xml"):
        raise Breach(NOT_XML_TYPE, f"{url} answered {answer.content_type or 'no content type'}, not text/xml")
    if len(answer.body) > LARGEST_TWIML:
        raise Breach(TOO_LARGE, f"{url} answered {len(answer.body)} bytes of TwiML; 64 kB are allowed")
    try:
        return twiml.parse(answer.body.decode())
    except UnicodeDecodeError:
        raise Breach(twiml.NOT_XML, f"{url} answered bytes that are not UTF-8") from None


def _pressing_ms(digits: str) -> int:
    """How long it takes: w and W wait for 0.5 and 1 s."""
    return sum({"w": 500, "W": 1000}.get(digit, 300) for digit in digits)


def _sid(prefix: str) -> str:
    """As Twilio makes them: two letters and 32 hexadecimal digits."""
    return prefix + uuid.uuid4().hex
