"""Knowledge, blobs and a reader of paper."""

from collections.abc import Sequence

from adapters.extract import extract
from domain.blob_path import check_blob
from domain.content_words import content_words
from domain.ports import Reading, Unavailable, Unreadable
from schemas.knowledge_document import FileKind
from schemas.passage import Passage


class MemoryKnowledge:
    """Finds passages that share a word with the question; the more words, the better."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], tuple[str, list[str]]] = {}
        """By organisation and document: title and passages."""
        self.failing = False

    async def keep(self, organisation: str, document: str, title: str, passages: Sequence[str]) -> None:
        self._refuse()
        self.kept[organisation, document] = title, list(passages)

    async def forget(self, organisation: str, document: str) -> None:
        self._refuse()
        self.kept.pop((organisation, document), None)

    async def search(
        self, organisation: str, query: str, documents: Sequence[str] = ("*",), most: int = 4
    ) -> Sequence[Passage]:
        self._refuse()
        wanted = set(content_words(query))
        found = [
            Passage(document=document, title=title, text=text, score=len(both) / len(wanted))
            for (owner, document), (title, texts) in self.kept.items()
            if owner == organisation and ("*" in documents or document in documents)
            for text in texts
            if (both := wanted & set(content_words(f"{title} {text}")))
        ]
        return sorted(found, key=lambda passage: -passage.score)[:most]

    def _refuse(self) -> None:
        if self.failing:
            raise Unavailable("the knowledge is gone for the moment")


class MemoryBlobs:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, path: str, content: bytes) -> None:
        check_blob(path, content)
        self.kept[path] = content

    async def get(self, path: str) -> bytes | None:
        check_blob(path)
        return self.kept.get(path)

    async def delete(self, path: str) -> None:
        check_blob(path)
        self.kept.pop(path, None)

    async def exists(self, path: str) -> bool:
        check_blob(path)
        return path in self.kept


class PaperReader:
    """The real one, without a process of its own."""

    async def read(self, kind: FileKind, content: bytes) -> Reading:
        return extract(kind, content)


async def no_pages(url: str) -> tuple[str, str, bytes]:
    """A network without web pages."""
    raise Unreadable(f"there is no page at {url}")
