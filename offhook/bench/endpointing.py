"""How often the agent cuts in, and how long it lets the caller wait: endpointing by meaning against a fixed timeout.

Synthesised callers with true pauses go frame by frame through the real detector and the real ear. The recogniser is
an oracle with a recogniser's delays, so that only endpointing is measured. All time is audio's, whatever the machine;
the synthesiser's hissing consonants are all that differs between runs, by a frame here and there."""

import asyncio
import json
import re
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from adapters.wiring import open_ports
from domain import mulaw
from domain.endpointing import silence_ms
from domain.moment import Moment
from domain.mulaw import BYTES_PER_MS, FRAME, FRAME_MS
from domain.ports import Detector, Unavailable, Voice, VoiceStyle
from media_service.ear import Ear
from offhook.carrier.noise import LineNoise
from schemas.agent import Listening
from schemas.settings import Settings
from schemas.signals import Settled, SpeechBegan, SpeechEnded
from schemas.variable import Expectation

CORPUS = Path(__file__).with_name("utterances.yaml")
CALLERS = (
    VoiceStyle(voice="en-us", speed=1.0),
    VoiceStyle(voice="en-us+f3", speed=1.1),
    VoiceStyle(voice="en-gb-x-rp+m3", speed=0.9),
)
"""Each utterance is said by all of them."""
FIXED_MS = 600
PARTIAL_MS = 200
"""From a word's end to the partial transcript that has it."""
FINAL_MS = 100
"""From the end of speech, as the ear tells it, to the final transcript."""
LEAD_MS = 1000
"""Of line noise before the caller speaks."""
PATIENCE_MS = 6000
"""Of line noise after."""
QUIET = 1 / 30
"""A piece begins and ends where it is this loud, compared with its loudest 10 ms (-30 dB)."""
NOW = Moment(datetime(2026, 11, 21, 14, tzinfo=UTC))

Rule = Callable[[str, Expectation], int]
"""From the words so far and what is expected to the silence that settles the turn, in ms."""


@dataclass(frozen=True, slots=True)
class Utterance:
    expects: str
    """A key of the corpus's `expected`."""
    pieces: tuple[str, ...]
    pauses_ms: tuple[int, ...]
    """Between the pieces."""
    misleading: tuple[bool, ...]
    """Whether the words before that pause sound complete."""
    held_back: bool
    """Not seen by whoever built the rule."""

    def __str__(self) -> str:
        text = self.pieces[0]
        for ms, misleading, piece in zip(self.pauses_ms, self.misleading, self.pieces[1:], strict=True):
            text += f" [{ms}{'!' * misleading}] {piece}"
        return text


@dataclass(frozen=True, slots=True)
class Corpus:
    expected: Mapping[str, Expectation]
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """One utterance in one voice. Times are in ms since the recording's begin."""

    utterance: Utterance
    frames: tuple[bytes, ...]
    words: tuple[tuple[str, int], ...]
    """Each with the end of its sound."""
    pauses: tuple[int, ...]
    """When they begin."""
    end: int
    """The true end of the caller's speech."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one recording."""

    cuts: tuple[int, ...]
    """When the turn was settled although more was to come, in ms."""
    gap_ms: int | None
    """From the true end of speech to the settled turn; None if the last words weren't heard as speech."""


@dataclass(frozen=True, slots=True)
class Score:
    utterances: int
    cut_into: int
    pauses: int
    pauses_cut_into: int
    not_heard: int
    """Utterances whose end has no gap, since their last words were too short to be heard as speech."""
    gap_p50_ms: float
    gap_p95_ms: float
    gap_mean_ms: float


Trial = tuple[Recording, Outcome]


@cache
def corpus() -> Corpus:
    """What is in utterances.yaml, which explains its own form."""
    told = yaml.safe_load(CORPUS.read_text("utf-8"))
    return Corpus(
        {name: Expectation.model_validate(expected, strict=False) for name, expected in told["expected"].items()},
        tuple(
            _utterance(expects, text, held_back=part == "held_back")
            for part in ("built_with", "held_back")
            for expects, texts in told[part].items()
            for text in texts
        ),
    )


def _utterance(expects: str, text: str, held_back: bool) -> Utterance:
    first, *rest = re.split(r" \[(\d+)(!?)\] ", text)
    return Utterance(
        expects,
        pieces=(first, *rest[2::3]),
        pauses_ms=tuple(map(int, rest[0::3])),
        misleading=tuple(map(bool, rest[1::3])),
        held_back=held_back,
    )


