"""What is wrong with a definition is told before anybody uses it."""

from typing import Any

import pytest

from domain import json_path, parameters
from domain.tool_check import check_server, check_tool
from schemas.http_tool import HttpTool
from schemas.mcp_server import McpServer

PARAMETERS = {"type": "object", "properties": {"id": {"type": "string"}, "q": {"type": "string"}}, "required": ["id"]}


def tool(**changes: Any) -> HttpTool:
    http = {"url": "https://api.example.com/orders/{{id}}", **changes.pop("http", {})}
    return HttpTool.model_validate(
        {"name": "track", "description": "", "parameters": PARAMETERS, "http": http, **changes}
    )


def test_a_good_one() -> None:
    http = {
        "method": "POST",
        "query": {"q": "{{q}}", "k": "{{secret:key}}"},
        "body": {"a": ["{{ id }}"]},
        "headers": {"Authorization": "Bearer {{ secret:key }}"},
        "output": {"price": "$.items[0].price"},
    }
    assert list(check_tool(tool(http=http), taken={"book_appointment"})) == []


@pytest.mark.parametrize(
    ("changes", "param", "says"),
    [
        ({"name": "Track"}, "name", "a-z"),
        ({"name": "book_appointment"}, "name", "platform's own"),
        ({"name": "transfer_call"}, "name", "platform's own"),
        ({"name": "go_on"}, "name", "platform's own"),
        ({"http": {"url": "ftp://x.example/{{id}}"}}, "http.url", "begin with https://"),
        ({"http": {"url": "https:///x"}}, "http.url", "begin with https://"),
        ({"http": {"url": "https://{{id}}.example.com/"}}, "http.url", "into its host"),
        ({"http": {"url": "https://u:p@example.com/"}}, "http.url", "names a user"),
        ({"http": {"url": "https://example.com\\@evil.example/"}}, "http.url", "isn't an address"),
        ({"http": {"url": "https://example.com:99999/"}}, "http.url", "isn't an address"),
        ({"http": {"url": "https://example.com/a b"}}, "http.url", "isn't an address"),
        ({"http": {"url": "https://example.com/#x"}}, "http.url", "never sent"),
        ({"http": {"url": "https://example.com/{{secret:key}}"}}, "http.url", "secrets go into"),
        ({"http": {"url": "https://example.com/?q={{q}}"}}, "http.url", "go into `query`"),
        ({"http": {"url": "https://example.com/{{q}}"}}, "http.url", "must be a required"),
        ({"http": {"url": "https://example.com/{{other}}"}}, "http.url", "not one of the parameters"),
        ({"http": {"query": {"q": "{{other}}"}}}, "http.query", "not one of the parameters"),
        ({"http": {"query": {"q": "{{a-b}}"}}}, "http.query", "neither an argument nor a secret"),
        ({"http": {"body": {}}}, "http.body", "GET sends none"),
        ({"http": {"headers": {"Host": "x"}}}, "http.headers", "platform itself"),
        ({"http": {"headers": {"A b": "x"}}}, "http.headers", "header's name"),
        ({"http": {"headers": {"A": "x\r\nB: y"}}}, "http.headers", "characters"),
        ({"http": {"headers": {"A": "{{id}}"}}}, "http.headers", "only {{secret:name}}"),
        ({"http": {"output": {"a": "$.b["}}}, "http.output.a", "can't be read"),
        ({"http": {"output": {"a": "$[?search(@.a, '(a+)+$')]"}}}, "http.output.a", "can't be read"),
        ({"saves": {"a": "$["}}, "saves.a", "can't be read"),
        ({"acts": True, "if_unknown": "verify"}, "verify", "name the look-up"),
        ({"verify": "track"}, "verify", "itself"),
        ({"parameters": {"type": "string"}}, "parameters", '"object"'),
        ({"parameters": {"type": "object", "properties": {"id": {"type": "txt"}}}}, "parameters", "txt"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], param: str, says: str) -> None:
    findings = list(check_tool(tool(**changes), taken={"book_appointment"}))
    assert [finding for finding in findings if finding.param == param and says in finding.sentence], findings


def test_an_mcp_server_is_checked_as_well() -> None:
    def wrong(**changes: Any) -> list[str]:
        server = {"id": "crm", "url": "https://mcp.example.com/mcp", **changes}
        return [finding.param for finding in check_server(McpServer.model_validate(server))]

    assert wrong(headers={"Authorization": "Bearer {{secret:key}}"}, tools={"look-up.v2": {}}) == []
    assert wrong(url="https://x.example/{{id}}") == ["url"]
    assert wrong(tools={"look up": {}}) == ["tools"]
    assert wrong(tools={"a": {"if_unknown": "verify"}}) == ["tools.a.verify"]


def schema(**more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, **more}


def test_references_are_put_in_place() -> None:
    settled = parameters.settled(schema(**{"$defs": {"a": {"type": "integer"}}}))
    assert settled == {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert parameters.problem_with({"a": 1}, settled) is None
    assert parameters.problem_with({"a": "x"}, settled) == "a: 'x' is not of type 'integer'"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"properties": {"a": {"$ref": "https://evil.example/schema.json"}}}, "of the schema itself"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "of the schema itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "contains itself"),
        ({}, "leads nowhere"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}] * 9}, "b": {"allOf": [{"$ref": "#/$defs/c"}] * 9},
                    "c": {"allOf": [{"$ref": "#/$defs/d"}] * 9}, "d": {"allOf": [{"type": "object"}] * 9}}}, "too large"),
        ({"properties": {"a": {"$id": "https://evil.example/"}}}, "$id"),
        ({"properties": {"a": {"$dynamicRef": "#x"}}}, "$dynamicRef"),
        ({"properties": {"a": {"pattern": "("}}}, "can't be read"),
        ({"properties": {"a": {"description": "x" * 20_000}}}, "bytes"),
    ],
)  # fmt: skip
def test_a_schema_that_would_do_harm_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(parameters.BadSchema) as problem:
        parameters.settled(schema(**wrong))
    assert says in str(problem.value)


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    evil = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a|a|b?a)+$"}}}
    assert "does not match" in (parameters.problem_with({"a": "a" * 40 + "!"}, evil) or "")
    good = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[0-9]+$"}}}
    assert parameters.problem_with({"a": "12"}, good) is None


def test_paths() -> None:
    value = {"a": [{"b": 1}, {"b": 2}], "x.y": 3}
    assert json_path.find("$.a[1].b", value) == 2
    assert json_path.find("$.a[*].b", value) == [1, 2]
    assert json_path.find("$.a[?@.b > 1].b", value) == [2]
    assert json_path.find("x.y", value) == 3
    assert json_path.find("$", value) == value
    for path in ("$.a[2]", "b"):
        with pytest.raises(json_path.NotFound):
            json_path.find(path, value)
