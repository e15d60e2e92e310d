"""Typed conversations: the same agent, the same step, without sound. Each exchange is kept before it is answered, so
that a conversation goes on in whatever process the next line reaches."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from domain import acts as a
from domain.conversation import Conversation
from domain.ended import ended
from domain.fallback import chosen
from domain.hours import make_ready
from domain.knowing import SEARCH_S, Knowing
from domain.past import batch, batch_path, path_of, read, standing
from domain.ports import Document, Ports, Taken, Transaction, Unavailable
from domain.prompt import informed
from domain.redaction import SpeechGuard, without_cards
from domain.reply import run_tool, think
from domain.team import pin_team, versions_of
from domain.template import plain
from domain.turn import Phase
from schemas import signals as s
from schemas.agent import Agent
from schemas.conversation import Conversation as Stored
from schemas.conversation import Reply, Turn
from schemas.ids import new_id
from schemas.organisation import Organisation

LONGEST_LINE = 4000
"""Characters."""
STORE_AGAIN_S = (0.1, 0.5, 2.0)
"""Pauses before an exchange that couldn't be stored is stored again."""
BUSY = timedelta(seconds=60)
"""A line whose process hasn't said for so long that it works on it was taken by one that is gone."""
RENEW_S = 20
"""How often a process says so."""
MOST_TRANSFERS = 3
"""In one exchange: a flow that comes back from each to the next goes round in circles."""

log = structlog.get_logger()

Outcome = a.HangUp | a.PutThrough


class Busy(Exception):
    """Another line of the conversation is being answered. The message says so."""


class Ended(Exception):
    """The conversation is over. The message says so."""


