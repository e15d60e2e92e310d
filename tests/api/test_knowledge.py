"""Documents by the admin API, and what becomes of them."""

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import docx
import pytest
from starlette.testclient import TestClient

from domain.ports import Ports, Reading, Task, Unavailable
from functions.admin.access import hash_of
from functions.admin.app import app
from functions.knowledge import read_document
from offhook.seed import ORGANISATION, seed
from schemas.knowledge_document import FileKind
from tests.fakes.ports import NOW, paper_ports

OWNER, STRANGER = {"Authorization": "Bearer owner"}, {"Authorization": "Bearer stranger"}
PAGES: dict[str, tuple[str, str, bytes]] = {
    "https://example.com/hours": (
        "https://example.com/hours/",
        "text/html; charset=utf-8",
        b"<title>Opening hours</title><nav>Home</nav><p>We are open from nine to five.</p>",
    ),
    "https://example.com/list.pdf": ("https://example.com/list.pdf", "application/pdf", b"<p>Not found, sorry"),
}


async def fetch(url: str) -> tuple[str, str, bytes]:
    if url not in PAGES:
        raise Unavailable("example.com did not answer")
    return PAGES[url]


class Office:
    def __init__(self) -> None:
        self.ports = paper_ports(fetch=fetch)
        self.documents: Any = self.ports.documents
        self.knowledge: Any = self.ports.knowledge
        self.blobs: Any = self.ports.blobs
        self.queue: Any = self.ports.queue
        self.clock: Any = self.ports.clock
        asyncio.run(seed(self.ports))
        stranger = {"organisation": "org_other", "name": "x", "created_at": NOW.isoformat()}
        self.documents.kept[f"keys/{hash_of('stranger')}"] = stranger

        async def get_ports() -> Ports:
            return self.ports

        self.client = TestClient(app(get_ports))

    def ask(self, method: str, path: str = "", headers: dict[str, str] = OWNER, **how: Any) -> Any:
        return self.client.request(method, f"/api/v1/knowledge{path}", headers=headers, **how)

    def add(self, name: str, content: bytes, title: str = "", id: str = "") -> Any:
        """The document as it was taken."""
        form = {"title": title} if title else {}
        answer = self.ask("PUT" if id else "POST", f"/{id}" if id else "", files={"file": (name, content)}, data=form)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def write(self, title: str, text: str) -> Any:
        answer = self.ask("POST", json={"title": title, "text": text})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def work(self) -> None:
        """Does every task of the queue, each as often as it was ever enqueued, and once more."""
        for task, _ in list(self.queue.tasks.values()):
            self.do(task)

    def do(self, task: Task) -> None:
        asyncio.run(read_document(self.ports, task))

    def task(self, document: Any) -> Task:
        task: Task = self.queue.tasks[f"read-{document['id']}-{document['reading']}"][0]
        return task

    def find(self, words: str, headers: dict[str, str] = OWNER, **params: Any) -> list[str]:
        answer = self.ask("POST", "/search", headers, params={"q": words, **params})
        assert answer.status_code == 200, answer.text
        return [passage["text"] for passage in answer.json()["data"]]


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    with office.client:
        yield office


# --- Adding -----------------------------------------------------------------------------------------------------------


def test_an_uploaded_file_is_read_and_then_found(office: Office) -> None:
    taken = office.add("Price list.md", b"# Prices\n## Cleaning\nA cleaning costs 80 dollars.")
    assert (taken["state"], taken["doing"], taken["passages"]) == ("reading", "waiting", 0)
    assert (taken["title"], taken["kind"], taken["source"], taken["size"]) == (
        "Price list",
        "markdown",
        "Price list.md",
        49,
    )
    assert office.find("how much is a cleaning") == []
    office.work()
    known = office.ask("GET", f"/{taken['id']}").json()
    assert (known["state"], known["doing"], known["passages"], known["why"]) == ("ready", "", 1, "")
    assert (known["title"], known["read_at"]) == ("Prices", "2026-11-21T14:00:00Z")
    assert office.find("how much is a cleaning") == ["Prices › Cleaning A cleaning costs 80 dollars."]
    assert office.blobs.kept == {f"organisations/{ORGANISATION}/knowledge/{taken['id']}": b"# Prices\n## Cleaning\nA cleaning costs 80 dollars."}  # fmt: skip


