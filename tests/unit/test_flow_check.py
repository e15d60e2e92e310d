"""What the flow's compiler finds, as small flows."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from domain.flow_check import FlowRefused, _errors, check, refuse_if_broken
from domain.flow_check.codes import CODES
from offhook.bench.agent import FLOW
from offhook.seed import AGENTS, demo_version
from schemas.agent import AgentVersion
from schemas.flow import Flow
from schemas.organisation import Organisation
from schemas.tool import Tool
from tests.fakes.ports import NOW, paper_ports

Node = dict[str, Any]

TOOLS = {
    "look_up": Tool(
        name="look_up",
        description="",
        parameters={
            "type": "object",
            "properties": {"day": {"type": "string"}, "places": {"type": "integer"}, "size": {"enum": ["S", "M"]}},
            "required": ["day"],
        },
    ),
    "strict": Tool(name="strict", description="", parameters={"type": "object", "additionalProperties": False}),
    "anything": Tool(name="anything", description="", parameters={"type": "object"}),
}
VARIABLES: list[Node] = [
    {"name": "day", "kind": "date", "anytime": False},
    {"name": "n", "kind": "number", "anytime": False},
    {"name": "ok", "kind": "yes_no", "anytime": False},
    {"name": "topic", "kind": "choice", "choices": [{"value": v} for v in ("order", "stock", "other")]},
    {"name": "phone", "kind": "phone"},
    {"name": "word", "kind": "text"},
]
END: Node = {"id": "end", "type": "end"}
HUMAN: Node = {"when": "event", "condition": "human"}


def flow(*nodes: Node, **more: Any) -> Flow:
    return Flow.model_validate({"start": "start", "nodes": nodes, "variables": VARIABLES, **more})


def start(to: str) -> Node:
    return {"id": "start", "type": "start", "edges": [{"to": to}]}


def ask(id: str, *collect: str, to: str = "end", **more: Any) -> Node:
    return {"id": id, "type": "conversation", "say": "Well?", "collect": collect, "afresh": True, "retries": ["Pardon?"],
            "edges": [{"to": to}], **more}  # fmt: skip


def talk(id: str, *edges: Node, **more: Any) -> Node:
    return {"id": id, "type": "conversation", "prompt": "Help.", "edges": [*edges, {"to": id}], **more}


def branch(id: str, *edges: Node) -> Node:
    return {"id": id, "type": "branch", "edges": edges}


def run(id: str, tool: str = "anything", to: str = "end", failed: str = "end", **more: Any) -> Node:
    return {"id": id, "type": "function", "tool": tool, "edges": [{"to": to}, event(failed, "failed")], **more}


def menu(id: str, *edges: Node, **more: Any) -> Node:
    return {"id": id, "type": "menu", "say": "Press.", "retries": ["Press."], "edges": edges, **more}


def transfer(id: str, number: str = "+15005550199", to: str = "end") -> Node:
    return {"id": id, "type": "transfer", "number": number, "edges": [event(to, "failed")]}


def event(to: str, condition: str) -> Node:
    return {"to": to, "when": "event", "condition": condition}


def when(condition: str, to: str) -> Node:
    return {"to": to, "when": "equation", "condition": condition}


def judged(condition: str, to: str) -> Node:
    return {"to": to, "when": "prompt", "condition": condition}


def end(id: str, **more: Any) -> Node:
    return {"id": id, "type": "end", **more}


def found(*nodes: Node, **more: Any) -> set[tuple[str, str]]:
    return {(finding.code, finding.node) for finding in check(flow(*nodes, **more), TOOLS)}


@pytest.mark.parametrize("file", [file for file, _, _ in AGENTS.values()])
def test_the_demo_agents_are_free_of_findings(file: str) -> None:
    version = demo_version("agt_x", file, NOW)
    organisation = Organisation(id="org_x", name="X", slug="x", created_at=NOW)
    tools = asyncio.run(paper_ports().tools.offered(organisation))
    assert check(version.flow, tools, version) == []


def test_a_flow_that_never_ends_may_take_calls_all_the_same() -> None:
    assert [(finding.code, finding.node) for finding in check(FLOW, ())] == [("dead-end", "talk")]
    refuse_if_broken(FLOW, ())


SOUND = [
    (start("a"), ask("a", "ok", to="b"), branch("b", when("ok == true", "end"), {"to": "a"}), END),
    (start("m"), menu("m", event("end", "key:1"), event("end", "misunderstood"), event("end", "silence:1")), END),
    (start("a"), talk("a", judged("done", "end"), event("end", "silence")), END),
    (start("r"), run("r", "look_up", arguments={"day": "Monday", "size": "S"}, saves={"word": "$.items[0].name"}), END),
    (start("a"), ask("a", "n", to="r"), run("r", "look_up", arguments={"day": "x {{n}}", "places": "{{n}}"}), END),
    # what an equation tells
    (start("a"), talk("a", when("day != null", "b"), welcome=["day"]), end("b", say="On {{day}}.")),
    (start("a"), talk("a", when("{{day}} exists AND n > 2", "b"), welcome=["day", "n"]), end("b", say="{{day}} {{n}}")),
    (start("b"), branch("b", when("day == null", "a"), {"to": "c"}), ask("a", "day", to="c"), end("c", say="{{day}}")),
    (start("a"), talk("a", when("n != null && n < 3", "end"), welcome=["n"]), END),
    # a loop that is left once it is known what it asks for
    (start("b"), branch("b", when("n == null", "a"), {"to": "end"}), ask("a", "n", to="b", afresh=False), END),
    # what is always known
    (start("b"), branch("b", when("open", "end"), {"to": "c"}), end("c", say="{{caller}}"), END),
    # back from anywhere
    (start("a"), ask("a", "ok"), ask("x", to="@back", anywhere=[HUMAN]), END),
    # transfers and handoffs lead out of the flow
    (start("t"), {**transfer("t"), "edges": [event("end", "failed"), event("end", "failed:busy")]}, END),
    (start("h"), {"id": "h", "type": "handoff", "agent": "agt_b", "edges": [event("end", "failed")]}, END),
    (start("s"), {"id": "s", "type": "sms", "text": "Hi", "edges": [{"to": "end"}, event("end", "failed")]}, END),
    # a choice whose last answer is the one for everything else
    (start("a"), ask("a", "topic", to="b"), branch("b", when("topic == 'order'", "end"), when("topic == 'stock'", "x"), {"to": "y"}), END, end("x"), end("y")),
]  # fmt: skip


@pytest.mark.parametrize("nodes", SOUND)
def test_what_is_sound(nodes: tuple[Node, ...]) -> None:
    assert found(*nodes) == set()


FOUND: list[tuple[str, str, tuple[Node, ...]]] = [
    # the flow as a whole
    ("duplicate-id", "end", (start("end"), END, END)),
    ("missing-start", "start", (END,)),
    ("unreachable-node", "x", (start("end"), END, end("x"))),
    ("unreachable-node", "x", (start("end"), END, end("x", anywhere=[HUMAN]))),
    ("dead-end", "a", (start("a"), ask("a", "ok", to="b"), ask("b", "n", to="a"))),
    ("dead-end", "a", (start("a"), talk("a", when("n == 1 && n == 2", "end")), END)),
    ("dead-end", "m", (start("m"), menu("m"))),
    ("endless-loop", "a", (start("a"), branch("a", {"to": "b"}), branch("b", {"to": "a"}))),
    ("endless-loop", "a", (start("a"), {"id": "a", "type": "conversation", "say": "Hm.", "edges": [{"to": "a"}]})),
    ("endless-loop", "a", (start("a"), branch("a", when("n > 3", "b"), {"to": "end"}), branch("b", when("n > 1", "a"), {"to": "end"}), END)),
    ("known-loop", "a", (start("a"), ask("a", "ok", to="b", afresh=False), branch("b", when("ok == false", "a"), {"to": "end"}), END)),
    ("silent-loop", "r", (start("r"), run("r", failed="r"), END)),
    ("silent-loop", "t", (start("t"), transfer("t", to="r"), run("r", failed="t", to="t"))),
    # edges
    ("edge-into-nothing", "a", (start("a"), ask("a", to="nowhere", collect=["ok"]), END)),
    ("no-way-on", "a", (start("a"), {**ask("a", "ok"), "edges": []})),
    ("no-way-on", "r", (start("r"), {"id": "r", "type": "function", "tool": "anything"})),
    ("branch-open", "b", (start("b"), branch("b", {"to": "end"}, when("n == 1", "end")), END)),
    ("event-impossible", "b", (start("b"), branch("b", event("end", "failed"), {"to": "end"}), END)),
    ("event-impossible", "a", (start("a"), ask("a", "ok", edges=[{"to": "end"}, event("end", "sneeze")]), END)),
    ("event-impossible", "a", (start("a"), ask("a", edges=[{"to": "end"}, event("end", "silence")]), END)),
    ("event-impossible", "r", (start("r"), run("r", edges=[{"to": "end"}, event("end", "failed"), event("end", "key:1")]), END)),
    ("event-impossible", "r", (start("r"), run("r", edges=[{"to": "end"}, event("end", "failed:busy")]), END)),
    ("event-impossible", "m", (start("m"), menu("m", event("end", "key:1"), event("end", "corrected")), END)),
    ("event-impossible", "end", (start("a"), ask("a", "ok"), end("end", anywhere=[{"when": "event", "condition": "failed"}]))),
    ("condition-missing", "a", (start("a"), talk("a", judged(" ", "end")), END)),
    ("prompt-never-asked", "start", ({**start("end"), "edges": [judged("angry", "end"), {"to": "end"}]}, END)),
    ("edge-never-taken", "a", (start("a"), ask("a", "ok", edges=[{"to": "end"}, {"to": "a"}]), END)),
    ("edge-never-taken", "r", (start("r"), run("r", edges=[{"to": "end"}, event("end", "failed"), event("r", "failed")]), END)),
    ("edge-never-taken", "end", (start("end"), end("end", edges=[{"to": "end"}]))),
    ("edge-never-taken", "a", (start("a"), talk("a", edges=[{"to": "end"}]), END)),
    ("edge-never-taken", "a", (start("a"), talk("a", edges=[event("end", "silence"), {"to": "end"}]), END)),
    ("back-from-nowhere", "a", (start("a"), ask("a", "ok", to="@back"))),
    ("no-failure-path", "r", (start("r"), run("r", edges=[{"to": "end"}]), END)),
    ("no-failure-path", "t", (start("t"), {**transfer("t"), "edges": [event("end", "failed:busy")]}, END)),
    ("no-failure-path", "h", (start("h"), {"id": "h", "type": "handoff", "agent": "agt_b"})),
    ("no-failure-path", "s", (start("s"), {"id": "s", "type": "sms", "text": "Hi", "edges": [{"to": "end"}]}, END)),
    # equations
    ("equation-unreadable", "b", (start("b"), branch("b", when("n ===", "end"), {"to": "end"}), END)),
    ("equation-unreadable", "end", (start("a"), ask("a", "ok"), end("end", anywhere=[{"when": "equation", "condition": "(("}]))),
    ("unknown-variable", "b", (start("b"), branch("b", when("{{who}} exists", "end"), {"to": "end"}), END)),
    ("equation-never-holds", "b", (start("a"), ask("a", "topic", to="b"), branch("b", when("topic == 'ordr'", "x"), {"to": "end"}), END, end("x"))),
    ("equation-never-holds", "b", (start("a"), ask("a", "n", to="b"), branch("b", when("n > 3 && n < 2", "x"), {"to": "end"}), END, end("x"))),
    ("equation-never-holds", "b", (start("a"), ask("a", "ok", to="b"), branch("b", when("ok == 'yes'", "x"), {"to": "end"}), END, end("x"))),
    ("equations-overlap", "b", (start("a"), ask("a", "n", to="b"), branch("b", when("n > 1", "x"), when("n < 5", "end"), {"to": "end"}), END, end("x"))),
    ("edge-never-taken", "b", (start("a"), ask("a", "n", to="b"), branch("b", when("n > 1", "x"), when("n > 2", "end"), {"to": "end"}), END, end("x"))),
    ("edge-never-taken", "b", (start("a"), ask("a", "ok", to="b"), branch("b", when("ok != null", "x"), when("{{ok}} not exists", "x"), {"to": "end"}), END, end("x"))),
    ("choice-unhandled", "b", (start("a"), ask("a", "topic", to="b"), branch("b", when("topic == 'order'", "x"), {"to": "end"}), END, end("x"))),
    # variables
    ("unknown-variable", "a", (start("a"), ask("a", "who"), END)),
    ("unknown-variable", "a", (start("a"), ask("a", "ok", say="{{who}}?"), END)),
    ("unknown-variable", "r", (start("r"), run("r", saves={"who": "name"}), END)),
    ("unknown-variable", "h", (start("h"), {"id": "h", "type": "handoff", "agent": "agt_b", "variables": ["who"]})),
    ("never-set", "a", (start("a"), ask("a", "ok", say="On {{day}}?"), END)),
    ("never-set", "b", (start("b"), branch("b", when("n > 3", "end"), {"to": "end"}), END)),
    ("never-set", "r", (start("r"), run("r", arguments={"x": "{{word}}"}), END)),
    ("never-set", "end", (start("a"), ask("a", "ok"), end("end", anywhere=[{"when": "equation", "condition": "n > 3"}]))),
    ("sometimes-unset", "c", (start("a"), ask("a", "ok", to="b"), branch("b", when("ok == true", "d"), {"to": "c"}), ask("d", "day", to="c"), end("c", say="{{day}}"))),
    ("sometimes-unset", "c", (start("r"), run("r", to="c", failed="c", saves={"word": "w"}), END, end("c", say="{{word}}"))),
    ("sometimes-unset", "a", (start("a"), talk("a", when("n < 3", "end"), welcome=["n"]), END)),
    ("sometimes-unset", "c", (start("a"), ask("a", "day", edges=[{"to": "c"}, event("c", "misunderstood")]), end("c", say="{{day}}"))),
    ("sometimes-unset", "c", (start("a"), talk("a", judged("done", "c"), collect=["day"]), end("c", say="{{day}}"))),
    # texts
    ("say-with-prompt", "a", (start("a"), talk("a", judged("done", "end"), say="Hello"), END)),
    ("say-too-long", "end", (start("end"), end("end", say="word " * 61))),
    ("prompt-too-long", "a", (start("a"), talk("a", judged("done", "end"), prompt="word " * 801), END)),
    ("no-retries", "a", (start("a"), ask("a", "ok", retries=[]), END)),
    ("no-retries", "m", (start("m"), menu("m", event("end", "key:1"), retries=[]), END)),
    # tools
    ("unknown-tool", "r", (start("r"), run("r", "hack"), END)),
    ("unknown-tool", "a", (start("a"), talk("a", judged("done", "end"), tools=["hack"]), END)),
    ("argument-missing", "r", (start("r"), run("r", "look_up"), END)),
    ("argument-unknown", "r", (start("r"), run("r", "look_up", arguments={"day": "x", "colour": "red"}), END)),
    ("argument-unknown", "r", (start("r"), run("r", "strict", arguments={"day": "x"}), END)),
    ("argument-invalid", "r", (start("r"), run("r", "look_up", arguments={"day": "x", "size": "XXL"}), END)),
    ("argument-invalid", "r", (start("a"), ask("a", "ok", to="r"), run("r", "look_up", arguments={"day": "{{ok}}"}), END)),
    ("bad-path", "r", (start("r"), run("r", saves={"word": "$.items["}), END)),
    # numbers and agents
    ("bad-number", "t", (start("t"), transfer("t", "0301234567"), END)),
    ("bad-number", "t", (start("t"), transfer("t", "+1555"), END)),
    ("bad-number", "s", (start("s"), {"id": "s", "type": "sms", "text": "Hi", "to": "me", "edges": [{"to": "end"}, event("end", "failed")]}, END)),
    ("bad-number", "t", (start("a"), ask("a", "phone", to="t"), transfer("t", "+1{{phone}}"), END)),
    ("number-kind", "t", (start("a"), ask("a", "ok", to="t"), transfer("t", "{{ok}}"), END)),
    # menus
    ("no-key", "m", (start("m"), menu("m", event("end", "misunderstood")), END)),
    ("duplicate-key", "m", (start("m"), menu("m", event("end", "key:1"), event("x", "key:1")), END, end("x"))),
    ("words-collide", "m", (start("m"), menu("m", event("end", "key:1") | {"says": ["Orders"]}, event("x", "key:2") | {"says": ["orders"]}), END, end("x"))),
    ("words-unused", "a", (start("a"), ask("a", "ok", edges=[{"to": "end", "says": ["go on"]}]), END)),
    # ways in from anywhere
    ("anywhere-never-judged", "end", (start("end"), end("end", anywhere=[{"when": "prompt", "condition": "is angry"}]))),
    ("anywhere-taken", "x", (start("a"), ask("a", "ok"), end("end", anywhere=[HUMAN]), end("x", anywhere=[HUMAN]))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "node", "nodes"), FOUND, ids=[f"{code} {i}" for i, (code, _, _) in enumerate(FOUND)])
def test_what_is_found(code: str, node: str, nodes: tuple[Node, ...]) -> None:
    findings = check(flow(*nodes), TOOLS)
    assert (code, node) in {(finding.code, finding.node) for finding in findings}
    assert all(finding.fix.endswith(".") and not finding.sentence.endswith(".") for finding in findings)
    errors = {finding.code for finding in check(flow(*nodes), TOOLS.keys()) if finding.level == "error"}
    if errors:
        with pytest.raises(FlowRefused) as refusal:
            refuse_if_broken(flow(*nodes), TOOLS.keys())
        assert {finding.code for finding in refusal.value.findings} == errors
    else:
        refuse_if_broken(flow(*nodes), TOOLS.keys())


@pytest.mark.parametrize(
    ("code", "variables"),
    [
        ("duplicate-variable", [{"name": "a", "kind": "text"}, {"name": "a", "kind": "date"}]),
        ("reserved-name", [{"name": "in", "kind": "text"}]),
        ("valid-reads-others", [{"name": "a", "kind": "number", "valid": "a < b"}, {"name": "b", "kind": "number"}]),
        ("unknown-variable", [{"name": "a", "kind": "number", "valid": "b < 3"}]),
        ("equation-unreadable", [{"name": "a", "kind": "number", "valid": "a <"}]),
        ("equation-never-holds", [{"name": "a", "kind": "number", "valid": "a < 3 && a > 4"}]),
        ("invalid-never-said", [{"name": "a", "kind": "number", "invalid": "No."}]),
        ("unknown-variable", [{"name": "a", "kind": "number", "ask": "How many, {{who}}?"}]),
    ],
)
def test_what_is_found_in_variables(code: str, variables: list[Node]) -> None:
    assert found(start("end"), END, variables=variables) >= {(code, "")}


def agent(**more: Any) -> AgentVersion:
    nodes = (
        start("h"),
        {"id": "h", "type": "handoff", "agent": "agt_b", "edges": [event("t", "failed")]},
        transfer("t", ""),
        END,
    )
    known = {
        "agent": "agt_a",
        "number": 1,
        "published_at": datetime(2026, 1, 1, tzinfo=UTC),
        "transfer_number": "+15005550199",
    }
    return AgentVersion.model_validate({**known, "flow": flow(*nodes), **more})


@pytest.mark.parametrize(
    ("version", "agents", "codes"),
    [
        (agent(), None, []),
        (agent(), ["agt_b"], []),
        (agent(), ["agt_c"], ["unknown-agent"]),
        (agent(agent="agt_b"), ["agt_b"], ["handoff-to-itself"]),
        (agent(transfer_number=None), None, ["no-number"]),
        (agent(tools=["transfer_call"], guardrails={"then": "transfer"}), None, []),
        (agent(tools=["transfer_call"], transfer_number=None), None, ["no-number", "no-number"]),
        (agent(guardrails={"then": "transfer"}, transfer_number=None), None, ["no-number", "no-number"]),
        (agent(fallback_number="+19995550"), None, ["bad-number"]),
        (agent(prompt="word " * 801), None, ["prompt-too-long"]),
    ],
)
def test_what_is_found_beside_the_agent(version: AgentVersion, agents: list[str] | None, codes: list[str]) -> None:
    assert [finding.code for finding in check(version.flow, TOOLS, version, agents=agents)] == codes


def test_what_is_known_before_the_flow_begins_is_set() -> None:
    nodes = (start("end"), end("end", say="Hello {{word}}."))
    assert [finding.code for finding in check(flow(*nodes), TOOLS)] == ["never-set"]
    assert check(flow(*nodes), TOOLS, given=["word"]) == []


def test_an_edge_that_the_model_is_never_told_to_take_leads_nowhere() -> None:
    assert found(start("a"), talk("a", edges=[{"to": "end"}]), END) == {("edge-never-taken", "a")}
    told = talk("a", edges=[judged("done", "end"), {"to": "end"}])
    assert found(start("a"), told, END) == set()


def test_a_transfer_that_fails_in_one_way_may_fail_in_others() -> None:
    (finding,) = check(flow(start("t"), {**transfer("t"), "edges": [event("end", "failed:busy")]}, END), TOOLS)
    assert finding.sentence == "nothing says what happens if the transfer fails for another reason"


def test_the_witness_of_an_overlap_is_told() -> None:
    nodes = (start("a"), ask("a", "ok", "n", to="b"), branch("b", when("ok == true", "x"), when("n > 2", "y"), {"to": "end"}), END, end("x"), end("y"))  # fmt: skip
    (finding,) = check(flow(*nodes), TOOLS)
    assert finding.sentence.startswith("both 'ok == true' and 'n > 2' hold for ok = true, n = 3;")


def test_every_code_is_listed_and_can_be_found() -> None:
    told = {code for code, _, _ in FOUND}
    elsewhere = {"duplicate-variable", "reserved-name", "valid-reads-others", "invalid-never-said", "no-number",
                 "unknown-agent", "handoff-to-itself", "unknown-holidays", "not-carried-over", "changed-in-meaning"}  # fmt: skip
    assert told | elsewhere == CODES.keys()


def test_findings_come_in_the_order_of_the_nodes() -> None:
    nodes = (
        start("b"),
        run("b", "hack", edges=[{"to": "nowhere"}]),
        end("a", say="{{who}}"),
        end("z"),
        ask("c", "who"),
    )
    findings = check(flow(*nodes, variables=[{"name": "in", "kind": "text"}]), TOOLS)
    order = ["", "b", "a", "z", "c"]
    assert [finding.node for finding in findings] == sorted((f.node for f in findings), key=order.index)
    assert findings == check(flow(*nodes, variables=[{"name": "in", "kind": "text"}]), TOOLS)


def test_a_broken_node_is_named_in_the_refusal() -> None:
    with pytest.raises(FlowRefused, match="node 'a': an edge leads to 'nowhere'"):
        refuse_if_broken(flow(start("a"), ask("a", "ok", to="nowhere")), ())


def test_a_warning_refuses_no_call() -> None:
    refuse_if_broken(flow(start("r"), run("r", edges=[{"to": "end"}]), END, end("x")), {"anything"})


def test_a_misspelt_field_is_an_error_not_silence() -> None:
    with pytest.raises(ValidationError, match="sy"):
        flow({"id": "start", "type": "start", "sy": "Hello"})


# --- how much work it is ---


def big(parts: int) -> Flow:
    """Four nodes a part."""
    nodes = [start("a0")]
    for i in range(parts):
        then = f"a{i + 1}" if i + 1 < parts else "end"
        nodes += [
            ask(f"a{i}", "topic", "n", "ok", to=f"b{i}"),
            branch(f"b{i}", when(f"topic == 'order' && n > {i % 7}", f"r{i}"), when(f"ok && n == {i % 5}", f"t{i}"), {"to": then}),
            run(f"r{i}", to=then, failed=f"t{i}"),
            talk(f"t{i}", judged("done", then)),
        ]  # fmt: skip
    return flow(*nodes, END)


def work(what: Callable[[], object]) -> int:
    """How many calls of functions it takes."""
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        what()
    finally:
        sys.setprofile(None)
    return calls


def test_twice_the_nodes_are_twice_the_work() -> None:
    once, twice = big(125), big(250)
    for each in (once, twice):
        check(each, TOOLS)  # equations are read once
    assert work(lambda: check(twice, TOOLS)) < 2.3 * work(lambda: check(once, TOOLS))


def test_a_call_that_comes_in_costs_less_than_a_full_check() -> None:
    each = big(125)
    check(each, TOOLS)
    _errors.cache_clear()
    assert work(lambda: refuse_if_broken(each, TOOLS.keys())) < 0.5 * work(lambda: check(each, TOOLS))


def test_the_next_call_of_the_same_flow_costs_next_to_nothing() -> None:
    first, next_one = big(125), big(125)
    refuse_if_broken(first, TOOLS.keys())
    assert work(lambda: refuse_if_broken(next_one, TOOLS.keys())) < 100
    _errors.cache_clear()
    assert work(lambda: refuse_if_broken(next_one, TOOLS.keys())) > 10_000


def test_another_flow_and_other_tools_are_looked_at_anew() -> None:
    refuse_if_broken(flow(start("r"), run("r"), END), {"anything"})
    with pytest.raises(FlowRefused, match="'anything' doesn't exist"):
        refuse_if_broken(flow(start("r"), run("r"), END), ())
    with pytest.raises(FlowRefused, match="'hack' doesn't exist"):
        refuse_if_broken(flow(start("r"), run("r", "hack"), END), {"anything"})
