"""The audio loop: one call, one coroutine. Signals come in, the conversation decides, acts go out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from domain import acts as a
from domain.conversation import Conversation
from domain.fallback import chosen
from domain.knowing import Knowing
from domain.phrases import PhraseBook, RememberingVoice
from domain.ports import Junk, Key, Line, LineEvent, Mark, Ports, Transcript, Unavailable, VoiceStyle
from domain.prompt import informed
from domain.redaction import KeyGuard, SpeechGuard, without_cards
from domain.reply import run_tool, think
from media_service.alongside import alongside
from media_service.ear import Ear
from media_service.journal import Journal
from media_service.mouth import Mouth
from media_service.watchdog import Watchdog
from schemas.agent import AgentVersion
from schemas.signals import Deaf, Found, Garbled, Heard, Lost, Opened, Overdue, Pressed, Returned, Signal

CONFIRM_S = 0.5
"""How long an answer waits for the caller's words to be stored: while its voice begins, and not after."""
MOST_WAITING = 1000
"""Signals that wait to be taken; a call that is so far behind breaks rather than lag for ever."""
MOST_JUNK = 50
"""A line that sends more than this many things that its protocol doesn't allow is ended."""
KEYS_S = 2.0
"""No further key for this long: those that were kept back are a card number, or will be none."""
SEE_THROUGH_S = 20.0
"""How long a tool that acts goes on at most once the line has ended."""
HEAR_AGAIN_S = 0.5
MOST_DEAFNESS = 3
"""How often a recogniser may fail in one call."""

log = structlog.get_logger()


@dataclass
class Outcome:
    """How the line ended, for whoever answers the carrier next."""

    act: a.HangUp | a.PutThrough | a.PressKeys | None = None
    """What the conversation decided; None if the line was lost."""
    why: str = ""


