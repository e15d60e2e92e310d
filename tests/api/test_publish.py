"""An agent's versions: published over the API, numbered without gaps, refused with reasons, read again."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from adapters.firestore_documents import FirestoreDocuments
from adapters.paced_brain import PacedBrain
from adapters.sqlite_documents import SqliteDocuments
from domain.fallback import FallbackBrain, Provider
from domain.ports import Documents, Ports, Unavailable
from functions.admin.access import hash_of
from functions.admin.app import app
from functions.publish import DraftRefused, NoSuchAgent, check, publish
from offhook.seed import AGENTS as AGENTS_OF_THE_DEMO
from offhook.seed import ORGANISATION, demo_draft, seed
from schemas.agent import AgentDraft, AgentVersion
from schemas.ids import new_id
from tests.fakes.ports import NOW, paper_ports

ORDERS = "agt_demo_orders"
AGENTS = f"organisations/{ORGANISATION}/agents"
OWNER = {"Authorization": "Bearer owner"}


class Gemini(PacedBrain):
    """Has one model, while it can be reached."""

    reachable = True

    async def check(self, model: str = "") -> None:
        if not self.reachable:
            raise Unavailable("Gemini could not be reached")
        if model not in ("", "gemini-3.8-flash"):
            raise Unavailable(f"Gemini has no model {model!r}")


class Office:
    def __init__(self) -> None:
        self.gemini = Gemini()
        self.ports = paper_ports(brain=FallbackBrain([Provider("gemini", self.gemini)]))
        self.kept: dict[str, Any] = self.ports.documents.kept  # type: ignore[attr-defined]
        asyncio.run(seed(self.ports))
        stranger = {"organisation": "org_other", "name": "x", "created_at": NOW.isoformat()}
        self.kept[f"keys/{hash_of('stranger')}"] = stranger

        async def get_ports() -> Ports:
            return self.ports

        self.client = TestClient(app(get_ports))

    def get(self, path: str, headers: dict[str, str] = OWNER) -> Any:
        return self.client.get(f"/api/v1{path}", headers=headers)

    def publish(self, draft: Any, agent: str = ORDERS, query: str = "", headers: dict[str, str] = OWNER) -> Any:
        return self.client.post(f"/api/v1/agents/{agent}/versions{query}", json=draft, headers=headers)


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    with office.client:
        yield office


def draft(**changes: Any) -> dict[str, Any]:
    return {**demo_draft("orders").model_dump(mode="json"), **changes}


def flow(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "start": "start",
        "nodes": [
            {"id": "start", "type": "start", "edges": [{"to": "end"}]},
            {"id": "end", "type": "end", "say": "Goodbye."},
        ],
    }
    return {**whole, **changes}


# --- Well ---


def test_a_draft_becomes_the_next_version_and_is_live(office: Office) -> None:
    answer = office.publish(draft(personality="Be brief."))
    assert answer.status_code == 201
    assert (answer.json()["number"], answer.json()["agent"]) == (2, ORDERS)
    assert office.get(f"/agents/{ORDERS}").json()["live"] == 2
    assert office.get(f"/agents/{ORDERS}/versions/2").json() == answer.json()
    assert answer.json()["personality"] == "Be brief."
    assert office.publish(draft()).json()["number"] == 3


def test_what_was_published_before_stays_as_it_is(office: Office) -> None:
    before = office.get(f"/agents/{ORDERS}/versions/1").json()
    office.publish(draft(personality="Be brief."))
    assert office.get(f"/agents/{ORDERS}/versions/1").json() == before
    assert office.get("/agents/agt_demo_booking").json()["live"] == 1


def test_agents_are_listed(office: Office) -> None:
    office.publish(draft())
    first = office.get("/agents?limit=1").json()
    rest = office.get(f"/agents?cursor={first['next_cursor']}").json()
    listed = {agent["id"]: agent["live"] for agent in [*first["data"], *rest["data"]]}
    assert listed == {**dict.fromkeys(AGENTS_OF_THE_DEMO, 1), ORDERS: 2}
    assert len(first["data"]) == 1
    assert not rest["has_more"]


def test_an_agent_that_went_back_to_an_earlier_version_gets_a_number_that_is_free(office: Office) -> None:
    office.publish(draft())
    office.publish(draft())
    office.kept[f"{AGENTS}/{ORDERS}"]["live"] = 1
    assert office.publish(draft()).json()["number"] == 4
    assert office.get(f"/agents/{ORDERS}").json()["live"] == 4


def test_everything_else_about_the_agent_stays(office: Office) -> None:
    office.kept[f"{AGENTS}/{ORDERS}"] |= {"active": False, "description": "At the till."}
    office.publish(draft())
    agent = office.get(f"/agents/{ORDERS}").json()
    assert (agent["active"], agent["description"], agent["live"]) == (False, "At the till.", 2)


# --- Refused ---


def test_a_draft_that_would_go_wrong_is_refused_with_every_reason(office: Office) -> None:
    broken = flow(nodes=[*flow()["nodes"], {"id": "lost", "type": "function", "tool": "cook", "edges": [{"to": "x"}]}])
    answer = office.publish(
        draft(
            flow=broken,
            tools=["check_order_status", "fly"],
            model="gemini-9",
            providers={"brain": ["gemini", "openai"]},
        )
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "draft_refused"
    assert [(each["code"], each["node"], each["sentence"]) for each in answer.json()["findings"]] == [
        ("edge-into-nothing", "lost", "an edge leads to 'x', which doesn't exist"),
        ("unknown-tool", "lost", "the tool 'cook' doesn't exist"),
        ("tool-unknown", "", "there is no tool 'fly'"),
        ("provider-unknown", "", "there is no brain provider 'openai'"),
        ("model-unavailable", "", "Gemini has no model 'gemini-9'"),
    ]
    assert all(each["fix"] for each in answer.json()["findings"])
    assert office.get(f"/agents/{ORDERS}").json()["live"] == 1
    assert f"{AGENTS}/{ORDERS}/versions/2" not in office.kept


def test_a_provider_that_can_not_be_asked_is_no_fault_of_the_draft_s(office: Office) -> None:
    office.gemini.reachable = False
    answer = office.publish(draft())
    assert (answer.status_code, answer.json()["code"]) == (422, "provider_unreachable")
    [finding] = answer.json()["findings"]
    assert (finding["code"], finding["sentence"]) == ("provider-unreachable", "Gemini could not be reached")
    assert "try again later" in finding["fix"]
    assert office.publish(draft(), query="?force=true").json()["number"] == 2


def test_force_publishes_nothing_that_is_broken(office: Office) -> None:
    office.gemini.reachable = False
    answer = office.publish(draft(flow=flow(start="nowhere")), query="?force=true")
    assert (answer.status_code, answer.json()["code"]) == (422, "draft_refused")
    assert [each["code"] for each in answer.json()["findings"]] == ["missing-start", "provider-unreachable"]
    office.gemini.reachable = True
    assert office.publish(draft(model="gemini-9"), query="?force=true").status_code == 422
    assert office.get(f"/agents/{ORDERS}").json()["live"] == 1


def test_a_draft_that_can_not_be_read_names_every_field(office: Office) -> None:
    nodes = [{"id": "start", "type": "start", "edges": [{"to": "end"}], "sai": "Hello."}, *flow()["nodes"][1:]]
    answer = office.publish({"sped": 1, "temperature": 3, "flow": flow(nodes=nodes)})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    found = {each["sentence"].partition(":")[0]: each for each in answer.json()["findings"]}
    assert set(found) == {"sped", "temperature", "flow.nodes.0.start.sai"}
    assert found["flow.nodes.0.start.sai"]["node"] == "start"
    assert found["sped"]["fix"] == "remove it, or correct its name"
    assert office.publish([1]).status_code == 422
    assert office.publish({"flow": {"start": "x", "nodes": ["x", 3]}}).status_code == 422
    for field in ("number", "agent", "published_at"):
        assert office.publish(draft(**{field: 7})).status_code == 422


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"live": 0}, "the agent 'agt_demo_booking' has no version yet"),
        ({"active": False}, "the agent 'agt_demo_booking' is switched off"),
    ],
)
def test_a_handoff_to_an_agent_that_takes_no_calls_is_told_and_refuses_nothing(
    office: Office, changes: dict[str, Any], sentence: str
) -> None:
    failed = {"to": "end", "when": "event", "condition": "failed"}
    handoff = {"id": "over", "type": "handoff", "agent": "agt_demo_booking", "edges": [failed]}
    wanted = draft(flow=flow(nodes=[{"id": "start", "type": "start", "edges": [{"to": "over"}]}, handoff,
                                    flow()["nodes"][1]]))  # fmt: skip
    assert asyncio.run(check(office.ports, ORGANISATION, ORDERS, AgentDraft.model_validate(wanted))) == []
    office.kept[f"{AGENTS}/agt_demo_booking"] |= changes
    [finding] = asyncio.run(check(office.ports, ORGANISATION, ORDERS, AgentDraft.model_validate(wanted)))
    assert (finding.level, finding.node, finding.sentence) == ("warning", "over", sentence)
    assert finding.fix
    assert office.publish(wanted).status_code == 201


def test_a_draft_too_large_to_be_kept_is_refused(office: Office) -> None:
    [finding] = office.publish(draft(prompt="x" * 900_000)).json()["findings"]
    assert finding["code"] == "draft-too-large"


def test_what_is_not_there_is_not_found(office: Office) -> None:
    assert office.publish(draft(), agent="agt_nobody").status_code == 404
    assert office.publish(draft(), agent="..").status_code in (404, 405)
    for path in ("/agents/agt_nobody", f"/agents/{ORDERS}/versions/2", f"/agents/{ORDERS}/versions/0",
                 f"/agents/{ORDERS}/versions/-1", "/agents/agt_nobody/versions/1", "/agents/a b"):  # fmt: skip
        answer = office.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert office.get(f"/agents/{ORDERS}/versions/one").status_code == 422


def test_another_organisation_s_agents_are_simply_not_there(office: Office) -> None:
    stranger = {"Authorization": "Bearer stranger"}
    assert office.get("/agents", stranger).json()["data"] == []
    assert office.get(f"/agents/{ORDERS}", stranger).status_code == 404
    assert office.get(f"/agents/{ORDERS}/versions/1", stranger).status_code == 404
    assert office.publish(draft(), headers=stranger).status_code == 404
    assert office.publish(draft(), headers={}).status_code == 401
    assert office.get(f"/agents/{ORDERS}").json()["live"] == 1


def test_a_store_that_is_down_publishes_nothing(office: Office) -> None:
    office.ports.documents.failing = True  # type: ignore[attr-defined]
    assert office.publish(draft()).status_code == 503


# --- Many at once, on every store ---


def sqlite(folder: Path, emulator: str) -> AbstractAsyncContextManager[Documents]:
    return SqliteDocuments(folder / "documents.db")


def firestore(folder: Path, emulator: str) -> AbstractAsyncContextManager[Documents]:
    return FirestoreDocuments(new_id("project").replace("_", "-"), endpoint=emulator, insecure=True, timeout_s=60)


@pytest.mark.parametrize("open_store", [sqlite, firestore])
def test_those_who_publish_at_once_get_numbers_without_gaps(
    open_store: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    emulator = request.getfixturevalue("firestore_emulator") if open_store is firestore else ""

    async def story() -> None:
        async with open_store(tmp_path, emulator) as documents:
            ports = paper_ports(documents=documents)
            await asyncio.gather(*(seed(ports) for _ in range(3)))
            wanted = [demo_draft("orders").model_copy(update={"personality": f"No. {n}."}) for n in range(6)]
            published = await asyncio.gather(*(publish(ports, ORGANISATION, ORDERS, each) for each in wanted))
            assert sorted(version.number for version in published) == [2, 3, 4, 5, 6, 7]
            for version in published:
                kept = await documents.get(f"{AGENTS}/{ORDERS}/versions/{version.number}")
                assert AgentVersion.model_validate(kept) == version
            assert (await documents.get(f"{AGENTS}/{ORDERS}"))["live"] == 7

    asyncio.run(story())


def test_whoever_publishes_by_itself_gets_the_reasons_too() -> None:
    async def story() -> None:
        ports = paper_ports()
        await seed(ports)
        wanted = AgentDraft.model_validate(draft(tools=["fly"]))
        with pytest.raises(DraftRefused, match="there is no tool 'fly'") as refusal:
            await publish(ports, ORGANISATION, ORDERS, wanted)
        assert refusal.value.findings[-1].fix.startswith("choose of end_call, ")
        with pytest.raises(NoSuchAgent, match="There is no agent 'agt_nobody'"):
            await publish(ports, ORGANISATION, "agt_nobody", wanted)

    asyncio.run(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"patience_of_a_saint": True},
        {"flow": {"start": "a", "nodes": [{"id": "a", "type": "start", "edges": [{"to": "gone"}]}]}},
    ],
    ids=["unreadable", "broken"],
)
def test_an_upgraded_laptop_s_demo_agent_that_can_t_be_used_any_more_is_published_anew(changes: Any) -> None:
    async def story() -> None:
        ports = paper_ports()
        kept: dict[str, Any] = ports.documents.kept  # type: ignore[attr-defined]
        await seed(ports)
        mine = await publish(ports, ORGANISATION, ORDERS, AgentDraft.model_validate(draft(personality="Mine.")))
        await seed(ports)
        assert kept[f"{AGENTS}/{ORDERS}"]["live"] == mine.number == 2
        path = f"{AGENTS}/{ORDERS}/versions/2"
        kept[path] = old = {**kept[path], **changes}
        for _ in range(2):
            await seed(ports)
        assert kept[f"{AGENTS}/{ORDERS}"]["live"] == 3
        assert kept[path] == old
        assert AgentVersion.model_validate(kept[f"{AGENTS}/{ORDERS}/versions/3"]).flow == demo_draft("orders").flow
        assert f"{AGENTS}/{ORDERS}/versions/4" not in kept

    asyncio.run(story())
