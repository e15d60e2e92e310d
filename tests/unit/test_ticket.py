"""Tickets for media streams."""

from datetime import UTC, datetime, timedelta

from domain.ticket import GOOD_FOR, Ticket, issue, open_ticket

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECRET = "s" * 32
TICKET = Ticket(organisation="org_" + "x" * 20, conversation="cnv_" + "x" * 20, call_sid="CA" + "0" * 32, stream=3)


def test_a_fresh_ticket_opens() -> None:
    assert open_ticket(issue(TICKET, SECRET, NOW), SECRET, NOW) == TICKET


def test_it_fits_into_a_stream_parameter() -> None:
    assert len("ticket" + issue(TICKET, SECRET, NOW)) < 500


def test_a_stale_one_does_not() -> None:
    token = issue(TICKET, SECRET, NOW)
    assert open_ticket(token, SECRET, NOW + GOOD_FOR - timedelta(seconds=1)) == TICKET
    assert open_ticket(token, SECRET, NOW + GOOD_FOR) is None


def test_nor_one_that_others_signed_or_changed() -> None:
    token = issue(TICKET, "t" * 32, NOW)
    assert open_ticket(token, SECRET, NOW) is None
    mine = issue(TICKET, SECRET, NOW)
    assert open_ticket(mine[:-2] + ("AA" if mine[-2:] != "AA" else "BB"), SECRET, NOW) is None
    for junk in ("", "a.b.c", "ticket", "é"):
        assert open_ticket(junk, SECRET, NOW) is None
