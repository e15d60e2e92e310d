"""The rules of the house: who may import whom, and who may know the environment."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("schemas", "domain", "adapters", "media_service", "functions", "offhook")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "domain": {"schemas", "domain"},
    "adapters": {"schemas", "domain", "adapters"},
    "media_service": {"schemas", "domain", "adapters.wiring", "media_service"},
    "functions": {"schemas", "domain", "adapters.wiring", "functions"},
    "offhook": {*ROOMS} - {"adapters"} | {"adapters.wiring"},
}
VENDORS = {"twilio", "google", "pocketsphinx", "espeakng_loader", "webrtcvad", "sqlite3", "mcp", "aiosmtplib"}
BANNED_IN_NAMES = ("Manager", "Handler", "Processor", "Helper", "util")

FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def within(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(f"{allowed}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for module in imports(path):
        if module.split(".")[0] in ROOMS:
            assert any(within(module, allowed) for allowed in MAY_IMPORT[room]), f"{room} imports {module}"
        if room != "adapters":
            assert module.split(".")[0] not in VENDORS, f"{module} belongs in adapters"


def test_adapters_do_not_know_each_other() -> None:
    """But for wiring, and pieces that several adapters are made of."""
    shared = {
        "adapters.appointment_tools",
        "adapters.extract",
        "adapters.extract_docx",
        "adapters.extract_html",
        "adapters.extract_pdf",
        "adapters.extract_text",
        "adapters.egress",
        "adapters.gemini",
        "adapters.gemini_caches",
        "adapters.google_refusal",
        "adapters.google_request",
        "adapters.grammar",
        "adapters.grpc_channels",
        "adapters.http_tools",
        "adapters.mcp_tools",
        "adapters.pocketsphinx_worker",
        "adapters.sqlite",
        "adapters.sqlite_outbox",
        "adapters.table_text",
    }
    for path in (ROOT / "adapters").glob("*.py"):
        if path.stem != "wiring":
            strangers = {module for module in imports(path) if within(module, "adapters")} - shared
            assert not strangers, f"{path.name} imports {strangers}"


def test_only_wiring_reads_the_environment() -> None:
    for path in FILES:
        if path.name != "wiring.py":
            assert "os.environ" not in path.read_text(), path
            assert "getenv" not in path.read_text(), path


def test_no_file_s_name_needs_an_and_and_no_class_is_a_manager() -> None:
    for path in FILES:
        assert "_and_" not in path.stem, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                assert not any(word in node.name for word in BANNED_IN_NAMES), f"{path}: {node.name}"


def test_every_module_says_what_it_is_for() -> None:
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_time_comes_from_frames_the_loop_or_the_clock_port() -> None:
    for path in FILES:
        text = path.read_text()
        assert "time.time()" not in text, path
        if path.relative_to(ROOT).as_posix() != "adapters/clock.py":
            assert "datetime.now(" not in text, path
            assert "utcnow" not in text, path


def test_the_lock_file_names_no_hosts() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--hash=sha256:" in lock