@dataclass
class Call:
    """One line of one conversation."""

    conversation: Conversation
    line: Line
    ports: Ports
    opened: Opened
    batch: int
    """The number of the journal's next batch."""
    phrases: PhraseBook
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        version = self.conversation.version
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time() - self.opened.at / 1000
        self._inbox = asyncio.Queue[Signal | None](MOST_WAITING)
        self._providers = self.ports
        """All that the deployment has; `ports` are those that the agent asks."""
        self._mouth = Mouth(self.line, *self._way_to_speak(version), self._start, self._emit, self._gate)
        self._ear = Ear(version.listening, self.ports.detector(), version.language, self._mouth.played)
        organisation = self.conversation.organisation.id
        self._knowing = Knowing(self.ports.knowledge, organisation, version.knowledge)
        self._watchdog = Watchdog(self._mouth.audible_until, self._overdue)
        self._journal = Journal(self.ports.documents, self.ports.clock, self.conversation, self.batch, self._fenced)
        self._thinking: asyncio.Task[None] | None = None
        self._looking_up = set[asyncio.Task[None]]()  # for the reply that is being made
        self._aside = dict[str, asyncio.Task[None]]()  # by the call's id: tools that run while the caller talks
        self._acting = set[asyncio.Task[Returned]]()  # the line's end doesn't stop them: see `see_through`
        self._transcribing: asyncio.Task[None] | None = None
        self._words = SpeechGuard()
        self._keys = KeyGuard()
        self._keys_due: asyncio.TimerHandle | None = None

    def _way_to_speak(self, version: AgentVersion) -> tuple[RememberingVoice, VoiceStyle]:
        """The agent's voice, and how it speaks; the providers that it asks are asked from now on."""
        self.ports = chosen(self._providers, version.providers, self._emit)
        style = VoiceStyle(voice=version.voice, language=version.language, speed=version.speed)
        self._sayings = (tuple(version.phrases.model_dump().values()), style)
        fixed = {*self._sayings[0], *self.conversation.walk.fixed_texts}
        self._voice = RememberingVoice(self.ports.voice, self.phrases, fixed, version.phrases.filler)
        return self._voice, style

    async def run(self) -> Outcome:
        """Holds the conversation until its line ends; `see_through` is due then. Cancelling ends the line and stores
        what happened."""
        async with (
            self._journal,
            self._knowing,
            alongside(self._hear(), self._learn_phrases(), self._journal.write()) as tasks,
        ):
            self._tasks = tasks
            self._transcribing = self._start(self._transcribe())
            self._inbox.put_nowait(self.opened)
            try:
                async for signal in self._signals():
                    self._journal.append(signal)
                    for act in self.conversation.step(signal):
                        await self._perform(act)
            finally:
                self._watchdog.unwatch()
                if self._keys_due:
                    self._keys_due.cancel()
        return self.outcome

    async def see_through(self) -> None:
        """Once the line is closed: waits for the tools that were acting as it ended, for they can't be taken back, and
        journals what they came to, unless another line has taken the conversation over; that one asks them again, and
        is told. Cancelling stops them where they are."""
        acting, self._acting = self._acting, set()
        if not acting:
            return
        try:
            done, late = await asyncio.wait(acting, timeout=SEE_THROUGH_S)
        finally:
            for task in acting:
                task.cancel()
        if late:
            log.warning("acting_cut_short", conversation=self.conversation.id, tools=len(late))
            await asyncio.wait(late)
        returned = [task.result() for task in done if not task.cancelled() and not task.exception()]
        if returned:
            async with self._journal:
                for signal in returned:
                    self._journal.append(self._timed(signal))

    async def _signals(self) -> AsyncIterator[Signal]:
        while (signal := await self._inbox.get()) is not None:
            yield signal
            if isinstance(signal, Lost):
                return

    async def _perform(self, act: a.Act) -> None:
        match act:
            case a.Release(reply=reply):
                self._mouth.release(reply)
            case a.Discard(reply=reply):
                self._give_up()
                self._mouth.discard(reply)
            case a.Pause(reply=reply):
                await self._mouth.pause(reply)
            case a.Resume(reply=reply):
                await self._mouth.resume(reply)
            case a.Say(reply=reply, text=text):
                self._mouth.say(reply, text)
            case a.Close(reply=reply):
                self._mouth.close(reply)
            case a.Cut(reply=reply):
                self._give_up()
                await self._mouth.cut(reply)
            case a.Think():
                self._stop_thinking()
                self._thinking = self._start(self._think(act))
            case a.RunTool():
                running = self._start(self._run_tool(act))
                if act.aside:
                    self._aside[act.call.id] = running
                    running.add_done_callback(lambda _: self._aside.pop(act.call.id, None))
                elif not act.acts:
                    self._looking_up.add(running)
                    running.add_done_callback(self._looking_up.discard)
            case a.StopTool(id=id):
                if task := self._aside.pop(id, None):
                    task.cancel()
            case a.Search(words=words):
                self._knowing.prefetch(words)
            case a.Become(version=version):
                self._become(version)
            case a.Expect(expectation=expectation):
                self._words.next_turn()
                self._ear.expect(expectation)
            case a.Endpoint(silence_ms=silence_ms):
                self._ear.settle_after(silence_ms)
            case a.Watch():
                self._watchdog.watch(act)
            case a.Unwatch():
                self._watchdog.unwatch()
            case a.Record(turn=turn):
                self._journal.record(turn)
            case a.HangUp() | a.PutThrough() | a.PressKeys():
                self.outcome.act = act
                self._inbox.put_nowait(None)

    def _become(self, version: AgentVersion) -> None:
        """Another agent goes on: with its own voice, ear and providers."""
        self._mouth.change_voice(*self._way_to_speak(version))
        self._ear.listen_as(version.listening)
        self._knowing.turn_to(version.knowledge)
        self._start(self._learn_phrases())
        if self._transcribing:
            self._transcribing.cancel()
        self._transcribing = self._start(self._transcribe())

    # --- what runs alongside ---

    async def _hear(self) -> None:
        """The line's events, until it ends."""
        junk = 0

        def take(event: LineEvent) -> None:
            nonlocal junk
            match event:
                case bytes():
                    for signal in self._ear.hear(event):
                        self._emit(signal)
                case Mark(name=name):
                    self._mouth.marked(name)
                case Key(digit=digit):
                    self._press(digit)
                case Junk(why=why):
                    junk += 1
                    if junk <= MOST_JUNK:
                        log.warning("line_junk", conversation=self.conversation.id, why=why, count=junk)
                    if junk == MOST_JUNK:
                        self._emit(Garbled(at=0, why=why))

        await self.line.carry(take)
        await self._mouth.lose()
        self._emit(Lost(at=0, why="the line ended"))

    async def _transcribe(self) -> None:
        """The recogniser's transcripts; one that fails is asked again, a few times."""
        failures = 0
        while True:
            heard = self.ports.speech.transcribe(self._ear.sound(), self._ear.expectation)
            try:
                async with aclosing(heard) as transcripts:  # type: ignore[type-var]
                    async for transcript in transcripts:
                        self._emit(self._heard(transcript))
                return
            except Unavailable as problem:
                failures += 1
                log.warning("speech_failed", conversation=self.conversation.id, why=str(problem))
                if failures >= MOST_DEAFNESS:
                    self._emit(Deaf(at=0, why=str(problem)))
                    return
            await asyncio.sleep(HEAR_AGAIN_S)

    # --- what callers give away ---

    def _heard(self, transcript: Transcript) -> Heard:
        """Without card numbers, if the agent wants none."""
        text = transcript.text
        if self.conversation.version.guardrails.redact_cards:
            text = self._words.hear(text, transcript.final, self._ear.expectation.asked, self._loop.time())
        return Heard(at=0, text=text, final=transcript.final)

    def _press(self, digit: str) -> None:
        """The key; or nothing yet, while it may complete a card number."""
        if not self.conversation.version.guardrails.redact_cards:
            return self._emit(Pressed(at=0, digit=digit))
        for key in self._keys.press(digit, self._ear.expectation.asked, self._loop.time()):
            self._emit(Pressed(at=0, digit=key))
        self._press_later()

    def _press_later(self) -> None:
        if self._keys_due:
            self._keys_due.cancel()
        self._keys_due = self._loop.call_later(KEYS_S, self._let_keys_go)

    def _clean(self, signal: Signal) -> Signal:
        """What a tool or a model brings, without card numbers as well."""
        return without_cards(signal) if self.conversation.version.guardrails.redact_cards else signal

    def _let_keys_go(self) -> None:
        for key in self._keys.done():
            self._emit(Pressed(at=0, digit=key))

    async def _learn_phrases(self) -> None:
        """The sentences for bad moments, so that they don't need the voice then."""
        try:
            await self._voice.learn(*self._sayings)
        except Unavailable as problem:
            log.warning("phrases_not_learnt", conversation=self.conversation.id, why=str(problem))

    async def _think(self, act: a.Think) -> None:
        if act.search:
            passages = tuple(await self._knowing.passages(act.search))
            self._emit(Found(at=0, reply=act.reply, query=act.search, passages=passages))
            act = replace(act, prompt=informed(act.prompt, passages))
        async with aclosing(think(self.ports.brain, act)) as signals:  # type: ignore[type-var]
            async for signal in signals:
                self._emit(self._clean(signal))

    async def _run_tool(self, act: a.RunTool) -> None:
        if act.acts:
            self._emit(self._clean(await self._acted(act)))
        else:
            self._emit(self._clean(await run_tool(self.ports.tools, self.conversation.organisation, act)))

    async def _acted(self, act: a.RunTool) -> Returned:
        """Once it has begun, neither the end of the line nor anything else in the call stops it."""
        if not await self._journal.has_all(self._loop.time() + CONFIRM_S):
            return Returned(at=0, id=act.call.id, error="what the caller said isn't stored yet")
        acting = asyncio.create_task(run_tool(self.ports.tools, self.conversation.organisation, act))
        self._acting.add(acting)
        returned = await asyncio.shield(acting)
        self._acting.discard(acting)
        return returned

    # --- small things ---

    def _emit(self, signal: Signal) -> None:
        """Puts a signal in the inbox; its time counts from now."""
        self._inbox.put_nowait(self._timed(signal))

    def _timed(self, signal: Signal) -> Signal:
        at = round((self._loop.time() - self._zero) * 1000) + signal.at
        return signal.model_copy(update={"at": at})

    def _start(self, work: Any) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _stop_thinking(self) -> None:
        if self._thinking:
            self._thinking.cancel()
            self._thinking = None

    def _give_up(self) -> None:
        """Nobody wants the reply any more: stops what is done for it, but for tools that act."""
        self._stop_thinking()
        for task in self._looking_up:
            task.cancel()

    def _overdue(self, watch: a.Watch) -> None:
        """Tells of it in a task: what breaks in a timer would break nothing else."""
        if watch.what in ("keys", "caller") and self._keys.keeps:
            return self._watchdog.watch(watch)  # more were pressed than are known

        async def tell() -> None:
            self._emit(Overdue(at=0, what=watch.what))

        self._start(tell())

    async def _gate(self, released_at: float) -> bool:
        return await self._journal.has_words(released_at + CONFIRM_S)

    def _fenced(self) -> None:
        """Another process holds the conversation now: fall silent."""
        self.outcome.why = "fenced"
        self._inbox.put_nowait(None)