# --- the sound ---


async def record(utterances: Iterable[Utterance], voice: Voice) -> list[Recording]:
    """Every utterance in the voice of every caller. Cancelling stops it."""
    hiss = LineNoise(seed=1)
    return [await _recorded(utterance, voice, style, hiss) for utterance in utterances for style in CALLERS]


async def _recorded(utterance: Utterance, voice: Voice, style: VoiceStyle, hiss: LineNoise) -> Recording:
    sound = bytearray(mulaw.silence(LEAD_MS))
    words: list[tuple[str, int]] = []
    pauses: list[int] = []
    for piece, pause_ms in zip(utterance.pieces, (*utterance.pauses_ms, PATIENCE_MS), strict=True):
        begin = len(sound)
        sound += await _spoken(piece, voice, style)
        # Nobody tells when a word ends inside a piece; its letters are a fair guess.
        for word in re.finditer(r"\S+", piece):
            end = begin + word.end() / len(piece) * (len(sound) - begin)
            words.append((word[0], round(end) // BYTES_PER_MS))
        pauses.append(len(sound) // BYTES_PER_MS)
        sound += mulaw.silence(pause_ms)
    noisy = hiss.under(bytes(sound))
    frames = tuple(noisy[at : at + FRAME] for at in range(0, len(noisy) // FRAME * FRAME, FRAME))
    return Recording(utterance, frames, tuple(words), tuple(pauses[:-1]), pauses[-1])


async def _spoken(text: str, voice: Voice, style: VoiceStyle) -> bytes:
    async def once() -> AsyncIterator[str]:
        yield text

    return _trimmed(b"".join([piece async for piece in voice.speak(once(), style) if isinstance(piece, bytes)]))


def _trimmed(sound: bytes) -> bytes:
    step = 10 * BYTES_PER_MS
    loudness = [mulaw.loudness(mulaw.to_pcm(sound[at : at + step])) for at in range(0, len(sound), step)]
    loud = [i for i, level in enumerate(loudness) if level >= max(loudness) * QUIET]
    return sound[loud[0] * step : (loud[-1] + 1) * step]


# --- the hearing ---


def trial(
    recording: Recording, expectation: Expectation, listening: Listening, detector: Detector, rule: Rule
) -> Outcome:
    """One recording heard to its end. After a cut-in the caller talks on."""
    ear = Ear(listening, detector, expectation.language)
    partials = deque((end + PARTIAL_MS, count) for count, (_, end) in enumerate(recording.words, 1))
    known = 0
    """How many words were understood."""
    speaking = final = settled = False
    final_at = ended_at = 0
    cuts: list[int] = []
    for number, frame in enumerate(recording.frames, 1):
        now = number * FRAME_MS
        before = known
        for signal in ear.hear(frame):
            match signal:
                case SpeechBegan():
                    speaking, final, settled = True, False, False
                case SpeechEnded():
                    speaking, final, settled = False, False, False
                    ended_at, final_at = now, now + FINAL_MS
                    before = -1  # told anew, whatever is known
                case Settled():
                    settled = True
        while (speaking or now < final_at) and partials and partials[0][0] <= now:
            known = max(known, partials.popleft()[1])
        if now == final_at:
            known = max(known, sum(end <= ended_at for _, end in recording.words))
            final, before = True, -1
        if settled and final:
            if now >= recording.end and known == len(recording.words):
                return Outcome(tuple(cuts), now - recording.end)
            cuts.append(now)
            settled = final = False
        elif known != before and not speaking:
            ear.settle_after(rule(" ".join(word for word, _ in recording.words[:known]), expectation))
    return Outcome(tuple(cuts), None)


def by_meaning(listening: Listening) -> Rule:
    """The agent's own endpointing."""
    return lambda words, expectation: silence_ms(listening, words, expectation, NOW)


def by_timeout(words: str, expectation: Expectation) -> int:
    """600 ms, whatever was said."""
    return FIXED_MS


def trials(
    recordings: Iterable[Recording], listening: Listening, detector: Callable[[], Detector], rule: Rule
) -> list[Trial]:
    """Every recording under one rule, each heard by a new detector."""
    expected = corpus().expected
    return [(r, trial(r, expected[r.utterance.expects], listening, detector(), rule)) for r in recordings]


# --- the result ---


GROUPS: Mapping[str, Callable[[Utterance], bool]] = {
    "all": lambda _: True,
    "built with": lambda u: not u.held_back,
    "held back": lambda u: u.held_back,
    "typed": lambda u: u.expects != "open",
    "open": lambda u: u.expects == "open",
    "hesitating": lambda u: bool(u.pauses_ms),
    "fluent": lambda u: not u.pauses_ms,
    "misleading": lambda u: any(u.misleading),
}


def score(trials: Sequence[Trial], group: str = "all") -> Score:
    """Over all of a group's utterances and callers."""
    chosen = [(r, outcome) for r, outcome in trials if GROUPS[group](r.utterance)]
    gaps = [outcome.gap_ms for _, outcome in chosen if outcome.gap_ms is not None]
    return Score(
        utterances=len(chosen),
        cut_into=sum(bool(outcome.cuts) for _, outcome in chosen),
        pauses=sum(len(r.pauses) for r, _ in chosen),
        pauses_cut_into=sum(len(_pauses_cut(r, outcome)) for r, outcome in chosen),
        not_heard=len(chosen) - len(gaps),
        gap_p50_ms=median(gaps),
        gap_p95_ms=round(quantiles(gaps, n=20, method="inclusive")[-1], 1),
        gap_mean_ms=round(mean(gaps), 1),
    )


def _pauses_cut(recording: Recording, outcome: Outcome) -> set[int]:
    """The begins of the pauses that were taken for the end; a cut-in belongs to the last pause before it."""
    return {max(begun) for cut in outcome.cuts if (begun := [pause for pause in recording.pauses if pause <= cut])}


def endpointing(
    json_file: Annotated[Path | None, typer.Option("--json", help="Keep every figure in this file.")] = None,
) -> None:
    """Measure endpointing: how often the agent cuts in and how long the caller waits, against a fixed timeout."""
    console = Console(highlight=False)
    try:
        if json_file:
            json_file.touch()
        with console.status("Callers speak, and are listened to…"):
            rules = asyncio.run(_measured(Listening()))
    except (Unavailable, OSError) as problem:
        Console(stderr=True).print(f"[red]offhook:[/red] {problem}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    console.print(_table(rules))
    if json_file:
        json_file.write_text(json.dumps(_figures(rules), indent=2) + "\n", "utf-8")


async def _measured(listening: Listening) -> dict[str, list[Trial]]:
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home, ticket_secret="-", owner_key="-", speech="paced", brain="paced", voice="espeak")
        async with open_ports(settings) as ports:
            recordings = await record(corpus().utterances, ports.voice)
            return {
                "by meaning": trials(recordings, listening, ports.detector, by_meaning(listening)),
                f"fixed {FIXED_MS} ms": trials(recordings, listening, ports.detector, by_timeout),
            }


def _table(rules: Mapping[str, Sequence[Trial]]) -> Table:
    table = Table(
        title=f"{len(corpus().utterances)} utterances in {len(CALLERS)} voices",
        caption="gap: from the true end of speech to the settled turn, in ms of audio",
    )
    for heading in ("of them", "endpointing"):
        table.add_column(heading)
    for heading in ("cut into", "pauses cut into", "gap p50", "p95", "mean"):
        table.add_column(heading, justify="right")
    for group in GROUPS:
        for name, trials in rules.items():
            s = score(trials, group)
            table.add_row(
                group,
                name,
                f"{s.cut_into} of {s.utterances}",
                f"{s.pauses_cut_into} of {s.pauses}",
                *(f"{gap:.0f}" for gap in (s.gap_p50_ms, s.gap_p95_ms, s.gap_mean_ms)),
            )
        table.add_section()
    return table


def _figures(rules: Mapping[str, Sequence[Trial]]) -> dict[str, Any]:
    return {
        "callers": [asdict(caller) for caller in CALLERS],
        "scores": {group: {name: asdict(score(trials, group)) for name, trials in rules.items()} for group in GROUPS},
        "utterances": [
            {
                "said": str(recording.utterance),
                "expects": recording.utterance.expects,
                "held_back": recording.utterance.held_back,
                **{
                    name: {"cuts_ms": outcomes[i][1].cuts, "gap_ms": outcomes[i][1].gap_ms}
                    for name, outcomes in rules.items()
                },
            }
            for i, (recording, _) in enumerate(next(iter(rules.values())))
        ],
    }
