"""Who is at the other end of a `<Dial>`, and what they are told before they are connected."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin

from offhook.carrier import twiml
from offhook.carrier.violation import Breach

Result = Literal["completed", "busy", "no-answer", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class Human:
    """Who is at the other end, and what they do."""

    result: Result = "completed"
    """completed: they answer."""
    seconds: float = 1.0
    """How long the two talk."""
    briefed: Literal["takes", "hangs_up", "waits"] = "takes"
    """What they do once they were told what the call is about: press a key, hang up, or nothing, as a machine would."""
    key: str = "1"
    """The one that they press."""


@dataclass(frozen=True, slots=True)
class Document:
    """A TwiML document, and where it came from."""

    url: str
    verbs: tuple[twiml.Verb, ...]


Fetch = Callable[[str, str, Mapping[str, str]], Awaitable[Document]]
"""Address, method and form → the TwiML there. Raises Breach."""


class HangsUp(Exception):
    """The person's leg is over before they were connected."""


class Leg:
    """The call to a person who has answered. `form` is what its webhooks carry, `note` is told what happens."""

    def __init__(
        self,
        human: Human,
        form: Mapping[str, str],
        fetch: Fetch,
        note: Callable[[str], None],
        say_ms_per_character: float,
    ) -> None:
        self.told: list[str] = []
        """What the carrier's voice said to them."""
        self._human = human
        self._form = form
        self._fetch = fetch
        self._note = note
        self._say_ms = say_ms_per_character

    async def brief(self, url: str, method: str) -> None:
        """Carries out what is found there; when it returns, the two are connected. Raises HangsUp, and Breach for what
        Twilio would not carry out. Cancelling ends the leg."""
        document: Document | None = await self._fetch(url, method, self._form)
        while document is not None:
            document = await self._execute(document)
        if self._human.briefed == "hangs_up":
            self._hang_up()

    async def _execute(self, document: Document) -> Document | None:
        for verb in document.verbs:
            match verb:
                case twiml.Say() | twiml.Pause():
                    await self._prompt(verb)
                case twiml.Gather():
                    digits = await self._gather(verb)
                    if digits or verb.action_on_empty_result:
                        action = urljoin(document.url, verb.action or "")
                        return await self._fetch(action, verb.method, {**self._form, "Digits": digits})
                case twiml.Redirect():
                    return await self._fetch(urljoin(document.url, verb.url), verb.method, self._form)
                case twiml.Hangup():
                    raise HangsUp
                case _:
                    raise Breach(twiml.NOT_VALID, f"<{type(verb).__name__}> can't be done on a person's leg")
        return None

    async def _prompt(self, verb: twiml.Say | twiml.Play | twiml.Pause) -> None:
        match verb:
            case twiml.Say(text=text):
                self.told.append(text)
                self._note(f"is told: {text}")
                await asyncio.sleep(len(text) * self._say_ms / 1000)
            case twiml.Pause(seconds=seconds):
                await asyncio.sleep(seconds)
            case twiml.Play():
                raise Breach(twiml.NOT_VALID, "the simulated carrier plays nothing to the person of a transfer")

    async def _gather(self, verb: twiml.Gather) -> str:
        for prompt in verb.prompts:
            await self._prompt(prompt)
        match self._human.briefed:
            case "hangs_up":
                self._hang_up()
            case "takes":
                self._note(f"presses {self._human.key}")
                if self._human.key == verb.finish_on_key:
                    return ""
                if verb.num_digits != 1:
                    await asyncio.sleep(verb.timeout_s)
                return self._human.key
        await asyncio.sleep(verb.timeout_s)
        return ""

    def _hang_up(self) -> None:
        self._note("hangs up")
        raise HangsUp
