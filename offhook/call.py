"""`offhook call`: a simulated caller telephones an agent, over everything that a real call would go through."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from adapters.wiring import BadSettings, read_settings
from offhook.carrier import tape
from offhook.carrier.call import Call, Note, Unreachable
from offhook.carrier.carrier import ACCOUNT_SID, AUTH_TOKEN, Carrier
from offhook.carrier.person import Human
from offhook.carrier.recordings import Voice
from offhook.carrier.records import NoRecords, Records
from offhook.carrier.report import Report
from offhook.carrier.script import BadScript, Script, load
from offhook.carrier.scripted import ScriptedCaller
from schemas.conversation import Message

POLL_S = 0.3
NO_KEY = "there is no owner key"

Tell = Callable[[float, str, str], None]
"""Is told what happens as it happens: seconds since the call began, who, what."""


async def run(
    script: Script,
    server: str,
    account_sid: str = ACCOUNT_SID,
    auth_token: str = AUTH_TOKEN,
    owner_key: str = "",
    *,
    to: str | None = None,
    from_: str | None = None,
    voice: Voice | None = None,
    noise: int | None = None,
    tell: Tell = lambda seconds, who, text: None,
) -> Report:
    """Has a script's caller call a server. What is given here replaces what the script says. Without a key the call
    is the same, but nobody knows the agent's words. Raises BadScript, Unreachable. Cancelling hangs up."""
    caller = ScriptedCaller(script, voice)
    noise = script.noise if noise is None else noise
    async with AsyncExitStack() as stack:
        carrier = await stack.enter_async_context(Carrier(server, account_sid, auth_token))
        records = await stack.enter_async_context(Records(server, owner_key)) if owner_key else None
        minutes = _Minutes(records, tell)
        listening = asyncio.create_task(minutes.listen())
        try:
            call = await carrier.call(
                to=script.to if to is None else to,
                from_=script.from_ if from_ is None else from_,
                caller=caller,
                human=Human(**script.human.model_dump()),
                noise=noise,
                patience_s=script.patience,
                watch=minutes.note,
            )
        finally:
            listening.cancel()
            await asyncio.wait({listening})
        return await minutes.end(call, script, voice or script.voice, noise, caller.missed)


@dataclass
class _Minutes:
    """Follows a call: what the caller does comes from the carrier, what the agent says from the platform's record."""

    records: Records | None
    tell: Tell
    told: list[str] = field(default_factory=list)
    """The agent's messages, as far as they were told."""
    unread: str = NO_KEY
    call: asyncio.Future[Call] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def note(self, call: Call, note: Note) -> None:
        """What the carrier has to tell."""
        if not self.call.done():
            self.call.set_result(call)
        self.tell(note.at_ms / 1000, note.who, note.text)

    async def listen(self) -> None:
        """Tells the agent's words as they are written down, until cancelled."""
        call, id = await self.call, None
        while self.records:
            await asyncio.sleep(POLL_S)
            try:
                id = id or await self.records.find(call.sid)
                self._tell(await self.records.messages(id) if id else [], call)
            except NoRecords:
                continue

    async def end(self, call: Call, script: Script, voice: str, noise: int | None, missed: str) -> Report:
        """The whole record."""
        if self.records is None:
            return Report(script, voice, noise, call, missed, unread=self.unread)
        try:
            if (id := await self.records.find(call.sid)) is None:
                raise NoRecords("the platform has no conversation for this call")
            conversation = await self.records.ended(id)
            messages = await self.records.messages(id)
            self._tell(messages, call)
            booked = await self.records.appointments(id)
        except NoRecords as problem:
            return Report(script, voice, noise, call, missed, unread=str(problem))
        return Report(script, voice, noise, call, missed, conversation, messages, booked)

    def _tell(self, messages: Sequence[Message], call: Call) -> None:
        """The agent's messages that are new, and what was added to the last one: the agent may speak again before the
        caller does."""
        spoken = [message for message in messages if message.role == "agent"]
        for place, message in enumerate(spoken):
            if place == len(self.told):
                self.told.append(message.text)
                self.tell(message.at_ms / 1000, "agent", message.text)
            elif message.text != (known := self.told[place]) and message.text.startswith(known):
                self.told[place] = message.text
                self.tell(call.now() / 1000, "agent", message.text.removeprefix(known).strip())