class Chat:
    """One typed conversation. What is said counts as heard at once."""

    def __init__(self, ports: Ports, conversation: Conversation, stored: Stored, next_batch: int) -> None:
        self.stored = stored
        self.outcome: Outcome | None = None
        self._all_ports = self._ports = ports
        self._conversation, self._next_batch = conversation, next_batch
        self._path = path_of(stored.organisation, stored.id)
        self._signals: list[s.Signal] = []
        """Of this exchange, as far as they aren't stored."""
        self._turns: dict[int, Turn] = {}
        self._said: list[str] = []
        """Of the reply under way."""
        self._transfers = 0
        """Of this exchange."""
        self._waiting = deque[s.Signal | a.Think | a.RunTool]()
        self._choose_providers()

    async def open(self) -> AsyncIterator[str]:
        """The agent's greeting, sentence by sentence. Raises Unavailable. Cancelling loses what wasn't told yet."""
        async with aclosing(self._exchange(self._opened())) as said:  # type: ignore[type-var]
            async for sentence in said:
                yield sentence

    async def say(self, text: str) -> AsyncIterator[str]:
        """The agent's answer, sentence by sentence. Raises Busy, Ended, Unavailable. Cancelling abandons it; a tool
        that acts may have acted."""
        if self.stored.state == "ended":
            raise Ended("this conversation is over")
        state = self._conversation.state
        if state.phase is not Phase.LISTENING or state.errand:
            # What was broken off, or its process took with it, is begun again first, as on the phone.
            async with aclosing(self._exchange(self._opened())) as said:  # type: ignore[type-var]
                async for sentence in said:
                    yield sentence
        if self.outcome:
            return
        line = self._line(self._without_cards(text)[:LONGEST_LINE])
        async with aclosing(self._exchange(line)) as said:  # type: ignore[type-var]
            async for sentence in said:
                yield sentence

    async def hang_up(self) -> None:
        """The caller leaves; leaving twice changes nothing. Raises Busy, Unavailable."""
        if self.stored.state == "ended":
            return await self._tell_of_end()  # it may be that nobody could be told
        self._step(s.Lost(at=0, why="the caller left"))
        await self._store("caller_left")

    # --- what callers and others give away ---

    def _without_cards(self, text: str) -> str:
        """The line; a card number may be typed in several."""
        if not self._conversation.version.guardrails.redact_cards:
            return text
        guard = SpeechGuard()
        for remark in self._conversation.state.remarks:
            if remark.role == "caller":
                guard.hear(remark.text, True, (), 0.0)
                guard.next_turn()
        return guard.hear(text, True, (), 0.0)

    def _clean(self, signal: s.Signal) -> s.Signal:
        """What a tool or a model brings, without card numbers as well."""
        return without_cards(signal) if self._conversation.version.guardrails.redact_cards else signal

    # --- one exchange ---

    def _opened(self, dial_status: str = "") -> s.Signal:
        return s.Opened(at=self._at(), now=self._ports.clock.now(), dial_status=dial_status)

    def _line(self, text: str) -> s.Signal:
        """A single figure is a key where keys are offered."""
        line, flow = text.strip(), self._conversation.state.flow
        asked = self._conversation.walk.expectation(flow, "").asked if flow else ()
        if len(line) == 1 and line in "0123456789*#" and asked and asked[0].kind in ("choice", "yes_no"):
            return s.Pressed(at=self._at(), digit=line)
        return s.Typed(at=self._at(), text=text)

    async def _exchange(self, signal: s.Signal) -> AsyncIterator[str]:
        """At its end the caller may speak, or the conversation is over, unless it was broken off."""
        claim = batch(self._next_batch, self._ports.clock.now(), [signal])
        path = batch_path(self._path, self._next_batch)
        try:
            await self._ports.documents.create(path, claim)
        except Taken:
            raise Busy("another line of this conversation is being answered") from None
        self._next_batch += 1
        working = asyncio.create_task(self._keep(path, claim))
        try:
            async with aclosing(self._take(signal)) as said:  # type: ignore[type-var]
                async for sentence in said:
                    yield sentence
        finally:
            working.cancel()
            await self._store(self.outcome.outcome if self.outcome else "")

    async def _keep(self, path: str, claim: Document) -> None:
        """Says now and then that the exchange is being worked on, until cancelled. It needs no fence: whoever takes the
        conversation over nevertheless writes behind it."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._ports.documents.put(path, {**claim, "written_at": self._ports.clock.now().isoformat()})
            except Unavailable as problem:
                log.warning("chat_not_renewed", conversation=self.stored.id, why=str(problem))

    async def _take(self, signal: s.Signal) -> AsyncIterator[str]:
        self._waiting, self._said, self._transfers = deque([signal]), [], 0
        first = True
        while self._waiting:
            match self._waiting.popleft():
                case a.Think() as act:
                    async with aclosing(self._think(act)) as thoughts:  # type: ignore[type-var]
                        async for thought in thoughts:
                            for sentence in self._step(thought):
                                yield sentence
                case a.RunTool() as act:
                    organisation = self._conversation.organisation
                    returned = await run_tool(self._ports.tools, organisation, act)
                    for sentence in self._step(self._clean(returned)):
                        yield sentence
                case following:
                    for sentence in self._step(following, stored=first):
                        yield sentence
                    first = False
            if not self._waiting and self._conversation.state.phase is Phase.KEYING:
                self._waiting.append(s.Overdue(at=0, what="keys"))  # a line is all that is typed

    def _step(self, signal: s.Signal, stored: bool = False) -> list[str]:
        """What the agent says to it; the rest of what it makes us do waits its turn."""
        if not stored:
            signal = signal.model_copy(update={"at": self._at()})
            self._signals.append(signal)
        said: list[str] = []
        for act in self._conversation.step(signal):
            match act:
                case a.Say(text=text):
                    said.append(text)
                    self._said.append(text)
                case a.Close(reply=reply):
                    self._said = []
                    self._waiting.append(s.Finished(at=0, reply=reply))
                case a.Cut(reply=reply):
                    heard, self._said = " ".join(self._said), []
                    self._waiting.append(s.Cut(at=0, reply=reply, heard=heard, unheard=""))
                case a.Think() | a.RunTool():
                    self._waiting.append(act)
                case a.Record(turn=turn):
                    self._turns[turn.number] = turn
                case a.Become():
                    self._choose_providers()
                case a.PressKeys():  # there is no telephone
                    self._waiting.append(self._opened())
                case a.PutThrough(way_back=True) if self._transfers < MOST_TRANSFERS:
                    self._transfers += 1
                    self._waiting.append(self._opened(dial_status="failed"))
                case a.PutThrough():
                    said.append(self._refer(act.number))
                    self.outcome = replace(act, outcome="referred")
                case a.HangUp():
                    self.outcome = act
        return said  # expecting, endpointing and watching are matters of sound

    def _refer(self, number: str) -> str:
        """Tells where the person is, since nobody can be put through from here; it is part of the last turn."""
        words = str(plain(self._conversation.version.phrases.referred, {"number": number}))
        turn = self._turns[max(self._turns)]
        replies = (*turn.replies, Reply(text=words, at_ms=self._at()))
        changes = {"agent": f"{turn.agent} {words}".strip(), "replies": replies}
        self._turns[turn.number] = turn.model_copy(update=changes)
        return words

    async def _think(self, act: a.Think) -> AsyncIterator[s.Signal]:
        if act.search:
            found = await self._search(act)
            yield found
            act = replace(act, prompt=informed(act.prompt, found.passages))
        async with aclosing(think(self._ports.brain, act)) as thoughts:  # type: ignore[type-var]
            async for thought in thoughts:
                while self._fell:
                    yield self._fell.popleft()
                yield self._clean(thought)

    async def _search(self, act: a.Think) -> s.Found:
        """What the documents say; whoever types can wait for it."""
        organisation, documents = self._conversation.organisation.id, self._conversation.version.knowledge
        async with Knowing(self._ports.knowledge, organisation, documents) as knowing:
            passages = await knowing.passages(act.search, SEARCH_S)
        return s.Found(at=0, reply=act.reply, query=act.search, passages=tuple(passages))

    def _choose_providers(self) -> None:
        self._fell = deque[s.Signal]()
        """What fell back and isn't noted yet."""
        self._ports = chosen(self._all_ports, self._conversation.version.providers, self._fell.append)

    # --- what is kept ---

    async def _store(self, outcome: str) -> None:
        """The rest of the exchange, its turns, and where the conversation stands, in one transaction."""
        now = self._ports.clock.now()
        over = {"state": "ended", "outcome": outcome, "ended_at": now} if outcome else {}
        stored = self.stored.model_copy(update={**standing(self._conversation), **over})
        document = batch(self._next_batch, now, self._signals, self._conversation.state)

        async def body(tx: Transaction) -> None:
            tx.create(batch_path(self._path, self._next_batch), document)
            for number, turn in self._turns.items():
                tx.put(f"{self._path}/turns/{number:06d}", turn.model_dump(mode="json"))
            tx.put(self._path, stored.model_dump(mode="json"))

        async def store() -> None:
            try:
                await self._ports.documents.transact(body)
            except Taken:  # a write that seemed to fail may have happened
                if await self._ports.documents.get(batch_path(self._path, self._next_batch)) != document:
                    raise Busy("another process has taken this conversation over") from None

        await self._patiently(store)
        self.stored = stored
        self._next_batch += 1
        self._signals, self._turns = [], {}
        if outcome:
            await self._tell_of_end()

    async def _tell_of_end(self) -> None:
        await self._patiently(partial(self._ports.bus.publish, ended(self.stored.organisation, self.stored.id)))

    @staticmethod
    async def _patiently(what: Callable[[], Awaitable[None]]) -> None:
        """Does it, again if that seems to fail: what was said to the caller is lost only if the store stays away."""
        for pause_s in (*STORE_AGAIN_S, None):
            try:
                return await what()
            except Unavailable:
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)

    def _at(self) -> int:
        return round((self._ports.clock.now() - self.stored.started_at).total_seconds() * 1000)


