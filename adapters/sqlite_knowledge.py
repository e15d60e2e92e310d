"""Passages in a SQLite file, found by their words: what vector search is to the cloud, for one machine.

Words are found by their stems ("prices" finds "price"), long ones also by how they begin, and the rarer a word is among
all passages, the more it counts (BM25). What means the same in other words isn't found."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import orjson

from adapters.sqlite import BUSY_S, Database
from domain.content_words import content_words
from schemas.passage import Passage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS passages (
    id INTEGER PRIMARY KEY,
    organisation TEXT NOT NULL,
    document TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS passages_by_document ON passages (organisation, document);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    title, text, content='passages', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER IF NOT EXISTS passage_kept AFTER INSERT ON passages BEGIN
    INSERT INTO words (rowid, title, text) VALUES (new.id, new.title, new.text);
END;
CREATE TRIGGER IF NOT EXISTS passage_forgotten AFTER DELETE ON passages BEGIN
    INSERT INTO words (words, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
END;
"""
MOST_WORDS = 40
"""Of a question."""
SHORTEST_STEM = 5
"""Letters of a word that others may begin with: "dent" would find dents as well as dentists."""
_BY_DOCUMENT = " AND document IN (SELECT value FROM json_each(?))"


class SqliteKnowledge:
    """See `domain.ports.Knowledge`. A document's passages are replaced all at once. How rare a word is is counted over
    all organisations; nothing else of one reaches another."""

    def __init__(self, path: Path, *, busy_s: float = BUSY_S) -> None:
        """Blocks for a moment to open the file; raises Unavailable if that fails. `busy_s` is how long to wait for
        other processes that write."""
        self._database = Database(path, _SCHEMA, busy_s)

    async def __aenter__(self) -> "SqliteKnowledge":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()

    async def check(self) -> None:
        await self._database.check()

    async def keep(self, organisation: str, document: str, title: str, passages: Sequence[str]) -> None:
        rows = [(organisation, document, title, text) for text in passages]
        await self._database.write(partial(_replace, organisation=organisation, document=document, rows=rows))

    async def forget(self, organisation: str, document: str) -> None:
        await self._database.write(partial(_replace, organisation=organisation, document=document, rows=[]))

    async def search(
        self, organisation: str, query: str, documents: Sequence[str] = ("*",), most: int = 4
    ) -> Sequence[Passage]:
        words = content_words(query)[:MOST_WORDS]
        if not words or not documents:
            return []
        return await self._database.read(
            partial(_find, organisation=organisation, words=words, documents=documents, most=most)
        )


def _replace(
    connection: sqlite3.Connection, organisation: str, document: str, rows: Sequence[tuple[str, str, str, str]]
) -> None:
    connection.execute("DELETE FROM passages WHERE (organisation, document) = (?, ?)", (organisation, document))
    connection.executemany("INSERT INTO passages (organisation, document, title, text) VALUES (?, ?, ?, ?)", rows)


def _find(
    connection: sqlite3.Connection, organisation: str, words: Sequence[str], documents: Sequence[str], most: int
) -> list[Passage]:
    some = "*" not in documents
    rows = connection.execute(
        "SELECT document, passages.title, passages.text, bm25(words, 2.0, 1.0) AS rank"
        " FROM words JOIN passages ON passages.id = words.rowid"
        f" WHERE words MATCH ? AND organisation = ?{_BY_DOCUMENT if some else ''} ORDER BY rank, passages.id LIMIT ?",
        (_match(words), organisation, *([orjson.dumps(list(documents)).decode()] if some else []), most),
    )
    return [
        Passage(document=document, title=title, text=text, score=_score(rank)) for document, title, text, rank in rows
    ]


def _score(rank: float) -> float:
    """SQLite's rank is below 0, without bound; the lower, the better."""
    better = max(-rank, 0.0)
    return better / (1 + better)


def _match(words: Sequence[str]) -> str:
    """Any of them, in FTS5's language. Each is quoted, so that none is taken for a part of it."""
    quoted = [f'"{word}"' for word in words]
    # A word counts once for its stem, and once more, less, for whatever begins with it.
    beginnings = [f"{each} *" for word, each in zip(words, quoted, strict=True) if len(word) >= SHORTEST_STEM]
    return " OR ".join([*quoted, *beginnings])
