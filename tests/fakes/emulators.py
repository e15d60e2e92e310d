"""Google's own emulators, as `gcloud` starts them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

START_S = 60
"""More than any machine needs; usually it's 2 s."""
SCRIPT = """
{command} &
cat  # until standard input ends, of which the tests' process holds the other end
for signal in TERM TERM TERM TERM TERM TERM TERM TERM TERM KILL; do
    kill -$signal -- -$! 2>/dev/null || kill -$signal $! 2>/dev/null || break  # gcloud leads a process group
    sleep 0.1
done
"""


class Absent(Exception):
    """The emulator can't be started here. The message says what is missing."""


@contextmanager
def emulator(command: str, component: str, folder: Path) -> Iterator[str]:
    """Runs `gcloud {command} start` on a free port, and gives its host:port. Raises Absent.

    Leaving ends it with all its children; so does the death of this process, however it dies."""
    if not shutil.which("gcloud"):
        raise Absent(f"{component} is absent: there is no `gcloud`")
    endpoint, log = f"127.0.0.1:{_free_port()}", folder / f"{component}.log"
    script = SCRIPT.format(command=f"gcloud --quiet {command} start --host-port={endpoint}")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    with log.open("w") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment | {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"},  # it lives briefly
        )
    try:
        _wait_for(endpoint, log, component)
        yield endpoint
    finally:
        assert shell.stdin
        shell.stdin.close()
        shell.wait()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(endpoint: str, log: Path, component: str) -> None:
    host, port = endpoint.split(":")
    for _ in range(START_S * 20):
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        said = log.read_text()
        if "ERROR: (gcloud" in said:
            raise Absent(f"{component} is absent: {said.partition('ERROR: ')[2].strip()[:300]}")
        time.sleep(0.05)
    raise Absent(f"{component} did not start within {START_S} s: {log.read_text()[-300:]}")
