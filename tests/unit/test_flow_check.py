"""Flows that are refused, and why."""

from typing import Any

import pytest
from pydantic import ValidationError

from domain.flow_check import FlowRefused, check, refuse_if_broken
from offhook.seed import AGENTS, demo_version
from schemas.flow import Flow
from tests.fakes.lab import NOW

TOOLS = {"book_appointment", "check_order_status", "check_item_stock"}


def flow(*nodes: dict[str, Any], **more: Any) -> Flow:
    return Flow.model_validate({"start": "start", "nodes": nodes, **more})


START = {"id": "start", "type": "start", "edges": [{"to": "end"}]}
END = {"id": "end", "type": "end"}


@pytest.mark.parametrize("file", [file for file, _, _ in AGENTS.values()])
def test_the_demo_flows_are_sound(file: str) -> None:
    version = demo_version("agt_x", file, NOW)
    assert list(check(version.flow, TOOLS)) == []


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ({"id": "x", "type": "conversation", "edges": [{"to": "nowhere"}]}, "'nowhere'"),
        ({"id": "x", "type": "function", "tool": "hack", "edges": [{"to": "end"}]}, "the tool 'hack'"),
        ({"id": "x", "type": "conversation", "prompt": "p", "tools": ["hack"], "edges": [{"to": "end"}]}, "'hack'"),
        ({"id": "x", "type": "conversation", "collect": ["day"], "edges": [{"to": "end"}]}, "'day'"),
        ({"id": "x", "type": "conversation", "say": "On {{day}}?", "edges": [{"to": "end"}]}, "{{day}}"),
        ({"id": "x", "type": "conversation", "say": "Hm."}, "no edge says where it leads"),
        ({"id": "x", "type": "branch", "edges": [{"to": "end"}, {"to": "end", "when": "equation", "condition": "true"}]}, "last"),
        ({"id": "x", "type": "branch", "edges": [{"to": "end", "when": "equation", "condition": "a ==="}, {"to": "end"}]}, "can't be read"),
        ({"id": "x", "type": "branch", "edges": [{"to": "end", "when": "event", "condition": "failed"}, {"to": "end"}]}, "can't happen"),
        ({"id": "start", "type": "end"}, "more than once"),
    ],
)  # fmt: skip
def test_a_broken_node_is_named(node: dict[str, Any], says: str) -> None:
    with pytest.raises(FlowRefused, match=f"node '{node['id']}'") as refusal:
        refuse_if_broken(flow(START, node, END), TOOLS)
    assert says in str(refusal.value)


def test_a_missing_start_is_named() -> None:
    with pytest.raises(FlowRefused, match="'begin'"):
        refuse_if_broken(flow(START, END, start="begin"), TOOLS)


def test_a_misspelt_field_is_an_error_not_silence() -> None:
    with pytest.raises(ValidationError, match="sy"):
        flow({"id": "start", "type": "start", "sy": "Hello"})
