"""Every service × every way to fail, as a call in virtual time: what the caller heard, when, and what was kept.

`docs/faults.md` is what these calls came to. After a change that alters it, have it written anew:

    .venv/bin/python -m tests.calls.test_fault_matrix
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

import httpx2
import pytest
from twilio.request_validator import RequestValidator

from adapters.paced_voice import PacedVoice
from domain import acts as a
from domain.fallback import FallbackBrain, FallbackSpeech, FallbackVoice, Provider
from domain.mulaw import SILENCE
from domain.ports import (
    SPEECH_BEGINS,
    SPEECH_ENDS,
    Brain,
    Document,
    Event,
    Page,
    Ports,
    Prompt,
    Sound,
    Speech,
    Spoken,
    Task,
    Thought,
    ToolRequest,
    Transaction,
    Transcript,
    Unavailable,
    Usage,
    Voice,
    VoiceStyle,
    Words,
)
from functions import webhooks
from offhook.seed import seed
from schemas.settings import DEVELOPMENT_AUTH_TOKEN
from schemas.variable import Expectation
from tests.calls.test_trouble_stories import PROMPTED, folded, stored_state
from tests.fakes import virtual_time
from tests.fakes.caller import Caller, ScriptedSpeech
from tests.fakes.lab import Lab, LoopClock
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW, MemoryBus, MemoryQueue, paper_ports

BEARABLE_MS = 3000
MARGIN_MS = 100
"""What no call here may use of it: real machines and networks need some time of their own."""
PATIENT_MS = 4500
"""How long the agent must be quiet for the caller to speak again: longer than it thinks between two fillers."""
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "faults.md"
WAYS = ("refuses", "hangs", "breaks off", "is slow", "sends garbage")
BOOKING = ("next tuesday", "half past two", "yes please")
QUESTIONS = ("where is my order", "when does it come", "thank you")
REFUSED = Unavailable("refused")

T = TypeVar("T")


class Fault:
    """What is wrong, from when on."""

    def __init__(self, way: str) -> None:
        self._way = way
        self.on = False

    def is_(self, way: str) -> bool:
        return self.on and self._way == way

    async def strike(self, slow_s: float) -> None:
        """On the way in: refuses, hangs, or takes its time."""
        if self.is_("refuses"):
            raise REFUSED
        if self.is_("hangs"):
            await asyncio.Event().wait()
        if self.is_("is slow"):
            await asyncio.sleep(slow_s)


class FaultySpeech:
    def __init__(self, fault: Fault, inner: ScriptedSpeech) -> None:
        self._fault, self._inner = fault, inner

    async def transcribe(self, sound: AsyncIterator[Sound], expectation: Expectation) -> AsyncIterator[Transcript]:
        async def passed_on() -> AsyncIterator[Sound]:
            async for piece in sound:
                if piece is SPEECH_BEGINS and self._fault.is_("refuses"):
                    raise REFUSED
                if piece is SPEECH_ENDS:
                    await self._fault.strike(slow_s=1.8)
                    if self._fault.is_("breaks off"):
                        raise REFUSED
                yield piece

        async for transcript in self._inner.transcribe(passed_on(), expectation):
            garbage = self._fault.is_("sends garbage")
            yield replace(transcript, text="\x00 kshh �� 7̶") if garbage else transcript


class Assistant:
    """A model that always has an answer, 300 ms after the question."""

    def __init__(self, fault: Fault | None = None) -> None:
        self._fault = fault or Fault("")

    async def think(self, prompt: Prompt) -> AsyncIterator[Thought]:
        await self._fault.strike(slow_s=4)
        await asyncio.sleep(0.3)
        if self._fault.is_("sends garbage"):
            yield ToolRequest("", "rm -rf", {"x": 2**70, "": ["\ud800"]}, opaque="\x00")
            return
        yield Words("It is on its way. What else ")
        if self._fault.is_("breaks off"):
            raise REFUSED
        yield Words("can I do for you?")
        yield Usage(prompt=100, reply=10)


class FaultyVoice:
    def __init__(self, fault: Fault) -> None:
        self._fault, self._inner = fault, PacedVoice(first_ms=100)

    async def speak(self, text: AsyncIterator[str], style: VoiceStyle) -> AsyncIterator[bytes | Spoken]:
        async def passed_on() -> AsyncIterator[str]:
            async for sentence in text:
                await self._fault.strike(slow_s=1.5)
                yield sentence

        async for piece in self._inner.speak(passed_on(), style):
            if isinstance(piece, Spoken) or not self._fault.is_("sends garbage"):
                yield piece
            if self._fault.is_("breaks off"):
                raise REFUSED


class FaultyDocuments(MemoryDocuments):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    async def reached(self) -> None:
        await super().reached()
        await self._fault.strike(slow_s=0.4)

    async def query(self, collection: str, *how: Any, **more: Any) -> Page:
        page = await super().query(collection, *how, **more)
        found = [replace(each, document=_garbage(each.path, each.document, self._fault) or {}) for each in page.found]
        return replace(page, found=found)

    async def get(self, path: str) -> Document | None:
        return _garbage(path, await super().get(path), self._fault)

    async def transact(self, body: Callable[[Transaction], Awaitable[T]]) -> T:
        async def garbled(tx: Transaction) -> T:
            return await body(_GarbledTransaction(tx, self._fault))

        result = await super().transact(garbled)
        if self._fault.is_("breaks off"):
            raise Unavailable("the answer was lost")  # what was to be done is done
        return result


class _GarbledTransaction:
    def __init__(self, tx: Transaction, fault: Fault) -> None:
        self._tx, self._fault = tx, fault
        self.create, self.put, self.delete = tx.create, tx.put, tx.delete

    async def get(self, path: str) -> Document | None:
        return _garbage(path, await self._tx.get(path), self._fault)


def _garbage(path: str, document: Document | None, fault: Fault) -> Document | None:
    """Not of the conversation itself: what a tool looks up isn't what it should be."""
    if document is None or "/conversations/" in path or not fault.is_("sends garbage"):
        return document
    return dict.fromkeys(document)


