"""`offhook check`, `import` and `export`, as one would use them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

import offhook
from domain.equation_tokens import DEEPEST, LONGEST
from domain.events import __doc__ as events
from domain.flow_check.chart import ROWS
from domain.flow_check.codes import CODES
from domain.flow_check.equations import MOST_CASES
from domain.truth_table import MOST_ROWS
from offhook.check import schema_text
from offhook.main import app
from tests.unit.test_flow_exchange import CANVAS, LISTED

DOCS = Path(__file__).parents[2] / "docs"
DEMO = Path(offhook.__file__).parent / "demo" / "agents"
BROKEN: dict[str, Any] = {
    "start": "start",
    "nodes": [
        {"id": "start", "type": "start", "edges": [{"to": "nowhere"}]},
        {"id": "lost [bold]", "type": "end"},
    ],
}


def offhook_(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def file(tmp_path: Path, data: object, name: str = "flow.json") -> Path:
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=2))
    return path


@pytest.mark.parametrize("demo", sorted(DEMO.glob("*.json")), ids=lambda path: path.stem)
def test_a_good_agent_passes(demo: Path) -> None:
    result = offhook_("check", demo)
    assert result.exit_code == 0
    assert "no errors, no warnings" in result.output


def test_a_broken_flow_is_told_with_what_to_do(tmp_path: Path) -> None:
    result = offhook_("check", file(tmp_path, BROKEN))
    assert result.exit_code == 1
    assert "error   node 'start': an edge leads to 'nowhere', which doesn't exist  edge-into-nothing" in result.output
    assert "Lead it to a node that exists, or remove it." in result.output
    assert "warning node 'lost [bold]': no way leads here" in result.output
    assert "a flow, 2 nodes; 1 error, 1 warning" in result.output


def test_yaml_is_read(tmp_path: Path) -> None:
    result = offhook_("check", file(tmp_path, yaml.safe_dump(BROKEN), "flow.yaml"), "--json")
    assert result.exit_code == 1
    told = json.loads(result.output)
    assert told["format"] == "flow"
    assert told["findings"][0] == {
        "code": "edge-into-nothing",
        "level": "error",
        "node": "start",
        "sentence": "an edge leads to 'nowhere', which doesn't exist",
        "fix": "Lead it to a node that exists, or remove it.",
    }


@pytest.mark.parametrize(("document", "format"), [(CANVAS, "v"), (LISTED, "f")])
def test_foreign_flows_are_checked_as_they_are(tmp_path: Path, document: dict[str, Any], format: str) -> None:
    result = offhook_("check", file(tmp_path, document), "--json")
    told = json.loads(result.output)
    assert told["format"] == format
    assert {"not-carried-over", "changed-in-meaning"} & {finding["code"] for finding in told["findings"]}


def test_tools_are_known_from_a_file(tmp_path: Path) -> None:
    tool = {"name": "book_appointment", "description": "", "parameters": {"required": ["room"]}}
    tools = file(tmp_path, [tool], "tools.json")
    result = offhook_("check", DEMO / "booking.json", "--tools", tools)
    assert result.exit_code == 1
    assert "requires the argument 'room'" in result.output
    assert (
        offhook_("check", DEMO / "booking.json", "--tools", file(tmp_path, {"tools": []}, "none.json")).exit_code == 1
    )
    assert offhook_("check", DEMO / "booking.json", "--tools", file(tmp_path, {}, "no.json")).exit_code == 2


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("{", "flow.json", "line 1, column 2"),
        ("a: [", "flow.yaml", "line 1, column 5"),
        ("just words", "flow.yaml", "this is no flow"),
        ("[]", "flow.json", "this is no flow"),
        ("", "flow.json", "line 1, column 1"),
        ("", "flow.yaml", "this is no flow"),
        ("[" * 100_000, "flow.json", "nested too deeply"),
        ("a: !!python/object/apply:os.system ['true']", "flow.yaml", "could not determine a constructor"),
        (json.dumps({"nodes": [], "edges": []}), "flow.json", "0 nodes of the type start"),
        (
            json.dumps({"start": "a", "nodes": [{"id": "a", "type": "start", "sy": "Hi"}]}),
            "flow.json",
            "nodes.0.start.sy",
        ),
        (json.dumps({"flow": {"start": "a", "nodes": []}, "voise": "x"}), "flow.json", "voise"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, name: str, says: str) -> None:
    for command in (["check"], ["import"], ["export", "--to", "v"]):
        result = offhook_(command[0], file(tmp_path, text, name), *command[1:])
        assert result.exit_code == 2, result.output
        assert says in result.output


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for path, says in (
        (tmp_path, "directory"),
        (tmp_path / "no.json", "No such file"),
        (tmp_path / "bytes.json", "UTF-8"),
    ):
        result = offhook_("check", path)
        assert (result.exit_code, says in result.output) == (2, True), result.output
    assert offhook_("check").exit_code == 2
    assert offhook_("check", DEMO / "booking.json", "--json", "--sarif").exit_code == 2


# --- SARIF ---

REQUIRED: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": {"$ref": "#/$defs/run"}},
    },
    "additionalProperties": False,
    "$defs": {
        "message": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "rule": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "shortDescription": {"$ref": "#/$defs/message"},
                "defaultConfiguration": {
                    "properties": {"level": {"$ref": "#/$defs/level"}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "run": {
            "type": "object",
            "required": ["tool"],
            "properties": {
                "tool": {
                    "required": ["driver"],
                    "properties": {
                        "driver": {
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "rules": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/rule"}},
                            },
                            "additionalProperties": False,
                        }
                    },
                    "additionalProperties": False,
                },
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
            "additionalProperties": False,
        },
        "result": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"$ref": "#/$defs/level"},
                "message": {"$ref": "#/$defs/message"},
                "locations": {
                    "type": "array",
                    "items": {
                        "properties": {
                            "physicalLocation": {
                                "required": ["artifactLocation"],
                                "properties": {
                                    "artifactLocation": {
                                        "properties": {"uri": {"type": "string", "pattern": "^[^ ]+$"}}
                                    },
                                    "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
                                },
                                "additionalProperties": False,
                            },
                            "logicalLocations": {
                                "type": "array",
                                "items": {
                                    "properties": {"name": {"type": "string"}, "kind": {"type": "string"}},
                                    "additionalProperties": False,
                                },
                            },
                        },
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        },
    },
}
"""What the OASIS standard asks of the parts of SARIF 2.1.0 that are used here."""


@pytest.mark.parametrize("document", [BROKEN, CANVAS, LISTED])
def test_sarif_is_what_the_standard_asks(tmp_path: Path, document: dict[str, Any]) -> None:
    told = json.loads(offhook_("check", file(tmp_path, document, "my flow.json"), "--sarif").output)
    jsonschema.validate(told, REQUIRED)
    (run,) = told["runs"]
    assert run["results"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_names_the_line_of_the_node(tmp_path: Path) -> None:
    path = file(tmp_path, BROKEN)
    told = json.loads(offhook_("check", path, "--sarif").output)
    lines = path.read_text().splitlines()
    for result in told["runs"][0]["results"]:
        (location,) = result["locations"]
        line = lines[location["physicalLocation"]["region"]["startLine"] - 1]
        assert line.strip() == f'"id": "{location["logicalLocations"][0]["name"]}",'


# --- there and back ---


def test_importing_writes_a_flow_and_tells_what_was_lost(tmp_path: Path) -> None:
    out = tmp_path / "ours.yaml"
    result = offhook_("import", file(tmp_path, CANVAS), "-o", out)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "maxTokens" in result.stderr
    assert offhook_("check", out, "--json").exit_code == 0
    again = offhook_("import", out)
    assert (again.exit_code, "ours already" in again.stderr) == (2, True)


@pytest.mark.parametrize("to", ["v", "f"])
def test_exporting_writes_a_flow_that_is_read_again(tmp_path: Path, to: str) -> None:
    out = tmp_path / "theirs.json"
    result = offhook_("export", DEMO / "booking.json", "--to", to, "-o", out)
    assert result.exit_code == 0
    assert "retries" in result.stderr
    assert json.loads(offhook_("check", out, "--json").stdout)["format"] == to
    assert json.loads(offhook_("export", DEMO / "booking.json", "--to", to).stdout)["nodes"]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    result = offhook_("import", file(tmp_path, CANVAS), "-o", tmp_path / "no" / "where.json")
    assert (result.exit_code, "No such file" in result.stderr) == (2, True)


# --- what is written down ---


def test_the_schema_is_the_one_in_the_docs() -> None:
    """`offhook check --schema > docs/flow.schema.json` writes it anew."""
    assert (DOCS / "flow.schema.json").read_text() == schema_text() == offhook_("check", "--schema").output
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))
    jsonschema.validate(json.loads((DEMO / "booking.json").read_text())["flow"], json.loads(schema_text()))


def test_the_page_on_flows_lists_every_code_and_event() -> None:
    page = (DOCS / "flows.md").read_text()
    for code, (level, meaning) in CODES.items():
        assert f"| `{code}` | {level} | {meaning} |\n" in page
    for line in (events or "").splitlines():
        assert not line.startswith("|") or f"{line}\n" in page
    for bound in (LONGEST, DEEPEST, MOST_ROWS, MOST_CASES, ROWS):
        assert f"{bound:,}" in page
