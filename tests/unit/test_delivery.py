"""What becomes of a message."""

from datetime import timedelta
from itertools import permutations
from typing import get_args

import pytest

from domain.delivery import ATTEMPTS, advance, drop, put_off, taken
from schemas.outbound_message import MessageState, OutboundMessage
from tests.fakes.ports import NOW

MESSAGE = OutboundMessage(id="msg_1", channel="sms", to="+15005550100", text="Hi", due_at=NOW, created_at=NOW)
SETTLED: tuple[MessageState, ...] = ("delivered", "failed", "suppressed", "cancelled")


def at(state: MessageState, attempts: int = 1) -> OutboundMessage:
    return MESSAGE.model_copy(update={"state": state, "attempts": attempts})


@pytest.mark.parametrize("settled", SETTLED)
@pytest.mark.parametrize("state", get_args(MessageState))
def test_what_is_settled_stays(settled: MessageState, state: MessageState) -> None:
    assert advance(at(settled), state, NOW) == at(settled)
    assert put_off(at(settled), "x", NOW) == at(settled)
    assert drop(at(settled), "cancelled", "x", NOW) == at(settled)
    assert taken(at(settled), "SM1", NOW) == at(settled)


@pytest.mark.parametrize("told", [*permutations(["sent", "delivered", "sent"])])
def test_reports_may_come_in_any_order(told: tuple[MessageState, ...]) -> None:
    message = at("sending")
    for state in told:
        message = advance(message, state, NOW)
    assert (message.state, message.sent_at, message.settled_at) == ("delivered", NOW, NOW)


def test_a_report_settles_what_nobody_knew() -> None:
    assert advance(at("unknown"), "sent", NOW).state == "sent"
    assert advance(at("sent"), "unknown", NOW).state == "sent"


def test_what_was_told_before_the_provider_s_answer_stays() -> None:
    told = advance(at("sending"), "delivered", NOW, provider_id="SM1")
    assert taken(told, "SM1", NOW) == told


def test_only_what_nobody_began_to_send_is_dropped() -> None:
    assert drop(at("queued"), "cancelled", "moved", NOW).state == "cancelled"
    assert drop(at("sending"), "cancelled", "moved", NOW).state == "sending"
    assert drop(at("unknown"), "cancelled", "moved", NOW).state == "unknown"


def test_it_is_tried_ever_later_and_then_no_more() -> None:
    pauses = []
    for attempt in range(1, ATTEMPTS):
        again = put_off(at("sending", attempt), "busy", NOW)
        assert (again.state, again.why) == ("queued", "busy")
        pauses.append((again.due_at - NOW).total_seconds())
    assert pauses == [30, 90, 270, 810, 2430, 3600, 3600]
    last = put_off(at("sending", ATTEMPTS), "busy", NOW + timedelta(1))
    assert (last.state, last.why, last.settled_at) == ("failed", "busy", NOW + timedelta(1))
