"""Documents that agents know: what was added is kept, then read, and what it says can be found.

A document is read by a task, which may come twice, late, or beside another for the same document. Each time that it is
to be read has a number: a task for an older one changes nothing, and one that finds out only afterwards that it wrote
too late reads the newest in its place."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from domain.document_kind import kind_of
from domain.passages import LONGEST_HEADING, clean
from domain.ports import Ports, Task, Transaction, Unavailable, Unreadable
from schemas.ids import new_id
from schemas.knowledge_document import FileKind, KnowledgeDocument

ROUNDS = 5
"""How often a reading begins anew since the document changed meanwhile."""
LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class File:
    """Something to read."""

    name: str
    """Empty for a text that has none."""
    content: bytes
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page to fetch and read: http:// or https://."""

    url: str


class Gone(Exception):
    """There is no such document, or not any more. The message is its id."""


async def add(
    ports: Ports, organisation: str, source: File | WebPage, title: str = "", id: str = ""
) -> KnowledgeDocument:
    """Keeps a document and has it read: a new one, or with an `id` in place of an old one, whose passages stay findable
    until the new ones are. Without a title it has its own, or the one that was given before. Raises Unreadable for what
    can't be a document, Gone without an old one, Unavailable. Cancelled, it may be there and stay unread."""
    now = ports.clock.now()
    title = clean(title, LONGEST_HEADING)
    fresh = KnowledgeDocument(
        id=id or new_id("doc"),
        organisation=organisation,
        title=title,
        title_given=bool(title),
        created_at=now,
        updated_at=now,
        **_described(source),
    )

    async def body(tx: Transaction) -> KnowledgeDocument:
        before = await _get(tx, organisation, id) if id else None
        document = _instead_of(before, fresh) if before else _named(fresh)
        tx.put(path_of(document), document.model_dump(mode="json"))
        return document

    # The entry comes first, so that whatever was kept of a document can be removed with it.
    document = await ports.documents.transact(body)
    if isinstance(source, File):
        try:
            await ports.blobs.put(path_of(document), source.content)
        except Unavailable:
            with suppress(Unavailable):
                await _settle(ports, document, state="failed", why="its file could not be kept; add it again")
            raise
    await _have_read(ports, document)
    return document


async def read_again(ports: Ports, organisation: str, id: str) -> KnowledgeDocument:
    """Has a document read once more, a page fetched anew. Raises Gone, Unavailable."""
    now = ports.clock.now()

    async def body(tx: Transaction) -> KnowledgeDocument:
        before = await _get(tx, organisation, id)
        document = _instead_of(before, before.model_copy(update={"updated_at": now}))
        tx.put(path_of(document), document.model_dump(mode="json"))
        return document

    document = await ports.documents.transact(body)
    await _have_read(ports, document)
    return document


async def remove(ports: Ports, organisation: str, id: str) -> None:
    """Once this returns, nothing of it is found or kept. Raises Gone; Unavailable: then ask again."""
    document = await find(ports, organisation, id)
    # The entry goes last: whoever asks again finds it.
    await ports.knowledge.forget(organisation, id)
    await ports.blobs.delete(path_of(document))
    await ports.documents.delete(path_of(document))
    # What was being read meanwhile may have been kept before the entry went; afterwards its reader removes it.
    await ports.knowledge.forget(organisation, id)


async def find(ports: Ports, organisation: str, id: str) -> KnowledgeDocument:
    """One document. Raises Gone, Unavailable."""
    stored = await ports.documents.get(_path(organisation, id))
    if stored is None:
        raise Gone(id)
    return KnowledgeDocument.model_validate(stored)


async def documents_of(ports: Ports, organisation: str) -> AsyncIterator[KnowledgeDocument]:
    """Every document of an organisation. Raises Unavailable."""
    cursor = None
    while True:
        page = await ports.documents.query(f"organisations/{organisation}/knowledge", limit=200, cursor=cursor)
        for found in page.found:
            yield KnowledgeDocument.model_validate(found.document)
        if (cursor := page.next_cursor) is None:
            return


# --- Reading ----------------------------------------------------------------------------------------------------------


async def read_document(ports: Ports, task: Task) -> None:
    """Takes `read_document`: a document's passages become findable in place of those it had. If it can't be read, its
    entry says why, and it stays as it was. The same task again changes nothing. Raises Unavailable: it comes again."""
    organisation, id = str(task.body["organisation"]), str(task.body["document"])
    try:
        document = await find(ports, organisation, id)
        if document.state != "reading" or document.reading != task.body["reading"]:
            return
        for _ in range(ROUNDS):
            newest = await _read(ports, document)
            if newest.reading == document.reading:
                return
            document = newest
    except Gone:
        await ports.knowledge.forget(organisation, id)
        await ports.blobs.delete(_path(organisation, id))
        return
    raise Unavailable(f"the document {id} changes faster than it can be read")


