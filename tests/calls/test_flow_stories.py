"""What a flow can do, told as calls in virtual time: menus, messages, ways from anywhere, other agents, long tools."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from domain import acts as a
from domain.ports import ToolRequest, Unavailable
from schemas.agent import AgentVersion
from schemas.organisation import Organisation
from schemas.tool import Tool, ToolCall, ToolResult
from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold
from tests.fakes.scripted_brain import ScriptedBrain

Nodes = list[dict[str, Any]]


class PaperTools:
    """Tools that take as long and return what the story says."""

    def __init__(self, *tools: Tool, seconds: float = 0.0, **outputs: Any) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._seconds, self._outputs = seconds, outputs
        self.ran: list[ToolCall] = []
        self.stopped = 0

    async def offered(self, organisation: Organisation) -> Mapping[str, Tool]:
        return self._tools

    async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
        self.ran.append(call)
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        output = self._outputs.get(call.tool)
        return ToolResult(id=call.id, output=output) if output is not None else ToolResult(id=call.id, error="no")


def tool(name: str, **more: Any) -> Tool:
    return Tool(name=name, description=f"{name}.", parameters={"type": "object"}, **more)


def agent(nodes: Nodes, variables: Nodes | None = None, brain: ScriptedBrain | None = None, **more: Any) -> Lab:
    """A lab whose agent has this flow; it starts at `start`."""
    lab = Lab("orders", brain=brain)
    lab.change(flow={"start": "start", "nodes": nodes, "variables": variables or []}, **{"tools": [], **more})
    return lab


START = {"id": "start", "type": "start", "say": "Hello.", "edges": [{"to": "first"}]}
END = {"id": "end", "type": "end", "say": "Goodbye."}


def said(lab: Lab) -> list[str]:
    return lab.dialogue().splitlines()


# --- menus ---

MENU = [
    START,
    {"id": "first", "type": "menu", "say": "For orders press one, for returns press two.", "retries": ["One or two?"],
     "edges": [
         {"to": "orders", "when": "event", "condition": "key:1", "says": ["orders", "my order"]},
         {"to": "returns", "when": "event", "condition": "key:2", "says": ["returns"]},
         {"to": "nobody", "when": "event", "condition": "misunderstood"},
     ]},
    {"id": "orders", "type": "end", "say": "Orders it is."},
    {"id": "returns", "type": "end", "say": "Returns it is."},
    {"id": "nobody", "type": "end", "say": "Never mind."},
]  # fmt: skip


@pytest.mark.parametrize(("keys", "ends"), [("1", "Orders it is."), ("2", "Returns it is.")])
def test_a_menu_leads_where_the_key_says(keys: str, ends: str) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.presses(keys)

    assert said(hold(story, agent(MENU)))[-1] == f"agent: {ends}"


@pytest.mark.parametrize("words", ["returns", "returns please", "two"])
def test_a_menu_can_be_answered_aloud(words: str) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says(words)

    assert said(hold(story, agent(MENU)))[-1] == "agent: Returns it is."


def test_a_menu_that_is_not_understood_asks_again_and_then_gives_up() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.presses("9")
        await caller.listens()
        await caller.says("mumble mumble what")

    lab = hold(story, agent(MENU))
    assert [line for line in said(lab) if line.startswith("agent")] == [
        "agent: Hello. For orders press one, for returns press two.",
        "agent: One or two?",
        "agent: Never mind.",
    ]


# --- values from any turn ---

TABLE = [
    START,
    {"id": "first", "type": "conversation", "say": "For which day?", "collect": ["date"], "edges": [{"to": "time"}]},
    {"id": "time", "type": "conversation", "say": "What time?", "collect": ["time"], "edges": [{"to": "party"}]},
    {"id": "party", "type": "conversation", "say": "For how many?", "collect": ["people"], "edges": [{"to": "done"}]},
    {"id": "done", "type": "end", "say": "{{people}} on {{date}} at {{time}}."},
]
TABLE_VARIABLES = [
    {"name": "date", "kind": "date"},
    {"name": "time", "kind": "time"},
    {"name": "people", "kind": "number", "valid": "people <= 8.0", "invalid": "We have no table for {{people}}.",
     "ask": "For how many?"},
]  # fmt: skip


def test_a_caller_who_says_everything_at_once_is_asked_nothing() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("a table for four on tuesday at half past seven in the evening")

    lab = hold(story, agent(TABLE, TABLE_VARIABLES))
    assert said(lab)[1:] == [
        "caller: a table for four on tuesday at half past seven in the evening",
        "agent: 4 on Tuesday the 24th of November at 7:30 PM.",
    ]


def test_a_value_that_was_volunteered_is_not_asked_for_later() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("for four people please")
        await caller.listens()
        await caller.says("on tuesday")
        await caller.listens()
        await caller.says("at seven p m")

    lab = hold(story, agent(TABLE, TABLE_VARIABLES))
    assert [line for line in said(lab) if line.startswith("agent")] == [
        "agent: Hello. For which day?",
        "agent: For which day?",
        "agent: What time?",
        "agent: 4 on Tuesday the 24th of November at 7 PM.",
    ]


def test_a_value_that_cannot_be_taken_is_explained_and_asked_again() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("on tuesday at seven p m")
        await caller.listens()
        await caller.says("twelve")
        await caller.listens()
        await caller.says("eight")

    lab = hold(story, agent(TABLE, TABLE_VARIABLES))
    assert "agent: We have no table for 12. For how many?" in said(lab)
    assert said(lab)[-1] == "agent: 8 on Tuesday the 24th of November at 7 PM."


# --- ways from anywhere ---

ANYWHERE = [
    START,
    {"id": "first", "type": "conversation", "say": "Which day?", "collect": ["date"], "edges": [{"to": "end"}]},
    {"id": "hours", "type": "conversation", "say": "We are open from nine to five.",
     "anywhere": [{"when": "prompt", "condition": "the caller asks for the opening hours"},
                  {"when": "event", "condition": "key:0"}],
     "edges": [{"to": "@back"}]},
    END,
]  # fmt: skip


def test_a_node_is_reached_from_anywhere_and_leads_back() -> None:
    brain = ScriptedBrain([ToolRequest("c1", "go_on", {"which": "hours:0"})])

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("how long are you open")
        await caller.listens()
        await caller.says("then tuesday")

    lab = hold(story, agent(ANYWHERE, [{"name": "date", "kind": "date"}], brain))
    assert said(lab) == [
        "agent: Hello. Which day?",
        "caller: how long are you open",
        "agent: We are open from nine to five. Which day?",
        "caller: then tuesday",
        "agent: Goodbye.",
    ]


def test_a_key_leads_there_as_well() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.presses("0")
        await caller.listens()
        caller.hangs_up()

    flow = [{**node, "collect": ["sure"]} if node["id"] == "first" else node for node in ANYWHERE]
    lab = hold(story, agent(flow, [{"name": "sure", "kind": "yes_no"}]))
    assert said(lab)[2] == "agent: We are open from nine to five. Which day?"


def test_an_equation_that_comes_true_leads_somewhere_once() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "For how many?", "collect": ["people"], "edges": [{"to": "sure"}]},
        {"id": "sure", "type": "conversation", "say": "Are you sure?", "collect": ["sure"], "edges": [{"to": "end"}]},
        {"id": "party", "type": "conversation", "say": "That is a party.",
         "anywhere": [{"when": "equation", "condition": "people > 6.0"}], "edges": [{"to": "@back"}]},
        END,
    ]  # fmt: skip

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("ten")
        await caller.listens()
        await caller.says("yes")

    lab = hold(story, agent(flow, [{"name": "people", "kind": "number"}, {"name": "sure", "kind": "yes_no"}]))
    assert said(lab)[2:] == ["agent: That is a party. Are you sure?", "caller: yes", "agent: Goodbye."]


def test_silence_is_an_event() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Which day?", "collect": ["date"],
         "edges": [{"to": "end"}, {"to": "louder", "when": "event", "condition": "silence:1"}]},
        {"id": "louder", "type": "end", "say": "I hear nothing. Goodbye."},
        END,
    ]  # fmt: skip

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.quiet(20_000)

    assert said(hold(story, agent(flow, [{"name": "date", "kind": "date"}])))[-1].endswith("I hear nothing. Goodbye.")


def test_the_second_miss_is_an_event() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Which day?", "collect": ["date"],
         "retries": ["Which?", "Which again?", "Once more?"],
         "edges": [{"to": "end"}, {"to": "help", "when": "event", "condition": "misunderstood:2"}]},
        {"id": "help", "type": "end", "say": "Let me get help."},
        END,
    ]  # fmt: skip

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("some day or other")
        await caller.listens()
        await caller.says("whenever it suits")

    assert said(hold(story, agent(flow, [{"name": "date", "kind": "date"}])))[-1] == "agent: Let me get help."


# --- the model judges ---

JUDGED = [
    START,
    {"id": "first", "type": "conversation", "say": "What is it about?", "edges": [{"to": "which"}]},
    {"id": "topic", "type": "conversation", "say": "What is it about?", "collect": ["about"], "edges": [{"to": "which"}]},
    {"id": "which", "type": "branch", "edges": [
        {"to": "sales", "when": "prompt", "condition": "the caller wants to buy something"},
        {"to": "end", "when": "always"},
    ]},
    {"id": "sales", "type": "end", "say": "Sales here."},
    END,
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ([ToolRequest("c1", "go_on", {"which": "0"})], "Sales here."),
        ([ToolRequest("c1", "go_on", {"which": "7"})], "Goodbye."),
        (["Hm."], "Hm. Goodbye."),
    ],
)
def test_a_branch_may_be_the_model_s_to_judge(answer: list[Any], ends: str) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("i need a new lamp")

    flow = [
        {**node, "edges": [{"to": "topic"}]} if node["id"] == "start" else node
        for node in JUDGED
        if node["id"] != "first"
    ]
    lab = hold(story, agent(flow, [{"name": "about", "kind": "text"}], ScriptedBrain(answer)))
    assert said(lab)[-1] == f"agent: {ends}"


def test_the_model_may_fill_any_value_that_the_flow_asks_for_later() -> None:
    brain = ScriptedBrain([ToolRequest("c1", "remember", {"date": "2026-11-24", "name": "Ada Lovelace"})])
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Which day?", "collect": ["date"], "edges": [{"to": "name"}]},
        {"id": "name", "type": "conversation", "say": "Your name?", "collect": ["name"], "edges": [{"to": "done"}]},
        {"id": "done", "type": "end", "say": "{{name}}, {{date}}."},
    ]

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("the usual one and it's lovelace again")

    lab = hold(story, agent(flow, [{"name": "date", "kind": "date"}, {"name": "name", "kind": "name"}], brain))
    assert said(lab)[-1] == "agent: Ada Lovelace, Tuesday the 24th of November."
    assert {"date", "name"} == set(brain.prompts[0].tools[0].parameters["properties"])


# --- messages ---


@pytest.mark.parametrize(("outputs", "ends"), [({"send_sms": {"state": "queued"}}, "Sent."), ({}, "It didn't work.")])
def test_a_text_message_is_sent_to_the_caller(outputs: dict[str, Any], ends: str) -> None:
    flow = [
        {**START, "edges": [{"to": "sms"}]},
        {"id": "sms", "type": "sms", "text": "You are {{caller}}.", "say": "I'm sending it.",
         "edges": [{"to": "sent"}, {"to": "failed", "when": "event", "condition": "failed"}]},
        {"id": "sent", "type": "end", "say": "Sent."},
        {"id": "failed", "type": "end", "say": "It didn't work."},
    ]  # fmt: skip

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()

    lab = agent(flow)
    lab.tools_of_its_own = tools = PaperTools(tool("send_sms", acts=True), **outputs)
    hold(story, lab)
    assert said(lab) == [f"agent: Hello. I'm sending it. {ends}"]
    assert [(call.tool, call.arguments, call.caller) for call in tools.ran] == [
        ("send_sms", {"to": "+15005550100", "text": "You are +15005550100."}, "+15005550100")
    ]


# --- other agents ---


def handoff(**more: Any) -> Nodes:
    return [
        START,
        {"id": "first", "type": "conversation", "say": "Which day?", "collect": ["date"], "edges": [{"to": "other"}]},
        {"id": "other", "type": "handoff", "agent": "agt_other", "say": "I'll hand you to a colleague.",
         "reason": "wants a table", **more},
        {"id": "nobody", "type": "end", "say": "They are out."},
    ]  # fmt: skip


DATE = [{"name": "date", "kind": "date"}]


def other_agent(lab: Lab, nodes: Nodes | None = None, **more: Any) -> AgentVersion:
    flow = {
        "start": "begin",
        "variables": [*DATE, {"name": "time", "kind": "time"}],
        "nodes": nodes
        or [
            {"id": "begin", "type": "start", "say": "Booking desk.", "edges": [{"to": "day"}]},
            {"id": "day", "type": "conversation", "say": "Which day?", "collect": ["date"], "edges": [{"to": "time"}]},
            {"id": "time", "type": "conversation", "say": "What time?", "collect": ["time"], "edges": [{"to": "done"}]},
            {"id": "done", "type": "end", "say": "{{date}}, {{time}}.", "outcome": "booked"},
        ],
    }
    return AgentVersion.model_validate({**lab.version.model_dump(), "agent": "agt_other", "flow": flow, **more})


def test_another_agent_goes_on_with_what_is_known() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("on tuesday")
        await caller.listens()
        await caller.says("at noon")

    lab = agent(handoff(), DATE)
    lab.team = {"agt_other": other_agent(lab, voice="other")}
    hold(story, lab)
    assert said(lab) == [
        "agent: Hello. Which day?",
        "caller: on tuesday",
        "agent: I'll hand you to a colleague. Booking desk. What time?",
        "caller: at noon",
        "agent: Tuesday the 24th of November, noon.",
    ]
    assert [turn.held_by for turn in lab.turns()] == [lab.version.agent, "agt_other", "agt_other"]
    assert lab.outcomes[0].act == a.HangUp("booked")


def test_an_agent_that_is_not_there_is_an_event() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("on tuesday")

    edges = [{"to": "nobody", "when": "event", "condition": "failed"}]
    assert said(hold(story, agent(handoff(edges=edges), DATE)))[-1].endswith("They are out.")


@pytest.mark.parametrize(
    ("history", "remarks"),
    [
        (
            {"history": "all"},
            ["Hello. What is it about?", "a table", "Which day?", "on tuesday", "I'll hand you over."],
        ),
        ({"history": "last", "turns": 1}, ["on tuesday", "I'll hand you over."]),
        ({"history": "none"}, []),
    ],
)
def test_how_much_history_goes_along_is_chosen(history: dict[str, Any], remarks: list[str]) -> None:
    nodes = [
        START,
        {"id": "first", "type": "conversation", "say": "What is it about?", "collect": ["about"], "edges": [{"to": "day"}]},
        {"id": "day", "type": "conversation", "say": "Which day?", "collect": ["date"], "edges": [{"to": "other"}]},
        {"id": "other", "type": "handoff", "agent": "agt_other", "say": "I'll hand you over.", "variables": ["date"],
         "reason": "a table", **history},
    ]  # fmt: skip
    brain = ScriptedBrain(["And for how many?"])
    lab = agent(nodes, [*DATE, {"name": "about", "kind": "text"}], brain)
    prompted = [
        {"id": "begin", "type": "start", "edges": [{"to": "talk"}]},
        {"id": "talk", "type": "conversation", "prompt": "Book a table.", "edges": [{"to": "talk"}]},
    ]
    lab.team = {"agt_other": other_agent(lab, prompted)}

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("a table")
        await caller.listens()
        await caller.says("on tuesday")
        await caller.listens()
        caller.hangs_up()

    hold(story, lab)
    [prompt] = brain.prompts
    assert [remark.text for remark in prompt.remarks] == remarks
    assert "handed the caller to you: a table" in prompt.system
    assert "date = 2026-11-24" in prompt.system
    assert "about" not in prompt.system


def test_two_agents_that_hand_over_for_ever_are_stopped() -> None:
    lab = agent([{**START, "edges": [{"to": "over"}]}, {"id": "over", "type": "handoff", "agent": "agt_other"}])
    back = [
        {"id": "begin", "type": "start", "edges": [{"to": "back"}]},
        {"id": "back", "type": "handoff", "agent": lab.version.agent},
    ]
    lab.team = {"agt_other": other_agent(lab, back)}

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()

    hold(story, lab)
    assert isinstance(lab.outcomes[0].act, a.PutThrough)
    assert lab.outcomes[0].act.outcome.startswith("failed: there is no agent")


def test_the_other_agent_goes_on_after_a_lost_line() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("on tuesday")
        await caller.listens()
        caller.hangs_up()

    async def second(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("at noon")

    lab = agent(handoff(), DATE)
    lab.team = {"agt_other": other_agent(lab)}
    hold(first, lab)
    hold(second, lab)
    assert said(lab)[-1] == "agent: Tuesday the 24th of November, noon."


# --- long tools ---

LONG = [
    {**START, "edges": [{"to": "look"}]},
    {"id": "look", "type": "function", "tool": "search", "meanwhile": "I'm looking.", "saves": {"price": "$.offers[0].price"},
     "edges": [{"to": "found"}, {"to": "none", "when": "event", "condition": "failed"},
               {"to": "stopped", "when": "event", "condition": "cancelled"}]},
    {"id": "found", "type": "end", "say": "It costs {{price}}."},
    {"id": "none", "type": "end", "say": "I found nothing."},
    {"id": "stopped", "type": "end", "say": "Goodbye then."},
    {"id": "human", "type": "transfer", "anywhere": [{"when": "event", "condition": "human"}]},
]  # fmt: skip
PRICE = [{"name": "price", "kind": "number"}]
OFFERS = {"search": {"offers": [{"price": 12}]}}


def looking(seconds: float, acts: bool = False, **more: Any) -> Lab:
    lab = agent(LONG, PRICE, tools=["search"], **more)
    long = tool("search", timeout_ms=60_000, acts=acts, progress="Still looking.")
    lab.tools_of_its_own = PaperTools(long, seconds=seconds, **OFFERS)
    return lab


def test_a_long_tool_tells_of_its_progress_and_then_what_it_found() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.quiet(40_000)

    lab = hold(story, looking(25))
    assert said(lab) == ["agent: Hello. I'm looking. Still looking. Still looking. It costs 12."]


def test_the_caller_can_talk_while_a_long_tool_runs() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("is that going to take long")
        await caller.listens()

    lab = hold(story, looking(8))
    assert said(lab) == [
        "agent: Hello. I'm looking.",
        "caller: is that going to take long",
        "agent: Still looking. It costs 12.",
    ]


def test_what_comes_back_while_the_caller_speaks_is_told_after_them() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("i hope it is not too expensive for me", ms=6000)

    lab = hold(story, looking(5))
    assert said(lab)[-1] == "agent: It costs 12."


@pytest.mark.parametrize("words", ["never mind", "oh just forget it please"])
def test_a_long_look_up_is_cancelled_when_the_caller_no_longer_wants_it(words: str) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says(words)

    lab = hold(story, looking(50))
    assert said(lab)[-1] == "agent: All right, I've stopped that. Goodbye then."
    assert isinstance(lab.tools_of_its_own, PaperTools)
    assert lab.tools_of_its_own.stopped == 1


def test_what_acts_is_never_cancelled() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("never mind")
        await caller.listens()

    lab = hold(story, looking(9, acts=True))
    assert said(lab)[-1] == "agent: Still looking. It costs 12."


def test_a_person_can_be_asked_for_while_a_long_look_up_runs() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("let me speak to a human")

    lab = hold(story, looking(50))
    assert isinstance(lab.outcomes[0].act, a.PutThrough)


def test_what_comes_back_while_a_draft_waits_is_not_lost_with_it() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("i would like to", ms=1600)  # it returns in the pause after this, and the caller goes on
        await caller.quiet(120)
        await caller.noise(1200)
        await caller.listens()

    for seconds in (4.5, 5.0, 5.5, 6.0, 6.5, 7.0):
        lab = looking(seconds)
        lab.speech.word_ms = 300
        assert "It costs 12." in said(hold(story, lab))[-1], seconds


def test_what_comes_back_while_the_agent_hesitates_is_not_lost() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("how long will it take")
        await caller.until_agent_speaks(ms=300)
        await caller.says("because i am in a hurry", ms=1500)
        await caller.listens()

    for seconds in (6.0, 6.4, 6.8, 7.2):
        assert "It costs 12." in said(hold(story, looking(seconds)))[-1], seconds


def test_a_long_look_up_is_not_begun_for_a_draft() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Which?", "collect": ["what"], "edges": [{"to": "look"}]},
        *(node for node in LONG if node["id"] not in ("start", "human")),
    ]

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("the blue one", ms=900)
        await caller.quiet(300)
        await caller.says("no the red one please", ms=1500)
        await caller.listens()

    lab = agent(flow, [*PRICE, {"name": "what", "kind": "text"}], tools=["search"])
    lab.speech.word_ms = 200
    lab.tools_of_its_own = tools = PaperTools(tool("search", timeout_ms=60_000), seconds=3, **OFFERS)
    hold(story, lab)
    assert len(tools.ran) == 1


def test_a_line_that_is_lost_while_a_long_tool_runs_asks_it_again() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        caller.hangs_up()

    async def second(lab: Lab, caller: Caller) -> None:
        await caller.listens()

    lab = looking(10)
    hold(first, lab)
    hold(second, lab)
    assert said(lab)[-1].endswith("It costs 12.")
    assert isinstance(lab.tools_of_its_own, PaperTools)
    assert len({call.key for call in lab.tools_of_its_own.ran}) == 1


# --- the call itself ---

TALK = [
    START,
    {"id": "first", "type": "conversation", "prompt": "Help.", "tools": ["end_call", "transfer_call", "press_keys"],
     "edges": [{"to": "first"}]},
]  # fmt: skip
CONTROLS = {"tools": ["end_call", "transfer_call", "press_keys"]}


def test_the_model_may_end_the_call() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("that was all thank you")

    brain = ScriptedBrain(["How can I help?"], ["You're welcome. Bye.", ToolRequest("c1", "end_call", {})])
    lab = hold(story, agent(TALK, brain=brain, **CONTROLS))
    assert said(lab)[-1] == "agent: You're welcome. Bye."
    assert lab.outcomes[0].act == a.HangUp("completed")


def test_the_model_may_put_the_caller_through() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("this is about my contract")

    brain = ScriptedBrain(["How can I help?"], ["One moment.", ToolRequest("c1", "transfer_call", {})])
    lab = hold(story, agent(TALK, brain=brain, **CONTROLS))
    assert lab.outcomes[0].act == a.PutThrough("+15005550199", False, "transferred")


def test_a_call_is_not_ended_before_the_other_tools_of_the_round_have_run() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("book it and that was all")

    both = [ToolRequest("c1", "book", {}), ToolRequest("c2", "end_call", {})]
    brain = ScriptedBrain(["How can I help?"], both, ["Booked. Bye.", ToolRequest("c3", "end_call", {})])
    talk = [START, {**TALK[1], "tools": ["book", *TALK[1]["tools"]]}]
    lab = agent(talk, brain=brain, tools=["book", *CONTROLS["tools"]])
    lab.tools_of_its_own = tools = PaperTools(tool("book", acts=True), book={"ok": True})
    hold(story, lab)
    assert [call.tool for call in tools.ran] == ["book"]
    assert lab.outcomes[0].act == a.HangUp("completed")


def test_nobody_to_put_through_to_is_told_to_the_model() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("this is about my contract")
        await caller.listens()
        caller.hangs_up()

    brain = ScriptedBrain(["How can I help?"], [ToolRequest("c1", "transfer_call", {})], ["Nobody is there today."])
    lab = hold(story, agent(TALK, brain=brain, transfer_number=None, **CONTROLS))
    assert said(lab)[-1] == "agent: Nobody is there today."


def test_an_effect_whose_outcome_nobody_knows_is_not_tried_in_other_words() -> None:
    class Unsure(PaperTools):
        async def run(self, organisation: Organisation, call: ToolCall) -> ToolResult:
            await super().run(organisation, call)
            raise Unavailable("its answer was lost")

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("book it")

    brain = ScriptedBrain(["How can I help?"], [ToolRequest("c1", "book", {})], [ToolRequest("c2", "book", {"x": 1})])
    lab = agent([START, {**TALK[1], "tools": ["book"]}], brain=brain, tools=["book"])
    lab.tools_of_its_own = tools = Unsure(tool("book", acts=True))
    hold(story, lab)
    assert len(tools.ran) == 1
    assert isinstance(lab.outcomes[0].act, a.PutThrough)
    assert "unknown" in lab.outcomes[0].act.outcome


def test_the_caller_goes_on_once_the_person_has_hung_up() -> None:
    flow = [
        {**START, "edges": [{"to": "person"}]},
        {"id": "person", "type": "transfer", "edges": [{"to": "rate"}]},
        {"id": "rate", "type": "end", "say": "Thank you for your patience."},
    ]

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()

    lab = hold(story, agent(flow))
    assert lab.outcomes[0].act == a.PutThrough("+15005550199", False, "transferred", "", True)
    hold(story, lab, dial_status="completed")
    assert said(lab)[-1].endswith("Thank you for your patience.")


def test_a_number_that_is_none_is_not_dialled() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Whom?", "collect": ["who"], "edges": [{"to": "person"}]},
        {"id": "person", "type": "transfer", "number": "{{who}}",
         "edges": [{"to": "no", "when": "event", "condition": "failed"}]},
        {"id": "no", "type": "end", "say": "I can't call that."},
    ]  # fmt: skip

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("sip evil at host")

    assert said(hold(story, agent(flow, [{"name": "who", "kind": "text"}])))[-1] == "agent: I can't call that."


def test_after_a_handover_it_is_the_other_agent_s_time() -> None:
    lab = agent([{**START, "edges": [{"to": "over"}]}, {"id": "over", "type": "handoff", "agent": "agt_other"}])
    there = [
        {"id": "begin", "type": "start", "edges": [{"to": "open"}]},
        {"id": "open", "type": "branch", "edges": [
            {"to": "yes", "when": "equation", "condition": "open == true"}, {"to": "no"}]},
        {"id": "yes", "type": "end", "say": "We are open."},
        {"id": "no", "type": "end", "say": "We are closed."},
    ]  # fmt: skip
    hours = [
        {"day": day, "opens": "08:00", "closes": "18:00"} for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    ]
    lab.team = {"agt_other": other_agent(lab, there, time_zone="Asia/Tokyo", hours=hours)}

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()

    assert said(hold(story, lab)) == ["agent: Hello. We are closed."]


def test_keys_are_pressed_and_the_talk_goes_on_without_a_word() -> None:
    async def first(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("for sales press two", ms=2000)

    async def second(lab: Lab, caller: Caller) -> None:
        await caller.quiet(1000)
        await caller.says("sales here how can i help")
        await caller.listens()
        caller.hangs_up()

    brain = ScriptedBrain(["Hello."], [ToolRequest("c1", "press_keys", {"digits": "2"})], ["I'd like a lamp."])
    lab = agent(TALK, brain=brain, **CONTROLS)
    hold(first, lab)
    assert lab.outcomes[0].act == a.PressKeys("2")
    hold(second, lab)
    assert said(lab)[-2:] == ["caller: sales here how can i help", "agent: I'd like a lamp."]


def test_keys_that_are_none_are_not_pressed() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("for sales press two")
        await caller.listens()
        caller.hangs_up()

    brain = ScriptedBrain(["Hello."], [ToolRequest("c1", "press_keys", {"digits": "drop table"})])
    lab = hold(story, agent(TALK, brain=brain, **CONTROLS))
    assert lab.outcomes[0].act is None


def test_a_transfer_carries_its_briefing() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Which day?", "collect": ["date"], "edges": [{"to": "person"}]},
        {"id": "person", "type": "transfer", "briefing": "Someone wants to come on {{date}}.", "number": "+15005550177",
         "edges": [{"to": "busy", "when": "event", "condition": "failed:busy"},
                   {"to": "refused", "when": "event", "condition": "failed"}]},
        {"id": "busy", "type": "end", "say": "They are on the phone."},
        {"id": "refused", "type": "end", "say": "They can't take it."},
    ]  # fmt: skip

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says("on tuesday")

    async def back(lab: Lab, caller: Caller) -> None:
        await caller.listens()

    for status, words in (("busy", "They are on the phone."), ("declined", "They can't take it.")):
        lab = hold(story, agent(flow, DATE))
        briefing = "Someone wants to come on Tuesday the 24th of November."
        assert lab.outcomes[0].act == a.PutThrough("+15005550177", True, "transferred", briefing)
        hold(back, lab, dial_status=status)
        assert said(lab)[-1].endswith(words)
