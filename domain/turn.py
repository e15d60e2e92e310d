"""Who has the floor: a table, phase × signal → phase. All that changes the phase is here; a pair that isn't in the
table changes nothing about who has the floor."""

from enum import Enum

from schemas import signals as s


class Phase(Enum):
    """Where a turn stands."""

    THINKING = "thinking"
    """The agent owes an answer."""
    SPEAKING = "speaking"
    """The agent is heard."""
    HESITATING = "hesitating"
    """The agent paused for a sound: is it the caller's turn?"""
    LISTENING = "listening"
    """The caller may speak."""
    HEARING = "hearing"
    """The caller speaks."""
    SETTLING = "settling"
    """The caller fell silent; are they done?"""
    KEYING = "keying"
    """The caller presses keys."""
    LEAVING = "leaving"
    """The agent says its last words; nothing interrupts them."""
    GONE = "gone"
    """The line is closed, or lost."""


class Take:
    """Decided: the agent takes the floor."""


class Leave:
    """Decided: these are the agent's last words."""


class Yield:
    """Decided: the agent has nothing to say."""


class Interrupt:
    """Decided: the caller takes the floor."""


class Resume:
    """Decided: it was only a sound; the agent goes on."""


class Enter:
    """Decided: the keys pressed so far are an answer."""


P = Phase

ALWAYS: dict[type, Phase] = {s.Opened: P.THINKING, Take: P.THINKING, s.Lost: P.GONE}
"""Whatever the phase was."""

TURNS: dict[Phase, dict[type, Phase]] = {
    P.THINKING: {
        s.Sent: P.SPEAKING,
        s.Finished: P.LISTENING,
        Yield: P.LISTENING,
        s.SpeechBegan: P.HEARING,
        s.Pressed: P.KEYING,
        Leave: P.LEAVING,
    },
    P.SPEAKING: {
        s.Finished: P.LISTENING,
        s.SpeechBegan: P.HESITATING,
        Interrupt: P.HEARING,
        s.Pressed: P.KEYING,
        Leave: P.LEAVING,
    },
    P.HESITATING: {
        Resume: P.SPEAKING,
        Interrupt: P.HEARING,
        s.Finished: P.LISTENING,
        s.Pressed: P.KEYING,
        Leave: P.LEAVING,
    },
    P.LISTENING: {
        s.SpeechBegan: P.HEARING,
        Interrupt: P.HEARING,
        s.Pressed: P.KEYING,
        s.Typed: P.THINKING,
        s.Overdue: P.THINKING,
    },
    P.HEARING: {
        s.SpeechEnded: P.SETTLING,
        s.Overdue: P.THINKING,
        s.Pressed: P.KEYING,
    },
    P.SETTLING: {
        s.SpeechBegan: P.HEARING,
        s.Settled: P.THINKING,
        s.Overdue: P.THINKING,
        s.Pressed: P.KEYING,
    },
    P.KEYING: {
        Enter: P.THINKING,
        s.Overdue: P.THINKING,
    },
    P.LEAVING: {
        s.Finished: P.GONE,
    },
    P.GONE: {},
}


def after(phase: Phase, signal: type) -> Phase:
    """Who has the floor next."""
    return ALWAYS.get(signal) or TURNS[phase].get(signal, phase)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = [
        "stateDiagram-v2",
        *(f"    [*] --> {phase.value}: {signal.__name__}" for signal, phase in ALWAYS.items()),
    ]
    for phase, row in TURNS.items():
        by_target: dict[Phase, list[str]] = {}
        for signal, target in row.items():
            by_target.setdefault(target, []).append(signal.__name__)
        lines += [f"    {phase.value} --> {target.value}: {', '.join(names)}" for target, names in by_target.items()]
    return "\n".join(lines)
