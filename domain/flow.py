"""A flow walked: from what the caller said, or a tool returned, to what the agent says and does next. Pure.

What needs no model goes first: events, then typed answers, then equations. What only a model can judge is asked in the
same request that writes the reply.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from domain import conditions, keypad
from domain.moment import Moment
from domain.output import taken
from domain.reading import read, read_all, wish
from domain.step import Ask, FlowStuck, HandOver, HangUp, Listen, PutThrough, Run, Step
from domain.template import aloud, plain
from schemas.flow import (
    BACK,
    Anywhere,
    Branch,
    Edge,
    End,
    Flow,
    FlowState,
    Function,
    Handoff,
    Menu,
    Node,
    Sms,
    Start,
    Talk,
    Transfer,
)
from schemas.variable import Choice, Expectation, Kind, Value, Variable

LONGEST_WALK = 100
"""Nodes passed without listening, after which a flow is going round in circles."""
DEEPEST = 10
"""Nodes that are kept to return to; beyond, the one that was left first is forgotten."""
ALWAYS_KNOWN = ("caller", "open")
"""Variables of every flow: the caller's number, and whether it is within the agent's hours."""
SEND_SMS = "send_sms"
"""The tool that a text message's node runs."""

_VOLUNTEERED: Mapping[Kind, frozenset[Kind]] = {
    "date": frozenset(),
    "time": frozenset(),
    "number": frozenset({"number", "digits", "phone"}),
    "digits": frozenset({"number", "digits", "phone"}),
    "phone": frozenset({"number", "digits", "phone"}),
    "choice": frozenset({"choice"}),
}
"""Kinds that can be told from a caller's words though nobody asked, and for each the kinds that mustn't be asked for at
the same time, since the words would fit both."""