class FaultyBus(MemoryBus):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    async def publish(self, event: Event) -> None:
        await self._fault.strike(slow_s=4)
        await super().publish(event)
        if self._fault.is_("breaks off"):
            raise REFUSED


class FaultyQueue(MemoryQueue):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    async def enqueue(self, task: Task, at: datetime) -> None:
        await self._fault.strike(slow_s=4)
        await super().enqueue(task, at)
        if self._fault.is_("breaks off"):
            raise REFUSED


class TimedCaller(Caller):
    """Notes when they fell silent and when they heard something."""

    def __init__(self, speech: ScriptedSpeech) -> None:
        super().__init__(speech)
        self.turns: list[float] = []
        self.sounds: list[float] = []
        self.ended = 0.0

    async def says(self, text: str, ms: int = 1000) -> None:
        await super().says(text, ms)
        self.turns.append(asyncio.get_running_loop().time())

    async def play(self, sound: bytes) -> None:
        if sound.strip(SILENCE):
            self.sounds.append(max(self._buffer_ends, asyncio.get_running_loop().time()))
        await super().play(sound)

    async def close(self) -> None:
        self.ended = asyncio.get_running_loop().time()
        await super().close()

    def waits_ms(self) -> list[int]:
        """After each turn, until a sound of ours, or until the carrier has the caller and rings or speaks."""
        heard = [*sorted(self.sounds), self.ended]
        return [round(1000 * (next(at for at in heard if at >= turn) - turn)) for turn in self.turns]


@dataclass(frozen=True)
class Cell:
    service: str
    way: str
    standby: bool = False
    """Another provider stands by."""
    at_once: bool = False
    """The fault is there when the process begins."""
    frozen: bool = False
    """The store hangs as well."""

    @property
    def name(self) -> str:
        since = ", from the process's beginning" if self.at_once else ""
        also = " while the store hangs" if self.frozen else ""
        return f"{self.service} {self.way}{since}{also}{', another stands by' if self.standby else ''}"


@dataclass
class Came:
    """What a call came to."""

    waits_ms: list[int]
    heard: list[str]
    ended: str
    turns: int
    booked: int
    fell_back: list[str]
    lab: "FaultLab" = field(repr=False)


