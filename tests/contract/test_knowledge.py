"""What every search of documents does. An adapter joins by its line in ADAPTERS."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from adapters.firestore_knowledge import FirestoreKnowledge
from adapters.gemini_embeddings import DIMENSIONS, GeminiEmbeddings
from adapters.sqlite_knowledge import SqliteKnowledge
from domain.passages import split
from domain.ports import Knowledge, Unavailable
from schemas.ids import new_id
from schemas.passage import Passage
from tests.fakes.clinic import DOCUMENTS, QUESTIONS
from tests.fakes.gemini_server import KEY, GeminiServer, Refusal
from tests.fakes.grpc_proxy import proxy
from tests.fakes.knowledge import MemoryKnowledge

ALICE, BOB = "org_alice", "org_bob"
PATIENCE_S = 60.0
"""With an emulator on a busy machine."""
LEAST_ALIKE = 0.05
"""Vectors of words alone are less alike than Gemini's."""
emulators: dict[str, str] = {}
"""Their host:port, once they run."""


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Knowledge]:
    async with SqliteKnowledge(folder / "knowledge.db") as knowledge:
        yield knowledge


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Knowledge]:
    yield MemoryKnowledge()


@asynccontextmanager
async def firestore(folder: Path) -> AsyncIterator[Knowledge]:
    async with GeminiServer() as server, over_firestore(server, new_id("project").replace("_", "-")) as knowledge:
        yield knowledge


def over_firestore(server: GeminiServer, project: str, **how: Any) -> FirestoreKnowledge:
    embeddings = GeminiEmbeddings(api_key=KEY, base_url=server.url)
    reached = {"endpoint": emulators["firestore"], "insecure": True, "timeout_s": PATIENCE_S, "least": LEAST_ALIKE}
    return FirestoreKnowledge(embeddings, project, **{**reached, **how})


ADAPTERS = {"sqlite": sqlite, "memory": memory, "firestore": firestore}
Open = Callable[[], AbstractAsyncContextManager[Knowledge]]


