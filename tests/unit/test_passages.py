"""A document's text → passages."""

import time

import pytest

from domain.content_words import content_words
from domain.document_kind import kind_of
from domain.passages import LONGEST, clean, split, title_of
from domain.ports import Unreadable


def test_each_passage_stands_under_its_headings() -> None:
    text = """---
title: not text
---
# Prices
All prices are **in dollars**, see [the list](https://example.com/list).

## Cleaning ##
A cleaning costs 80 dollars.

Payment
-------
By card or cash.
### Instalments
From 500 dollars on.
# Contact
Call us.
"""
    assert split(text) == [
        "Prices\nAll prices are in dollars, see the list.",
        "Prices › Cleaning\nA cleaning costs 80 dollars.",
        "Prices › Payment\nBy card or cash.",
        "Prices › Payment › Instalments\nFrom 500 dollars on.",
        "Contact\nCall us.",
    ]
    assert title_of(text) == "Prices"


def test_what_looks_like_a_heading_in_code_is_none() -> None:
    text = "Setup\n```sh\n# a comment\nmake run\n```\nDone."
    assert split(f"# {text}") == [text]


def test_long_texts_are_cut_between_sentences_and_nothing_is_lost() -> None:
    sentences = [f"This is sentence number {n}, and it ends here." for n in range(200)]
    passages = split("# Story\n" + " ".join(sentences))
    assert len(passages) > 5
    for passage in passages:
        heading, _, body = passage.partition("\n")
        assert heading == "Story"
        assert LONGEST / 2 < len(body) <= LONGEST or passage is passages[-1]
        assert body.startswith("This is")
        assert body.endswith("here.")
    assert " ".join(passage.partition("\n")[2] for passage in passages) == " ".join(sentences)


def test_nothing_is_kept_twice_and_lines_without_words_not_at_all() -> None:
    assert split("# A\nSame.\n# A\nSame.\n# B\n---\n***\n") == ["A\nSame."]
    assert split("") == []


def test_what_nobody_can_see_is_left_out() -> None:
    assert clean("a\x00b\x1b[31mc\u202ed\u200be\ufefff\r\ng\th\x07") == "ab[31mcdef\ng h"
    assert clean("e\u0301") == "é"
    assert clean("  one   \n\n\n\n two ") == "one\n\n two"
    assert clean("abcdef", 4) == "abc…"


def test_no_text_takes_forever() -> None:
    began = time.process_time()
    for nasty in ("**" * 20_000, "[" * 20_000, "#" * 50_000, "-\n" * 20_000, "```\n" * 10_000, "a__b" * 10_000):
        split(nasty)
    assert time.process_time() - began < 60  # of processor time: some seconds


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("Um, what are your opening hours, please?", ("opening", "hours")),
        ("yes please", ()),
        ("I'd like like to know, don’t you, the PRICE of a price", ("price",)),
        ("is room 7 b free", ("room", "7", "free")),
        ("O'Brien's Café", ("o'brien's", "café")),
        ("", ()),
    ],
)
def test_content_words(said: str, about: tuple[str, ...]) -> None:
    assert content_words(said) == about


@pytest.mark.parametrize(
    ("name", "content_type", "content", "kind"),
    [
        ("a.txt", "", b"hello", "text"),
        ("README", "", b"hello", "text"),
        ("a.MD", "application/octet-stream", b"# hello", "markdown"),
        ("", "text/markdown; charset=utf-8", b"# hello", "markdown"),
        ("page.html?x=1.pdf", "", b"<p>hello", "html"),
        ("https://example.com/", "text/html; charset=x", b"<p>hello", "html"),
        ("a.txt", "", b"\xef\xbb\xbf <!DOCTYPE html><p>hello", "html"),
        ("scan", "", b"%PDF-1.7 ...", "pdf"),
        ("wrong.txt", "text/plain", b"%PDF-1.7 ...", "pdf"),
        ("a.docx", "", b"PK\x03\x04 word/document.xml", "docx"),
        ("a.txt", "", "grüß".encode("utf-16"), "text"),
    ],
)
def test_a_file_is_what_it_holds_and_then_what_it_is_called(
    name: str, content_type: str, content: bytes, kind: str
) -> None:
    assert kind_of(name, content_type, content) == kind


@pytest.mark.parametrize(
    ("name", "content_type", "content", "why"),
    [
        ("a.txt", "", b" \n ", "it is empty"),
        ("a.txt", "", b"x" * (20 * 1024 * 1024 + 1), "larger than 20 MB"),
        ("a.zip", "", b"PK\x03\x04 something", "archive"),
        ("a.xlsx", "", b"PK\x03\x04 xl/workbook.xml", "Office file other than"),
        ("a.doc", "", b"\xd0\xcf\x11\xe0\xa1\xb1", "old Office file"),
        ("a.pdf", "application/pdf", b"hello", "called a .pdf file, but is none"),
        ("a.docx", "", b"hello", "called a .docx file, but is none"),
        ("a.txt", "", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no text"),
        ("a.exe", "", b"MZ hello", "'exe' can't be read"),
        ("", "image/svg+xml", b"<svg/>", r"'image/svg\+xml' can't be read"),
        ("a.json", "application/json", b"{}", "'json' can't be read"),
    ],
)
def test_what_can_t_be_a_document_is_refused(name: str, content_type: str, content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        kind_of(name, content_type, content)
