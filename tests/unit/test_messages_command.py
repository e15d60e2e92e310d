"""`offhook messages`."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.clock import SystemClock
from adapters.sqlite_documents import SqliteDocuments
from offhook.main import app
from offhook.seed import ORGANISATION
from schemas.outbound_message import OutboundMessage
from tests.fakes.ports import NOW


async def keep(home: Path) -> None:
    async with SqliteDocuments(home / "documents.db", SystemClock()) as documents:
        for number, state in enumerate(["sent", "failed"]):
            message = OutboundMessage.model_validate(
                {"id": f"msg_{number}", "channel": "email", "to": "ann@example.com", "subject": "Your appointment",
                 "text": f"[bold]Number {number}", "state": state, "due_at": NOW, "created_at": NOW}
            )  # fmt: skip
            await documents.put(f"organisations/{ORGANISATION}/messages/{message.id}", message.model_dump(mode="json"))


def test_it_lists_what_was_sent_and_what_wasn_t(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_HOME", str(tmp_path))
    command = CliRunner()
    assert "There are no messages." in command.invoke(app, ["messages"]).output
    asyncio.run(keep(tmp_path))
    everything = command.invoke(app, ["messages"]).output
    assert "[bold]Number 0" in everything
    assert "[bold]Number 1" in everything
    failed = command.invoke(app, ["messages", "--state", "failed"]).output
    assert "Number 0" not in failed
    assert "2026-11-21 14:00" in failed
