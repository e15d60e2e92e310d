"""Typed conversations: the same agent, the same step, without sound."""

from contextlib import aclosing

from domain import acts as a
from domain.conversation import Conversation
from domain.ports import Ports
from domain.reply import run_tool, think
from schemas import signals as s
from schemas.agent import Agent, AgentVersion
from schemas.ids import new_id
from schemas.organisation import Organisation


class Chat:
    """One typed conversation, kept in memory. What is said counts as heard at once."""

    def __init__(self, ports: Ports, conversation: Conversation) -> None:
        self._ports, self._conversation = ports, conversation
        self._began = ports.clock.now()
        self._said: list[str] = []
        self.outcome: a.HangUp | a.PutThrough | None = None

    async def open(self) -> list[str]:
        """The agent's greeting, sentence by sentence. Cancelling leaves the conversation where it was."""
        return await self._take(s.Opened(at=0, now=self._began))

    async def say(self, text: str) -> list[str]:
        """The agent's answer. Cancelling abandons it; a tool that acts may have acted."""
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
                async with aclosing(think(self._ports.brain, act)) as thoughts:  # type: ignore[type-var]
                    return [thought.model_copy(update={"at": self._at()}) async for thought in thoughts]
            case a.RunTool():
                returned = await run_tool(self._ports.tools, self._conversation.organisation, act)
                return [returned.model_copy(update={"at": self._at()})]
            case a.HangUp() | a.PutThrough():
                self.outcome = act
        return []  # expecting, endpointing, watching and recording are matters of sound and of the journal

    def _at(self) -> int:
        return round((self._ports.clock.now() - self._began).total_seconds() * 1000)


async def chat_with(ports: Ports, organisation: str, agent: str) -> Chat | None:
    """A conversation with the agent's live version; None if there is no such agent."""
    root = f"organisations/{organisation}"
    stored = await ports.documents.get(f"{root}/agents/{agent}") if agent.isidentifier() else None
    if stored is None:
        return None
    live = Agent.model_validate(stored).live
    owner = Organisation.model_validate(await ports.documents.get(root))
    version = AgentVersion.model_validate(await ports.documents.get(f"{root}/agents/{agent}/versions/{live}"))
    conversation = Conversation(new_id("cnv"), owner, version, ports.tools.offered(owner))
    return Chat(ports, conversation)
