"""The tool that sends text messages."""

import asyncio
from typing import Any

import pytest

from adapters.message_tools import MessageTools
from domain.outbox import Outbox, opt_out_id
from schemas.organisation import Organisation
from schemas.tool import ToolCall, ToolResult
from tests.fakes.memory_documents import MemoryDocuments
from tests.fakes.ports import NOW, MemoryQueue, StoppedClock

ORGANISATION = Organisation(id="org_1", name="Willow", slug="willow", created_at=NOW)
ROOT = "organisations/org_1"
CALLER = "+15005550100"


class Bench:
    def __init__(self, sms_from: str = "+15005550006") -> None:
        self.documents, self.queue = MemoryDocuments(), MemoryQueue()
        self.kept = self.documents.kept
        outbox = Outbox(self.documents, self.queue, StoppedClock(), sms_from, frozenset(["sms"]))
        self.tools = MessageTools(outbox, StoppedClock())

    def run(self, key: str = "cnv_1:n:1", caller: str = CALLER, **arguments: Any) -> ToolResult:
        call = ToolCall(id="1", tool="send_sms", arguments=arguments, key=key, caller=caller)
        return asyncio.run(self.tools.run(ORGANISATION, call))

    def messages(self) -> list[dict[str, Any]]:
        return [document for path, document in self.kept.items() if path.startswith(f"{ROOT}/messages/")]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_caller_is_sent_a_message(bench: Bench) -> None:
    result = bench.run(text="Your code is 47129.")
    [message] = bench.messages()
    assert result.output == {"id": message["id"], "state": "queued", "to": CALLER, "segments": 1}
    assert (message["to"], message["text"], message["conversation"]) == (CALLER, "Your code is 47129.", "cnv_1")
    [(task, at)] = bench.queue.tasks.values()
    assert (task.kind, task.body, at) == ("send_message", {"organisation": "org_1", "message": message["id"]}, NOW)


def test_one_key_sends_once(bench: Bench) -> None:
    assert bench.run(text="Hello.").output == bench.run(text="Hello.").output
    assert len(bench.messages()) == len(bench.queue.tasks) == 1
    bench.run(text="Hello.", key="cnv_1:n:2")
    assert len(bench.messages()) == 2


def test_another_number_may_be_named_as_one_says_it(bench: Bench) -> None:
    bench.run(text="Hello.", to="(212) 736-5000")
    assert bench.messages()[0]["to"] == "+12127365000"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"text": "x" * 1601}, "1601 characters; 1600 are the most"),
        ({"text": "  "}, "says nothing"),
        ({}, "text: Field required"),
        ({"text": "Hello.", "to": "twelve"}, "'twelve' is not a phone number"),
        ({"text": "Hello.", "to": "+1212"}, "not a phone number"),
        ({"text": "Hello.", "to": "+19005550100"}, "premium-rate"),
    ],
)
def test_what_can_t_be_sent_is_told(bench: Bench, arguments: dict[str, Any], says: str) -> None:
    result = bench.run(**arguments)
    assert says in (result.error or "")
    assert bench.messages() == []


def test_a_caller_who_withholds_the_number_is_asked_for_one(bench: Bench) -> None:
    assert "withheld" in (bench.run(text="Hello.", caller="").error or "")


def test_a_caller_who_opted_out_gets_nothing_and_the_agent_is_told(bench: Bench) -> None:
    bench.kept[f"{ROOT}/optouts/{opt_out_id('sms', CALLER)}"] = {"id": "x"}
    assert "opted out" in (bench.run(text="Hello.").error or "")
    assert [message["state"] for message in bench.messages()] == ["suppressed"]
    assert bench.queue.tasks == {}


def test_it_comes_from_the_number_that_was_called(bench: Bench) -> None:
    bench.kept[f"{ROOT}/conversations/cnv_1"] = {"number": "+15005550001"}
    bench.kept["numbers/+15005550001"] = {"organisation": "org_1"}
    bench.run(text="Hello.")
    assert bench.messages()[0]["sender"] == "+15005550001"


def test_not_from_another_organisation_s(bench: Bench) -> None:
    bench.kept[f"{ROOT}/conversations/cnv_1"] = {"number": "+15005550001"}
    bench.kept["numbers/+15005550001"] = {"organisation": "org_2"}
    bench.run(text="Hello.")
    assert bench.messages()[0]["sender"] == "+15005550006"


def test_without_any_number_nothing_is_sent() -> None:
    assert "OFFHOOK_SMS_FROM" in (Bench(sms_from="").run(text="Hello.").error or "")


def test_it_says_what_it_takes(bench: Bench) -> None:
    tools = asyncio.run(bench.tools.offered(ORGANISATION))
    assert set(tools["send_sms"].parameters["properties"]) == {"text", "to"}
    assert tools["send_sms"].acts
    unknown = asyncio.run(bench.tools.run(ORGANISATION, ToolCall(id="1", tool="x", arguments={})))
    assert unknown.error == "there is no tool 'x'"
