"""A flow that came from elsewhere, and what came differently."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from domain.flow_check.codes import found
from domain.unfit import first_fault
from schemas.finding import Finding
from schemas.flow import Flow

LOOK = "Look whether the flow still does what it should."


class BadFlow(ValueError):
    """The document can't be read as a flow. The message says where."""


@dataclass(frozen=True, slots=True)
class Imported:
    flow: Flow
    losses: tuple[Finding, ...]
    """What couldn't be carried over, or means something else here."""


def lost(node: str, what: str, fix: str = LOOK) -> Finding:
    """Something that isn't there any more."""
    return found("not-carried-over", node, what, fix)


def changed(node: str, what: str, fix: str = LOOK) -> Finding:
    """Something that means less, more or something else now."""
    return found("changed-in-meaning", node, what, fix)


def extras(node: str, what: str, *models: BaseModel) -> list[Finding]:
    """The keys that the format doesn't have."""
    keys = [key for model in models for key in model.model_extra or ()]
    return [lost(node, f"{what} has keys that mean nothing here: {', '.join(dict.fromkeys(keys))}")] if keys else []


def made(data: Mapping[str, object], losses: Iterable[Finding]) -> Imported:
    """Raises BadFlow if what came out is none of our flows."""
    try:
        return Imported(Flow.model_validate(data), tuple(losses))
    except ValidationError as problem:
        raise BadFlow(first_fault(problem)) from None
