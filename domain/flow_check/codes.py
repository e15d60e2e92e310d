"""Every kind of finding there is. The codes are part of the interface: they don't change."""

from typing import Literal

from schemas.finding import Finding

Level = Literal["error", "warning"]

CODES: dict[str, tuple[Level, str]] = {
    # the flow as a whole
    "missing-start": ("error", "The flow starts at a node that doesn't exist."),
    "duplicate-id": ("error", "Two nodes have the same id."),
    "unreachable-node": ("warning", "No way leads to the node."),
    "dead-end": ("warning", "From the node no way leads to an end, a transfer or another agent."),
    "endless-loop": ("error", "Nodes lead to each other in a circle, and none of them waits for anything."),
    "known-loop": ("warning", "The second time round, a circle of nodes asks nothing: its answers are known already."),
    "silent-loop": ("warning", "A circle of nodes runs tools or sends messages, and never lets the caller speak."),
    # edges
    "edge-into-nothing": ("error", "An edge leads to a node that doesn't exist."),
    "no-way-on": ("error", "No edge says where the node leads when nothing else holds."),
    "branch-open": ("error", "The last edge of a branch isn't the one for everything else."),
    "event-impossible": ("error", "There is no such event, or it can't happen at the node."),
    "condition-missing": ("error", "An edge of the kind `prompt` says nothing for the model to judge."),
    "prompt-never-asked": ("error", "An edge is judged by the model, but the node never asks it."),
    "edge-never-taken": (
        "warning",
        "The edge can't be taken: others before it cover everything, or nothing ever leaves the node that way.",
    ),
    "back-from-nowhere": ("error", "An edge leads back, but the node is also reached by ordinary edges."),
    "no-failure-path": ("warning", "Nothing says what happens if the tool, message, transfer or handoff fails."),
    # equations
    "equation-unreadable": ("error", "An equation can't be read."),
    "equation-never-holds": ("warning", "An equation is false whatever its variables are."),
    "equations-overlap": ("warning", "Two equations can hold at once and lead to different nodes; the first one wins."),
    "choice-unhandled": ("warning", "Several answers of a choice are told apart by no equation that looks at it."),
    # variables
    "duplicate-variable": ("error", "Two variables have the same name."),
    "unknown-variable": ("error", "Something names a variable that the flow doesn't declare."),
    "reserved-name": ("warning", "No equation can read a variable of this name."),
    "never-set": ("error", "A variable is read that nothing on any way here sets."),
    "sometimes-unset": ("warning", "A variable is read that isn't set on some way here."),
    "valid-reads-others": ("error", "The equation for a variable's valid values reads another variable."),
    "invalid-never-said": ("warning", "A variable has words for invalid values, but no equation that says which are."),
    # texts
    "say-with-prompt": ("error", "A conversation has both words to say and a prompt."),
    "say-too-long": ("warning", "What is said in one go is too long for the phone."),
    "prompt-too-long": ("warning", "A prompt is so long that every answer waits for it."),
    "no-retries": ("warning", "Nothing is said to a caller who wasn't understood."),
    # tools
    "unknown-tool": ("error", "The agent has no such tool."),
    "argument-missing": ("error", "The tool requires an argument that it isn't given."),
    "argument-unknown": ("warning", "The tool is given an argument that it doesn't know; an error if it refuses such."),
    "argument-invalid": ("warning", "The tool's schema doesn't allow this value, or this kind of variable."),
    "bad-path": ("error", "What a function saves is named by a JSON path that can't be read."),
    # numbers and agents
    "bad-number": ("error", "A telephone number isn't one."),
    "number-kind": ("warning", "A telephone number is taken from a variable that holds no phone numbers."),
    "no-number": ("warning", "The caller may be put through, but neither the transfer nor the agent names a number."),
    "unknown-agent": ("error", "A handoff is to an agent that doesn't exist."),
    "handoff-to-itself": ("error", "A handoff is to the agent that the flow belongs to."),
    # hours
    "unknown-holidays": ("error", "There are no public holidays of the country, or it has no such region."),
    # menus
    "no-key": ("error", "A menu offers no key."),
    "duplicate-key": ("error", "Two edges of a menu have the same key."),
    "words-collide": ("warning", "Two edges of a menu have the same words."),
    "words-unused": ("warning", "An edge that isn't of a menu's key has words."),
    # ways in from anywhere
    "anywhere-never-judged": ("warning", "A way in from anywhere is judged by the model, which no node ever asks."),
    "anywhere-taken": ("warning", "Two nodes are reached from anywhere by the same event; the first one wins."),
    # flows from elsewhere
    "not-carried-over": ("warning", "Something that the other format can't say, and that is gone."),
    "changed-in-meaning": ("warning", "Something that means less, more or something else in the other format."),
}
"""By code: the usual level, and what it means."""


def found(code: str, node: str, sentence: str, fix: str, level: Level | None = None) -> Finding:
    """A finding of a kind that is listed."""
    return Finding(code=code, level=level or CODES[code][0], node=node, sentence=sentence, fix=fix)
