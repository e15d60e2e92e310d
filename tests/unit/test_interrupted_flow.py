"""Whatever interrupts a conversation, and whenever: its flow has moved whole steps, and its journal tells all of it."""

from collections import deque
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import acts as a
from domain.conversation import Conversation
from domain.turn import Phase
from schemas import signals as s
from schemas.agent import AgentVersion
from schemas.flow import Branch, Flow, Start, Talk
from schemas.passage import Passage
from schemas.tool import Tool
from tests.fakes.lab import ORGANISATION
from tests.fakes.ports import NOW

FLOW: dict[str, Any] = {
    "start": "start",
    "variables": [
        {"name": "date", "kind": "date"},
        {"name": "time", "kind": "time", "valid": "time >= '09:00'", "invalid": "We open at nine."},
        {"name": "sure", "kind": "yes_no"},
        {"name": "price", "kind": "number"},
    ],
    "nodes": [
        {"id": "start", "type": "start", "say": "Hello.", "edges": [{"to": "through"}]},
        {"id": "through", "type": "conversation", "say": "This is us.", "edges": [{"to": "menu"}]},
        {"id": "menu", "type": "menu", "say": "Say book or ask.", "edges": [
            {"to": "book", "when": "event", "condition": "key:1", "says": ["book"]},
            {"to": "ask", "when": "event", "condition": "key:2", "says": ["ask"]}]},
        {"id": "book", "type": "conversation", "say": "When?", "collect": ["date", "time"], "retries": ["When again?"],
         "edges": [{"to": "sure"}]},
        {"id": "sure", "type": "conversation", "say": "Sure?", "collect": ["sure"], "welcome": ["date"], "afresh": True,
         "edges": [{"to": "agreed"}]},
        {"id": "agreed", "type": "branch", "edges": [
            {"to": "act", "when": "equation", "condition": "sure == true"}, {"to": "menu"}]},
        {"id": "act", "type": "function", "tool": "act", "arguments": {"date": "{{date}}"}, "meanwhile": "One moment.",
         "edges": [{"to": "sms"}, {"to": "menu", "when": "event", "condition": "failed"}]},
        {"id": "sms", "type": "sms", "text": "Booked.", "edges": [{"to": "end"}, {"to": "end", "when": "event", "condition": "failed"}]},
        {"id": "ask", "type": "conversation", "prompt": "Answer.", "tools": ["look"], "edges": [
            {"to": "long", "when": "prompt", "condition": "they want the price"}, {"to": "ask"}]},
        {"id": "long", "type": "function", "tool": "long", "saves": {"price": "price"},
         "edges": [{"to": "judge"}, {"to": "menu", "when": "event", "condition": "cancelled"}]},
        {"id": "judge", "type": "branch", "edges": [
            {"to": "over", "when": "prompt", "condition": "they want a colleague"}, {"to": "menu"}]},
        {"id": "over", "type": "handoff", "agent": "agt_b", "say": "A colleague.",
         "edges": [{"to": "human", "when": "event", "condition": "failed"}]},
        {"id": "aside", "type": "conversation", "say": "By the way.", "anywhere": [{"when": "prompt", "condition": "hours"},
         {"when": "event", "condition": "key:0"}], "edges": [{"to": "@back"}]},
        {"id": "human", "type": "transfer", "anywhere": [{"when": "event", "condition": "human"}],
         "edges": [{"to": "menu", "when": "event", "condition": "failed"}]},
        {"id": "end", "type": "end", "say": "Bye."},
    ],
}  # fmt: skip
TOOLS = {
    tool.name: tool
    for tool in (
        Tool(name="act", description="Acts.", parameters={}, acts=True, if_unknown="retry"),
        Tool(name="send_sms", description="Sends.", parameters={}, acts=True, if_unknown="retry"),
        Tool(name="look", description="Looks.", parameters={}, filler="Let me see."),
        Tool(name="long", description="Takes long.", parameters={}, timeout_ms=60_000),
    )
}


