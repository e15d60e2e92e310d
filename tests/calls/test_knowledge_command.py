"""`offhook knowledge`, as somebody types it, on the data of a laptop."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.wiring import open_ports, read_settings
from functions.workers import do_tasks
from offhook.seed import ORGANISATION


def offhook(home: Path, *words: str, cwd: Path) -> tuple[int, str]:
    """What the command says, and its exit code."""
    environment = {
        "PATH": os.environ["PATH"],
        "OFFHOOK_HOME": str(home),
        "COLUMNS": "200",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }
    command = [sys.executable, "-c", "from offhook.main import app; app()", "knowledge", *words]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with files to add."""
    (tmp_path / "prices.md").write_text("# Price list\n## Cleaning\nA cleaning costs 80 dollars.\n")
    (tmp_path / "hours.html").write_text("<title>Opening hours</title><p>We are open from nine to five.</p>")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.4 nothing of it")
    (tmp_path / "tool.exe").write_bytes(b"MZ")
    return tmp_path


def test_documents_are_added_listed_searched_and_removed(desk: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, said = offhook(home, "add", "prices.md", "hours.html", cwd=desk)
    assert (code, said.count("✓")) == (0, 2), said
    assert "Price list: 1 passage" in said
    code, said = offhook(home, "list", cwd=desk)
    assert code == 0
    [prices] = [line.split()[0] for line in said.splitlines() if "Price list" in line]
    assert prices.startswith("doc_")
    code, said = offhook(home, "search", "what", "does a cleaning cost", cwd=desk)
    assert "A cleaning costs 80 dollars." in said
    assert "nine to five" not in said

    (desk / "prices.md").write_text("# Price list\n## Cleaning\nA cleaning costs 90 dollars.\n")
    code, said = offhook(home, "add", "prices.md", cwd=desk)
    assert prices in said  # it took the old one's place
    code, said = offhook(home, "search", "cleaning", cwd=desk)
    assert "90 dollars" in said
    assert "80 dollars" not in said

    assert offhook(home, "remove", prices, cwd=desk)[0] == 0
    assert "Nothing is like it." in offhook(home, "search", "cleaning", cwd=desk)[1]
    code, said = offhook(home, "remove", prices, cwd=desk)
    assert (code, f"there is no document '{prices}'" in said) == (1, True)


def test_what_can_t_be_added_is_said_and_the_others_are(desk: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, said = offhook(home, "add", "scan.pdf", "tool.exe", "missing.txt", "hours.html", cwd=desk)
    assert code == 1
    assert "scan.pdf: it is damaged" in said
    assert "tool.exe: it can't be used: files of the kind 'exe' can't be read" in said
    assert "missing.txt: No such file or directory" in said
    assert "Opening hours: 1 passage" in said
    assert "failed: it is damaged" in offhook(home, "list", cwd=desk)[1]


def test_a_platform_that_runs_later_finds_nothing_left_to_do(desk: Path, tmp_path: Path) -> None:
    """The command did the task that it left in the queue."""
    home = tmp_path / "home"
    assert offhook(home, "add", "hours.html", cwd=desk)[0] == 0

    async def story() -> None:
        settings = read_settings({"OFFHOOK_HOME": str(home), "OFFHOOK_SPEECH": "paced", "OFFHOOK_VOICE": "paced"})
        async with open_ports(settings) as ports:
            before = (await ports.documents.query(f"organisations/{ORGANISATION}/knowledge")).found
            do_tasks(ports)
            await asyncio.sleep(0.5)
            assert (await ports.documents.query(f"organisations/{ORGANISATION}/knowledge")).found == before
            assert len(await ports.knowledge.search(ORGANISATION, "when are you open")) == 1

    asyncio.run(story())
