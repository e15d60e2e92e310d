"""Google's emulators, one of each for a whole run (for each of its workers), started by the first test that wants it."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.emulators import Absent, emulator

INSTALL = "run `gcloud components install {0}`, or `apt-get install google-cloud-cli-{1}`; it also needs Java"


@pytest.fixture(scope="session")
def firestore_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its host:port."""
    yield from _start("emulators firestore", "cloud-firestore-emulator", "firestore-emulator", tmp_path_factory)


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its host:port."""
    yield from _start("beta emulators pubsub", "pubsub-emulator", "pubsub-emulator", tmp_path_factory)


def _start(command: str, component: str, package: str, folders: pytest.TempPathFactory) -> Iterator[str]:
    """Where they are absent, their tests are skipped; where nobody would notice that, they fail."""
    try:
        with emulator(command, component, folders.mktemp(component)) as endpoint:
            yield endpoint
    except Absent as problem:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"{ABSENT}{problem}. To have it, {INSTALL.format(component, package)}.")


ABSENT = "Not tested, since an emulator is missing: "


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    missing = [reason.removeprefix("Skipped: ") for reason in reasons if ABSENT in reason]
    for reason in sorted(set(missing)):
        terminalreporter.write_line(f"{missing.count(reason)} tests skipped. {reason}", yellow=True)