def save(report: Report, folder: Path) -> Path:
    """Writes the call's sound, transcript and figures; returns their common path, to which .wav, .txt and .json are
    added."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.script.name}-{report.call.sid[2:10]}"
    tape.save(report.call.phone, path.with_suffix(".wav"))
    path.with_suffix(".txt").write_text(report.transcript(), encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(report.json(), indent=2) + "\n", encoding="utf-8")
    return path


# --- the command ----------------------------------------------------------------------------------------------

_COLOURS = {"caller": "cyan", "agent": "green", "carrier": "dim"}


def call(
    script: Annotated[str, typer.Argument(help="A shipped script's name, or the path of a YAML file.")],
    server: Annotated[str | None, typer.Option(help="Where the webhooks are, if not at PUBLIC_URL or PORT.")] = None,
    to: Annotated[str | None, typer.Option(help="The number to call, instead of the script's.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="The caller's number: any, anonymous, or empty.")] = None,
    voice: Annotated[Voice | None, typer.Option(help="The caller's voice.")] = None,
    noise: Annotated[int | None, typer.Option(help="Adds a line's hiss, the same for the same number.")] = None,
    save_to: Annotated[Path, typer.Option("--save", help="Where the recording goes.")] = Path("calls"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what differed.")] = False,
) -> None:
    """Have a simulated caller telephone an agent: real webhooks, a real media stream, recorded speech.

    Exits 0 if the call went as the script expects, 1 if it didn't, 2 if there is no such script."""
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    talks = not (as_json or quiet)

    def tell(seconds: float, who: str, text: str) -> None:
        if talks:
            out.print(Text(f"{seconds:6.1f} s  {who:8} {text}", style=_COLOURS[who]), soft_wrap=True)

    try:
        settings = read_settings()
    except BadSettings as problem:
        err.print(Text(str(problem)), soft_wrap=True)
        raise typer.Exit(1) from None
    if server is not None and not server.startswith(("http://", "https://")):
        err.print(Text(f"--server {server} is not an http:// or https:// address"), soft_wrap=True)
        raise typer.Exit(2)
    try:
        save_to.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        err.print(Text(f"--save {save_to}: {problem.strerror}"), soft_wrap=True)
        raise typer.Exit(2) from None
    try:
        story = load(script)
        report = asyncio.run(
            run(
                story,
                server or settings.public_urls[0],
                settings.twilio_account_sid,
                settings.twilio_auth_token,
                settings.owner_key,
                to=to,
                from_=from_,
                voice=voice,
                noise=noise,
                tell=tell,
            )
        )
    except BadScript as problem:
        err.print(Text(str(problem)), soft_wrap=True)
        raise typer.Exit(2) from None
    except Unreachable as problem:
        err.print(
            Text(f"{problem}: start the platform with `make run`, or name another with --server."), soft_wrap=True
        )
        raise typer.Exit(1) from None
    saved = save(report, save_to)
    if as_json:
        print(json.dumps(report.json() | {"saved": f"{saved}.wav"}))
    elif talks:
        _print(report, saved, out)
    else:
        for difference in report.differences:
            out.print(Text(difference))
    raise typer.Exit(0 if report.met else 1)


def _print(report: Report, saved: Path, out: Console) -> None:
    out.print()
    if report.exchanges:
        out.print(report.table())
        out.print(Text("ms from the caller's last speech; heard and cut: as the carrier measured them", style="dim"))
    if report.unread and report.conversation is None:
        out.print(Text(f"Without the agent's words: {report.unread}.", style="yellow"))
    out.print(Text(f"Recorded in {saved}.wav, .txt and .json"))
    for difference in report.differences:
        out.print(Text(f"✗ {difference}", style="red"))
    if report.met:
        out.print(Text("✓ The call went as the script expects.", style="green"))