def test_a_written_text_and_a_word_file_are_documents_too(office: Office) -> None:
    office.write("House rules", "No smoking in the rooms.")
    file = io.BytesIO()
    document = docx.Document()
    document.add_paragraph("Breakfast is from seven to ten.")
    document.save(file)
    word = office.add("breakfast.docx", file.getvalue(), title="Breakfast times")
    office.work()
    assert office.find("may I smoke in my room? smoking") == ["No smoking in the rooms."]
    [passage] = office.ask("POST", "/search?q=when is breakfast").json()["data"]
    assert (passage["title"], passage["document"]) == ("Breakfast times", word["id"])


def test_a_web_page_is_fetched_and_read(office: Office) -> None:
    answer = office.ask("POST", json={"url": "https://example.com/hours"})
    assert (answer.json()["kind"], answer.json()["title"]) == ("web", "https://example.com/hours")
    office.work()
    known = office.ask("GET", f"/{answer.json()['id']}").json()
    assert (known["state"], known["title"], known["size"] > 0) == ("ready", "Opening hours", True)
    assert office.find("when are you open") == ["We are open from nine to five."]
    PAGES_BEFORE = dict(PAGES)
    try:
        PAGES["https://example.com/hours"] = (
            "https://example.com/hours",
            "text/plain",
            b"We are open on Sundays only.",
        )
        again = office.ask("POST", f"/{known['id']}/read")
        assert (again.status_code, again.json()["state"], again.json()["passages"]) == (202, "reading", 1)
        office.work()
        assert office.find("when are you open") == ["We are open on Sundays only."]
    finally:
        PAGES.update(PAGES_BEFORE)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/gone", "it could not be fetched: example.com did not answer"),
        ("https://example.com/list.pdf", "it is called a .pdf file, but is none"),
    ],
)
def test_a_page_that_can_t_be_had_says_why(office: Office, url: str, why: str) -> None:
    taken = office.ask("POST", json={"url": url}).json()
    office.work()
    known = office.ask("GET", f"/{taken['id']}").json()
    assert (known["state"], known["why"]) == ("failed", why)


def test_a_file_that_can_t_be_read_says_why_and_can_be_replaced(office: Office) -> None:
    taken = office.add("scan.pdf", b"%PDF-1.4 nothing of it")
    office.work()
    known = office.ask("GET", f"/{taken['id']}").json()
    assert (known["state"], known["doing"]) == ("failed", "")
    assert known["why"] == "it is damaged: it can't be read as a PDF"
    office.add("text.txt", b"We open at nine.", id=taken["id"])
    office.work()
    known = office.ask("GET", f"/{taken['id']}").json()
    assert (known["state"], known["why"], known["kind"], known["title"]) == ("ready", "", "text", "scan")