class FaultLab(Lab):
    def __init__(self, cell: Cell) -> None:
        fault = Fault(cell.way)
        asks_model = cell.service == "Brain"
        super().__init__("orders" if asks_model else "booking", brain=Assistant() if asks_model else None)
        if asks_model:
            self.change(flow=PROMPTED)
        self.caller = TimedCaller
        self.bus, self.queue = MemoryBus(), MemoryQueue()
        self._faulty: dict[str, Any] = {}
        self._faults = [fault]
        if cell.frozen:
            self._faults.append(Fault("hangs"))
            self.documents = FaultyDocuments(self._faults[1])
        match cell.service:
            case "Speech":
                ears = [
                    Provider[Speech]("first", FaultySpeech(fault, self.speech)),
                    Provider[Speech]("second", self.speech),
                ]
                self._faulty["speech"] = FallbackSpeech(ears if cell.standby else ears[:1])
            case "Brain":
                brains = [Provider[Brain]("first", Assistant(fault)), Provider[Brain]("second", Assistant())]
                self._faulty["brain"] = FallbackBrain(brains if cell.standby else brains[:1])
            case "Voice":
                voices = [
                    Provider[Voice]("first", FaultyVoice(fault)),
                    Provider[Voice]("second", FaultyVoice(Fault(""))),
                ]
                self._faulty["voice"] = FallbackVoice(voices if cell.standby else voices[:1])
            case "Documents":
                self.documents = FaultyDocuments(fault)
            case "Bus":
                self._faulty["bus"] = FaultyBus(fault)
            case "Queue":
                self._faulty["queue"] = FaultyQueue(fault)

    def fail(self, on: bool = True) -> None:
        """From now on, or no longer."""
        for fault in self._faults:
            fault.on = on

    def ports(self) -> Ports:
        self.others = {name: port for name, port in self._faulty.items() if name in ("bus", "queue")}
        return replace(super().ports(), **self._faulty)


@cache
def hold(cell: Cell) -> Came:
    """The call: the caller says what they came for and hangs up after the last answer. Broken from the second
    sentence on, or from the beginning."""
    lab = FaultLab(cell)
    lines = QUESTIONS if cell.service == "Brain" else BOOKING
    lab.fail(cell.at_once)

    async def story(_: Lab, caller: Caller) -> None:
        await caller.listens(quiet_ms=PATIENT_MS)
        lab.fail()
        for line in lines:
            await caller.says(line)
            await caller.listens(quiet_ms=PATIENT_MS)
        caller.hangs_up()

    async def whole() -> Came:
        call = await lab.line(story)
        caller = lab.callers[0]
        assert isinstance(caller, TimedCaller)
        remarks = call.conversation.state.remarks
        greeting = [remark.text for remark in remarks if remark.role == "agent"][:1]
        turn = call.conversation.state.turn
        fell_back = {what: None for each in [*lab.turns(), *([turn] if turn else [])] for what in each.fell_back}
        return Came(
            waits_ms=caller.waits_ms() if not cell.at_once else [round(1000 * min([*caller.sounds, caller.ended]))],
            heard=[remark.text for remark in remarks if remark.role == "agent"][0 if cell.at_once else len(greeting) :],
            ended=_ending(lab.outcomes[0].act),
            turns=len([turn for turn in lab.turns() if turn.caller or turn.keys]),
            booked=len(lab.appointments()),
            fell_back=[*fell_back],
            lab=lab,
        )

    return virtual_time.run(whole())


def _ending(act: Any) -> str:
    match act:
        case a.PutThrough(number=number):
            return f"put through to {number}"
        case a.HangUp(outcome=outcome):
            return f"ended: {outcome}"
    return "the caller hung up"


WITH_STANDBY = ("Speech", "Brain", "Voice")
CELLS = [
    *(Cell(service, way, standby) for service in WITH_STANDBY for standby in (False, True) for way in WAYS),
    *(Cell("Voice", way, standby, at_once=True) for way in ("refuses", "hangs") for standby in (False, True)),
    *(Cell(service, "hangs", standby, frozen=True) for service in WITH_STANDBY for standby in (False, True)),
    *(Cell(service, way) for service in ("Documents", "Bus", "Queue") for way in WAYS),
]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


@every_cell
def test_the_caller_is_never_left_in_silence(cell: Cell) -> None:
    came = hold(cell)
    assert came.waits_ms
    assert max(came.waits_ms) <= BEARABLE_MS - MARGIN_MS, came


