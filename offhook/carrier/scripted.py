"""A caller who follows a script."""

import asyncio
from pathlib import Path

from offhook.carrier import recordings
from offhook.carrier.handset import Handset, Silent
from offhook.carrier.recordings import NoSound, Voice
from offhook.carrier.script import BadScript, HangUp, Interrupt, Line, Listen, Press, Script, Step, Wait


class ScriptedCaller:
    """One call's caller. All sound is made ready beforehand. Raises BadScript if some can't be had."""

    def __init__(self, script: Script, voice: Voice | None = None) -> None:
        self.script = script
        self.done = 0
        """How many steps were taken."""
        self.failed = ""
        """Why the script could not go on; the caller hung up then."""
        self._voice = voice or script.voice
        self._sounds: dict[Line, bytes] = {}
        for number, step in enumerate(script.steps, 1):
            if isinstance(step, Line):
                try:
                    self._sounds[step] = self._sound(step)
                except NoSound as problem:
                    raise BadScript(f"{script.name}: step {number}: {problem}") from None

    async def __call__(self, phone: Handset) -> None:
        """Follows the script to its end. Hangs up where it says so, or when it can't go on."""
        for step in self.script.steps:
            try:
                await self._take(step, phone)
            except Silent as problem:
                self.failed = f"step {self.done + 1}: {problem}"
                phone.hang_up()
            self.done += 1

    @property
    def missed(self) -> str:
        """Why the script wasn't followed to its end; empty if it was."""
        steps = self.script.steps
        if self.failed or self.done >= len(steps) or isinstance(steps[self.done], HangUp):
            return self.failed
        return f"the call ended at step {self.done + 1} of {len(steps)}"

    async def _take(self, step: Step, phone: Handset) -> None:
        match step:
            case Listen(quiet_ms=quiet_ms, within_s=within_s):
                await phone.listen(quiet_ms, within_s)
            case Interrupt(after=after):
                await phone.hears(after)
                await self._speak(step, phone)
            case Line():
                await self._speak(step, phone)
            case Press(keys=keys):
                await phone.press(keys)
            case Wait(seconds=seconds):
                await asyncio.sleep(seconds)
            case HangUp():
                phone.hang_up()

    async def _speak(self, line: Line, phone: Handset) -> None:
        await phone.say(self._sounds[line], line.say or line.speak or line.play)

    def _sound(self, line: Line) -> bytes:
        if line.say:
            return recordings.line(line.say, self._voice)
        if line.speak:
            return recordings.spoken(line.speak, self._voice)
        return recordings.file(Path(self.script.folder) / line.play)