@pytest.mark.parametrize(
    ("how", "status", "code", "detail"),
    [
        ({"files": {"file": ("a.txt", b"")}}, 422, "unreadable", "This document can't be used: it is empty."),
        ({"files": {"file": ("a.exe", b"MZ")}}, 422, "unreadable", "'exe' can't be read"),
        ({"files": {"file": ("a.txt", b"x" * (20 * 1024 * 1024 + 1))}}, 422, "unreadable", "larger than 20 MB"),
        ({"files": {"file": ("a.txt", b"x" * (21 * 1024 * 1024))}}, 413, "too_large", "at most 20 MB"),
        ({"content": iter([b"x"]), "headers": {**OWNER, "Content-Type": "text/plain"}}, 411, "length_required", "size"),
        ({"files": {"other": ("a.txt", b"x")}}, 422, "invalid", "needs a `file`"),
        ({"files": [("file", ("a.txt", b"x")), ("file", ("b.txt", b"x"))]}, 400, "invalid", "Too many files"),
        ({"json": {"title": "x"}}, 422, "invalid", "Field required"),
        ({"json": {"title": "x", "text": "y", "colour": "z"}}, 422, "invalid", "Extra inputs"),
        ({"json": {"title": "x", "text": "  "}}, 422, "unreadable", "it is empty"),
        ({"json": {"url": "ftp://example.com"}}, 422, "unreadable", "http:// or https://"),
        ({"json": {"url": "file:///etc/passwd"}}, 422, "unreadable", "http:// or https://"),
        ({"json": ["x"]}, 422, "invalid", ""),
        ({"content": b"{", "headers": {**OWNER, "Content-Type": "application/json"}}, 400, "invalid", "no JSON"),
        ({"content": b"x", "headers": {**OWNER, "Content-Type": "text/plain"}}, 415, "unsupported_media_type", "form"),
        ({"content": b"x", "headers": {**OWNER, "Content-Type": "multipart/form-data"}}, 400, "invalid", "boundary"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_clear_error_and_leaves_nothing(
    office: Office, how: dict[str, Any], status: int, code: str, detail: str
) -> None:
    answer = office.ask("POST", **how)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert detail in answer.json()["detail"]
    assert office.ask("GET").json()["data"] == []
    assert (office.blobs.kept, office.queue.tasks) == ({}, {})


# --- Looking, replacing, removing -------------------------------------------------------------------------------------


def test_documents_are_listed_the_newest_first_page_by_page(office: Office) -> None:
    for n in range(3):
        office.clock.time = NOW + timedelta(minutes=n)
        office.write(f"Text {n}", "words")
    first = office.ask("GET", params={"limit": 2}).json()
    assert [each["title"] for each in first["data"]] == ["Text 2", "Text 1"]
    second = office.ask("GET", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [each["title"] for each in second["data"]] == ["Text 0"]


def test_until_the_new_words_are_in_the_old_ones_are_found(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    office.work()
    replaced = office.ask(
        "PUT", f"/{taken['id']}", json={"title": "Prices", "text": "A cleaning costs 90 dollars."}
    ).json()
    assert (replaced["state"], replaced["passages"], replaced["created_at"]) == ("reading", 1, taken["created_at"])
    assert office.find("cleaning") == ["A cleaning costs 80 dollars."]
    office.work()
    assert office.find("cleaning") == ["A cleaning costs 90 dollars."]
    office.add("scan.pdf", b"%PDF-1.4 nothing of it", id=taken["id"])
    office.work()
    assert office.find("cleaning") == ["A cleaning costs 90 dollars."]


def test_a_removed_document_leaves_nothing(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    office.work()
    assert office.ask("DELETE", f"/{taken['id']}").status_code == 204
    assert (office.find("cleaning"), office.blobs.kept, office.ask("GET").json()["data"]) == ([], {}, [])
    office.work()
    assert office.knowledge.kept == {}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/read")):
        assert office.ask(method, f"/{taken['id']}{path}").status_code == 404
    assert office.ask("PUT", f"/{taken['id']}", json={"title": "x", "text": "y"}).status_code == 404
    assert office.blobs.kept == {}


def test_a_title_that_was_given_stays(office: Office) -> None:
    given = office.add("a.md", b"# Its own\nWords.", title="Ours\x00  ")
    own = office.add("b.md", b"# Its own\nWords.")
    office.work()
    for document, title in ((given, "Ours"), (own, "Its own")):
        office.add("c.md", b"# Another\nWords.", id=document["id"])
        assert office.ask("GET", f"/{document['id']}").json()["title"] == title
    office.work()
    titles = [office.ask("GET", f"/{document['id']}").json()["title"] for document in (given, own)]
    assert titles == ["Ours", "Another"]


def test_a_search_may_be_of_some_documents_and_tells_no_control_characters(office: Office) -> None:
    one, two = (
        office.write("One", "The pool is\topen."),
        office.write("Two", "The sauna is\x07 open. " + "It is hot. " * 20),
    )
    office.work()
    sauna = "The sauna is open. " + "It is hot. " * 20
    assert set(office.find("what is open")) == {"The pool is open.", sauna.strip()}
    assert office.find("what is open", document=two["id"]) == [sauna.strip()]
    assert len(office.find("what is open", document=[one["id"], two["id"]], limit=1)) == 1
    for params in ({}, {"q": ""}, {"q": "x" * 1001}, {"q": "x", "limit": 0}):
        assert office.ask("POST", "/search", params=params).status_code == 422


def test_another_organisation_s_documents_are_simply_not_there(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    office.work()
    assert office.ask("GET", headers=STRANGER).json()["data"] == []
    assert office.find("cleaning", STRANGER) == []
    assert office.find("cleaning", STRANGER, document=taken["id"]) == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/read")):
        assert office.ask(method, f"/{taken['id']}{path}", STRANGER).status_code == 404
    assert office.find("cleaning") == ["A cleaning costs 80 dollars."]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/doc_1"), ("POST", "/search?q=x")])
def test_nobody_comes_in_without_a_key(office: Office, method: str, path: str) -> None:
    assert office.ask(method, path, {}).status_code == 401


@pytest.mark.parametrize("id", ["..", "a b", "doc_1%2F..", "dóc"])
def test_what_is_no_id_is_not_found(office: Office, id: str) -> None:
    for method in ("GET", "DELETE"):
        assert office.ask(method, f"/{id}").status_code == 404


# --- Once in effect, and nothing lost ---------------------------------------------------------------------------------


def test_a_task_that_comes_twice_or_late_changes_nothing(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    first = office.task(taken)
    office.do(first)
    office.knowledge.kept[ORGANISATION, taken["id"]] = ("marked", ["cleaning"])
    office.do(first)
    assert office.find("cleaning") == ["cleaning"]
    replaced = office.ask("PUT", f"/{taken['id']}", json={"title": "P", "text": "A cleaning costs 90 dollars."}).json()
    office.do(first)
    assert office.find("cleaning") == ["cleaning"]
    office.do(office.task(replaced))
    office.do(first)
    assert office.find("cleaning") == ["A cleaning costs 90 dollars."]


class Interrupted:
    """A reader that has something else happen while it reads, the first time."""

    def __init__(self, office: Office, happen: Any) -> None:
        self._reader, self._happen = office.ports.reader, happen

    async def read(self, kind: FileKind, content: bytes) -> Reading:
        reading = await self._reader.read(kind, content)
        if happen := self._happen:
            self._happen = None
            await asyncio.to_thread(happen)
        return reading


def with_reader(office: Office, reader: Interrupted) -> None:
    object.__setattr__(office.ports, "reader", reader)


def test_a_document_replaced_while_it_is_read_ends_as_the_newer_one(office: Office) -> None:
    """The older one's passages are kept last, and must not stay."""
    taken = office.write("Prices", "A cleaning costs 80 dollars.")

    def replace() -> None:
        newer = office.ask("PUT", f"/{taken['id']}", json={"title": "P", "text": "A cleaning costs 90 dollars."}).json()
        office.do(office.task(newer))

    with_reader(office, Interrupted(office, replace))
    office.do(office.task(taken))
    known = office.ask("GET", f"/{taken['id']}").json()
    assert (known["state"], known["title"], office.find("cleaning")) == ("ready", "P", ["A cleaning costs 90 dollars."])


def test_a_document_removed_while_it_is_read_leaves_nothing(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    with_reader(office, Interrupted(office, lambda: office.ask("DELETE", f"/{taken['id']}")))
    office.do(office.task(taken))
    assert (office.knowledge.kept, office.blobs.kept, office.ask("GET").json()["data"]) == ({}, {}, [])


def test_passages_kept_after_their_document_was_removed_are_forgotten(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    keep = office.knowledge.keep

    async def keep_late(*what: Any) -> None:
        await asyncio.to_thread(lambda: office.ask("DELETE", f"/{taken['id']}"))
        await keep(*what)

    office.knowledge.keep = keep_late
    office.do(office.task(taken))
    assert office.ask("GET").json()["data"] == []
    assert (office.knowledge.kept, office.blobs.kept) == ({}, {})


def test_what_fails_for_the_moment_comes_again(office: Office) -> None:
    taken = office.write("Prices", "A cleaning costs 80 dollars.")
    office.knowledge.failing = True
    with pytest.raises(Unavailable):
        office.work()
    known = office.ask("GET", f"/{taken['id']}").json()
    assert (known["state"], known["doing"]) == ("reading", "keeping")
    assert office.ask("POST", "/search?q=cleaning").status_code == 503
    office.knowledge.failing = False
    office.work()
    assert office.find("cleaning") == ["A cleaning costs 80 dollars."]


def test_a_file_that_could_not_be_kept_is_no_document_that_waits_forever(office: Office) -> None:
    async def full(path: str, content: bytes) -> None:
        raise Unavailable("the disk is full")

    put, office.blobs.put = office.blobs.put, full
    assert office.ask("POST", json={"title": "Prices", "text": "words"}).status_code == 503
    [known] = office.ask("GET").json()["data"]
    assert (known["state"], known["why"]) == ("failed", "its file could not be kept; add it again")
    office.blobs.put = put
    assert office.ask("POST", f"/{known['id']}/read").status_code == 202
    office.work()
    known = office.ask("GET", f"/{known['id']}").json()
    assert (known["state"], known["why"]) == ("failed", "its file was not kept whole; add it again")
    assert office.ask("DELETE", f"/{known['id']}").status_code == 204


def test_the_api_describes_what_it_takes(office: Office) -> None:
    document = office.client.get("/api/v1/openapi.json").json()
    body = document["paths"]["/api/v1/knowledge"]["post"]["requestBody"]["content"]
    assert body.keys() == {"multipart/form-data", "application/json"}