class Walk:
    """A flow made ready to be walked: looked up by id, nothing that changes."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.nodes: Mapping[str, Node] = {node.id: node for node in flow.nodes}
        self.variables: Mapping[str, Variable] = {variable.name: variable for variable in flow.variables}
        self.kinds: Mapping[str, Kind] = {
            "caller": "phone",
            **{name: variable.kind for name, variable in self.variables.items()},
        }

    @cached_property
    def fixed_texts(self) -> frozenset[str]:
        """What it says the same way every time."""
        texts = set[str]()
        for node in self.flow.nodes:
            match node:
                case Start() | End() | Transfer() | Handoff() | Sms():
                    texts.add(node.say)
                case Talk() | Menu():
                    texts.update((node.say, *node.retries))
                case Function():
                    texts.add(node.meanwhile)
        for variable in self.flow.variables:
            texts.update((variable.ask, variable.invalid))
        return frozenset(text for text in texts if text and "{{" not in text)

    @cached_property
    def _names(self) -> frozenset[str]:
        """What an equation may read."""
        return frozenset({*self.variables, *ALWAYS_KNOWN})

    @cached_property
    def _given_by_callers(self) -> frozenset[str]:
        """Variables that some node asks for: others are filled by tools."""
        return frozenset(
            name for node in self.flow.nodes if isinstance(node, Talk) for name in (*node.collect, *node.welcome)
        )

    # --- steps ---

    def begin(self, variables: Mapping[str, Value], moment: Moment, visit: int = 0) -> Step:
        """The first step. `variables` are known from the start, `caller` and `open` among them; `visit` is how many
        nodes of another flow the conversation has been at."""
        return self._enter(self.flow.start, FlowState(node="", visit=visit, variables=dict(variables)), moment)

    def answer(self, state: FlowState, words: str, moment: Moment) -> Step:
        """The caller said something."""
        match wish(words):
            case "human" | "goodbye" as event if step := self.happened(state, event, moment):
                return step
            case "repeat":
                return self.question(state, moment)
        node = self.nodes[state.node]
        if isinstance(node, Menu):
            choice = read(_as_choice(node), words, moment)
            return self._chosen(node, str(choice), state, moment) if choice else self._missed(state, node, moment)
        if not isinstance(node, Talk):
            return self.question(state, moment)
        return self.fill(state, self._read(state, node, words, moment), moment)

    def pressed(self, state: FlowState, keys: str, moment: Moment) -> Step:
        """The caller pressed keys, as many as `is_enough` wanted."""
        if step := self.happened(state, f"key:{keys}", moment):
            return step
        return self.fill(state, keypad.values(self.expectation(state, "").asked, keys, moment), moment)

    def is_enough(self, state: FlowState, keys: str) -> bool:
        """Whether no further key is awaited."""
        asked = self.expectation(state, "").asked
        if isinstance(self.nodes[state.node], Menu):
            return True
        is_way = any(way.when == "event" and way.condition == f"key:{keys}" for way, _ in self._ways(state))
        takes_keys = any(keypad.longest(variable) > 1 for variable in asked)
        return (is_way and not takes_keys) or keypad.enough(asked, keys)

    def fill(self, state: FlowState, values: Mapping[str, Value], moment: Moment) -> Step:
        """Values for what the node collects or welcomes, and for what may be given anytime, from wherever they came.
        None of them is a miss."""
        node = self.nodes[state.node]
        if isinstance(node, Menu):
            return self._missed(state, node, moment)
        if not isinstance(node, Talk):
            return self.question(state, moment)
        known = state.variables
        good = {name: value for name, value in values.items() if self._is_valid(name, {**known, **values})}
        if refused := [name for name in values if name not in good]:
            kept = state.model_copy(update={"variables": {**known, **good}})
            return self._refuse(self.variables[refused[0]], {**known, **values}, kept, node, moment)
        # A confirmation belongs to the values that it was asked about: once one changes, the answer is void.
        corrected = [name for name in node.welcome if name in values and values[name] != known.get(name, values[name])]
        if corrected:
            good = {name: value for name, value in good.items() if name in node.welcome}
        if not good and self._missing(node, state):
            return self._missed(state, node, moment)
        before = state
        state = state.model_copy(update={"variables": {**known, **good}, "misses": 0})
        given = frozenset(good)
        if corrected:
            edge = _event(node, "corrected")
            return self._enter(edge.to if edge else node.id, state, moment, given)
        if target := self._now_holds(before, state):
            return self._from_anywhere(target, state, moment)
        if missing := [name for name in node.collect if name not in state.variables]:
            ask = self.variables[missing[0]].ask
            return Step(state, self._texts(state, moment, ask), Listen()) if ask else self.question(state, moment)
        if (edge := self._holding(node, state)) is not None:
            return self._enter(edge.to, state, moment, given)
        if (node.prompt and not node.collect) or self._is_judged(node):
            return Step(state, (), Ask(""))
        return self._enter(self._way_out(node, state), state, moment, given)

    def happened(self, state: FlowState, event: str, moment: Moment) -> Step | None:
        """What an event leads to (see `domain.events`): the node's own way for it first, then one from anywhere; None
        if there is neither."""
        if edge := _event(self.nodes[state.node], event):
            return self._enter(edge.to, state, moment)
        for way, id in self._ways_in():
            if way.when == "event" and way.condition == event and id != state.node:
                return self._from_anywhere(id, state, moment)
        return None

    def judgeable(self, state: FlowState) -> dict[str, str]:
        """What the model may judge to hold, by the name that it says so with."""
        node = self.nodes[state.node]
        own = {str(i): edge.condition for i, edge in enumerate(node.edges) if edge.when == "prompt"}
        if isinstance(node, Menu):
            keyed = {str(i): _in_words(edge) for i, edge in enumerate(node.edges) if edge in _ways_by_key(node)}
            own = own | keyed
        others = {
            f"{id}:{i}": way.condition
            for id, each in self.nodes.items()
            for i, way in enumerate(each.anywhere)
            if way.when == "prompt" and id != node.id
        }
        return own | others

    def follow(self, state: FlowState, which: str, moment: Moment) -> Step | None:
        """The model judged that this one of `judgeable` holds; None if there is no such."""
        if which not in self.judgeable(state):
            return None
        if which.isdecimal():
            return self._enter(self.nodes[state.node].edges[int(which)].to, state, moment)
        return self._from_anywhere(which.rpartition(":")[0], state, moment)

    def unjudged(self, state: FlowState, spoke: bool, moment: Moment) -> Step | None:
        """The model judged nothing to hold: the way for everything else, unless the caller is to go on here, since the
        model `spoke` to them or the node needs more of them."""
        node = self.nodes[state.node]
        collected = isinstance(node, Talk) and bool(node.collect) and not self._missing(node, state)
        if isinstance(node, Branch) or (collected and not spoke):
            return self._enter(self._way_out(node, state), state, moment)
        return None

    def again(self, state: FlowState, moment: Moment) -> Step:
        """The node's tool once more, as the same effect."""
        return Step(state, (), replace(self._run(self.nodes[state.node], state, moment), again=True))

    def returned(self, state: FlowState, output: Mapping[str, Any], saves: Mapping[str, str], moment: Moment) -> Step:
        """The node's tool came back. `saves` are the tool's own; the node's come before them."""
        node = self.nodes[state.node]
        state = self.saved(state, output, {**saves, **node.saves} if isinstance(node, Function) else saves)
        return self._enter(self._way_out(node, state), state, moment)

    def saved(self, state: FlowState, output: Mapping[str, Any], saves: Mapping[str, str]) -> FlowState:
        """With what the flow's variables take of a tool's output."""
        found = {name: taken(output, path) for name, path in saves.items() if name in self.variables}
        known = {name: value for name, value in found.items() if value is not None}
        return state.model_copy(update={"variables": {**state.variables, **known}})

    def failed(self, state: FlowState, moment: Moment, how: str = "") -> Step | None:
        """The node's tool, message, transfer or handoff failed: where its edge for that leads, None if it has none."""
        node = self.nodes[state.node]
        edge = (_event(node, f"failed:{how}") if how else None) or _event(node, "failed")
        return self._enter(edge.to, state, moment) if edge else None

    def went_on(self, state: FlowState, moment: Moment) -> Step:
        """The person whom the caller was put through to has hung up, and the caller is still there."""
        return self._enter(self._way_out(self.nodes[state.node], state), state, moment)

    def cancelled(self, state: FlowState, moment: Moment) -> Step | None:
        """The caller no longer wants the node's tool: where its edge for that leads, or the one for failing."""
        edge = _event(self.nodes[state.node], "cancelled")
        return self._enter(edge.to, state, moment) if edge else self.failed(state, moment)

    def question(self, state: FlowState, moment: Moment) -> Step:
        """Where we stand, once more: what the node says or asks."""
        node = self.nodes[state.node]
        if isinstance(node, Branch):
            return Step(state, (), Ask(""))
        if not isinstance(node, Talk | Menu):
            return Step(state, (), Listen())
        if isinstance(node, Talk) and node.prompt:
            return Step(state, (), Ask(self._opening(node, state)))
        return Step(state, self._texts(state, moment, self._opening(node, state)), Listen())

    def volunteer(self, state: FlowState, words: str, moment: Moment) -> FlowState:
        """With what the caller mentions while something else is under way."""
        volunteered = self._volunteered(state, ())
        heard = read_all(volunteered, words, moment)
        found = {variable.name: heard[variable.name] for variable in volunteered if variable.name in heard}
        good = {name: value for name, value in found.items() if self._is_valid(name, {**state.variables, **found})}
        return state.model_copy(update={"variables": {**state.variables, **good}})

    # --- what may come ---

    def expectation(self, state: FlowState, language: str) -> Expectation:
        """What the caller may say next."""
        node = self.nodes[state.node]
        match node:
            case Menu():
                return Expectation(asked=(_as_choice(node),), language=language)
            case Talk():
                asked = tuple(self.variables[name] for name in self._missing(node, state))
                welcome = tuple(self.variables[name] for name in node.welcome)
                return Expectation(asked=asked, welcome=welcome, language=language)
        return Expectation(language=language)

    def rememberable(self, state: FlowState) -> tuple[Variable, ...]:
        """What a model may fill here: what the node collects and welcomes, and what may be given anytime."""
        node = self.nodes[state.node]
        here = (*node.collect, *node.welcome) if isinstance(node, Talk) else ()
        anytime = [
            name
            for name, variable in self.variables.items()
            if variable.anytime and name in self._given_by_callers and name not in state.variables
        ]
        return tuple(self.variables[name] for name in dict.fromkeys((*here, *anytime)))

    def leads_from_anywhere(self, event: str) -> bool:
        """Whether some node is reached from anywhere by it."""
        return any(way.when == "event" and way.condition == event for way, _ in self._ways_in())

    # --- inside ---

    def _enter(
        self, id: str, state: FlowState, moment: Moment, given: Collection[str] = (), returning: bool = False
    ) -> Step:
        """Walks from node to node, gathering what is said, until the world is needed. `given` was said just now."""
        said: list[str] = []
        for _ in range(LONGEST_WALK):
            if id == BACK:
                if not state.stack:
                    raise FlowStuck(f"{state.node!r} leads back, but nothing was left for it")
                id, returning = state.stack[-1], True
                state = state.model_copy(update={"stack": state.stack[:-1]})
            node = self.nodes[id]
            state = self._arrive(node, state, given, returning)
            returning = False
            match node:
                case Start():
                    said += self._texts(state, moment, node.say)
                case Talk():
                    missing = self._missing(node, state)
                    if missing or not node.collect:
                        if node.prompt:
                            return Step(state, tuple(said), Ask(self._ask(missing)))
                        said += self._texts(state, moment, node.say or self._ask(missing))
                    if missing:
                        return Step(state, tuple(said), Listen())
                    if not node.collect and (node.welcome or self._is_judged(node)):
                        return Step(state, tuple(said), Listen())
                case Menu():
                    said += self._texts(state, moment, node.say)
                    return Step(state, tuple(said), Listen())
                case Branch():
                    if self._is_judged(node) and self._holding(node, state) is None:
                        return Step(state, tuple(said), Ask(""))
                case Function() | Sms():
                    waiting = node.meanwhile if isinstance(node, Function) else node.say
                    said += self._texts(state, moment, waiting)
                    return Step(state, tuple(said), self._run(node, state, moment))
                case Transfer():
                    said += self._texts(state, moment, node.say)
                    number = str(plain(node.number, state.variables) or "")
                    briefing = aloud(node.briefing, state.variables, self.kinds, moment)
                    ways = [edge.condition.partition(":")[0] for edge in node.edges if edge.when == "event"]
                    way_on = any(edge.when == "always" for edge in node.edges)
                    return Step(state, tuple(said), PutThrough(number, "failed" in ways, briefing, way_on))
                case Handoff():
                    said += self._texts(state, moment, node.say)
                    return Step(state, tuple(said), HandOver(node))
                case End():
                    said += self._texts(state, moment, node.say)
                    return Step(state, tuple(said), HangUp(node.outcome))
            id = self._way_out(node, state)
        raise FlowStuck(f"the flow goes round in circles at {id!r}")

    def _from_anywhere(self, id: str, state: FlowState, moment: Moment) -> Step:
        stack = (*state.stack, state.node)[-DEEPEST:]
        return self._enter(id, state.model_copy(update={"stack": stack}), moment)

    @staticmethod
    def _arrive(node: Node, state: FlowState, given: Collection[str], returning: bool) -> FlowState:
        variables = state.variables
        if isinstance(node, Talk) and node.afresh and not returning:
            kept = [name for name in variables if name not in node.collect or name in given]
            variables = {name: variables[name] for name in kept}
        return FlowState(node=node.id, visit=state.visit + 1, stack=state.stack, variables=variables)

    def _way_out(self, node: Node, state: FlowState) -> str:
        if edge := self._holding(node, state):
            return edge.to
        for edge in node.edges:
            if edge.when == "always":
                return edge.to
        raise FlowStuck(f"no edge leads out of {node.id!r}")

    def _holding(self, node: Node, state: FlowState) -> Edge | None:
        """The first edge whose equation holds."""
        return next(
            (edge for edge in node.edges if edge.when == "equation" and self._holds(edge.condition, state)), None
        )

    @staticmethod
    def _is_judged(node: Node) -> bool:
        return any(edge.when == "prompt" for edge in node.edges)

    def _holds(self, equation: str, state: FlowState) -> bool:
        return conditions.holds(equation, self._names, state.variables)

    def _now_holds(self, before: FlowState, state: FlowState) -> str | None:
        """The node into which an equation leads from anywhere, now that it holds."""
        for way, id in self._ways_in():
            if way.when != "equation" or id == state.node:
                continue
            if self._holds(way.condition, state) and not self._holds(way.condition, before):
                return id
        return None

    def _ways_in(self) -> Iterator[tuple[Anywhere, str]]:
        for node in self.flow.nodes:
            for way in node.anywhere:
                yield way, node.id

    def _ways(self, state: FlowState) -> Iterator[tuple[Edge | Anywhere, str]]:
        """All that may lead on from here."""
        for edge in self.nodes[state.node].edges:
            yield edge, edge.to
        yield from self._ways_in()

    def _read(self, state: FlowState, node: Talk, words: str, moment: Moment) -> dict[str, Value]:
        asked = [self.variables[name] for name in self._missing(node, state)]
        welcome = [self.variables[name] for name in node.welcome if name not in node.collect]
        found = read_all([*asked, *welcome, *self._volunteered(state, (*asked, *welcome))], words, moment)
        return {name: value for name, value in found.items() if name in self.variables}

    def _volunteered(self, state: FlowState, asked: Collection[Variable]) -> list[Variable]:
        """What the caller may mention though nobody asked for it here, as far as words tell it by themselves."""
        unset = [
            self.variables[name]
            for name in self.variables
            if name in self._given_by_callers and name not in state.variables
        ]
        kinds = {variable.kind for variable in asked}
        return [
            variable
            for variable in unset
            if variable.anytime
            and variable not in asked
            and variable.kind in _VOLUNTEERED
            and variable.kind not in kinds
            and not kinds & _VOLUNTEERED[variable.kind]
            and [each.kind for each in unset].count(variable.kind) == 1
        ]

    def _is_valid(self, name: str, values: Mapping[str, Value]) -> bool:
        equation = self.variables[name].valid
        return not equation or conditions.holds(equation, self._names, values)

    def _refuse(
        self, variable: Variable, wanted: Mapping[str, Value], state: FlowState, node: Talk, moment: Moment
    ) -> Step:
        """A value that can't be taken: says why, and asks again."""
        step = self._missed(state, node, moment)
        if step.state.node != node.id or not variable.invalid:
            return step
        why = aloud(variable.invalid, wanted, self.kinds, moment)
        ask = variable.ask or self._opening(node, state)
        return Step(step.state, (why, *self._texts(state, moment, ask)), Listen())

    def _missed(self, state: FlowState, node: Talk | Menu, moment: Moment) -> Step:
        misses = state.misses + 1
        if step := self.happened(state, f"misunderstood:{misses}", moment):
            return step
        if misses > max(len(node.retries), 1) and (step := self.happened(state, "misunderstood", moment)):
            return step
        state = state.model_copy(update={"misses": misses})
        # The words were no typed answer: a model may make more of them; without one the retry is said.
        retry = node.retries[min(misses, len(node.retries)) - 1] if node.retries else self._opening(node, state)
        return Step(state, (), Ask(" ".join(self._texts(state, moment, retry))))

    def _chosen(self, node: Menu, key: str, state: FlowState, moment: Moment) -> Step:
        edge = _event(node, f"key:{key}")
        assert edge
        return self._enter(edge.to, state, moment)

    def _opening(self, node: Talk | Menu, state: FlowState) -> str:
        return node.say or (self._ask(self._missing(node, state)) if isinstance(node, Talk) else "")

    @staticmethod
    def _missing(node: Talk, state: FlowState) -> list[str]:
        return [name for name in node.collect if name not in state.variables]

    def _run(self, node: Node, state: FlowState, moment: Moment) -> Run:
        match node:
            case Function():
                return Run(node.tool, {name: plain(text, state.variables) for name, text in node.arguments.items()})
            case Sms():
                to = plain(node.to, state.variables) if node.to else state.variables.get("caller", "")
                return Run(SEND_SMS, {"to": to, "text": aloud(node.text, state.variables, self.kinds, moment)})
        raise FlowStuck(f"{node.id!r} runs nothing")

    def _ask(self, missing: list[str]) -> str:
        return self.variables[missing[0]].ask if missing else ""

    def _texts(self, state: FlowState, moment: Moment, text: str) -> tuple[str, ...]:
        spoken = aloud(text, state.variables, self.kinds, moment).strip()
        return (spoken,) if spoken else ()


def _event(node: Node, name: str) -> Edge | None:
    return next((edge for edge in node.edges if edge.when == "event" and edge.condition == name), None)


def _keyed(node: Menu) -> Iterator[tuple[str, Edge]]:
    for edge in node.edges:
        kind, _, key = edge.condition.partition(":")
        if edge.when == "event" and kind == "key":
            yield key, edge


def _ways_by_key(node: Menu) -> list[Edge]:
    return [edge for _, edge in _keyed(node)]


def _as_choice(node: Menu) -> Variable:
    """What a menu offers, as if it were asked for: a recogniser listens for its words."""
    choices = tuple(Choice(value=key, says=edge.says) for key, edge in _keyed(node))
    return Variable(name="menu", kind="choice", choices=choices)


def _in_words(edge: Edge) -> str:
    return f"the caller wants: {edge.label or ', '.join(edge.says) or edge.condition}"