async def chat_with(ports: Ports, organisation: str, agent: str) -> Chat | None:
    """A conversation with the agent's live version; None if there is no such agent, or it takes no calls. Raises
    Unavailable."""
    root = f"organisations/{organisation}"
    known = await ports.documents.get(f"{root}/agents/{agent}") if agent.isidentifier() else None
    if known is None or not (found := Agent.model_validate(known)).takes_calls:
        return None
    version = (await versions_of(ports.documents, root, {agent: found.live})).get(agent)
    if version is None:
        return None
    stored = Stored(
        id=new_id("cnv"),
        organisation=organisation,
        agent=agent,
        version=version.number,
        team=await pin_team(ports.documents, root, version),
        channel="chat",
        started_at=ports.clock.now(),
    )
    await ports.documents.create(path_of(organisation, stored.id), stored.model_dump(mode="json"))
    return await _chat(ports, stored)


async def chat_again(ports: Ports, organisation: str, conversation: str) -> Chat | None:
    """A conversation where it was left; None if there is no such chat. Raises Busy, Unavailable."""
    known = await ports.documents.get(path_of(organisation, conversation)) if conversation.isidentifier() else None
    if known is None or known["channel"] != "chat":
        return None
    return await _chat(ports, Stored.model_validate(known))


async def _chat(ports: Ports, stored: Stored) -> Chat:
    root, path = f"organisations/{stored.organisation}", path_of(stored.organisation, stored.id)
    pinned = {**stored.team, stored.agent: stored.version}
    versions, organisation, (state, signals, number) = await asyncio.gather(
        versions_of(ports.documents, root, pinned), _organisation(ports, root), read(ports.documents, path)
    )
    if signals:
        last = await ports.documents.get(batch_path(path, number - 1))
        if last and ports.clock.now() - datetime.fromisoformat(last["written_at"]) < BUSY:
            raise Busy("another line of this conversation is being answered")
    if any(version.holidays for version in versions.values()):
        await asyncio.to_thread(make_ready, versions.values(), ports.clock.now())
    tools = await ports.tools.offered(organisation)
    conversation = Conversation(stored.id, organisation, versions[stored.agent], tools, state, versions)
    conversation.fold(signals)
    return Chat(ports, conversation, stored, number)


async def _organisation(ports: Ports, root: str) -> Organisation:
    return Organisation.model_validate(await ports.documents.get(root))
