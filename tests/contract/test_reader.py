"""What is read from files of every kind, good and bad."""

import asyncio
import io
import os
import zipfile
from collections.abc import Callable, Sequence
from signal import SIGKILL
from typing import Any

import docx
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from adapters.document_reader import DocumentReader
from adapters.extract import extract
from domain.ports import Reading, Unreadable
from schemas.knowledge_document import FileKind


def pdf(pages: Sequence[str], title: str = "", password: str = "") -> bytes:
    """A PDF whose pages hold these lines."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(612, 792)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        drawing = DecodedStreamObject()
        lines = " ".join(f"({line}) Tj T*" for line in text.split("\n"))
        drawing.set_data(f"BT /F1 12 Tf 14 TL 72 720 Td {lines} ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(drawing)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def word(build: Callable[[docx.document.Document], object], title: str = "") -> bytes:
    document = docx.Document()
    document.core_properties.title = title
    build(document)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_a_web_page_s_subject_is_read_and_nothing_around_it() -> None:
    page = """<!doctype html><html><head><title>Willow  Dental | Prices</title><style>p {}</style>
    <script>alert("no")</script></head><body>
    <nav><a href="/">Home</a></nav><div role="navigation">Menu</div><header>Slogan</header>
    <main><h1>Our <em>prices</em></h1><!-- no -->
    <p>Fair &amp; clear,<br>as
       always.</p>Loose words <b>too</b>.
    <h2>Cleaning</h2><ul><li>Adults: $120<li>Children: <a href="x">$70</a></ul>
    <table><caption>By treatment</caption><tr><th>Treatment<th>Price</tr><tr><td>Crown<td>$950</tr></table>
    <p hidden>secret</p><form><label>Name</label><input></form><noscript>Enable it</noscript>
    </main><footer>Imprint</footer></body></html>"""
    assert extract("html", page.encode()) == Reading(
        "Willow Dental | Prices",
        [
            "Our prices\nFair & clear, as always.\n\nLoose words too.",
            "Our prices › Cleaning\n- Adults: $120\n\n- Children: $70\n\nBy treatment\n- Treatment: Crown; Price: $950",
        ],
    )


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16"])
def test_a_web_page_tells_its_encoding(encoding: str) -> None:
    page = f'<html><head><meta charset="{encoding}"></head><body><p>Grüße aus Köln</p></body></html>'
    assert extract("html", page.encode(encoding)).passages == ["Grüße aus Köln"]


def test_a_pdf_s_lines_become_sentences_again() -> None:
    file = pdf(
        ["We are open on week-\ndays from nine\nto five.\nCall us.", "Parking is\nbehind the house."], "Our hours"
    )
    assert extract("pdf", file) == Reading(
        "Our hours", ["We are open on weekdays from nine to five.\nCall us.\n\nParking is behind the house."]
    )


def test_a_word_file_is_read_with_its_headings_lists_and_tables() -> None:
    def build(document: docx.document.Document) -> None:
        document.add_heading("Price list", 0)
        document.add_heading("Treatments", 1)
        document.add_paragraph("All prices in dollars.")
        document.add_paragraph("Cash or card", style="List Bullet")
        table = document.add_table(3, 3)
        for row, cells in enumerate(
            [("Treatment", "Duration", "Price"), ("Cleaning", "45 min", "120"), ("X-ray", "", "30")]
        ):
            for column, text in enumerate(cells):
                table.cell(row, column).text = text
        document.add_heading("Discounts", 2)
        document.add_paragraph("None.")

    assert extract("docx", word(build, "Prices 2026")) == Reading(
        "Prices 2026",
        [
            "Treatments\nAll prices in dollars.\n\n- Cash or card\n\n"
            "- Treatment: Cleaning; Duration: 45 min; Price: 120\n- Treatment: X-ray; Price: 30",
            "Treatments › Discounts\nNone.",
        ],
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1250"])
def test_text_is_read_in_the_encoding_it_seems_to_have(encoding: str) -> None:
    text = "Wir haben montags bis freitags geöffnet. Für Rückfragen stehen wir Ihnen natürlich gern zur Verfügung. " * 3
    assert extract("text", text.encode(encoding)).passages == [text.strip()]


def test_a_document_without_a_title_is_called_by_its_first_heading() -> None:
    assert extract("markdown", b"intro\n## House rules\nNo smoking.").title == "House rules"
    assert extract("text", b"No heading at all.").title == ""


# --- What can't be read -----------------------------------------------------------------------------------------------


def zipped(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def repacked(parts: dict[str, bytes]) -> bytes:
    """A Word file with parts in place of its own."""
    with zipfile.ZipFile(io.BytesIO(word(lambda document: document.add_paragraph("x")))) as archive:
        return zipped({name: archive.read(name) for name in archive.namelist()} | parts)


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY file SYSTEM "file:///etc/hostname">]>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>
<w:t>&b;&file;</w:t></w:r></w:p></w:body></w:document>"""

