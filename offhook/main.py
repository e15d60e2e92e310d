"""The `offhook` command."""

import logging
import os
import socket
import sys
from typing import Annotated, NoReturn

import structlog
import typer
import uvicorn
from rich.console import Console
from rich.table import Column, Table
from starlette.types import ASGIApp
from structlog.tracebacks import ExceptionDictTransformer

from adapters.wiring import BadSettings, read_settings
from media_service.socket import MediaSocket
from offhook.bench.command import app as bench
from offhook.call import call
from offhook.chat import chat
from offhook.check import check
from offhook.doctor import examine
from offhook.exchange import export_flow, import_flow
from offhook.knowledge import app as knowledge
from offhook.messages import messages
from offhook.platform import platform
from offhook.publish import publish
from schemas.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="AI phone agents, self-hosted.")
app.command()(call)
app.command()(chat)
app.command()(check)
app.command("import")(import_flow)
app.command("export")(export_flow)
app.command()(publish)
app.command()(messages)
app.add_typer(bench, name="bench")
app.add_typer(knowledge, name="knowledge")
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
        "Admin API": f"{url}/api/v1/conversations  …/appointments  …/agents",
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
def doctor() -> None:
    """Say what is configured, what runs embedded, what is missing, and how to add it."""
    settings = settings_or_exit()
    set_up_logs("error")
    folded = (Column(title, overflow="fold") for title in ("how it stands", "what to do"))
    table = Table("", "what", *folded, box=None, header_style="dim")
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
