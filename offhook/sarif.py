"""Findings in SARIF 2.1.0, which code hosts and editors show beside the file."""

from collections.abc import Iterable
from typing import Any

from domain.flow_check.codes import CODES
from offhook.flow_file import FlowFile
from schemas.finding import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(file: FlowFile, findings: Iterable[Finding]) -> dict[str, Any]:
    """One run over one file."""
    findings = list(findings)
    used = [code for code in CODES if any(finding.code == code for finding in findings)]
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code][1]},
            "defaultConfiguration": {"level": CODES[code][0]},
        }
        for code in used
    ]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "offhook check", "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(file, finding, used.index(finding.code)) for finding in findings],
            }
        ],
    }


def _result(file: FlowFile, finding: Finding, rule: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if finding.node and (line := file.line_of(finding.node)):
        place["region"] = {"startLine": line}
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.node:
        location["logicalLocations"] = [{"name": finding.node, "kind": "element"}]
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.level,
        "message": {"text": f"{finding}. {finding.fix}"},
        "locations": [location],
    }


def _uri(file: FlowFile) -> str:
    """Relative to where the command was run, as code hosts want it."""
    return file.path.as_uri() if file.path.is_absolute() else file.path.as_posix().replace(" ", "%20")