@every_cell
def test_the_call_comes_to_a_sensible_end(cell: Cell) -> None:
    """The caller got what they came for, or a person, or an apology."""
    came = hold(cell)
    served = came.booked == 1 or came.ended == "the caller hung up"
    assert served or came.ended.startswith(("put through to +", "ended: failed")), came


@every_cell
def test_what_was_said_to_be_booked_is(cell: Cell) -> None:
    came = hold(cell)
    assert came.booked == any("You are booked" in words for words in came.heard), came


@every_cell
def test_what_was_kept_makes_sense(cell: Cell) -> None:
    came = hold(cell)
    came.lab.fail(False)
    assert folded(came.lab) == stored_state(came.lab)


# --- The carrier's webhooks ---

BACKENDS = ("Documents", "Bus", "Queue")
CALL = {"From": "+15005550100", "To": "+15005550001"}
HOST = "http://127.0.0.1:8080"
TALKING, COMES_IN = "CA" + "1" * 32, "CA" + "2" * 32


@dataclass(frozen=True)
class Answer:
    """To one of the carrier's questions."""

    ms: int
    status: int
    verbs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.ms} ms: {', then '.join(self.verbs) or self.status}"


@dataclass(frozen=True)
class Rang:
    """What the carrier was answered while something was wrong."""

    comes_in: Answer
    """A call comes in."""
    goes_on: Answer
    """The stream of a call that came in before is over: what now?"""
    ends: Answer
    """That call is over."""
    told: int
    """How often that was told on the bus, once all was well and the carrier had said it again if it was asked to."""


@cache
def ring(service: str, way: str) -> Rang:
    """The carrier's side of two calls: one was taken before the fault, one comes in while it lasts."""
    fault = Fault(way)
    documents = FaultyDocuments(fault) if service == "Documents" else MemoryDocuments()
    bus = FaultyBus(fault) if service == "Bus" else MemoryBus()
    queue = FaultyQueue(fault) if service == "Queue" else MemoryQueue()
    ports = paper_ports(clock=LoopClock(NOW), documents=documents, bus=bus, queue=queue)

    async def get_ports() -> Ports:
        return ports

    async def story() -> Rang:
        transport = httpx2.ASGITransport(app=webhooks.app(get_ports))
        async with httpx2.AsyncClient(transport=transport, base_url=HOST) as carrier:

            async def ask(path: str, sid: str, status: str) -> Answer:
                form = {**CALL, "CallSid": sid, "CallStatus": status}
                signature = RequestValidator(DEVELOPMENT_AUTH_TOKEN).compute_signature(HOST + path, form)
                asked = asyncio.get_running_loop().time()
                answer = await carrier.post(path, data=form, headers={"X-Twilio-Signature": signature})
                took = asyncio.get_running_loop().time() - asked
                verbs = [verb.tag for verb in ElementTree.fromstring(answer.text)] if answer.text[:1] == "<" else []
                return Answer(round(took * 1000), answer.status_code, tuple(verbs))

            await seed(ports)
            assert (await ask("/twilio/voice", TALKING, "ringing")).verbs == ("Connect",)
            documents.kept[f"calls/{TALKING}"]["claimed"] = 1
            fault.on = True
            comes_in = await ask("/twilio/voice", COMES_IN, "ringing")
            goes_on = await ask("/twilio/next", TALKING, "in-progress")
            ends = await ask("/twilio/status", TALKING, "completed")
            fault.on = False
            if ends.status >= 500:
                assert (await ask("/twilio/status", TALKING, "completed")).status == 204
        conversation = documents.kept[f"calls/{TALKING}"]["conversation"]
        told = [event for event in bus.events.values() if event.body["conversation"] == conversation]
        return Rang(comes_in, goes_on, ends, len(told))

    return virtual_time.run(story())


every_backend = pytest.mark.parametrize("service", BACKENDS)
every_way = pytest.mark.parametrize("way", WAYS)


@every_backend
@every_way
def test_the_carrier_is_answered_in_time_and_knows_what_to_do(service: str, way: str) -> None:
    rang = ring(service, way)
    assert max(rang.comes_in.ms, rang.goes_on.ms) <= BEARABLE_MS
    assert rang.comes_in.verbs in [("Connect",), ("Say", "Hangup")]
    assert rang.goes_on.verbs in [("Connect",), ("Pause", "Redirect"), ("Say", "Hangup")]
    if service != "Documents":
        assert (rang.comes_in.verbs, rang.goes_on.verbs) == (("Connect",), ("Connect",))