BAD: dict[str, tuple[FileKind, Callable[[], bytes], str]] = {
    "a PDF with a password": ("pdf", lambda: pdf(["Hello there, this is a secret."], password="x"), "has a password"),
    "a PDF of pictures": ("pdf", lambda: pdf(["", ""]), "without text"),
    "a PDF of too many pages": ("pdf", lambda: pdf([""] * 1001), "more than 1000 pages"),
    "half a PDF": ("pdf", lambda: pdf(["Hello there"])[:300], "damaged|without text"),
    "no PDF": ("pdf", lambda: b"%PDF-1.4 nothing of it", "damaged"),
    "a Word file's beginning": ("docx", lambda: word(lambda d: d.add_paragraph("x"))[:2000], "damaged"),
    "an archive": ("docx", lambda: zipped({"word/x.txt": b"hello"}), "damaged"),
    "an archive that explodes": ("docx", lambda: repacked({"word/media/a.bin": bytes(30_000_000)}), "far more"),
    "an archive of a huge part": ("docx", lambda: repacked({"word/a.xml": os.urandom(1000) * 45_000}), "far more"),
    "an archive of many parts": ("docx", lambda: repacked({f"word/{n}": b"" for n in range(5001)}), "far more"),
    "broken XML": ("docx", lambda: repacked({"word/document.xml": b"<w:document"}), "damaged"),
    "XML that grows": ("docx", lambda: repacked({"word/document.xml": ENTITIES}), "no words|damaged"),
    "an empty Word file": ("docx", lambda: word(lambda document: None), "no words"),
    "an empty page": ("html", lambda: b"<html><body><script>x</script></body></html>", "no words"),
    "marks only": ("markdown", lambda: b"# \n---\n***", "no words"),
    "no letters": ("text", lambda: bytes(range(1, 32)) * 20, "no text"),
    "too much": ("text", lambda: b"word " * 700_000, "more than 3,000,000 characters"),
    "too many passages": ("markdown", lambda: b"".join(b"# %d\nx%d\n" % (n, n) for n in range(5001)), "5,000 passages"),
}


@pytest.mark.parametrize(("kind", "make", "why"), BAD.values(), ids=BAD.keys())
def test_what_can_t_be_read_is_refused_with_the_reason(kind: FileKind, make: Callable[[], bytes], why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        extract(kind, make())


def test_a_pdf_that_only_forbids_changes_is_read() -> None:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["Anybody may read this page of ours."]))))
    writer.encrypt("", owner_password="x")
    file = io.BytesIO()
    writer.write(file)
    assert extract("pdf", file.getvalue()).passages == ["Anybody may read this page of ours."]


# --- In a process of its own ------------------------------------------------------------------------------------------


def test_files_are_read_in_processes_of_their_own() -> None:
    async def story() -> None:
        reader = DocumentReader()
        page = reader.read("html", "<title>Hours</title><p>Open from nine to five. Grüße</p>".encode())
        broken = reader.read("docx", b"PK\x03\x04 word/")
        many = [reader.read("text", f"Text number {n}.".encode()) for n in range(3)]
        first, second, *others = await asyncio.gather(page, broken, *many, return_exceptions=True)
        assert first == Reading("Hours", ("Open from nine to five. Grüße",))
        assert isinstance(second, Unreadable)
        assert others == [Reading("", (f"Text number {n}.",)) for n in range(3)]

    asyncio.run(story())


Process = asyncio.subprocess.Process


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Process, dict[str, str]]]:
    """Each that is started from now on, with its environment."""
    started: list[tuple[Process, dict[str, str]]] = []
    start: Any = asyncio.create_subprocess_exec

    async def watched(*arguments: str, env: dict[str, str], **how: Any) -> Process:
        process: Process = await start(*arguments, env=env, **how)
        started.append((process, env))
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    return started


def test_one_that_takes_too_long_is_given_up_and_leaves_no_process(processes: list[tuple[Process, Any]]) -> None:
    async def story() -> None:
        with pytest.raises(Unreadable, match=r"takes more than 0\.01 s"):
            await DocumentReader(within_s=0.01).read("text", b"hello")
        reading = asyncio.ensure_future(DocumentReader().read("text", b"hello"))
        while len(processes) < 2:
            await asyncio.sleep(0.001)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()

    asyncio.run(story())
    assert [process.returncode for process, _ in processes] == [-SIGKILL, -SIGKILL]


def test_the_process_knows_nothing_of_our_environment(processes: list[tuple[Process, Any]]) -> None:
    asyncio.run(DocumentReader().read("text", b"hello"))
    [(process, environment)] = processes
    assert process.returncode == 0
    assert environment.keys() == {"PYTHONPATH", "PYTHONUTF8"}
