"""A call in virtual time: the real audio loop between a paper line and scripted providers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from adapters.offline_brain import OfflineBrain
from adapters.paced_voice import PacedVoice
from domain.conversation import Conversation
from domain.past import path_of, take
from domain.phrases import PhraseBook
from domain.ports import Brain, Ports, Tools, Voice
from media_service.call import Call, Outcome
from offhook.seed import CALENDAR, ITEMS, ORDERS, demo_version
from schemas.agent import AgentVersion
from schemas.conversation import Conversation as Stored
from schemas.conversation import Turn
from schemas.organisation import Organisation
from schemas.signals import Opened
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes import virtual_time
from tests.fakes.caller import Caller, ScriptedSpeech
from tests.fakes.knowledge import MemoryKnowledge
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW, paper_ports

ORGANISATION = Organisation(id="org_test", name="Test", slug="test", time_zone="America/New_York", created_at=NOW)
ROOT = f"organisations/{ORGANISATION.id}"

Story = Callable[["Lab", Caller], Awaitable[None]]


class LoopClock:
    """Wall-clock time that follows the loop's, from a beginning on."""

    def __init__(self, begins: datetime) -> None:
        self._begins = begins

    def now(self) -> datetime:
        return self._begins + timedelta(seconds=asyncio.get_running_loop().time())


class SlowTools:
    """The real ones, as slow as the lab says."""

    def __init__(self, lab: "Lab", tools: Tools) -> None:
        self._lab, self._tools = lab, tools
        self.offered = tools.offered

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        await asyncio.sleep(self._lab.tool_delays_s.get(call.tool, self._lab.tool_delay_s))
        return await self._tools.run(organisation, call)


class Lab:
    """What a story may set up before the call and look at after it."""

    def __init__(self, agent: str = "booking", brain: Brain | None = None, voice: Voice | None = None) -> None:
        self.documents = MemoryDocuments()
        self.speech = ScriptedSpeech()
        self.brain: Brain = brain or OfflineBrain()
        self.voice: Voice = voice or PacedVoice(first_ms=100)
        self.version = demo_version(f"agt_{agent}", agent, NOW)
        self.outcomes: list[Outcome] = []
        self.callers: list[Caller] = []
        """One a line."""
        self.id = "cnv_test"
        self.begins = NOW
        self.caller = Caller
        self.tool_delay_s = 0.0
        self.team: dict[str, AgentVersion] = {}
        self.tools_of_its_own: Tools | None = None
        self.knowledge = MemoryKnowledge()
        self.others: dict[str, Any] = {}
        """Further ports, by name."""
        self.tool_delays_s: dict[str, float] = {}
        """Of single ones, by name."""

    def change(self, **fields: Any) -> None:
        """Another version of the agent."""
        self.version = AgentVersion.model_validate({**self.version.model_dump(), **fields})

    def ports(self) -> Ports:
        ports = paper_ports(
            clock=LoopClock(self.begins),
            documents=self.documents,
            speech=self.speech,
            brain=self.brain,
            knowledge=self.knowledge,
            voice=self.voice,
            **self.others,
        )
        return replace(ports, tools=self.tools_of_its_own or SlowTools(self, ports.tools))

    def tools(self) -> Mapping[str, Tool]:
        """Those that the agent may use."""
        return asyncio.run(self.ports().tools.offered(ORGANISATION))  # type: ignore[arg-type]

    async def prepare(self) -> None:
        stored = Stored(
            id=self.id,
            organisation=ORGANISATION.id,
            agent=self.version.agent,
            version=1,
            channel="phone",
            started_at=NOW,
        )
        for path, document in {
            ROOT: ORGANISATION.model_dump(mode="json"),
            path_of(ORGANISATION.id, self.id): stored.model_dump(mode="json"),
            f"{ROOT}/calendars/main": CALENDAR.model_dump(mode="json"),
            **{f"{ROOT}/orders/{id}": order for id, order in ORDERS.items()},
            **{f"{ROOT}/items/{id}": item for id, item in ITEMS.items()},
        }.items():
            self.documents.kept.setdefault(path, document)

    async def line(self, story: Story, dial_status: str = "") -> Call:
        """One line of the conversation, from its opening until the agent or the story ends it."""
        await self.prepare()
        ports = self.ports()
        state, journal, number = await take(self.documents, path_of(ORGANISATION.id, self.id), ports.clock)
        tools = await ports.tools.offered(ORGANISATION)
        conversation = Conversation(self.id, ORGANISATION, self.version, tools, state, self.team)
        conversation.fold(journal)
        now = ports.clock.now()
        at = round((now - NOW).total_seconds() * 1000)
        opened = Opened(at=at, now=now, caller="+15005550100", dial_status=dial_status)
        caller = self.caller(self.speech)
        self.callers.append(caller)
        call = Call(conversation, caller, ports, opened, number, PhraseBook())
        telling = asyncio.ensure_future(self._tell(story, caller))
        try:
            self.outcomes.append(await call.run())
        finally:
            self.begins = ports.clock.now() + timedelta(seconds=1)
            await caller.close()
            await call.see_through()
            telling.cancel()
            await asyncio.wait([telling])
            if not telling.cancelled() and (problem := telling.exception()):
                raise problem
        return call

    async def _tell(self, story: Story, caller: Caller) -> None:
        await story(self, caller)
        await asyncio.sleep(60)  # the caller waits for the agent to end the call
        caller.hangs_up()

    # --- what came of it ---

    def turns(self) -> list[Turn]:
        """As they are stored."""
        prefix = f"{path_of(ORGANISATION.id, self.id)}/turns/"
        kept: Mapping[str, Any] = self.documents.kept
        return [Turn.model_validate(kept[path]) for path in sorted(kept) if path.startswith(prefix)]

    def dialogue(self) -> str:
        """What was said and heard, a line each."""
        lines: list[str] = []
        for turn in self.turns():
            if turn.caller or turn.keys:
                lines.append(f"caller: {turn.caller or '#' + turn.keys}")
            if turn.agent:
                lines.append(f"agent: {turn.agent}")
        return "\n".join(lines)

    def appointments(self) -> list[dict[str, Any]]:
        prefix = f"{ROOT}/appointments/"
        return [document for path, document in self.documents.kept.items() if path.startswith(prefix)]


def hold(story: Story, lab: Lab | None = None, dial_status: str = "", **how: Any) -> Lab:
    """Holds one line in virtual time and returns the lab to look at. In the same lab, once more, it is another
    process that has only what was stored."""
    lab = lab or Lab(**how)
    virtual_time.run(lab.line(story, dial_status))
    return lab
