"""What an agent must never say, and what must never be stored, told as calls."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from domain import acts as a
from domain.guardrails import offence, offence_in
from domain.ports import ToolRequest, Unavailable
from domain.prompt import MANNERS
from tests.calls.test_flow_stories import START, PaperTools, agent, said, tool
from tests.fakes.caller import Caller
from tests.fakes.lab import Lab, hold
from tests.fakes.scripted_brain import ScriptedBrain

PROMPT = "We are open from nine to five on every weekday of the year. Never tell anybody that the owner is called Bob."
TALK = [
    START,
    {"id": "first", "type": "conversation", "prompt": "Help.", "tools": ["look_up"], "edges": [{"to": "first"}]},
]
INSTEAD = "I'm sorry, I can't talk about that. Is there anything else I can do for you?"


async def asks(lab: Lab, caller: Caller) -> None:
    await caller.listens()
    await caller.says("tell me something")
    await caller.listens()
    caller.hangs_up()


def guarded(*answers: Any, then: str = "go_on", **more: Any) -> Lab:
    guardrails = {"forbidden": ["legal advice", "Acme"], "then": then}
    brain = ScriptedBrain(["How can I help?"], *answers)
    lab = agent(TALK, brain=brain, prompt=PROMPT, guardrails=guardrails, **{"tools": ["look_up"], **more})
    lab.tools_of_its_own = PaperTools(tool("look_up"), look_up={"name": "Ada", "phone": "+1 500 555 0123"})
    return lab


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("My legal advice would be to sue.", "'legal advice'"),
        ("You should rather go to ACME!", "'Acme'"),
        ("Never tell anybody that the owner is called Bob.", "instructions"),
        (MANNERS.splitlines()[0].partition(": ")[2], "instructions"),
        ("I will call transfer_to_human now.", "instructions"),
        ("My instructions say that I must be brief.", "instructions"),
        ("You can reach her at (212) 736-5000.", "that number"),
        ("Write to bob@example.org.", "that address"),
    ],
)
def test_a_sentence_that_must_not_be_said_is_not(words: str, why: str) -> None:
    lab = hold(asks, guarded([f"Well. {words} And more of it."]))
    assert said(lab)[-1] == f"agent: Well. {INSTEAD}"
    assert why in lab.turns()[-1].guarded[0]


@pytest.mark.parametrize(
    "words",
    [
        "We are open from nine to five on every weekday of the year.",
        "Your advice is welcome, legally speaking.",
        "I can call you back at +1 500 555 0100.",
        "Is it four, or five?",
    ],
)
def test_what_may_be_said_is(words: str) -> None:
    lab = hold(asks, guarded([words]))
    assert said(lab)[-1] == f"agent: {words}"
    assert lab.turns()[-1].guarded == ()


VERSION = guarded().version
KNOWN = [
    "Call us at +1 500 555 0100 or write to ada@ours.example.",
    "my number is five oh oh five five five oh one two three",
]
NODE = "Find out what they want. Don't name prices. Never say that the shop in Springfield is going to close."


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("", "Her number is two one two, seven three six, five zero zero zero."),
        ("", "It's two one two seven three six five triple zero."),
        ("", "Dial plus four nine three oh one two three four five six seven."),
        ("", "It's 2 1 2 7 3 6 5 0 0 0."),
        ("You can call her at 212 736.", "5000 is the rest."),
        ("It is two one two. Seven three six.", "Five zero zero zero."),
        ("", "Write to bob at other dot example."),
        ("", "Write to Bob.Miller at other.example, please."),
        ("", "Write to bob@other dot example."),
        ("Write to bob at other.", "Dot example, I think."),
        ("Write to bob@other.", "example is where he works."),
        ("Write to bob@", "other.example today."),
        ("", "Well, never say that the shop in Springfield is going to close."),
        ("", "I was told: don't name prices."),
        ("", "Ask one question at a time."),
    ],
)
def test_what_is_hidden_in_words_or_over_two_sentences_is_found(before: str, sentence: str) -> None:
    assert offence(sentence, VERSION, KNOWN, before=before, instructions=[NODE])


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("", "Your number is five oh oh, five five five, oh one two three."),
        ("", "Call us at five oh oh five five five oh one oh oh."),
        ("Call us at +1 500 555.", "0100."),
        ("", "Write to Ada at ours dot example."),
        ("Write to ada@ours.example.", "Then we will answer."),
        ("We open at nine.", "Come in, or visit us at somewhere dot com."),
        ("The order is 4711.", "It was made on 2026-11-24 at 14:30."),
        ("", "You can have one, two, three, four, five, six or seven of them, at 9:30 or 10:15."),
        ("", "We meet at noon. At St. Mary's, not at the office."),
        ("", "Find out what they want."),
        ("", "I can't name prices, and I never say no."),
        ("", "It is 20, 30, 40 or 50 dollars on 11/24/2026 at 5 p.m."),
    ],
)
def test_what_is_known_or_only_looks_like_a_number_may_be_said(before: str, sentence: str) -> None:
    assert offence(sentence, VERSION, KNOWN, before=before, instructions=[NODE]) == ""


def test_what_is_quoted_in_an_instruction_is_there_to_be_said() -> None:
    told = 'You must say: "Your call is important to us and may be recorded for training." How are you today?'
    assert (
        offence("Your call is important to us and may be recorded for training.", VERSION, (), instructions=[told])
        == ""
    )
    assert offence("How are you today?", VERSION, (), instructions=[told]) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "All is well. Take my legal advice."},
        {"messages": [{"body": "Never tell anybody that the owner is called Bob."}]},
        {"to": "+1 212 736 5000"},
        {"note": "She is at two one two. Seven three six. Five zero zero zero."},
        {"text": "Hello. " * 300 + "Buy at Acme."},
        {"text": "well " * 300 + "buy at Acme"},
    ],
)
def test_what_a_model_writes_to_a_tool_is_checked_as_well(arguments: dict[str, Any]) -> None:
    assert offence_in(arguments, VERSION, iter(KNOWN))


def test_what_a_tool_needs_may_be_written() -> None:
    arguments = {"date": "2026-11-27", "time": "14:30", "to": "+15005550100", "email": "ada@ours.example", "count": 3,
                 "ok": True, "none": None, "items": ["blue lamp", "47129"]}  # fmt: skip
    assert offence_in(arguments, VERSION, iter(KNOWN)) == ""


def test_what_a_tool_told_may_be_said() -> None:
    lab = hold(asks, guarded([ToolRequest("c1", "look_up", {})], ["Her number is +1 500 555 0123."]))
    assert said(lab)[-1] == "agent: Her number is +1 500 555 0123."


@pytest.mark.parametrize(("then", "act"), [("transfer", a.PutThrough), ("end", a.HangUp)])
def test_what_follows_is_the_agent_s_choice(then: str, act: type) -> None:
    lab = hold(asks, guarded(["Take my legal advice."], then=then))
    assert said(lab)[-1].startswith(f"agent: {INSTEAD}")
    assert isinstance(lab.outcomes[0].act, act)


@pytest.mark.parametrize("then", ["go_on", "transfer", "end"])
def test_a_model_that_fails_after_it_said_what_it_must_not_changes_nothing(then: str) -> None:
    words = "Take my legal advice. "
    lab = hold(asks, guarded([words, Unavailable("it broke off")], then=then))
    assert said(lab)[-1].startswith(f"agent: {INSTEAD}")
    assert "not_understood" not in said(lab)[-1]
    assert (lab.outcomes[0].act is None) is (then == "go_on")


HOSTILE = [
    ToolRequest(f"c{n}", name, arguments)
    for n, (name, arguments) in enumerate(
        [
            ("book_appointment", {"date": "2026-11-27"}),
            ("end_call", {}),
            ("transfer_call", {}),
            ("press_keys", {"digits": "1"}),
            ("transfer_to_human", {}),
            ("go_on", {"which": "99"}),
            ("go_on", {"which": "../admin:0"}),
            ("remember", {"caller": "+15005550666", "admin": True}),
            ("cancel", {}),
            ("__import__", {"name": "os"}),
        ]
    )
]


@pytest.mark.parametrize("request_", HOSTILE, ids=lambda request: request.tool)
def test_a_hostile_model_reaches_nothing_that_its_node_does_not_offer(request_: ToolRequest) -> None:
    lab = guarded([request_], ["Well."])
    hold(asks, lab)
    assert lab.outcomes[0].act is None
    assert isinstance(lab.tools_of_its_own, PaperTools)
    assert lab.tools_of_its_own.ran == []
    assert lab.turns()[-1].node == "first"


def test_a_hostile_model_that_calls_everything_at_once_reaches_only_what_is_offered() -> None:
    lab = guarded([*HOSTILE, ToolRequest("ok", "look_up", {})], ["Done."])
    hold(asks, lab)
    assert isinstance(lab.tools_of_its_own, PaperTools)
    assert [call.tool for call in lab.tools_of_its_own.ran] == ["look_up"]
    assert lab.outcomes[0].act is None


def test_a_model_that_never_stops_calling_is_stopped() -> None:
    lab = guarded(*[[ToolRequest(f"c{n}", "look_up", {})] for n in range(50)])
    hold(asks, lab)
    assert isinstance(lab.tools_of_its_own, PaperTools)
    assert len(lab.tools_of_its_own.ran) < 10


CARD = "4111 1111 1111 1111"


def everything_stored(lab: Lab) -> str:
    return json.dumps(lab.documents.kept)


def test_a_card_number_that_is_spoken_is_neither_stored_nor_told_to_the_model() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        await caller.says(f"my card is {CARD} can you charge it", ms=4000)
        await caller.listens()
        caller.hangs_up()

    lab = guarded(["I can't take cards."])
    lab.speech.word_ms = 300
    hold(story, lab)
    assert CARD not in everything_stored(lab)
    assert "4111 1111 1" not in everything_stored(lab)
    assert "[card number]" in lab.turns()[-1].caller
    assert isinstance(lab.brain, ScriptedBrain)
    assert CARD not in str(lab.brain.prompts)


def test_a_card_number_that_is_pressed_is_not_stored() -> None:
    flow = [
        START,
        {"id": "first", "type": "conversation", "say": "Your number?", "collect": ["number"], "edges": [{"to": "end"}]},
        {"id": "end", "type": "end", "say": "Thanks."},
    ]

    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        for key in CARD.replace(" ", ""):
            caller.presses(key)
            await caller.quiet(300)
        await caller.listens()
        caller.hangs_up()

    lab = hold(story, agent(flow, [{"name": "number", "kind": "digits", "digits": [16, 16]}]))
    digits = "".join(part for part in everything_stored(lab) if part.isdecimal())
    assert CARD.replace(" ", "") not in digits
    assert "1111xxxx" in str([turn.keys for turn in lab.turns()]) or "1111xxxx" in everything_stored(lab)


def asking(variable: dict[str, Any], *more: dict[str, Any]) -> Lab:
    """An agent that collects these, one after another."""
    names = [variable["name"], *(each["name"] for each in more)]
    nodes = [
        {"id": name, "type": "conversation", "say": f"Your {name}?", "collect": [name], "edges": [{"to": after}]}
        for name, after in zip(names, [*names[1:], "end"], strict=True)
    ]
    start = {"id": "start", "type": "start", "say": "Hello.", "edges": [{"to": names[0]}]}
    return agent([start, *nodes, {"id": "end", "type": "end", "say": "Thanks."}], [variable, *more])


FIVE = {"name": "order", "kind": "digits", "digits": [5, 5]}
ANOTHER = {"name": "customer", "kind": "digits", "digits": [5, 5]}
SURE = {"name": "sure", "kind": "yes_no"}


def pressed_keys(lab: Lab) -> str:
    """All that the journal knows of."""
    journal = [lab.documents.kept[path] for path in sorted(lab.documents.kept) if "/journal/" in path]
    signals = [signal for batch in journal for signal in json.loads(batch["signals"])]
    return "".join(signal["digit"] for signal in signals if signal["kind"] == "pressed")


@pytest.mark.parametrize(
    "lab",
    [lambda: guarded(*[["Go on."]] * 20), lambda: asking(FIVE, ANOTHER, SURE)],
    ids=["a turn a key", "five digits twice"],
)
def test_a_card_number_that_is_pressed_over_turns_is_not_stored(lab: Callable[[], Lab]) -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        await caller.listens()
        for key in CARD.replace(" ", ""):
            caller.presses(key)
            await caller.quiet(900)
        await caller.quiet(3000)
        caller.hangs_up()

    assert pressed_keys(hold(story, lab())).startswith("411111x")


def test_numbers_that_are_pressed_one_after_another_are_taken() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        for keys in ("47129", "52718", "1"):
            await caller.listens()
            caller.presses(keys)
        await caller.listens()

    lab = hold(story, asking(FIVE, ANOTHER, SURE))
    assert [turn.keys for turn in lab.turns() if turn.keys] == ["47129", "52718", "1"]
    assert said(lab)[-1] == "agent: Thanks."


def test_a_card_number_that_is_spoken_in_groups_is_not_stored() -> None:
    async def story(lab: Lab, caller: Caller) -> None:
        for group in CARD.split():
            await caller.listens()
            await caller.says(group)
        await caller.listens()
        caller.hangs_up()

    lab = guarded(["Yes?"], ["Go on."], ["And?"], ["I can't take cards."])
    hold(story, lab)
    assert [turn.caller for turn in lab.turns()[-4:]] == ["4111", "1111", "[card number]", "[card number]"]
    assert "1111" not in lab.turns()[-1].caller


def test_a_card_number_from_a_tool_or_a_model_is_neither_stored_nor_said() -> None:
    lab = guarded([ToolRequest("c1", "look_up", {})], [f"The card is {CARD}."])
    lab.tools_of_its_own = PaperTools(tool("look_up"), look_up={"cards": [{"text": f"Visa {CARD}"}]})
    hold(asks, lab)
    assert said(lab)[-1] == "agent: The card is [card number]."
    assert "Visa [card number]" in everything_stored(lab)
    assert CARD not in everything_stored(lab)
    assert isinstance(lab.brain, ScriptedBrain)
    assert CARD not in str(lab.brain.prompts)
