"""`offhook messages`: what was sent, and what will be."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from adapters.wiring import BadSettings, open_port, read_settings
from domain.ports import Documents, Unavailable, Where
from offhook.seed import ORGANISATION
from schemas.outbound_message import OutboundMessage


def messages(
    organisation: Annotated[str, typer.Option(help="Whose.")] = ORGANISATION,
    state: Annotated[str, typer.Option(help="Only those in this state: queued, sent, failed, …")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """List text messages and e-mails, the last scheduled first. Needs no running platform."""
    try:
        found = asyncio.run(_read(organisation, state, limit))
    except (BadSettings, Unavailable) as problem:
        Console(stderr=True).print(f"[red]offhook:[/red] {problem}", highlight=False)
        raise typer.Exit(1) from None
    table = Table("due (UTC)", "state", "to", Column("text", overflow="fold"), "why", box=None, header_style="dim")
    for message in found:
        text = f"{message.subject}\n{message.text}" if message.subject else message.text
        table.add_row(f"{message.due_at:%Y-%m-%d %H:%M}", message.state, message.to, text, message.why)
    console = Console()
    console.print(table if found else "There are no messages.", highlight=False, markup=False)


async def _read(organisation: str, state: str, limit: int) -> list[OutboundMessage]:
    async with open_port(read_settings(), "documents") as documents:
        return await latest_messages(documents, organisation, state, limit)


async def latest_messages(documents: Documents, organisation: str, state: str, limit: int) -> list[OutboundMessage]:
    """The last scheduled first. Raises Unavailable."""
    where = [Where("state", "==", state)] if state else []
    page = await documents.query(f"organisations/{organisation}/messages", where, "-created_at", limit)
    return [OutboundMessage.model_validate(found.document) for found in page.found]
