"""Script files: what they may say, and how clearly they are refused."""

from pathlib import Path

import pytest

from offhook.carrier import recordings
from offhook.carrier.recordings import VOICES
from offhook.carrier.script import (
    SHIPPED,
    BadScript,
    HangUp,
    Interrupt,
    Line,
    Listen,
    Press,
    Wait,
    load,
    parse,
    shipped,
)
from offhook.carrier.scripted import ScriptedCaller

NAMES = [path.stem for path in sorted(SHIPPED.glob("*.yaml"))]
LINES = (SHIPPED.parent / "lines.txt").read_text().splitlines()


def test_every_step_is_read_and_a_no_is_a_word() -> None:
    script = parse("""
        to: "+15005550001"
        from: anonymous
        voice: awb
        noise: 3
        steps:
          - listen
          - listen: 500
          - listen: {quiet_ms: 300, within_s: 2.5}
          - say: no
          - play: hello.wav
          - speak: hello there
          - press: 0123*#
          - wait: 1.5
          - interrupt: {after: 0.3, say: yes}
          - hang_up
          - hang_up: true
    """)
    assert (script.from_, script.voice, script.noise) == ("anonymous", "awb", 3)
    assert script.steps == (
        Listen(),
        Listen(quiet_ms=500),
        Listen(quiet_ms=300, within_s=2.5),
        Line(say="no"),
        Line(play="hello.wav"),
        Line(speak="hello there"),
        Press(keys="0123*#"),
        Wait(seconds=1.5),
        Interrupt(after=0.3, say="yes"),
        HangUp(),
        HangUp(),
    )


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ("listen", "steps are a list"),
        ("[shout]", "step 1: there is no 'shout'; there are listen, say,"),
        ("[listen, {say: yes, press: 1}]", "step 2 is not one thing"),
        ("[{wait: long}]", "step 1 (wait): seconds: Input should be a valid number"),
        ("[{press: abc}]", "step 1 (press): keys"),
        ("[{say: }]", "step 1 (say): one of say, play and speak is needed"),
        ("[{interrupt: {after: 1}}]", "step 1 (interrupt): one of say, play and speak is needed"),
        ("[{interrupt: now}]", "step 1 (interrupt): 'now' is not what it takes"),
        ("[{listen: {for: 3}}]", "step 1 (listen): for: Extra inputs are not permitted"),
    ],
)
def test_a_bad_step_is_named(steps: str, why: str) -> None:
    with pytest.raises(BadScript) as refusal:
        parse(f'to: "+1"\nsteps: {steps}')
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("steps: []", "to: Field required"),
        ("to: '+1'\nvoice: elvis", "voice: Input should be 'slt', 'rms', 'awb' or 'kal16'"),
        ("to: '+1'\nhuman: {briefed: sleeps}", "human.briefed"),
        ("to: '+1'\nhuman: {result: asleep}", "human.result"),
        ("to: '+1'\nhuman: {key: '12'}", "human.key"),
        ("to: '+1'\ncolour: red", "colour: Extra inputs are not permitted"),
        ("to: '+1'\nexpect: {says: ['(']}", "expect.says.0: '(' is not a regular expression"),
        ("to: '+1'\nexpect: {ended: nobody}", "expect.ended"),
        ("just text", "not a mapping"),
        ("to: [", "not YAML"),
    ],
)
def test_a_bad_script_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(BadScript) as refusal:
        parse(text)
    assert why in str(refusal.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadScript, match=r"no script 'demo-nothing'; there are demo-booking, .*demo-silent"):
        load("demo-nothing")


def test_shipped_scripts_have_names_and_say_what_they_are_about() -> None:
    assert {"demo-booking", "demo-order"} <= set(shipped())
    assert all(shipped().values())


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("name", NAMES)
def test_every_voice_can_speak_every_shipped_script(name: str, voice: recordings.Voice) -> None:
    ScriptedCaller(load(name), voice)


@pytest.mark.parametrize("voice", VOICES)
def test_every_line_was_recorded_in_every_voice(voice: recordings.Voice) -> None:
    for line in LINES:
        assert len(recordings.line(line, voice)) > 800, line


def test_a_line_that_was_not_recorded_names_its_step_and_the_lines_there_are() -> None:
    script = parse('to: "+1"\nsteps: [listen, {say: Next Wednesday}]', "mine")
    with pytest.raises(BadScript, match=r"mine: step 2: .*no recording of 'Next Wednesday'.*next tuesday"):
        ScriptedCaller(script)


def test_a_sound_file_is_looked_for_beside_the_script(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('to: "+1"\nsteps: [{play: hello.wav}]')
    with pytest.raises(BadScript, match=r"step 1: .*hello.wav can't be read: No such file"):
        ScriptedCaller(load(str(path)))
    (tmp_path / "hello.wav").write_bytes((recordings.SHIPPED / "slt" / "yes.wav").read_bytes())
    ScriptedCaller(load(str(path)))
