"""`offhook knowledge`: the documents that agents know, on the data of this deployment; no platform needs to run."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from adapters.wiring import BadSettings, open_ports, read_settings
from domain.knowing import told
from domain.ports import Ports, Task, Unavailable, Unreadable
from functions.knowledge import File, Gone, WebPage, documents_of, find, read_document, remove
from functions.knowledge import add as add_document
from offhook.seed import ORGANISATION, seed
from schemas.knowledge_document import KnowledgeDocument

app = typer.Typer(no_args_is_help=True, help="Documents that agents know.")
console = Console()
T = TypeVar("T")


@app.command()
def add(sources: Annotated[list[str], typer.Argument(metavar="FILE|URL…", help="Files, or web pages.")]) -> None:
    """Add documents: text, Markdown, HTML, PDF, Word (.docx), or web pages; what was added before is replaced."""

    async def each(ports: Ports) -> bool:
        before = {document.source: document.id async for document in documents_of(ports, ORGANISATION)}
        return all([await _add(ports, source, before) for source in sources])

    if not _with_ports(each):
        raise typer.Exit(1)


async def _add(ports: Ports, source: str, before: dict[str, str]) -> bool:
    """Adds and reads one; whether that went well."""
    try:
        given = WebPage(source) if source.startswith(("http://", "https://")) else _file(Path(source))
        known = before.get(given.url if isinstance(given, WebPage) else given.name, "")
        document = await add_document(ports, ORGANISATION, given, id=known)
        # A platform that runs may read it as well: whoever is second finds nothing to do.
        body = {"organisation": ORGANISATION, "document": document.id, "reading": document.reading}
        await read_document(ports, Task("", "read_document", body))
        document = await find(ports, ORGANISATION, document.id)
    except (Unreadable, OSError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else f"it can't be used: {problem}"
        console.print(f"[red]✗[/red] {source}: {why}", highlight=False, soft_wrap=True)
        return False
    if document.state == "failed":
        console.print(f"[red]✗[/red] {document.id}  {source}: {document.why}", highlight=False, soft_wrap=True)
        return False
    made = f"{document.passages} passage{'s' if document.passages != 1 else ''}"
    console.print(f"[green]✓[/green] {document.id}  {document.title}: {made}", highlight=False, soft_wrap=True)
    return True


def _file(path: Path) -> File:
    return File(path.name, path.read_bytes())


@app.command("list")
def list_all() -> None:
    """List the documents, the newest last."""

    async def each(ports: Ports) -> list[KnowledgeDocument]:
        return [document async for document in documents_of(ports, ORGANISATION)]

    documents = sorted(_with_ports(each), key=lambda document: document.created_at)
    table = Table("id", "title", "kind", "state", "passages", box=None, header_style="dim")
    for document in documents:
        state = f"failed: {document.why}" if document.state == "failed" else document.doing or document.state
        table.add_row(document.id, document.title, document.kind, state, str(document.passages))
    console.print(
        table if documents else "There are no documents. Add one: offhook knowledge add FILE", highlight=False
    )


@app.command()
def search(words: Annotated[list[str], typer.Argument(metavar="WORDS", help="As a caller would say it.")]) -> None:
    """Show what an agent would be told for a caller's words."""
    found = told(_with_ports(lambda ports: ports.knowledge.search(ORGANISATION, " ".join(words))))
    for passage in found:
        console.print(f"[bold]{passage.title}[/bold] [dim]{passage.document}  {passage.score:.2f}[/dim]")
        console.print(f"  {passage.text}\n", highlight=False, markup=False)
    if not found:
        console.print("Nothing is like it.")


@app.command("remove")
def remove_one(id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Remove a document."""
    try:
        _with_ports(lambda ports: remove(ports, ORGANISATION, id))
    except Gone:
        _fail(f"there is no document {id!r}")


def _with_ports(do: Callable[[Ports], Awaitable[T]]) -> T:
    """What comes of it, with this deployment's ports."""

    async def within() -> T:
        settings = read_settings()
        # Nobody listens, thinks or speaks here.
        nobody = {"speech": "paced", "brain": "offline", "voice": "paced"}
        mute = settings.model_copy(update={**nobody, **{f"{port}_next": () for port in nobody}})
        async with open_ports(mute) as ports:
            await seed(ports)
            return await do(ports)

    try:
        return asyncio.run(within())
    except (BadSettings, Unavailable) as problem:
        _fail(str(problem))


def _fail(why: str) -> NoReturn:
    Console(stderr=True).print(f"[red]offhook:[/red] {why}", highlight=False)
    raise typer.Exit(1)
