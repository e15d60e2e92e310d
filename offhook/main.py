"""The `offhook` command."""

import asyncio
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack
from typing import Annotated, NoReturn

import structlog
import typer
import uvicorn
from rich.console import Console
from rich.table import Column, Table
from starlette.types import ASGIApp
from structlog.tracebacks import ExceptionDictTransformer

from adapters.wiring import BadSettings, open_ports, read_settings
from domain.acts import HangUp, PutThrough
from functions.chat import chat_with
from media_service.socket import MediaSocket
from offhook.bench.command import app as bench
from offhook.call import call
from offhook.doctor import examine
from offhook.platform import platform
from offhook.seed import AGENTS, ORGANISATION, seed
from schemas.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="AI phone agents, self-hosted.")
app.command()(call)
app.add_typer(bench, name="bench")
console = Console()

LARGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes of a WebSocket message above which the connection is closed; smaller oversized ones are ignored."""


def settings_or_exit() -> Settings:
    """The environment's settings; without them the command ends with what to change."""
    try:
        return read_settings()
    except BadSettings as problem:
        fail(str(problem))


def fail(why: str) -> NoReturn:
    """Ends the command."""
    Console(stderr=True).print(f"[red]offhook:[/red] {why}", highlight=False)
    raise typer.Exit(1)


@app.command()
def up(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Run the whole platform on one port (PORT, 8080 unless set)."""
    settings = settings_or_exit()
    set_up_logs(log_level)
    try:
        socket.create_server((host, settings.port)).close()
    except OSError as problem:
        fail(f"port {settings.port} can't be had ({os.strerror(problem.errno or 0)}); set PORT to another")
    url = settings.public_urls[0]
    owner = settings.owner_key
    console.print("[bold]Offhook[/bold] is starting. Once it is up:\n")
    table = Table.grid(padding=(0, 3))
    for name, text in {
        "Platform": f"{url}/",
        "Webhooks": f"{url}/twilio/voice  …/next  …/status",
        "Media stream": f"{settings.media_urls[0]}/twilio-stream",
        "Admin API": f"{url}/api/v1/conversations  …/appointments",
        "Owner's key": owner,
        "Data": settings.home,
        "Demo numbers": "+15005550001 books appointments, +15005550002 knows about orders",
        "Adapters": f"speech {settings.speech}, brain {settings.brain}, voice {settings.voice}, "
        f"documents {settings.documents}",
    }.items():
        table.add_row(f"[dim]{name}[/dim]", text)
    console.print(table, soft_wrap=True, highlight=False)
    console.print(
        "\nIn a second terminal:\n"
        "  .venv/bin/offhook call demo-booking   a simulated caller books by voice\n"
        "  .venv/bin/offhook chat                the same conversation, typed\n"
        "  .venv/bin/offhook doctor              what runs embedded, and how to add the rest\n",
        highlight=False,
    )
    running = "Offhook is running. Ctrl-C stops it."
    server(platform(settings, lambda: console.print(running)), settings, host, log_level).run()


def server(app: ASGIApp, settings: Settings, host: str = "127.0.0.1", log_level: str = "warning") -> uvicorn.Server:
    """The one server of both the platform and its tests."""
    config = uvicorn.Config(
        app,
        host=host,
        port=settings.port,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws=MediaSocket,
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        log_level=log_level,
        access_log=log_level == "debug",
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


@app.command()
def chat(
    agent: Annotated[str, typer.Option(help=f"One of {', '.join(AGENTS)}.")] = "agt_demo_booking",
) -> None:
    """Hold an agent's conversation in the terminal. Ctrl-D hangs up."""
    settings = settings_or_exit()
    set_up_logs("error")
    stack = AsyncExitStack()
    # Typed lines are awaited outside the loop, where Ctrl-C and Ctrl-D work as everywhere.
    with asyncio.Runner() as runner:
        try:
            ports = runner.run(stack.enter_async_context(open_ports(_mute(settings))))
            runner.run(seed(ports))
            if (talk := runner.run(chat_with(ports, ORGANISATION, agent))) is None:
                fail(f"there is no agent {agent!r}; try one of {', '.join(AGENTS)}")
            said = runner.run(talk.open())
            try:
                while _show(said, talk.outcome):
                    line = input("you    ")
                    said = runner.run(talk.say(line)) if line.strip() else []
            except (EOFError, KeyboardInterrupt):
                console.print("\n[dim]You hang up.[/dim]")
                runner.run(talk.hang_up())
        finally:
            runner.run(stack.aclose())


def _mute(settings: Settings) -> Settings:
    """A chat needs neither recogniser nor voice."""
    return settings.model_copy(update={"speech": "paced", "speech_next": (), "voice": "paced", "voice_next": ()})


def _show(said: list[str], outcome: HangUp | PutThrough | None) -> bool:
    """Prints the agent's sentences; whether the chat goes on."""
    for sentence in said:
        console.print(f"[bold cyan]agent[/bold cyan]  {sentence}", highlight=False)
    match outcome:
        case HangUp(outcome=came_to):
            console.print(f"[dim]The agent hangs up: {came_to}.[/dim]", highlight=False)
        case PutThrough(number=number):
            console.print(f"[dim]The agent puts you through to {number}.[/dim]", highlight=False)
    return outcome is None


@app.command()
def doctor() -> None:
    """Say what is configured, what runs embedded, what is missing, and how to add it."""
    settings = settings_or_exit()
    table = Table("", "what", Column("how it stands", overflow="fold"), "what to do", box=None, header_style="dim")
    findings = examine(settings)
    for finding in findings:
        mark = {"ok": "[green]✓[/green]", "note": "[yellow]•[/yellow]", "bad": "[red]✗[/red]"}[finding.level]
        table.add_row(mark, finding.what, finding.how, finding.todo)
    console.print(table, highlight=False)
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(1)


def set_up_logs(level: str) -> None:
    """JSON lines on standard error."""
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if level not in levels:
        fail(f"there is no log level {level!r}; use one of {', '.join(levels)}")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the frames' variables: they hold callers' words and secrets.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
