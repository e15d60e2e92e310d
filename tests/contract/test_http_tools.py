"""HTTP endpoints as tools, over a real server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.egress import Egress
from adapters.http_tools import HttpTools
from domain.ports import Unavailable
from domain.tool_check import check_tool
from schemas.http_tool import HttpTool
from schemas.tool import ToolCall, ToolResult
from tests.fakes.local_server import serving
from tests.fakes.memory_secrets import MemorySecrets

SECRET = "word-of-ours"
KEY = "cnv_1:ask:1:ab"
TEXT = {"type": "string"}


class Service:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[], Response] = lambda: JSONResponse({"status": "shipped", "items": [{"price": 3}]})
        self.delay_s = 0.0
        self.asked: list[dict[str, Any]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["GET", "POST", "PUT", "DELETE"])])

    async def _take(self, request: Request) -> Response:
        self.asked.append(
            {
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "query": request.query_params.multi_items(),
                "headers": dict(request.headers),
                "body": await request.body(),
            }
        )
        await asyncio.sleep(self.delay_s)
        return self.answer()


def ran(
    arguments: dict[str, Any], service: Service | None = None, acts: bool = False, timeout_ms: int = 5000, **http: Any
) -> tuple[ToolResult, list[dict[str, Any]]]:
    """What came of it, and what the service was asked. Raises what the tool does."""
    service = service or Service()

    async def run() -> ToolResult:
        secrets = MemorySecrets()
        await secrets.put("org_test", "crm_key", SECRET)
        async with serving(service.app) as where, Egress(allow=[where]) as egress:
            properties = {name: TEXT for name in ("order_number", "note", "size")}
            tool = HttpTool.model_validate(
                {
                    "name": "track_order",
                    "description": "",
                    "parameters": {"type": "object", "properties": properties, "required": ["order_number"]},
                    "acts": acts,
                    "timeout_ms": timeout_ms,
                    "http": {"url": f"http://{where}/orders/{{{{order_number}}}}", **http},
                }
            )
            assert list(check_tool(tool)) == []
            call = ToolCall(id="1", tool="track_order", arguments=arguments, key=KEY)
            return await HttpTools(egress, secrets).run("org_test", tool, call)

    return asyncio.run(run()), service.asked


def test_arguments_go_into_the_path_and_the_rest_into_the_query() -> None:
    result, [asked] = ran({"order_number": "47129", "note": "a&b=c", "size": None})
    assert result.output == {"status": "shipped", "items": [{"price": 3}]}
    assert (asked["method"], asked["path"], asked["query"]) == ("GET", "/orders/47129", [("note", "a&b=c")])
    assert asked["headers"]["accept"] == "application/json"
    assert "idempotency-key" not in asked["headers"]


def test_or_into_a_body() -> None:
    _, [asked] = ran({"order_number": "47129", "note": "x"}, method="POST")
    assert (asked["body"], asked["query"]) == (b'{"note":"x"}', [])
    assert asked["headers"]["content-type"] == "application/json"


def test_or_wherever_the_definition_says() -> None:
    body = {"order": {"id": "{{order_number}}", "text": "Note: {{note}}", "size": "{{size}}"}, "by": "phone", "n": None}
    _, [asked] = ran(
        {"order_number": "1", "note": "{{secret:crm_key}} {{size}}"},
        method="POST",
        body=body,
        query={"key": "{{secret:crm_key}}", "size": "{{size}}"},
        headers={"Authorization": "Bearer {{secret:crm_key}}"},
    )
    wanted = b'{"order":{"id":"1","text":"Note: {{secret:crm_key}} {{size}}"},"by":"phone","n":null}'
    assert asked["body"] == wanted, "what was filled in isn't looked at again"
    assert asked["query"] == [("key", SECRET)]
    assert asked["headers"]["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/b", "/orders/a%2Fb"),
        ("a?b=c#d", "/orders/a%3Fb%3Dc%23d"),
        ("a b%2e", "/orders/a%20b%252e"),
        ("Straße", "/orders/Stra%C3%9Fe"),
        ("@evil.example", "/orders/%40evil.example"),
    ],
)
def test_a_value_stays_in_its_segment(value: str, path: str) -> None:
    _, [asked] = ran({"order_number": value})
    assert asked["path"] == path


@pytest.mark.parametrize("value", ["..", ".", "../admin", "a/../../b", "..\\b", "", "a\r\nb", "a\x00", None, ["x"]])
def test_a_value_that_would_leave_it_is_refused(value: Any) -> None:
    result, asked = ran({"order_number": value})
    assert (result.error or "").startswith("order_number: ")
    assert asked == []


def test_what_acts_says_for_which_effect() -> None:
    _, [asked] = ran({"order_number": "1"}, acts=True, method="POST")
    assert asked["headers"]["idempotency-key"] == KEY


def test_fields_are_taken_of_the_answer() -> None:
    result, _ = ran(
        {"order_number": "1"}, output={"status": "status", "price": "$.items[0].price", "all": "$.items[*].x"}
    )
    assert result.output == {"status": "shipped", "price": 3, "all": []}


def failed(answer: Callable[[], Response], acts: bool, **how: Any) -> tuple[str, bool]:
    """The sentence, and whether the outcome is known."""
    service = Service()
    service.answer = answer
    method = {"method": "POST"} if acts else {}
    try:
        result, _ = ran({"order_number": "1"}, service, acts, **method, **how)
    except Unavailable as problem:
        return str(problem), False
    assert result.error is not None, result
    assert result.absent == (not acts)
    return result.error, True


@pytest.mark.parametrize(
    ("status", "says", "look_up_knows"),
    [
        (400, "did not accept these values", False),
        (401, "did not accept our credentials", False),
        (404, "knows no such thing", True),
        (410, "knows no such thing", True),
        (422, "did not accept these values", False),
    ],
)
def test_a_service_that_refuses_did_not_act(status: int, says: str, look_up_knows: bool) -> None:
    answer = lambda: JSONResponse({"detail": SECRET}, status_code=status)  # noqa: E731
    for acts, known in ((True, True), (False, look_up_knows)):
        sentence, knows = failed(answer, acts)
        assert (says in sentence, f"(status {status})" in sentence, knows) == (True, True, known)
        assert SECRET not in sentence


@pytest.mark.parametrize("status", [304, 408, 409, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("acts", [True, False])
def test_a_service_that_breaks_or_had_it_already_may_have_acted(status: int, acts: bool) -> None:
    _, known = failed(lambda: Response("", status_code=status), acts)
    assert not known


@pytest.mark.parametrize("to", ["/orders/receipt", "/orders/1", "http://[", "http://user:x@example.com/"])
def test_what_a_redirect_leads_to_says_nothing_of_what_was_done(to: str) -> None:
    answers = iter([Response(status_code=303, headers={"location": to}), Response(status_code=404)])
    _, known = failed(lambda: next(answers), acts=True)
    assert not known


def test_a_look_that_follows_what_was_done_is_its_answer() -> None:
    service = Service()
    answers = iter([Response(status_code=303, headers={"location": "/orders/receipt"}), JSONResponse({"number": 7})])
    service.answer = lambda: next(answers)
    result, asked = ran({"order_number": "1"}, service, acts=True, method="POST")
    assert (result.output, [each["method"] for each in asked]) == ({"number": 7}, ["POST", "GET"])


@pytest.mark.parametrize(
    ("answer", "says", "absent", "how"),
    [
        (lambda: Response("<html>"), "isn't JSON", False, {}),
        (lambda: JSONResponse({"status": 1}), "has no $.items[0].price", True, {"output": {"p": "$.items[0].price"}}),
        (lambda: Response(bytes(2_000_000)), "more than 1000000 bytes", False, {}),
        (lambda: JSONResponse({"x": "y" * 40_000}), "too long", False, {}),
    ],
    ids=["no JSON", "no such field", "huge", "long"],
)
def test_an_answer_that_can_t_be_used(answer: Any, says: str, absent: bool, how: Any) -> None:
    sentence, known = failed(answer, acts=False, **how)
    assert (says in sentence, known) == (True, absent)
    service = Service()
    service.answer = answer
    result, _ = ran({"order_number": "1"}, service, acts=True, method="POST", **how)
    assert (result.error, result.output) == (None, {}), "it acted, and whatever it said of it can't undo that"


def test_no_answer_in_time_may_have_acted() -> None:
    service = Service()
    service.delay_s = 2
    with pytest.raises(Unavailable, match="took longer than"):
        ran({"order_number": "1"}, service, acts=True, timeout_ms=300, method="POST")
    assert len(service.asked) == 1


def test_nobody_there_did_not_act() -> None:
    async def run(acts: bool) -> ToolResult:
        fields = {"url": "http://127.0.0.1:9/x", "method": "POST"}
        tool = HttpTool.model_validate(
            {"name": "x", "description": "", "parameters": {"type": "object"}, "acts": acts, "http": fields}
        )
        async with Egress(allow=["127.0.0.1:9"]) as egress:
            return await HttpTools(egress, MemorySecrets()).run(
                "org_test", tool, ToolCall(id="1", tool="x", arguments={})
            )

    assert asyncio.run(run(True)).error == "127.0.0.1 could not be reached"
    with pytest.raises(Unavailable):
        asyncio.run(run(False))


def test_a_secret_that_is_not_set_is_named() -> None:
    result, asked = ran({"order_number": "1"}, headers={"X-Key": "{{secret:other_key}}"})
    assert (result.error, asked) == ("the secret 'other_key' isn't set", [])


def test_other_statuses_may_mean_success() -> None:
    service = Service()
    service.answer = lambda: JSONResponse({"gone": True}, status_code=404)
    result, _ = ran({"order_number": "1"}, service, success=[404])
    assert result.output == {"gone": True}


def test_nothing_to_say_is_an_answer() -> None:
    service = Service()
    service.answer = lambda: Response(status_code=204)
    result, _ = ran({"order_number": "1"}, service, acts=True, method="DELETE")
    assert result.output == {}