@every_backend
@every_way
def test_the_end_of_a_call_is_told_in_the_end(service: str, way: str) -> None:
    rang = ring(service, way)
    assert rang.ends.ms < 15_000  # then the carrier gives up
    assert rang.ends.status in (204, 503)
    assert rang.told == 1


@pytest.mark.parametrize("service", WITH_STANDBY)
@pytest.mark.parametrize("way", WAYS)
def test_with_another_provider_the_caller_gets_what_they_came_for(service: str, way: str) -> None:
    came = hold(Cell(service, way, standby=True))
    if (service, way) in [("Speech", "sends garbage"), ("Brain", "sends garbage"), ("Brain", "breaks off")]:
        return  # nobody can tell, or a sentence was said already
    assert came.booked == 1 or came.heard[-1].endswith("What else can I do for you?"), came
    assert came.fell_back


def test_the_document_tells_what_happened() -> None:
    assert document() == DOCUMENT.read_text(), f"have it written anew: see {Path(__file__).name}"


# --- The document ---

HEAD = f"""# What the caller hears when something fails

Every service that a call needs, failing in every way, as a call in virtual time: the real audio loop, the real
fallback, and providers that

- *refuse*: they say at once that they won't;
- *hang*: they take what they get and never answer;
- *break off*: in the middle of their answer (a store: after it has done what it was asked, so that nobody knows);
- *are slow*: a transcript 1.8 s late, a model's first word after 4 s, a sentence's first sound after 1.5 s, 0.4 s for each
  access to the store, 4 s for the bus and the queue;
- *send garbage*: words that are none, requests for tools that nobody has, sentences without a sound, records that are
  not what was stored.

The fault begins after the greeting, unless the row says otherwise, and lasts. *Waited* is the longest time from the end
of anything that the caller said to the next sound from us, or to the carrier's taking over, who rings or apologises,
rounded up to tenths of a second; it may be {BEARABLE_MS} ms at most. The caller books an appointment in three sentences or, where the model is at fault,
asks three questions, and then hangs up. The bus and the queue are used before and after a call, for which see what the
carrier is answered, and when something is booked.

This page is written by the calls themselves, and a test fails when they come to something else:
`.venv/bin/python -m tests.calls.test_fault_matrix` writes it anew.
"""


def document() -> str:
    """All cells, a table a service."""
    lines = [HEAD]
    for service in dict.fromkeys(cell.service for cell in CELLS):
        lines += [
            f"## {service}\n",
            "| fault | waited, ms | heard instead of, or besides, the usual | the end | kept | on the turns |",
            "|---|---|---|---|---|---|",
            *(_row(cell) for cell in CELLS if cell.service == service),
            "",
        ]
    lines += [CARRIER, *(_carrier_s_row(service, way) for service in BACKENDS for way in WAYS), ""]
    return "\n".join(lines)


CARRIER = f"""## What the carrier is answered

The fault is there when a call comes in, when the stream of another, taken before, has ended, and when that other one is
over. The first two have somebody on the phone and are answered within {BEARABLE_MS} ms: by a stream (Connect), by words that
apologise (Say, then Hangup), or by a request to ask again (Pause, then Redirect). To the last one 204 means that it was
noted and told, and 503 that the carrier shall say it again. *Told* is how often the bus had it in the end.

| fault | a call comes in | a stream is over | a call is over | told |
|---|---|---|---|---|"""


def _carrier_s_row(service: str, way: str) -> str:
    rang = ring(service, way)
    return f"| {service} {way} | {rang.comes_in} | {rang.goes_on} | {rang.ends} | {rang.told} |"


def _row(cell: Cell) -> str:
    came = hold(cell)
    usual = set(hold(Cell(cell.service, "works")).heard)
    unusual = [words for words in dict.fromkeys(came.heard) if words not in usual]
    kept = f"{came.turns} turn{'' if came.turns == 1 else 's'}" + (", the appointment" if came.booked else "")
    heard = " / ".join(words.replace("\x00", "") for words in unusual)
    waited = -(-max(came.waits_ms) // 100) * 100
    return f"| {cell.name} | {waited} | {heard} | {came.ended} | {kept} | {', '.join(came.fell_back)} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