def version(agent: str) -> AgentVersion:
    return AgentVersion(
        agent=agent,
        number=1,
        published_at=NOW,
        tools=("act", "look", "long", "end_call", "press_keys"),
        transfer_number="+15005550199",
        knowledge=("*",),
        flow=Flow.model_validate(FLOW),
    )


A, B = version("agt_a"), version("agt_b")


def conversation() -> Conversation:
    return Conversation("cnv_x", ORGANISATION, A, TOOLS, team={"agt_b": B})


class World:
    """Performs acts as the services do, except that what it gives back comes when the test says."""

    def __init__(self) -> None:
        self.conversation = conversation()
        self.at = 0
        self.waiting = deque[s.Signal]()
        self.cut = deque[s.Signal]()
        self.returned = set[str]()
        self.journal: list[s.Signal] = []
        self.effects: dict[str, set[str]] = {}
        self.over = False
        self.last: a.Act | None = None
        """What the line ended with."""

    def tell(self, signal: s.Signal) -> None:
        self.at += 20
        signal = signal.model_copy(update={"at": self.at})
        self.journal.append(signal)
        if isinstance(signal, s.Returned) and self.conversation.state.phase is not Phase.GONE:
            self.returned.add(signal.id)
        if isinstance(signal, s.Opened):
            self.returned.clear()
        for act in self.conversation.step(signal):
            self.perform(act)
        while self.cut:  # what was heard is told at once
            self.tell(self.cut.popleft())

    def perform(self, act: a.Act) -> None:
        match act:
            case a.Say(reply=reply):
                self.waiting.append(s.Sent(at=0, reply=reply))
            case a.Close(reply=reply):
                self.waiting.append(s.Finished(at=0, reply=reply))
            case a.Cut(reply=reply):
                self.cut.append(s.Cut(at=0, reply=reply, heard="", unheard="the rest"))
            case a.Think(reply=reply, prompt=prompt, search=search):
                if search:
                    found = (Passage(document="d", title="Prices", text="Twelve.", score=1.0),)
                    self.waiting.append(s.Found(at=0, reply=reply, query=search, passages=found))
                offered = [tool.name for tool in prompt.tools]
                if offered and len(self.journal) % 3:
                    name = offered[len(self.journal) % len(offered)]
                    arguments = {"which": "0", "date": "2026-11-27", "digits": "1"}
                    self.waiting.append(
                        s.Requested(at=0, reply=reply, id=f"r{len(self.journal)}", tool=name, arguments=arguments)
                    )
                else:
                    self.waiting.append(s.Thought(at=0, reply=reply, text="Well."))
                self.waiting += [
                    s.Spent(at=0, reply=reply, prompt_tokens=1, reply_tokens=1),
                    s.ThoughtOut(at=0, reply=reply),
                ]
            case a.RunTool(call=call, acts=acts):
                if acts:
                    self.effects.setdefault(call.key, set()).add(str(call.arguments))
                self.waiting.append(s.Returned(at=0, id=call.id, output={"price": 12}))
            case a.HangUp() | a.PutThrough() | a.PressKeys():
                self.over, self.last = True, act


WORDS = ["book", "ask", "on friday at noon", "yes", "no", "never mind", "speak to a human", "again please", "mm hm", "", "at 7 am"]  # fmt: skip
GOOD = ["book", "ask", "on friday at noon", "yes"]


OVERDUE = ["reply", "caller", "speech", "transcript", "keys", "doubt", "progress"]


def story_of(random: Random) -> list[Any]:
    """What happens: mostly callers who wait for the agent and answer well."""
    kinds = ["answers", "go on", "says", "begins", "presses", "overdue", "lost", "a sound", "fails"]
    story: list[Any] = []
    for kind in random.choices(kinds, weights=[12, 4, 3, 2, 1, 2, 1, 1, 1], k=40):
        match kind:
            case "answers" | "begins":
                story.append((kind, random.choice(GOOD if random.random() < 0.7 else WORDS)))
            case "says":
                story.append((kind, random.choice(WORDS)))
            case "presses":
                story.append((kind, random.choice("0125#")))
            case "overdue":
                story.append((kind, random.choice(OVERDUE)))
            case _:
                story.append(kind)
    return story


