"""Script files: what a simulated caller does, and how the call should go.

    about: Books an appointment.
    to: "+15005550001"          # the number to call
    from: "+15005550100"        # the caller's own; "anonymous" and SIP addresses too
    voice: slt                  # slt, rms, awb or kal16
    noise: 7                    # optional: seeds the line's hiss
    steps:
      - listen                  # until the agent has spoken and has been quiet for 700 ms
      - listen: 500             # … for 500 ms
      - listen: {quiet_ms: 500, within_s: 20}   # it must begin to speak within 20 s; 15 if not said
      - say: next tuesday       # a line from demo/lines.txt
      - play: hello.wav         # a sound file beside the script
      - speak: any new words    # needs flite
      - press: "123#"
      - wait: 1.5               # seconds
      - interrupt: {after: 0.8, say: no on thursday}   # so long after the agent began to speak; play, speak too
      - hang_up
    human: {result: busy}       # who answers a transfer: completed (after so many `seconds`), busy, no-answer,
                                # failed, canceled
    # human: {briefed: waits}   # what they do once they were told what it is about: takes (with `key`), hangs_up, waits
    patience: 30                # seconds that the caller waits, after the last step, for the agent to end the call
    expect:                     # checked at the end; leave out what doesn't matter
      ended: agent              # who ended the call: agent, caller, transfer or error
      outcome: completed        # what the platform says it came to
      dialled: "+15005550199"   # where the caller was put through to
      briefing: [delivery]      # regular expressions found in what the person there was told, in this order
      says: [tuesday, goodbye]  # regular expressions found in the agent's messages, in this order
      caller: [tuesday]         # the same, in what the agent understood
      appointments: 1           # how many more there are than before

Every value is read as text first, so that `say: no` is a word and not a truth value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from offhook.carrier.handset import QUIET_MS, WITHIN_S
from offhook.carrier.person import Result
from offhook.carrier.recordings import Voice

SHIPPED = Path(__file__).parent.parent / "demo" / "scripts"


class BadScript(Exception):
    """A script that can't be used. The message says which and why, naming the step."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Listen(_Model):
    quiet_ms: float = Field(default=QUIET_MS, ge=0)
    within_s: float = Field(default=WITHIN_S, gt=0)


class Line(_Model):
    """Something to say, from one of three sources."""

    say: str = ""
    play: str = ""
    speak: str = ""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Line":
        if sum(map(bool, (self.say, self.play, self.speak))) != 1:
            raise ValueError("one of say, play and speak is needed")
        return self


class Interrupt(Line):
    after: float = Field(default=0.8, ge=0)
    """Seconds since the agent began to speak."""


class Press(_Model):
    keys: str = Field(pattern=r"^[0-9*#A-D]+$")


class Wait(_Model):
    seconds: float = Field(ge=0, le=600)


class HangUp(_Model):
    pass


Step = Listen | Line | Interrupt | Press | Wait | HangUp

_STEPS: Mapping[str, Callable[[Any], Step]] = {
    "listen": lambda value: Listen(**value) if isinstance(value, dict) else Listen(quiet_ms=value or QUIET_MS),
    "say": lambda value: Line(say=value),
    "play": lambda value: Line(play=value),
    "speak": lambda value: Line(speak=value),
    "press": lambda value: Press(keys=value),
    "wait": lambda value: Wait(seconds=value),
    "interrupt": lambda value: Interrupt(**value),
    "hang_up": lambda value: HangUp(),
}


def _read_steps(steps: Any) -> tuple[Step, ...]:
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise ValueError("steps are a list")
    return tuple(_read_step(number, step) for number, step in enumerate(steps, 1))


def _read_step(number: int, step: Any) -> Step:
    fields = {step: None} if isinstance(step, str) else step
    if not isinstance(fields, dict) or len(fields) != 1:
        raise ValueError(f"step {number} is not one thing to do, but {step!r}")
    [(name, value)] = fields.items()
    if name not in _STEPS:
        raise ValueError(f"step {number}: there is no {name!r}; there are {', '.join(_STEPS)}")
    try:
        return _STEPS[name](value)
    except ValidationError as problem:
        raise ValueError(f"step {number} ({name}): {_first(problem)}") from None
    except TypeError:
        raise ValueError(f"step {number} ({name}): {value!r} is not what it takes") from None


class Answers(_Model):
    result: Result = "completed"
    seconds: float = Field(default=1.0, ge=0)
    briefed: Literal["takes", "hangs_up", "waits"] = "takes"
    key: str = Field(default="1", pattern=r"^[0-9*#]$")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as problem:
        raise ValueError(f"{text!r} is not a regular expression: {problem}") from None
    return text


Pattern = Annotated[str, BeforeValidator(_pattern)]


class Expect(_Model):
    """How the call should have gone. None: it doesn't matter."""

    ended: Literal["agent", "caller", "transfer", "error"] | None = None
    outcome: str | None = None
    dialled: str | None = None
    briefing: tuple[Pattern, ...] = ()
    says: tuple[Pattern, ...] = ()
    caller: tuple[Pattern, ...] = ()
    appointments: int | None = None


class Script(_Model):
    """A script file."""

    name: str = ""
    """The file's, without its ending."""
    folder: str = ""
    """Where its sound files are."""
    about: str = ""
    to: str
    from_: str = Field(default="+15005550100", alias="from")
    voice: Voice = "slt"
    noise: int | None = None
    steps: Annotated[tuple[Step, ...], BeforeValidator(_read_steps)] = ()
    human: Answers = Answers()
    patience: float = Field(default=30.0, ge=0)
    expect: Expect = Expect()


def shipped() -> dict[str, str]:
    """The shipped scripts: name → what each is about."""
    return {path.stem: load(path.stem).about for path in sorted(SHIPPED.glob("*.yaml"))}


def load(name: str) -> Script:
    """A shipped script by its name, or any by its path. Raises BadScript."""
    path = SHIPPED / f"{name}.yaml" if re.fullmatch(r"[a-z0-9-]+", name) else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(path.stem for path in sorted(SHIPPED.glob("*.yaml")))
        raise BadScript(f"there is no script {name!r}; there are {names}, or give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise BadScript(f"{name} can't be read: {problem}") from None
    return parse(text, path.stem, path.parent)


def parse(text: str, name: str = "script", folder: Path = Path()) -> Script:
    """A script from its YAML. Raises BadScript."""
    try:
        fields = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as problem:
        raise BadScript(f"{name} is not YAML: {problem}") from None
    if not isinstance(fields, dict):
        raise BadScript(f"{name} is not a mapping of `to`, `steps` and the like")
    try:
        return Script.model_validate({**fields, "name": name, "folder": str(folder)})
    except ValidationError as problem:
        raise BadScript(f"{name}: {_first(problem)}") from None


def _first(problem: ValidationError) -> str:
    error = problem.errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return message if place in ("", "steps") else f"{place}: {message}"
