"""One step along a flow: what the agent says, and what it does then. Computed whole; it takes effect whole or not at
all, since `Step.state` replaces the old state or nothing does."""

from dataclasses import dataclass
from typing import Any

from schemas.flow import FlowState, Handoff


@dataclass(frozen=True, slots=True)
class Listen:
    """Let the caller speak."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Let the model speak, or judge where to go."""

    fallback: str
    """What to say without one."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run a tool."""

    tool: str
    arguments: dict[str, Any]
    again: bool = False
    """It was asked before, and nobody knows what came of it."""


@dataclass(frozen=True, slots=True)
class PutThrough:
    """Transfer the caller; an empty number means the agent's own."""

    number: str
    way_back: bool
    briefing: str = ""
    """What the person is told before the caller is connected; empty for nothing."""
    way_on: bool = False
    """The flow goes on with the caller once the person has hung up."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Let another agent go on."""

    to: Handoff


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""

    outcome: str


Then = Listen | Ask | Run | PutThrough | HandOver | HangUp


@dataclass(frozen=True, slots=True)
class Step:
    """What a step came to."""

    state: FlowState
    say: tuple[str, ...]
    """Sentences to speak first, in order."""
    then: Then


class FlowStuck(Exception):
    """The flow led nowhere, or in circles. The message names the node."""
