"""Typed conversations: the same agent, the same step, without sound."""

from contextlib import aclosing
from typing import Literal

from domain import acts as a
from domain.conversation import Conversation
from domain.fallback import chosen
from domain.ports import Ports
from domain.reply import run_tool, think
from schemas import signals as s
from schemas.agent import Agent, AgentVersion
from schemas.conversation import Conversation as Stored
from schemas.ids import new_id
from schemas.organisation import Organisation


class Chat:
    """One typed conversation. What is said counts as heard at once. Its turns are kept; where it stands is not."""

    def __init__(self, ports: Ports, conversation: Conversation, stored: Stored) -> None:
        self._fell: list[s.Signal] = []
        """What fell back and isn't noted yet."""
        self._ports = chosen(ports, conversation.version.providers, self._fell.append)
        self._conversation, self._stored = conversation, stored
        self._path = f"organisations/{stored.organisation}/conversations/{stored.id}"
        self._began = stored.started_at
        self._said: list[str] = []
        self.outcome: a.HangUp | a.PutThrough | None = None

    async def open(self) -> list[str]:
        """The agent's greeting, sentence by sentence. Cancelling leaves the conversation where it was."""
        await self._store("active")
        return await self._take(s.Opened(at=0, now=self._began))

    async def say(self, text: str) -> list[str]:
        """The agent's answer. Cancelling abandons it; a tool that acts may have acted."""
        state = self._conversation.state
        asked = self._conversation.walk.expectation(state.flow, "").asked if state.flow else ()
        if len(text.strip()) == 1 and text.strip().isdecimal() and asked and asked[0].kind in ("choice", "yes_no"):
            return await self._take(s.Pressed(at=self._at(), digit=text.strip()))
        return await self._take(s.Typed(at=self._at(), text=text))

    async def _take(self, signal: s.Signal) -> list[str]:
        self._said = []
        waiting: list[s.Signal] = [signal]
        while waiting:
            for act in self._conversation.step(waiting.pop(0)):
                waiting += await self._perform(act)
        return self._said

    async def _perform(self, act: a.Act) -> list[s.Signal]:
        match act:
            case a.Say(text=text):
                self._said.append(text)
            case a.Close(reply=reply):
                return [s.Finished(at=self._at(), reply=reply)]
            case a.Cut(reply=reply):
                return [s.Cut(at=self._at(), reply=reply, heard=" ".join(self._said), unheard="")]
            case a.Think():
                thought: list[s.Signal] = []
                async with aclosing(think(self._ports.brain, act)) as thoughts:  # type: ignore[type-var]
                    async for each in thoughts:
                        if isinstance(each, s.Spent):
                            self._conversation.step(each)  # now: it counts, too, if this is cancelled
                        else:
                            thought.append(each)
                signals, self._fell[:] = [*self._fell, *thought], []
                return [signal.model_copy(update={"at": self._at()}) for signal in signals]
            case a.RunTool():
                returned = await run_tool(self._ports.tools, self._conversation.organisation, act)
                return [returned.model_copy(update={"at": self._at()})]
            case a.Record(turn=turn):
                await self._ports.documents.put(f"{self._path}/turns/{turn.number:06d}", turn.model_dump(mode="json"))
            case a.HangUp() | a.PutThrough():
                self.outcome = act
                await self._store("ended", act.outcome)
        return []  # expecting, endpointing and watching are matters of sound

    async def hang_up(self) -> None:
        """The caller leaves."""
        if self.outcome is None:
            await self._take(s.Lost(at=self._at(), why="the caller left"))
            await self._store("ended", "caller_left")

    async def _store(self, state: Literal["active", "ended"], outcome: str = "") -> None:
        ended = self._ports.clock.now() if state == "ended" else None
        flow = self._conversation.state.flow
        standing = {"node": flow.node, "variables": flow.variables} if flow else {}
        stored = self._stored.model_copy(update={"state": state, "outcome": outcome, "ended_at": ended, **standing})
        await self._ports.documents.put(self._path, stored.model_dump(mode="json"))

    def _at(self) -> int:
        return round((self._ports.clock.now() - self._began).total_seconds() * 1000)


async def chat_with(ports: Ports, organisation: str, agent: str) -> Chat | None:
    """A conversation with the agent's live version; None if there is no such agent."""
    root = f"organisations/{organisation}"
    known = await ports.documents.get(f"{root}/agents/{agent}") if agent.isidentifier() else None
    if known is None:
        return None
    live = Agent.model_validate(known).live
    owner = Organisation.model_validate(await ports.documents.get(root))
    version = AgentVersion.model_validate(await ports.documents.get(f"{root}/agents/{agent}/versions/{live}"))
    stored = Stored(
        id=new_id("cnv"),
        organisation=organisation,
        agent=agent,
        version=live,
        channel="chat",
        started_at=ports.clock.now(),
    )
    conversation = Conversation(stored.id, owner, version, ports.tools.offered(owner))
    return Chat(ports, conversation, stored)