def happen(world: World, what: Any) -> None:
    match what:
        case "go on":
            if world.waiting:
                world.tell(world.waiting.popleft())
        case ("answers", words):
            while world.waiting and not world.over:
                world.tell(world.waiting.popleft())
            if not world.over:
                happen(world, ("says", words))
        case ("begins", words):
            world.tell(s.SpeechBegan(at=0))
            world.tell(s.Heard(at=0, text=words, final=False))
            world.tell(s.Paused(at=0, silence=40))
        case ("says", words):
            world.tell(s.SpeechBegan(at=0))
            if words:
                world.tell(s.Heard(at=0, text=words, final=False))
            world.tell(s.Paused(at=0, silence=40))
            world.tell(s.SpeechEnded(at=0, silence=200))
            world.tell(s.Heard(at=0, text=words, final=True))
            world.tell(s.Settled(at=0))
        case ("presses", key):
            world.tell(s.Pressed(at=0, digit=key))
        case ("overdue", which):
            world.tell(s.Overdue(at=0, what=which))
        case "a sound":
            world.tell(s.SpeechBegan(at=0))
        case "fails":
            world.tell(s.Failed(at=0, reply=world.conversation.state.reply, what="brain", why="down"))
        case "lost":
            world.tell(s.Lost(at=0, why="the line ended"))
            world.waiting.clear()
            reopen(world)


def reopen(world: World) -> None:
    """A line opens: the first one, or another; after a transfer since nobody answered it."""
    now = NOW + timedelta(milliseconds=world.at + 20)
    world.tell(s.Opened(at=0, now=now, caller="+15005550100", dial_status="no-answer" if world.over else ""))
    world.over = False


def check(world: World) -> None:
    state = world.conversation.state
    assert state.flow is not None
    node = world.conversation.walk.nodes[state.flow.node]
    # A step ends where the world is needed, never in the middle of a walk.
    assert not isinstance(node, Start)
    if isinstance(node, Branch):
        assert any(edge.when == "prompt" for edge in node.edges)
    if isinstance(node, Talk) and node.id in ("through", "aside"):
        raise AssertionError("it stands at a node that only says something")
    if state.draft:
        assert state.draft.flow is not None
        assert state.phase in (Phase.HEARING, Phase.SETTLING)
    assert not {*state.flow.variables} - {"caller", "open", "date", "time", "sure", "price"}
    # What an errand came to is never lost, and nothing that was put off outlives its moment.
    for id in world.returned:
        assert state.running != id or state.done is not None or state.phase is Phase.GONE
    assert not state.postponed or state.phase is Phase.HESITATING
    # What acts has one key for one effect.
    assert all(len(arguments) == 1 for arguments in world.effects.values())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9))
def test_an_interrupted_flow_has_moved_whole_steps_and_its_journal_tells_them(seed: int) -> None:
    world = World()
    reopen(world)
    for what in story_of(Random(seed)):
        if (
            world.over
        ):  # the carrier comes back after a transfer or keys; after a hang-up it doesn't, which is no matter
            world.waiting.clear()
            reopen(world)
        happen(world, what)
        check(world)
    again = conversation()
    again.fold(world.journal)
    assert again.state.model_dump(mode="json") == world.conversation.state.model_dump(mode="json")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(WORDS))
def test_a_discarded_draft_leaves_the_flow_where_it_was(seed: int, more: str) -> None:
    world = World()
    reopen(world)
    for what in story_of(Random(seed)):
        if world.over:
            world.waiting.clear()
            reopen(world)
        happen(world, what)
    state = world.conversation.state
    if state.phase is not Phase.LISTENING:
        return
    before = state.flow
    world.tell(s.SpeechBegan(at=0))
    world.tell(s.Heard(at=0, text="on friday at noon", final=False))
    world.tell(s.Paused(at=0, silence=40))
    assert world.conversation.state.flow == before
    world.tell(s.Heard(at=0, text=f"on friday at noon and {more}", final=False))
    assert world.conversation.state.flow == before
