"""One step along a flow: from what the caller said, or a tool returned, to what the agent says and does next.

Pure. A step is computed whole and takes effect whole: `Step.state` replaces the old state, or nothing does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from domain import conditions
from domain.moment import Moment
from domain.reading import read_all, wish
from domain.template import aloud, plain
from schemas.flow import Branch, Edge, End, Flow, FlowState, Function, Node, Start, Talk, Transfer
from schemas.variable import Expectation, Value, Variable

LONGEST_WALK = 100
"""Nodes passed without listening, after which a flow is going round in circles."""


class FlowStuck(Exception):
    """The flow led nowhere, or in circles. The message names the node."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Let the caller speak."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Let the model speak."""

    fallback: str
    """What to say without one."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run a tool."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PutThrough:
    """Transfer the caller; an empty number means the agent's own."""

    number: str
    way_back: bool


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""

    outcome: str


Then = Listen | Ask | Run | PutThrough | HangUp


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to."""

    state: FlowState
    say: tuple[str, ...]
    """Sentences to speak first, in order."""
    then: Then


class Walk:
    """A flow made ready to be walked: looked up by id, nothing that changes."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.nodes: Mapping[str, Node] = {node.id: node for node in flow.nodes}
        self.variables: Mapping[str, Variable] = {variable.name: variable for variable in flow.variables}
        self.kinds = {name: variable.kind for name, variable in self.variables.items()}
        self.anywhere = {way.condition: node.id for node in flow.nodes for way in node.anywhere if way.when == "event"}

    @cached_property
    def fixed_texts(self) -> frozenset[str]:
        """What it says the same way every time."""
        texts = set[str]()
        for node in self.flow.nodes:
            match node:
                case Start() | End() | Transfer():
                    texts.add(node.say)
                case Talk():
                    texts.update((node.say, *node.retries))
                case Function():
                    texts.add(node.meanwhile)
        texts.update(variable.ask for variable in self.flow.variables)
        return frozenset(text for text in texts if text and "{{" not in text)

    def begin(self, variables: Mapping[str, Value], moment: Moment) -> Step:
        """The first step. `variables` are known from the start, `caller` among them."""
        return self._enter(self.flow.start, FlowState(node="", variables=dict(variables)), moment)

    def expectation(self, state: FlowState, language: str) -> Expectation:
        """What the caller may say next."""
        node = self.nodes[state.node]
        if not isinstance(node, Talk):
            return Expectation(language=language)
        return Expectation(
            asked=tuple(self.variables[name] for name in node.collect if name not in state.variables),
            welcome=tuple(self.variables[name] for name in node.welcome),
            language=language,
        )

    def answer(self, state: FlowState, words: str, moment: Moment) -> Step:
        """The caller said something."""
        match wish(words):
            case "human" | "goodbye" as event if target := self.anywhere.get(event):
                return self._enter(target, state, moment)
            case "repeat":
                return self.question(state, moment)
        return self.fill(state, self._read(state, words, moment), moment)

    def fill(self, state: FlowState, values: Mapping[str, Value], moment: Moment) -> Step:
        """Values for what the node collects or welcomes, from wherever they came. None of them is a miss."""
        node = self._talk(state)
        known = state.variables
        # A confirmation belongs to the values that it was asked about: once one changes, the answer is void.
        corrected = [name for name in node.welcome if name in values and values[name] != known.get(name, values[name])]
        if corrected:
            values = {name: value for name, value in values.items() if name in node.welcome}
        if node.collect and not values:
            return self._missed(state, node, moment)
        state = state.model_copy(update={"variables": {**known, **values}, "misses": 0})
        if corrected:
            edge = _event(node, "corrected")
            return self._enter(edge.to if edge else node.id, state, moment)
        if missing := [name for name in node.collect if name not in state.variables]:
            ask = self.variables[missing[0]].ask
            return Step(state, self._texts(state, moment, ask), Listen()) if ask else self.question(state, moment)
        if node.prompt and not self._leads_on(node, state):
            return Step(state, (), Ask(""))
        return self._enter(self._way_out(node, state), state, moment)

    def follow(self, state: FlowState, edge: int, moment: Moment) -> Step:
        """The model judged that the node's edge of this position holds."""
        return self._enter(self._talk(state).edges[edge].to, state, moment)

    def judged(self, state: FlowState, which: str) -> bool:
        """Whether the model may say that the node's edge of this position holds."""
        edges = self._talk(state).edges
        return which.isdecimal() and int(which) < len(edges) and edges[int(which)].when == "prompt"

    def again(self, state: FlowState) -> Step:
        """The function node's tool once more, as the same effect."""
        node = self.nodes[state.node]
        assert isinstance(node, Function)
        return Step(state, (), self._run(node, state))

    def returned(self, state: FlowState, output: Mapping[str, Any], moment: Moment) -> Step:
        """The function node's tool came back."""
        node = self.nodes[state.node]
        assert isinstance(node, Function)
        saved = {name: output[field] for name, field in node.saves.items() if output.get(field) is not None}
        state = state.model_copy(update={"variables": {**state.variables, **saved}})
        return self._enter(self._way_out(node, state), state, moment)

    def failed(self, state: FlowState, moment: Moment) -> Step | None:
        """The node's tool or transfer failed: where its edge for that leads, None if it has none."""
        edge = _event(self.nodes[state.node], "failed")
        return self._enter(edge.to, state, moment) if edge else None

    # --- inside ---

    def _enter(self, id: str, state: FlowState, moment: Moment) -> Step:
        """Walks from node to node, gathering what is said, until the world is needed."""
        said: list[str] = []
        for _ in range(LONGEST_WALK):
            node = self.nodes[id]
            state = self._arrive(node, state)
            match node:
                case Start():
                    said += self._texts(state, moment, node.say)
                case Talk():
                    missing = [name for name in node.collect if name not in state.variables]
                    if missing or not node.collect:
                        if node.prompt:
                            return Step(state, tuple(said), Ask(self._ask(missing)))
                        said += self._texts(state, moment, node.say or self._ask(missing))
                    if missing:
                        return Step(state, tuple(said), Listen())
                    if not node.collect and not self._passes_through(node):
                        return Step(state, tuple(said), Listen())
                case Branch():
                    pass
                case Function():
                    said += self._texts(state, moment, node.meanwhile)
                    return Step(state, tuple(said), self._run(node, state))
                case Transfer():
                    said += self._texts(state, moment, node.say)
                    number = str(plain(node.number, state.variables) or "")
                    return Step(state, tuple(said), PutThrough(number, way_back=_event(node, "failed") is not None))
                case End():
                    said += self._texts(state, moment, node.say)
                    return Step(state, tuple(said), HangUp(node.outcome))
                case _:
                    raise FlowStuck(f"{node.type} isn't walked yet")
            id = self._way_out(node, state)
        raise FlowStuck(f"the flow goes round in circles at {id!r}")

    @staticmethod
    def _arrive(node: Node, state: FlowState) -> FlowState:
        variables = state.variables
        if isinstance(node, Talk) and node.afresh:
            variables = {name: value for name, value in variables.items() if name not in node.collect}
        return FlowState(node=node.id, visit=state.visit + 1, variables=variables)

    @staticmethod
    def _passes_through(node: Talk) -> bool:
        """A node that neither collects nor welcomes anything only says something."""
        return not node.welcome

    def _way_out(self, node: Node, state: FlowState) -> str:
        for edge in node.edges:
            if edge.when == "always" or (edge.when == "equation" and self._holds(edge, state)):
                return edge.to
        raise FlowStuck(f"no edge leads out of {node.id!r}")

    def _leads_on(self, node: Talk, state: FlowState) -> bool:
        """Whether a prompted node is done without the model's judgement."""
        return bool(node.collect) or any(edge.when == "equation" and self._holds(edge, state) for edge in node.edges)

    def _holds(self, edge: Edge, state: FlowState) -> bool:
        return conditions.holds(edge.condition, self.variables, state.variables)

    def _read(self, state: FlowState, words: str, moment: Moment) -> dict[str, Value]:
        node = self._talk(state)
        asked = [self.variables[name] for name in node.collect if name not in state.variables]
        welcome = [self.variables[name] for name in node.welcome if name not in node.collect]
        return read_all([*asked, *welcome], words, moment)

    def _missed(self, state: FlowState, node: Talk, moment: Moment) -> Step:
        misses = state.misses + 1
        if misses > max(len(node.retries), 1):
            edge = _event(node, "misunderstood")
            target = edge.to if edge else self.anywhere.get("misunderstood")
            if target:
                return self._enter(target, state, moment)
        state = state.model_copy(update={"misses": misses})
        # The words were no typed answer: a model may make more of them; without one the retry is said.
        retry = node.retries[min(misses, len(node.retries)) - 1] if node.retries else self._opening(node, state)
        return Step(state, (), Ask(" ".join(self._texts(state, moment, retry))))

    def question(self, state: FlowState, moment: Moment) -> Step:
        """Where we stand, once more: what the node says or asks."""
        node = self.nodes[state.node]
        if not isinstance(node, Talk):
            return Step(state, (), Listen())
        if node.prompt:
            return Step(state, (), Ask(self._opening(node, state)))
        return Step(state, self._texts(state, moment, self._opening(node, state)), Listen())

    def _opening(self, node: Talk, state: FlowState) -> str:
        return node.say or self._ask([name for name in node.collect if name not in state.variables])

    @staticmethod
    def _run(node: Function, state: FlowState) -> Run:
        return Run(node.tool, {name: plain(text, state.variables) for name, text in node.arguments.items()})

    def _ask(self, missing: list[str]) -> str:
        return self.variables[missing[0]].ask if missing else ""

    def _talk(self, state: FlowState) -> Talk:
        node = self.nodes[state.node]
        if not isinstance(node, Talk):
            raise FlowStuck(f"{state.node!r} doesn't listen")
        return node

    def _texts(self, state: FlowState, moment: Moment, text: str) -> tuple[str, ...]:
        spoken = aloud(text, state.variables, self.kinds, moment).strip()
        return (spoken,) if spoken else ()


def _event(node: Node, name: str) -> Edge | None:
    return next((edge for edge in node.edges if edge.when == "event" and edge.condition == name), None)
