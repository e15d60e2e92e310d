"""A flow: where a conversation can go. Data, not code; checked by `domain.flow_check` before it is used."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.model import Model
from schemas.variable import Name, Variable

Text = str
"""Spoken words; `{{name}}` stands for a variable's value as it is said aloud."""


class Edge(Model):
    """A way out of a node. The first edge that holds is taken; see `when` for what holds."""

    to: str
    """The id of the node it leads to."""
    when: Literal["always", "equation", "event", "prompt"] = "always"
    """always: nothing else led out. equation: `condition` holds. event: `condition` names what happened.
    prompt: the model judges `condition` to hold."""
    condition: str = ""
    """equation: CEL over the variables by name, null while unset: `date != null && confirmed`.
    event: `failed` (a tool or a transfer), `misunderstood` (all retries are used up), `corrected` (the caller
    changed a value that was set). prompt: a sentence."""


class _Node(Model):
    id: Annotated[str, Field(min_length=1, max_length=80)]
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
    collect: tuple[Name, ...] = ()
    """Variables that must be known before moving on; a node whose variables are known already asks nothing."""
    welcome: tuple[Name, ...] = ()
    """Variables that the caller may volunteer or correct here as well."""
    afresh: bool = False
    """Forget what is collected here on entering: a confirmation, or a second attempt."""
    tools: tuple[str, ...] = ()
    """What the model may use here (with `prompt`)."""
    retries: tuple[Text, ...] = ()
    """Said after the first, second … answer that wasn't understood; then the `misunderstood` edge."""


class Branch(_Node):
    """Chooses by equations; the last edge must be `always`."""

    type: Literal["branch"]


class Function(_Node):
    """Runs a tool. `always` leads on; the event `failed` leads away."""

    type: Literal["function"]
    tool: str
    arguments: dict[str, str] = {}
    """By argument: a text with `{{variables}}`; one that is a single `{{name}}` keeps the value's type."""
    saves: dict[Name, str] = {}
    """By variable: the name of the field of the tool's output that it takes."""
    meanwhile: Text = ""
    """Said while the tool runs."""


class Transfer(_Node):
    """Puts the caller through to a person. The event `failed` leads on if nobody answers."""

    type: Literal["transfer"]
    say: Text = ""
    number: str = ""
    """E.164, or `{{name}}`; empty for the agent's transfer number."""


class End(_Node):
    """Says goodbye and hangs up."""

    type: Literal["end"]
    say: Text = ""
    outcome: str = "completed"
    """What the conversation came to; kept with it."""


Node = Annotated[Start | Talk | Branch | Function | Transfer | End, Field(discriminator="type")]


class Flow(Model):
    """Nodes and the variables that they share."""

    start: str
    """The id of the start node."""
    nodes: tuple[Node, ...]
    variables: tuple[Variable, ...] = ()
    on_human: str | None = None
    """The node to go to, from anywhere, when the caller asks for a person."""
    on_goodbye: str | None = None
    """The node to go to, from anywhere, when the caller takes leave."""
    on_misunderstood: str | None = None
    """The node to go to when a node's retries are used up and it has no edge for that."""


class FlowState(Model):
    """Where a conversation stands in its flow."""

    node: str
    visit: int = 0
    """How many nodes were entered so far: with the node it names this visit, which keys acting tools."""
    misses: int = 0
    """Answers in a row that weren't understood here."""
    variables: dict[str, bool | int | float | str] = {}
