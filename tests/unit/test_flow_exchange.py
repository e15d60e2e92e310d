"""Flows from and for other systems: what comes across, and what is told to be lost."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.flow_check import check
from domain.flow_export import write_f, write_v
from domain.flow_import import BadFlow, format_of, read_flow
from offhook.seed import demo_version
from schemas.finding import Finding
from schemas.flow import Branch, End, Flow, Function, Handoff, Start, Talk, Transfer
from schemas.flow_f import FlowF
from schemas.flow_v import FlowV
from tests.fakes.lab import NOW

Json = dict[str, Any]


def v(id: str, type: str, x: float = 0, **data: Any) -> Json:
    return {"id": id, "type": type, "position": {"x": x, "y": 0}, "data": {"label": id.title(), **data}}


def line(source: str, target: str, label: str | None = None) -> Json:
    edge = {"id": f"{source}-{target}", "source": source, "target": target}
    return edge if label is None else {**edge, "label": label}


CANVAS: Json = {
    "nodes": [
        v("1", "start", greeting="Hello."),
        v("2", "prompt", systemPrompt="Find out what {{name}} wants.", temperature=0.4, maxTokens=200),
        v("3", "tool", toolName="check_order_status", toolConfig={"order_number": "{{orderNumber}}", "places": 2}),
        v("4", "condition", condition="vip == true", trueLabel="Yes", falseLabel="No"),
        v("5", "handoff", target="+15005550199", reason="A VIP"),
        v("6", "handoff", target="agt_general", reason="Anything else"),
        v("7", "end", farewell="Bye."),
    ],
    "edges": [
        line("1", "2"),
        line("2", "3", "The caller asks about an order"),
        line("2", "4", "The caller complains"),
        line("3", "7"),
        line("3", "4", "failed"),
        line("4", "6", "No"),
        line("4", "5", "Yes"),
    ],
}

LISTED: Json = {
    "id": "booking",
    "start_node_id": "greet",
    "nodes": [
        {
            "id": "greet",
            "type": "conversation",
            "instruction": "Greet the caller and ask for name and date.",
            "extract_variables": ["name", {"name": "date", "description": "the day", "type": "date"}],
            "edges": [
                {
                    "target_node_id": "book",
                    "conditions": [{"type": "equation", "condition": "{{name}} exists AND {{date}} exists"}],
                }
            ],
        },
        {
            "id": "book",
            "type": "function",
            "instruction": "book_appointment",
            "extract_variables": ["confirmation"],
            "edges": [{"target_node_id": "split", "conditions": []}],
        },
        {
            "id": "split",
            "type": "logic_split",
            "edges": [
                {
                    "target_node_id": "bye",
                    "conditions": [{"type": "equation", "condition": "{{confirmation}} exists"}],
                },
                {"target_node_id": "person"},
            ],
        },
        {
            "id": "person",
            "type": "transfer",
            "instruction": "Transfer to +15005550199.",
            "edges": [{"target_node_id": "bye"}],
        },
        {"id": "bye", "type": "end", "instruction": "Goodbye, {{name}}.", "edges": []},
    ],
}


def told(losses: tuple[Finding, ...]) -> str:
    return "\n".join(map(str, losses))


def test_a_canvas_becomes_a_flow() -> None:
    imported = read_flow(CANVAS)
    start, prompt, tool, branch, number, agent, end = imported.flow.nodes
    assert isinstance(start, Start)
    assert (start.say, start.label, start.edges[0].to) == ("Hello.", "1", "2")
    assert isinstance(prompt, Talk)
    assert (prompt.prompt, prompt.temperature) == ("Find out what {{name}} wants.", 0.4)
    assert [(edge.when, edge.condition, edge.to) for edge in prompt.edges] == [
        ("prompt", "The caller asks about an order", "3"),
        ("prompt", "The caller complains", "4"),
        ("always", "", "2"),
    ]
    assert isinstance(tool, Function)
    assert tool.arguments == {"order_number": "{{order_number}}", "places": "2"}
    assert [(edge.when, edge.condition, edge.to) for edge in tool.edges] == [
        ("always", "", "7"),
        ("event", "failed", "4"),
    ]
    assert isinstance(branch, Branch)
    assert [(edge.condition, edge.to, edge.label) for edge in branch.edges] == [
        ("vip == true", "5", "Yes"),
        ("", "6", "No"),
    ]
    assert isinstance(number, Transfer)
    assert (number.number, number.reason) == ("+15005550199", "A VIP")
    assert isinstance(agent, Handoff)
    assert (agent.agent, agent.reason) == ("agt_general", "Anything else")
    assert isinstance(end, End)
    assert end.say == "Bye."
    assert {variable.name: variable.kind for variable in imported.flow.variables} == {
        "name": "text",
        "order_number": "text",
        "vip": "yes_no",
    }
    assert "maxTokens" in told(imported.losses)
    assert "'orderNumber' is called 'order_number'" in told(imported.losses)


def test_a_list_becomes_a_flow() -> None:
    imported = read_flow(LISTED)
    start, greet, book, split, person, bye = imported.flow.nodes
    assert isinstance(start, Start)
    assert start.edges[0].to == "greet"
    assert isinstance(greet, Talk)
    assert greet.collect == ("name", "date")  # nothing leads on before both are known
    assert [(edge.when, edge.to) for edge in greet.edges] == [("equation", "book"), ("always", "greet")]
    assert isinstance(book, Function)
    assert (book.tool, book.saves) == ("book_appointment", {"confirmation": "confirmation"})
    assert isinstance(split, Branch)
    assert [(edge.when, edge.to) for edge in split.edges] == [("equation", "bye"), ("always", "person")]
    assert isinstance(person, Transfer)
    assert (person.number, person.edges[0].condition) == ("+15005550199", "failed")
    assert isinstance(bye, End)
    assert [variable.kind for variable in imported.flow.variables] == ["text", "date", "text"]
    errors = [finding for finding in check(imported.flow, ["book_appointment"]) if finding.level == "error"]
    assert errors == []
    assert "said word for word" in told(imported.losses)


def one_prompt(*edges: Json) -> Talk:
    document = {"nodes": [v("s", "start"), v("p", "prompt", systemPrompt="Help."), v("e", "end")], "edges": [*edges]}
    talk = read_flow(document).flow.nodes[1]
    assert isinstance(talk, Talk)
    return talk


def test_a_single_way_out_of_a_prompt_is_for_when_its_task_is_done() -> None:
    done, stay = one_prompt(line("p", "e")).edges
    assert (done.when, done.to) == ("prompt", "e")
    assert "done" in done.condition
    assert (stay.when, stay.to) == ("always", "p")


def test_without_a_way_out_a_prompt_goes_on() -> None:
    assert [edge.to for edge in one_prompt().edges] == ["p"]


def conditional(condition: str, *edges: Json, **labels: str) -> Json:
    nodes = [v("s", "start"), v("c", "condition", condition=condition, **labels), v("a", "end"), v("b", "end")]
    return {"nodes": nodes, "edges": [line("s", "c"), *edges]}


@pytest.mark.parametrize(
    ("edges", "labels"),
    [
        ((line("c", "b", "no"), line("c", "a", "yes")), {}),
        ((line("c", "b", "Nope"), line("c", "a", "Sure")), {"trueLabel": "Sure", "falseLabel": "nope"}),
        ((line("c", "a"), line("c", "b")), {}),
        ((line("c", "b", "false"), line("c", "a")), {}),
        ((line("c", "b") | {"sourceHandle": "false"}, line("c", "a") | {"sourceHandle": "true"}), {}),
    ],
)
def test_which_way_is_for_true(edges: tuple[Json, ...], labels: dict[str, str]) -> None:
    branch = read_flow(conditional("vip == true", *edges, **labels)).flow.nodes[1]
    assert [(edge.when, edge.to) for edge in branch.edges] == [("equation", "a"), ("always", "b")]


def test_a_condition_in_plain_words_is_left_to_a_model() -> None:
    imported = read_flow(conditional("the caller is angry", line("c", "a"), line("c", "b")))
    talk = imported.flow.nodes[1]
    assert isinstance(talk, Talk)
    assert [(edge.when, edge.condition) for edge in talk.edges[:1]] == [("prompt", "the caller is angry")]
    assert "no equation" in told(imported.losses)


def test_javascript_s_signs_are_read() -> None:
    branch = read_flow(conditional("userMood !== 'bad' && n === 3", line("c", "a"), line("c", "b"))).flow.nodes[1]
    assert branch.edges[0].condition == "user_mood != 'bad' && n == 3"


def test_what_other_ids_and_keys_come_to() -> None:
    document = {
        "nodes": [v("@1", "start"), v("1", "end", colour="red") | {"width": 10}],
        "edges": [line("@1", "1") | {"animated": True}, line("ghost", "1")],
        "viewport": {},
    }
    imported = read_flow(document)
    assert [node.id for node in imported.flow.nodes] == ["1", "1_2"]
    assert imported.flow.nodes[0].edges[0].to == "1_2"
    for what in ("colour", "width", "animated", "viewport", "'ghost'", "'@1'"):
        assert what in told(imported.losses), what


def listed(*nodes: Json) -> Json:
    return {"start_node_id": nodes[0]["id"], "nodes": [*nodes, {"id": "end", "type": "end"}]}


def to(target: str, *conditions: tuple[str, str]) -> Json:
    return {"target_node_id": target, "conditions": [{"type": kind, "condition": said} for kind, said in conditions]}


@pytest.mark.parametrize(
    ("node", "ways"),
    [
        # a way without conditions out of a conversation that collects nothing: when its task is done
        ({"type": "conversation", "edges": [to("end")]}, ["prompt end", "always x"]),
        ({"type": "conversation", "extract_variables": ["a"], "edges": [to("end")]}, ["always end"]),
        ({"type": "conversation", "edges": [to("end", ("prompt", "is done"))]}, ["prompt end", "always x"]),
        # several conditions: all must hold
        ({"type": "conversation", "edges": [to("end", ("equation", "a exists"), ("equation", "b exists"))]}, ["equation end", "always x"]),
        ({"type": "conversation", "edges": [to("end", ("equation", "a exists"), ("prompt", "is done"))]}, ["prompt end", "always x"]),
        # a branch asks no model, and what is for everything else comes last
        ({"type": "logic_split", "edges": [to("end", ("prompt", "is angry")), to("y")]}, ["prompt end", "prompt y", "always x"]),
        ({"type": "logic_split", "edges": [to("end"), to("y", ("equation", "a == 1"))]}, ["equation y", "always end"]),
        ({"type": "transfer", "edges": [to("end", ("prompt", "nobody answers"))]}, ["event end"]),
    ],
)  # fmt: skip
def test_ways_out_of_listed_nodes(node: Json, ways: list[str]) -> None:
    flow = read_flow(listed({"id": "x", "instruction": "Help.", **node}, {"id": "y", "type": "end"})).flow
    assert [f"{edge.when} {edge.to}" for edge in flow.nodes[1].edges] == ways


def test_several_equations_become_one() -> None:
    edges = [to("end", ("equation", "{{firstName}} exists"), ("equation", "a == 1 OR b == 2"))]
    flow = read_flow(listed({"id": "x", "type": "conversation", "instruction": "Help.", "edges": edges})).flow
    assert flow.nodes[1].edges[0].condition == "({{first_name}} exists) AND (a == 1 OR b == 2)"


@pytest.mark.parametrize(
    ("node", "tool"),
    [
        ({"instruction": "check_slots"}, "check_slots"),
        ({"function": "check_slots", "instruction": "Look for a slot."}, "check_slots"),
        ({"instruction": "Call check_slots with the date."}, "check_slots"),
        ({"instruction": "Call check(date)."}, "check"),
        ({}, "x"),
    ],
)
def test_how_a_function_is_named(node: Json, tool: str) -> None:
    function = read_flow(listed({"id": "x", "type": "function", "edges": [to("end")], **node})).flow.nodes[1]
    assert isinstance(function, Function)
    assert function.tool == tool


def test_a_function_with_ways_for_a_model_is_followed_by_a_conversation() -> None:
    edges = [to("end", ("prompt", "it went well")), to("x", ("prompt", "it didn't"))]
    imported = read_flow(listed({"id": "x", "type": "function", "instruction": "f_x", "edges": edges}))
    assert [(node.id, node.type) for node in imported.flow.nodes[1:3]] == [
        ("x", "function"),
        ("x_then", "conversation"),
    ]
    assert "'x_then'" in told(imported.losses)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "neither"),
        ({"nodes": 3, "edges": []}, "neither"),
        ({"nodes": [], "edges": []}, "0 nodes of the type start"),
        ({"nodes": [v("a", "start"), v("b", "start")], "edges": []}, "2 nodes of the type start"),
        ({"nodes": [v("a", "banana")], "edges": []}, "nodes.0.type"),
        ({"nodes": ["a"], "edges": []}, "nodes.0"),
        ({"nodes": [v("a", "start")], "edges": [{"source": "a"}]}, "edges.0.target"),
        ({"start_node_id": "a", "nodes": [{"id": "a", "type": "conversation", "edges": [{}]}]}, "target_node_id"),
        ({"start_node_id": "a", "nodes": [{"id": "a", "type": "conversation", "extract_variables": [{}]}]}, "extract_variables"),
    ],
)  # fmt: skip
def test_what_is_no_flow(document: Any, says: str) -> None:
    with pytest.raises(BadFlow, match=says):
        read_flow(document)


@pytest.mark.parametrize(
    ("document", "format"),
    [
        (CANVAS, "v"),
        (LISTED, "f"),
        ({"start": "a", "nodes": []}, "flow"),
        ({"flow": {"start": "a", "nodes": []}}, "agent"),
        ({"nodes": []}, None),
        ("nodes", None),
    ],
)
def test_formats_are_told_apart(document: Any, format: str | None) -> None:
    assert format_of(document) == format


# --- there and back ---


def test_a_canvas_comes_back_as_it_was() -> None:
    flow = read_flow(CANVAS).flow
    exported = write_v(flow)
    assert exported.document["nodes"][3]["data"] == CANVAS["nodes"][3]["data"]
    assert exported.document["nodes"][1]["position"] == CANVAS["nodes"][1]["position"]
    assert read_flow(exported.document).flow == flow


def test_a_list_comes_back_as_it_was() -> None:
    flow = read_flow(LISTED).flow
    exported = write_f(flow, "booking")
    assert exported.document["start_node_id"] == "greet"
    assert exported.document["nodes"][0]["edges"] == LISTED["nodes"][0]["edges"]
    assert read_flow(exported.document).flow == flow


words = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=12)
some_words = words.filter(str.strip)
names = st.sampled_from(["name", "orderNumber", "Date", "x y", "in", "caller", "größe"])
placeholder_texts = st.lists(some_words | names.map(lambda name: f"{{{{{name}}}}}"), min_size=1, max_size=3).map(
    " ".join
)
foreign_ids = st.text(max_size=6) | st.sampled_from(["@back", "@a", "a", "node-1", "x" * 90])
equations = st.sampled_from(
    ["{{name}} exists AND {{Date}} exists", "orderNumber == 3", "NOT ({{name}} == 'a' OR x > 2)", "ok == true", "open"]
)


@st.composite
def canvases(draw: st.DrawFn) -> Json:
    ids = draw(st.lists(foreign_ids, min_size=1, max_size=7, unique=True))
    nodes = [v(ids[0], "start", greeting=draw(placeholder_texts))]
    for id in ids[1:]:
        data: Json
        kind, data = draw(
            st.one_of(
                st.tuples(
                    st.just("prompt"), st.fixed_dictionaries({"systemPrompt": placeholder_texts, "temperature": st.none() | st.floats(0, 2)})
                ),
                st.tuples(
                    st.just("tool"),
                    st.fixed_dictionaries(
                        {"toolName": words, "toolConfig": st.dictionaries(some_words, placeholder_texts | st.integers(), max_size=2)}
                    ),
                ),
                st.tuples(
                    st.just("handoff"),
                    st.fixed_dictionaries({"target": st.sampled_from(["+15005550199", "agt_b", "{{phone}}", ""]), "reason": words}),
                ),
                st.tuples(st.just("condition"), st.fixed_dictionaries({"condition": equations | st.just("she is angry")})),
                st.tuples(st.just("end"), st.fixed_dictionaries({"farewell": placeholder_texts})),
            )
        )  # fmt: skip
        nodes.append(v(id, kind, x=draw(st.integers(0, 500)), **data))
    ends = st.sampled_from(ids)
    labels = st.none() | st.sampled_from(["yes", "no", "failed", "The caller wants to book"])
    edges = [line(draw(ends), draw(ends), draw(labels)) for _ in range(draw(st.integers(0, 8)))]
    return {"nodes": nodes, "edges": edges}


@st.composite
def lists(draw: st.DrawFn) -> Json:
    ids = draw(st.lists(foreign_ids, min_size=1, max_size=6, unique=True))
    kinds = st.sampled_from(["conversation", "function", "logic_split", "end", "transfer"])
    conditions = st.fixed_dictionaries({"type": st.just("equation"), "condition": equations}) | st.fixed_dictionaries(
        {"type": st.just("prompt"), "condition": some_words}
    )
    variables = names | st.fixed_dictionaries(
        {
            "name": names,
            "type": st.sampled_from(["string", "number", "boolean", "date", "object"]),
            "description": words,
        }
    )
    nodes = []
    for id in ids:
        edge = st.fixed_dictionaries(
            {"target_node_id": st.sampled_from(ids), "conditions": st.lists(conditions, max_size=2)}
        )
        nodes.append(
            {
                "id": id,
                "type": draw(kinds),
                "instruction": draw(placeholder_texts),
                "extract_variables": draw(st.lists(variables, max_size=2)),
                "edges": draw(st.lists(edge, max_size=3)),
            }
        )
    return {"id": "x", "start_node_id": draw(st.sampled_from(ids)), "nodes": nodes}


@settings(deadline=None, max_examples=100, derandomize=True)
@given(canvases())
def test_any_canvas_survives_the_way_there_and_back(document: Json) -> None:
    flow = read_flow(document).flow
    FlowV.model_validate(write_v(flow).document)
    assert read_flow(write_v(flow).document).flow == flow


@settings(deadline=None, max_examples=100, derandomize=True)
@given(lists())
def test_any_list_survives_the_way_there_and_back(document: Json) -> None:
    flow = read_flow(document).flow
    FlowF.model_validate(write_f(flow).document)
    assert read_flow(write_f(flow).document).flow == flow


# --- what ours have that others haven't ---


@pytest.mark.parametrize("file", ["booking", "orders"])
def test_what_the_demo_agents_lose_is_told(file: str) -> None:
    flow = demo_version("agt_x", file, NOW).flow
    for exported in (write_v(flow), write_f(flow)):
        lost = told(exported.losses)
        for what in ("retries", "anywhere", "outcome"):
            assert what in lost, what
        again = read_flow(exported.document).flow
        assert {node.id for node in flow.nodes} <= {node.id for node in again.nodes} | {"start"}


def test_nothing_of_a_node_is_dropped_silently() -> None:
    """Every field of every kind of node is in the document, or in the losses."""
    flow = Flow.model_validate(
        {
            "start": "start",
            "variables": [
                {"name": "day", "kind": "date", "ask": "ask_words", "valid": "day > '2'", "invalid": "invalid_words"},
            ],
            "nodes": [
                {"id": "start", "type": "start", "say": "greeting_words", "edges": [{"to": "menu", "label": "edge_label"}]},
                {"id": "menu", "type": "menu", "say": "menu_words", "retries": ["menu_retry"], "edges": [
                    {"to": "talk", "when": "event", "condition": "key:1", "says": ["spoken_words"]},
                    {"to": "talk", "when": "event", "condition": "silence"}]},
                {"id": "talk", "type": "conversation", "say": "talk_words", "collect": ["day"], "welcome": ["day"], "afresh": True,
                 "tools": ["t"], "retries": ["talk_retry"], "temperature": 1.5, "label": "talk_label", "position": {"x": 1, "y": 2},
                 "edges": [{"to": "run"}, {"to": "@back", "when": "event", "condition": "human"}]},
                {"id": "run", "type": "function", "tool": "tool_name", "arguments": {"a": "argument_text"}, "saves": {"day": "$.path"},
                 "meanwhile": "meanwhile_words", "edges": [{"to": "sms"}, {"to": "sms", "when": "event", "condition": "cancelled"}]},
                {"id": "sms", "type": "sms", "text": "sms_text", "to": "+15005550001", "say": "sms_words", "edges": [{"to": "out"}]},
                {"id": "out", "type": "transfer", "number": "+15005550199", "say": "transfer_words", "briefing": "briefing_words", "reason": "why"},
                {"id": "hand", "type": "handoff", "agent": "agt_b", "say": "handoff_words", "history": "last", "turns": 2, "variables": ["day"], "reason": "because"},
                {"id": "end", "type": "end", "say": "end_words", "outcome": "won", "anywhere": [{"when": "event", "condition": "human"}]},
            ],
        }
    )  # fmt: skip
    for exported in (write_v(flow), write_f(flow)):
        lost, document = told(exported.losses), str(exported.document)
        for field in ("retries", "welcome", "afresh", "tools", "temperature", "label", "position", "saves", "meanwhile", "briefing",
                      "history", "turns", "variables", "outcome", "anywhere", "'silence'", "'cancelled'", "back"):  # fmt: skip
            assert field in lost or field in document, field
        for field in ("ask", "valid", "invalid"):
            assert field in lost or "declares no variables: day" in lost, field
        for value in ("greeting_words", "menu_words", "spoken_words", "talk_words", "tool_name", "+15005550199", "why", "because", "end_words"):  # fmt: skip
            assert value in document, value
        for field, value in (
            ("arguments", "argument_text"),
            ("text", "sms_text"),
            ("say", "sms_words"),
            ("say", "transfer_words"),
        ):
            assert value in document or field in lost
