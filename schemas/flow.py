"""A flow: where a conversation can go. Data, not code; checked by `domain.flow_check` before it is used."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.model import Model
from schemas.variable import Name, Variable

Text = str
"""Spoken words; `{{name}}` stands for a variable's value as it is said aloud."""

BACK = "@back"
"""Where an edge leads that returns from a node that was reached from anywhere: to the node that was left for it."""


class Position(Model):
    """Where a node is drawn, in pixels of the canvas."""

    x: float
    y: float


class Way(Model):
    """What must hold for a way to be gone."""

    when: Literal["always", "equation", "event", "prompt"] = "always"
    """always: nothing else led out. equation: `condition` holds. event: `condition` names what happened.
    prompt: the model judges `condition` to hold."""
    condition: str = ""
    """equation: CEL over the variables by name, null while unset: `date != null && confirmed`; or in the words of other
    formats: `{{date}} exists AND {{confirmed}} == true`. event: see `domain.events`. prompt: a sentence."""


class Edge(Way):
    """A way out of a node. What needs no model goes first: an event that happened, then equations, in the order in
    which they are listed, then what the model judges, then `always`."""

    to: str
    """The id of the node it leads to, or BACK."""
    label: str = ""
    """For people."""
    says: tuple[str, ...] = ()
    """In a menu, for an edge of a key: words that mean the same."""


class Anywhere(Way):
    """A way into a node from every node that listens. The node that was left is returned to by an edge to BACK."""

    when: Literal["equation", "event", "prompt"]


class _Node(Model):
    id: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^@]")]
    label: str = ""
    """For people."""
    position: Position | None = None
    anywhere: tuple[Anywhere, ...] = ()
    edges: tuple[Edge, ...] = ()


class Start(_Node):
    """Where every conversation begins."""

    type: Literal["start"]
    say: Text = ""


class Talk(_Node):
    """A piece of conversation: asks, listens, and moves on once what it collects is known."""

    type: Literal["conversation"]
    say: Text = ""
    """Said literally on entering; needs no model."""
    prompt: str = ""
    """Instead of `say`: what the model is to achieve here."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """The model's here; None for the agent's."""
    collect: tuple[Name, ...] = ()
    """Variables that must be known before moving on; a node whose variables are known already asks nothing."""
    welcome: tuple[Name, ...] = ()
    """Variables that the caller may correct here as well, and that the recogniser listens for."""
    afresh: bool = False
    """Forget what is collected here on entering: a confirmation, or a second attempt."""
    tools: tuple[str, ...] = ()
    """What the model may use here (with `prompt`)."""
    retries: tuple[Text, ...] = ()
    """Said after the first, second … answer that wasn't understood; then the `misunderstood` edge."""


class Menu(_Node):
    """Offers ways by key, or by the words of their edges: "for orders press one, or say orders"."""

    type: Literal["menu"]
    say: Text
    retries: tuple[Text, ...] = ()
    """As for a conversation."""


class Branch(_Node):
    """Chooses by equations, or lets the model judge; the last edge must be `always`."""

    type: Literal["branch"]


class Function(_Node):
    """Runs a tool. `always` leads on; the event `failed` leads away, and `cancelled` if nobody wants it now."""

    type: Literal["function"]
    tool: str
    arguments: dict[str, str] = {}
    """By argument: a text with `{{variables}}`; one that is a single `{{name}}` keeps the value's type."""
    saves: dict[Name, str] = {}
    """By variable: what of the tool's output it takes: a field's name or a JSON path (RFC 9535: `$.items[0].price`)."""
    meanwhile: Text = ""
    """Said while the tool runs; empty for the tool's own filler."""


class Sms(_Node):
    """Sends a text message. `always` leads on; the event `failed` leads away."""

    type: Literal["sms"]
    text: Text
    to: str = ""
    """E.164, or `{{name}}`; empty for the caller."""
    say: Text = ""
    """Said while it is sent."""


class Transfer(_Node):
    """Puts the caller through to a person. The event `failed` leads on if nobody answers."""

    type: Literal["transfer"]
    say: Text = ""
    number: str = ""
    """E.164, or `{{name}}`; empty for the agent's transfer number."""
    briefing: Text = ""
    """Makes the transfer a warm one: said to the person, who then takes the call with a key or declines it, before the
    caller is connected. Empty for a blind one."""
    reason: str = ""
    """Kept with the conversation."""


class Handoff(_Node):
    """Lets another agent go on, within the call. The event `failed` leads on if it can't."""

    type: Literal["handoff"]
    agent: str
    """Its id."""
    say: Text = ""
    history: Literal["all", "last", "none"] = "all"
    """How much of what was said goes along: all, the last `turns`, or nothing."""
    turns: Annotated[int, Field(ge=1, le=100)] = 4
    """The caller's, with what was answered."""
    variables: tuple[Name, ...] | None = None
    """Which go along, to those of the same name and kind; None for all."""
    reason: str = ""
    """Told to the other agent's model, and kept with the conversation."""


class End(_Node):
    """Says goodbye and hangs up."""

    type: Literal["end"]
    say: Text = ""
    outcome: str = "completed"
    """What the conversation came to; kept with it."""


Node = Annotated[Start | Talk | Menu | Branch | Function | Sms | Transfer | Handoff | End, Field(discriminator="type")]


class Flow(Model):
    """Nodes and the variables that they share."""

    start: str
    """The id of the start node."""
    nodes: tuple[Node, ...]
    variables: tuple[Variable, ...] = ()


class FlowState(Model):
    """Where a conversation stands in its flow."""

    node: str
    visit: int = 0
    """How many nodes were entered so far: with the node it names this visit, which keys acting tools."""
    misses: int = 0
    """Answers in a row that weren't understood here."""
    stack: tuple[str, ...] = ()
    """Nodes that were left for one that is reached from anywhere, the last one last."""
    variables: dict[str, bool | int | float | str] = {}
