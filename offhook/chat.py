"""`offhook chat`: an agent's conversation in the terminal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from adapters.wiring import BadSettings, open_ports, read_settings
from domain.acts import HangUp, PutThrough
from domain.ports import Unavailable
from functions.chat import Busy, Chat, chat_again, chat_with
from offhook.seed import AGENTS, ORGANISATION, seed
from schemas.settings import Settings

console = Console()


def chat(
    agent: Annotated[str, typer.Option(help=f"One of {', '.join(AGENTS)} or another.")] = "agt_demo_booking",
    conversation: Annotated[str, typer.Option("--continue", help="Go on with this conversation (cnv_…).")] = "",
) -> None:
    """Hold an agent's conversation in the terminal. Ctrl-D hangs up; Ctrl-C leaves it open, to go on later."""
    try:
        settings = read_settings()
    except BadSettings as problem:
        _fail(str(problem))
    stack = AsyncExitStack()
    # Typed lines are awaited outside the loop, where Ctrl-C and Ctrl-D work as everywhere.
    with asyncio.Runner() as runner:
        try:
            talk = runner.run(_open(stack, settings, agent, conversation))
            if not conversation:
                runner.run(_show(talk.open()))
            while _goes_on(talk):
                try:
                    line = input("you    ")
                except EOFError:
                    console.print("\n[dim]You hang up.[/dim]")
                    runner.run(talk.hang_up())
                    break
                if line.strip():
                    runner.run(_show(talk.say(line)))
        except KeyboardInterrupt:
            console.print(f"\n[dim]Go on with: offhook chat --continue {talk.stored.id}[/dim]", highlight=False)
        except (Unavailable, Busy) as problem:
            _fail(str(problem))
        finally:
            runner.run(stack.aclose())


async def _open(stack: AsyncExitStack, settings: Settings, agent: str, conversation: str) -> Chat:
    ports = await stack.enter_async_context(open_ports(_mute(settings)))
    await seed(ports)
    if conversation:
        talk = await chat_again(ports, ORGANISATION, conversation)
        if talk is None:
            _fail(f"there is no typed conversation {conversation!r}")
        if talk.stored.state == "ended":
            _fail(f"the conversation {conversation} is over: {talk.stored.outcome}")
        return talk
    talk = await chat_with(ports, ORGANISATION, agent)
    if talk is None:
        _fail(f"there is no agent {agent!r}; try one of {', '.join(AGENTS)}")
    return talk


def _mute(settings: Settings) -> Settings:
    """A chat needs neither recogniser nor voice."""
    return settings.model_copy(update={"speech": "paced", "voice": "paced", "speech_next": (), "voice_next": ()})


async def _show(said: AsyncIterator[str]) -> None:
    """Prints the agent's sentences as they come."""
    async for sentence in said:
        console.print(f"[bold cyan]agent[/bold cyan]  {sentence}", highlight=False)


def _goes_on(talk: Chat) -> bool:
    """Whether the chat goes on; says how it ended if it doesn't."""
    match talk.outcome:
        case HangUp(outcome=came_to):
            console.print(f"[dim]The agent hangs up: {came_to}.[/dim]", highlight=False)
        case PutThrough(number=number):
            console.print(f"[dim]On the telephone the agent would put you through to {number}.[/dim]", highlight=False)
    return talk.outcome is None


def _fail(why: str) -> NoReturn:
    Console(stderr=True).print(f"[red]offhook:[/red] {why}", highlight=False)
    raise typer.Exit(1)