@pytest.fixture(params=ADAPTERS)
def knowing(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "firestore":
        emulators["firestore"] = request.getfixturevalue("firestore_emulator")
    return lambda: ADAPTERS[request.param](tmp_path)


def texts(found: Sequence[Passage]) -> list[str]:
    return [passage.text for passage in found]


HOURS = ["Opening hours\nWe are open on weekdays from nine to five.", "Parking\nPark in the yard behind the house."]
PRICES = ["Cleaning\nA cleaning costs 80 dollars.", "Crowns\nA crown costs 900 dollars."]


def test_what_answers_a_question_is_found_the_best_first(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(ALICE, "doc_1", "The practice", HOURS)
            await knowledge.keep(ALICE, "doc_2", "Price list", PRICES)
            first, *rest = await knowledge.search(ALICE, "hello, um, how much is a cleaning? what does it cost?")
            assert (first.document, first.title, first.text) == ("doc_2", "Price list", PRICES[0])
            assert PRICES[1] not in texts(rest) or 0 < rest[0].score <= first.score <= 1
            assert HOURS[1] not in texts(rest)

    asyncio.run(story())


def test_no_more_are_given_than_were_asked_for(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(ALICE, "doc_1", "Rooms", [f"Room {n} has a bath" for n in range(9)])
            assert len(await knowledge.search(ALICE, "which room has a bath")) == 4
            assert len(await knowledge.search(ALICE, "which room has a bath", most=2)) == 2
            scores = [passage.score for passage in await knowledge.search(ALICE, "room 7 with a bath", most=9)]
            assert scores == sorted(scores, reverse=True)
            assert all(0 < score <= 1 for score in scores)

    asyncio.run(story())


def test_the_title_and_the_headings_are_searched_as_well(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(ALICE, "doc_1", "Warranty terms", ["Two years from the day of purchase."])
            await knowledge.keep(ALICE, "doc_2", "Delivery", ["Returns\nWithin thirty days, unopened."])
            assert texts(await knowledge.search(ALICE, "what about the warranty")) == [
                "Two years from the day of purchase."
            ]
            assert texts(await knowledge.search(ALICE, "how do returns work")) == [
                "Returns\nWithin thirty days, unopened."
            ]

    asyncio.run(story())


def test_what_is_like_nothing_is_not_found(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            assert list(await knowledge.search(ALICE, "opening hours")) == []
            await knowledge.keep(ALICE, "doc_1", "The practice", HOURS)
            for question in ("submarine voyages", "", "   ", "um, could you please"):
                assert list(await knowledge.search(ALICE, question)) == []
            assert list(await knowledge.search(ALICE, "opening hours", documents=())) == []

    asyncio.run(story())


def test_only_the_documents_that_were_named_are_searched(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            for n in range(40):
                await knowledge.keep(ALICE, f"doc_{n}", f"Branch {n}", [f"Branch number {n} is open on weekdays."])
            wanted = ["doc_3", "doc_38", "doc_unknown", *(f"doc_{n}" for n in range(4, 36))]
            found = await knowledge.search(ALICE, "which branch is open", documents=["doc_3"])
            assert [passage.document for passage in found] == ["doc_3"]
            found = await knowledge.search(ALICE, "which branch is open on weekdays", documents=wanted, most=50)
            assert {passage.document for passage in found} == {*wanted} - {"doc_unknown"}
            assert list(await knowledge.search(ALICE, "which branch is open", documents=["doc_unknown"])) == []

    asyncio.run(story())


def test_organisations_know_nothing_of_each_other(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(ALICE, "doc_1", "Secrets", ["The safe opens with the word swordfish."])
            await knowledge.keep(BOB, "doc_1", "Manual", ["The safe is in the cellar."])
            assert texts(await knowledge.search(BOB, "what opens the safe swordfish")) == ["The safe is in the cellar."]
            assert texts(await knowledge.search(BOB, "the safe", documents=["doc_1"])) == ["The safe is in the cellar."]
            await knowledge.forget(BOB, "doc_1")
            assert texts(await knowledge.search(ALICE, "the safe")) == ["The safe opens with the word swordfish."]
            await knowledge.keep(BOB, "doc_1", "Manual", [])
            assert len(await knowledge.search(ALICE, "the safe")) == 1

    asyncio.run(story())


def test_a_document_kept_again_is_replaced(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(
                ALICE, "doc_1", "Prices", ["A cleaning costs 80 dollars.", "A crown costs 900 dollars."]
            )
            for _ in range(2):
                await knowledge.keep(ALICE, "doc_1", "Costs", ["A cleaning costs 90 dollars."])
                [found] = await knowledge.search(ALICE, "how much does a crown or a cleaning cost")
                assert (found.title, found.text) == ("Costs", "A cleaning costs 90 dollars.")

    asyncio.run(story())


def test_a_forgotten_document_is_not_found(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(ALICE, "doc_1", "The practice", HOURS)
            await knowledge.keep(ALICE, "doc_2", "Branch", ["Open on Saturdays."])
            await knowledge.forget(ALICE, "doc_1")
            await knowledge.forget(ALICE, "doc_1")
            assert texts(await knowledge.search(ALICE, "when are you open")) == ["Open on Saturdays."]

    asyncio.run(story())


HOSTILE = [
    '"',
    "' OR 1=1; DROP TABLE passages; --",
    "title:safe",
    "safe* NEAR/2 (cellar) AND NOT text",
    "-cellar ^safe {title text}: x",
    'the "safe',
    "\x00 safe \x00",
    "safe " * 5000,
    "𝔰𝔞𝔣𝔢 सुरक्षित 金庫",
    "it's o'clock ' '' \"\"",
]


def test_a_question_is_only_words(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            await knowledge.keep(ALICE, "doc_1", "Manual", ["The safe is in the cellar."])
            for question in HOSTILE:
                for passage in await knowledge.search(ALICE, question[:4000]):
                    assert passage.text == "The safe is in the cellar."
            assert len(await knowledge.search(ALICE, "where is the safe")) == 1

    asyncio.run(story())


def test_many_passages_are_kept(knowing: Open) -> None:
    async def story() -> None:
        async with knowing() as knowledge:
            many = [f"Article number {n} is called thing{n}x." for n in range(450)]
            await knowledge.keep(ALICE, "doc_1", "Catalogue", many)
            [first, *_] = await knowledge.search(ALICE, "what is thing437x")
            assert first.text == many[437]
            await knowledge.keep(ALICE, "doc_1", "Catalogue", many[:3])
            assert many[437] not in texts(await knowledge.search(ALICE, "what is thing437x"))

    asyncio.run(story())


# --- How good it is ---------------------------------------------------------------------------------------------------


async def recall(knowledge: Knowledge) -> tuple[float, list[str]]:
    """Of how many questions the answer is among the first four passages, and which were missed."""
    for id, (title, markdown) in DOCUMENTS.items():
        await knowledge.keep(ALICE, id, title, split(markdown))
    missed = []
    for question, heading in QUESTIONS:
        found = await knowledge.search(ALICE, question, most=4)
        if not any(passage.text.partition("\n")[0].split(" › ")[-1] == heading for passage in found):
            missed.append(question)
    return 1 - len(missed) / len(QUESTIONS), missed


def test_the_search_by_words_answers_what_callers_ask(tmp_path: Path) -> None:
    async def story() -> tuple[float, list[str]]:
        async with SqliteKnowledge(tmp_path / "knowledge.db") as knowledge:
            return await recall(knowledge)

    share, missed = asyncio.run(story())
    assert share >= 0.9, missed


def test_the_search_by_meaning_finds_what_the_vectors_say_is_near(firestore_emulator: str) -> None:
    """With vectors of words alone: how good Gemini's are isn't told here."""
    emulators["firestore"] = firestore_emulator

    async def story() -> tuple[float, list[str]]:
        async with firestore(Path()) as knowledge:
            return await recall(knowledge)

    share, missed = asyncio.run(story())
    assert share >= 0.9, missed


# --- SQLite -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("do you do refunding", "We refund the price of unopened goods."),
        ("REFUNDS?", "We refund the price of unopened goods."),
        ("have you got cafe au lait", "Café au lait is served until noon."),
        ("orthodontic treatment", "Orthodontics is on the third floor, next to implantology."),
        ("where do I go for an implant", "Orthodontics is on the third floor, next to implantology."),
    ],
)
def test_words_are_found_in_other_forms(tmp_path: Path, question: str, found: str) -> None:
    async def story() -> None:
        async with SqliteKnowledge(tmp_path / "knowledge.db") as knowledge:
            every = ["We refund the price of unopened goods.", "Café au lait is served until noon."]
            await knowledge.keep(
                ALICE, "doc_1", "All", [*every, "Orthodontics is on the third floor, next to implantology."]
            )
            assert texts(await knowledge.search(ALICE, question)) == [found]

    asyncio.run(story())


def test_passages_outlive_their_process(tmp_path: Path) -> None:
    async def story() -> None:
        async with SqliteKnowledge(tmp_path / "knowledge.db") as knowledge:
            await knowledge.keep(ALICE, "doc_1", "The practice", HOURS)
        async with SqliteKnowledge(tmp_path / "knowledge.db") as knowledge:
            await knowledge.check()
            assert len(await knowledge.search(ALICE, "opening hours")) == 1

    asyncio.run(story())


# --- Firestore --------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(firestore_emulator: str) -> str:
    emulators["firestore"] = firestore_emulator
    return new_id("project").replace("_", "-")


def test_the_same_question_is_embedded_once(project: str) -> None:
    async def story() -> None:
        async with GeminiServer() as server, over_firestore(server, project) as knowledge:
            await knowledge.keep(ALICE, "doc_1", "The practice", HOURS)
            server.embedded.clear()
            for question in ("Opening hours?", "opening  hours?", "Opening hours?"):
                assert len(await knowledge.search(ALICE, question)) == 1
            assert [(each.task, each.texts) for each in server.embedded] == [("RETRIEVAL_QUERY", ["Opening hours?"])]

    asyncio.run(story())


def test_what_stays_in_a_document_is_not_embedded_again(project: str) -> None:
    async def story() -> None:
        async with GeminiServer() as server, over_firestore(server, project) as knowledge:
            await knowledge.keep(ALICE, "doc_1", "Prices", PRICES)
            await knowledge.keep(ALICE, "doc_1", "Prices", [*PRICES, "Whitening costs 300 dollars."])
            sent = [(each.task, each.texts) for each in server.embedded]
            assert sent == [
                ("RETRIEVAL_DOCUMENT", [f"Prices\n{text}" for text in PRICES]),
                ("RETRIEVAL_DOCUMENT", ["Prices\nWhitening costs 300 dollars."]),
            ]

    asyncio.run(story())


def test_while_a_document_is_replaced_it_is_never_missing(project: str) -> None:
    """The new passages are written before the old ones go."""

    async def story() -> None:
        async with (
            GeminiServer() as server,
            over_firestore(server, project) as knowledge,
            over_firestore(server, project) as other,
        ):
            await knowledge.keep(ALICE, "doc_1", "Prices", ["A cleaning costs 80 dollars."])
            replacing = asyncio.ensure_future(
                knowledge.keep(ALICE, "doc_1", "Prices", ["A cleaning costs 90 dollars.", *PRICES[1:]])
            )
            while not replacing.done():
                assert await other.search(ALICE, "what does a cleaning cost")
            await replacing
            found = await other.search(ALICE, "what does a cleaning cost")
            assert found[0].text == "A cleaning costs 90 dollars."

    asyncio.run(story())


def test_whichever_service_is_down_the_search_is_unavailable(project: str) -> None:
    async def story() -> None:
        async with GeminiServer() as server, over_firestore(server, project) as knowledge:
            await knowledge.check()
            server.refuses = Refusal(429, "RESOURCE_EXHAUSTED")
            for ask in (
                lambda: knowledge.search(ALICE, "opening hours"),
                lambda: knowledge.keep(ALICE, "doc_1", "x", HOURS),
                knowledge.check,
            ):
                with pytest.raises(Unavailable, match="Gemini has no quota left"):
                    await ask()
            server.refuses = None
            async with over_firestore(server, project, endpoint="127.0.0.1:9", timeout_s=0.5) as lost:
                with pytest.raises(Unavailable, match="Firestore"):
                    await lost.search(ALICE, "opening hours")

    asyncio.run(story())


@pytest.mark.parametrize("method", ["Commit", "RunQuery"])
def test_what_firestore_lost_is_asked_for_again(project: str, method: str) -> None:
    lost = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED]

    def fault(called: str) -> grpc.StatusCode | None:
        return lost.pop() if called == method and lost else None

    async def story() -> None:
        async with (
            GeminiServer() as server,
            proxy(emulators["firestore"], fault) as endpoint,
            over_firestore(server, project, endpoint=endpoint) as knowledge,
        ):
            await knowledge.keep(ALICE, "doc_1", "The practice", HOURS)
            assert texts(await knowledge.search(ALICE, "opening hours")) == [HOURS[0]]

    asyncio.run(story())
    assert lost == []


def test_a_missing_index_is_named(project: str) -> None:
    def fault(called: str) -> grpc.StatusCode | None:
        return grpc.StatusCode.FAILED_PRECONDITION if called == "RunQuery" else None

    async def story() -> None:
        async with (
            GeminiServer() as server,
            proxy(emulators["firestore"], fault) as endpoint,
            over_firestore(server, project, endpoint=endpoint) as knowledge,
        ):
            with pytest.raises(Unavailable, match=r"infra/firestore\.indexes\.json"):
                await knowledge.search(ALICE, "opening hours")

    asyncio.run(story())


def test_vectors_are_of_length_one(project: str) -> None:
    async def story() -> list[list[float]]:
        async with (
            GeminiServer() as server,
            GeminiEmbeddings(api_key=KEY, base_url=server.url) as embeddings,
        ):
            return await embeddings.of(["one", "two words"], "RETRIEVAL_DOCUMENT")

    for vector in asyncio.run(story()):
        assert len(vector) == DIMENSIONS
        assert sum(value * value for value in vector) == pytest.approx(1)
