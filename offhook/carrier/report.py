"""A scripted call, over: what was said, how long everything took, and what differed from what the script expected."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from offhook.carrier.call import Call
from offhook.carrier.script import Script
from offhook.carrier.timing import Exchange, exchanges
from schemas.conversation import FullConversation, Message, Turn, Waterfall

SAME_TURN_MS = 1500
"""The platform's and the carrier's idea of when the caller stopped differ by less than this."""


@dataclass(frozen=True)
class Report:
    """One call."""

    script: Script
    voice: str
    noise: int | None
    call: Call
    missed: str
    """Why the script wasn't followed to its end; empty if it was."""
    conversation: FullConversation | None = None
    """The platform's record; None if it couldn't be read."""
    messages: Sequence[Message] = ()
    booked: int | None = None
    """How many appointments were booked in this call."""
    unread: str = ""
    """Why the record couldn't be read."""
    exchanges: list[Exchange] = field(init=False)
    differences: list[str] = field(init=False)
    """In what the call didn't go as the script expects; empty if it did."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exchanges", exchanges(self.call.phone))
        object.__setattr__(self, "differences", _differences(self))

    @property
    def met(self) -> bool:
        """Whether the call went as the script expects."""
        return not self.differences

    def lines(self) -> list[tuple[float, str, str]]:
        """Everything said and done, in order: seconds, who, what."""
        lines: list[tuple[float, str, str]] = [(note.at_ms / 1000, note.who, note.text) for note in self.call.log]
        for message in self.messages:
            if message.role == "agent":
                end = " —" if message.interrupted else ""
                lines.append((message.at_ms / 1000, "agent", message.text + end))
        return sorted(lines, key=lambda line: line[0])

    def transcript(self) -> str:
        """The same as text, a line each."""
        return "".join(f"{seconds:7.1f} s  {who:8} {text}\n" for seconds, who, text in self.lines())

    def table(self) -> Table:
        """How long everything took, a row for each thing the caller said. In ms, counted from the caller's last
        speech; the last two columns are the carrier's own measures."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("the caller said", "understood"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=15)
        for name in ("final", "settled", "ready", "sent", "played", "heard", "cut"):
            table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
        for exchange in self.exchanges:
            turn = self._turn(exchange)
            fall = turn.waterfall if turn else Waterfall()
            times = (
                fall.final_ms,
                fall.settled_ms,
                fall.reply_ready_ms,
                fall.first_audio_sent_ms,
                fall.first_audio_played_ms,
                exchange.gap_ms,
                exchange.cut_ms,
            )
            table.add_row(exchange.text, turn.caller if turn else "", *("" if t is None else str(t) for t in times))
        return table

    def json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        call = self.call
        lateness = sorted(call.phone.late_ms)
        return {
            "script": self.script.name,
            "call_sid": call.sid,
            "conversation": self.conversation.id if self.conversation else None,
            "to": call.to,
            "from": call.from_,
            "voice": self.voice,
            "noise": self.noise,
            "met": self.met,
            "differences": self.differences,
            "ended": call.ended,
            "outcome": self.conversation.outcome if self.conversation else None,
            "dialled": call.dialled,
            "briefings": call.briefings,
            "duration_s": round(call.duration_s, 3),
            "transcript": [{"at_s": at, "who": who, "text": text} for at, who, text in self.lines()],
            "understood": [message.text for message in self.messages if message.role == "caller"],
            "exchanges": [asdict(exchange) for exchange in self.exchanges],
            "turns": [turn.model_dump() for turn in self.conversation.turns] if self.conversation else [],
            "streams": [
                {
                    "sid": stream.sid,
                    "error": stream.error,
                    "close_code": stream.close_code,
                    "marks": len(stream.marks),
                    "clears": [round(at) for at in stream.clears],
                    "unplayed_ms": round(stream.unplayed_ms),
                }
                for stream in call.streams
            ],
            "webhooks": [
                {"at_ms": hook.at_ms, "url": hook.url, "status": hook.answer.status, "took_ms": hook.took_ms}
                for hook in call.webhooks
            ],
            "violations": [asdict(violation) for violation in call.violations],
            "late_ms": {
                "p99": round(lateness[len(lateness) * 99 // 100], 1) if lateness else 0.0,
                "max": round(lateness[-1], 1) if lateness else 0.0,
            },
        }

    def _turn(self, exchange: Exchange) -> Turn | None:
        """The platform's turn that answers what the caller said then."""
        turns = self.conversation.turns if self.conversation else []
        ends = [(turn, turn.waterfall.speech_end_ms) for turn in turns]
        near = [(abs(end - exchange.end_ms), turn) for turn, end in ends if end is not None]
        distance, turn = min(near, key=lambda pair: pair[0], default=(SAME_TURN_MS, None))
        return turn if distance < SAME_TURN_MS else None


def _differences(report: Report) -> list[str]:
    """In what a call didn't go as expected."""
    call, expect = report.call, report.script.expect
    found = [f"protocol violation {violation}" for violation in call.violations]
    if report.missed:
        found.append(report.missed)
    if expect.ended and call.ended != expect.ended:
        found.append(f"the call was ended by {call.ended}, not by {expect.ended}")
    if expect.dialled and expect.dialled not in call.dialled:
        found.append(f"{expect.dialled} was not dialled; {', '.join(call.dialled) or 'nobody'} was")
    found += _missing("the person wasn't told", expect.briefing, call.briefings)
    wants_record = expect.outcome or expect.says or expect.caller or expect.appointments is not None
    if wants_record and report.conversation is None:
        return [*found, f"what the platform wrote down could not be checked: {report.unread}"]
    if expect.outcome and report.conversation and report.conversation.outcome != expect.outcome:
        found.append(f"the outcome is {report.conversation.outcome!r}, not {expect.outcome!r}")
    found += _missing("the agent didn't say", expect.says, _said_by("agent", report))
    found += _missing("the agent didn't hear", expect.caller, _said_by("caller", report))
    if expect.appointments is not None and report.booked != expect.appointments:
        found.append(f"{report.booked} appointments were booked, not {expect.appointments}")
    return found


def _said_by(role: str, report: Report) -> list[str]:
    return [message.text for message in report.messages if message.role == role]


def _missing(what: str, patterns: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Patterns that aren't found, each after the one before it; a text may hold several."""
    text = "\n".join(texts)
    missing, position = [], 0
    for pattern in patterns:
        if found := re.compile(pattern, re.IGNORECASE).search(text, position):
            position = found.end()
        else:
            missing.append(f"{what} {pattern!r}")
    return missing