async def _read(ports: Ports, document: KnowledgeDocument) -> KnowledgeDocument:
    """Reads it and keeps what it says. The newest document; if that is another, our passages may lie over its own.
    Raises Gone, Unavailable."""
    try:
        content, kind = await _content(ports, document)
        await _tell(ports, document, "extracting")
        reading = await ports.reader.read(kind, content)
    except Unreadable as problem:
        return await _settle(ports, document, state="failed", why=str(problem))
    title = document.title if document.title_given else reading.title or document.title
    await _tell(ports, document, "keeping")
    await ports.knowledge.keep(document.organisation, document.id, title, reading.passages)
    return await _settle(
        ports,
        document,
        state="ready",
        title=title,
        passages=len(reading.passages),
        read_at=ports.clock.now(),
        size=len(content),
        sha256=_digest(content),
    )


async def _content(ports: Ports, document: KnowledgeDocument) -> tuple[bytes, FileKind]:
    """The original. Raises Unreadable, Unavailable."""
    if document.kind == "web":
        await _tell(ports, document, "fetching")
        try:
            found_at, content_type, content = await ports.fetch(document.source)
        except Unavailable as problem:  # whether it ever answers nobody knows: whoever added it decides
            raise Unreadable(f"it could not be fetched: {problem}") from None
        kind = kind_of(found_at, content_type, content)
        await ports.blobs.put(path_of(document), content)
        return content, kind
    kept = await ports.blobs.get(path_of(document))
    if kept is None or _digest(kept) != document.sha256:
        raise Unreadable("its file was not kept whole; add it again")
    return kept, document.kind


async def _settle(ports: Ports, document: KnowledgeDocument, **changes: Any) -> KnowledgeDocument:
    """Writes down what came of it, unless it isn't the newest, or that was done. The newest document. Raises Gone,
    Unavailable."""

    async def body(tx: Transaction) -> KnowledgeDocument:
        newest = await _get(tx, document.organisation, document.id)
        if newest.reading == document.reading and newest.state == "reading":
            newest = newest.model_copy(update={"doing": "", **changes})
            tx.put(path_of(newest), newest.model_dump(mode="json"))
        return newest

    return await ports.documents.transact(body)


async def _tell(ports: Ports, document: KnowledgeDocument, doing: str) -> None:
    """How far it is, for whoever looks at it. Raises Gone, Unavailable."""

    async def body(tx: Transaction) -> None:
        newest = await _get(tx, document.organisation, document.id)
        if newest.reading == document.reading and newest.state == "reading":
            tx.put(path_of(newest), newest.model_copy(update={"doing": doing}).model_dump(mode="json"))

    await ports.documents.transact(body)


async def _have_read(ports: Ports, document: KnowledgeDocument) -> None:
    body = {"organisation": document.organisation, "document": document.id, "reading": document.reading}
    task = Task(f"read-{document.id}-{document.reading}", "read_document", body)
    await ports.queue.enqueue(task, ports.clock.now())


# --- Entries ----------------------------------------------------------------------------------------------------------


def path_of(document: KnowledgeDocument) -> str:
    """Of a document's entry, and of its original among the blobs."""
    return _path(document.organisation, document.id)


def _path(organisation: str, id: str) -> str:
    """Raises Gone for what is no id."""
    if not (id.isidentifier() and id.isascii()):
        raise Gone(id)
    return f"organisations/{organisation}/knowledge/{id}"


async def _get(tx: Transaction, organisation: str, id: str) -> KnowledgeDocument:
    stored = await tx.get(_path(organisation, id))
    if stored is None:
        raise Gone(id)
    return KnowledgeDocument.model_validate(stored)


def _described(source: File | WebPage) -> dict[str, Any]:
    """What its entry says of it. Raises Unreadable."""
    if isinstance(source, File):
        kind = kind_of(source.name, source.content_type, source.content)
        name = clean(source.name.replace("\\", "/").rpartition("/")[2], LONGEST_HEADING)
        return {"kind": kind, "source": name, "size": len(source.content), "sha256": _digest(source.content)}
    url = source.url.strip()
    if not url.startswith(("http://", "https://")) or len(url) > LONGEST_URL or any(map(str.isspace, url)):
        raise Unreadable("it is not the http:// or https:// address of a page")
    return {"kind": "web", "source": url}


def _instead_of(before: KnowledgeDocument, fresh: KnowledgeDocument) -> KnowledgeDocument:
    """To be read anew: until that is done, it is known as it was."""
    titled = {"title": fresh.title, "title_given": True} if fresh.title_given else {}
    now_unread = {"state": "reading", "doing": "waiting", "why": "", "reading": before.reading + 1}
    kept = before.model_dump(include={"created_at", "title", "title_given", "passages", "read_at"})
    return fresh.model_copy(update={**kept, **titled, **now_unread})


def _named(document: KnowledgeDocument) -> KnowledgeDocument:
    """By its address, or its file without its ending, until its own title is known."""
    if document.title_given:
        return document
    name = document.source if document.kind == "web" else document.source.rpartition(".")[0] or document.source
    return document.model_copy(update={"title": clean(name, LONGEST_HEADING) or "Untitled"})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
