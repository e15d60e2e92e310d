"""`offhook bench`, as a command: its report, its refusals, and that nothing of it is left."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

BENCH = [sys.executable, "-c", "from offhook.main import app; app()", "bench"]
LONGEST_S = 120


def test_two_calls_are_measured_beside_one(tmp_path: Path) -> None:
    result, chart = tmp_path / "result.json", tmp_path / "chart.png"
    done = subprocess.run(
        [*BENCH, "--calls", "2", "--seconds", "2", "--json", result, "--chart", chart],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "server CPU" in done.stdout
    assert chart.read_bytes().startswith(b"\x89PNG")
    report = json.loads(result.read_text())
    assert [run["calls"] for run in report["runs"]] == [1, 2]
    assert report["listening"]["silence_ms"] == 400
    assert report["machine"]["cores"] >= 1
    assert set(report["machine"]["packages"]) >= {"uvicorn", "websockets"}
    for run in report["runs"]:
        assert (run["on"], run["refused"], run["broken"]) == (run["calls"], 0, 0)
        assert run["heard"]["frames_late"]["count"] > 0
        assert run["heard"]["gap"]["count"] + run["heard"]["unanswered"] <= run["heard"]["turns"]
        assert {"p50", "p95", "p99"} < run["heard"]["gap"].keys()
        assert run["server"]["cpu_ms_per_call_second"] > 0
        assert run["server"]["broken_calls"] == 0
        assert run["server"]["loaded_mb"] > 10
        assert run["verdict"]["held"] in (True, False, None)
    assert report["most_held"] in (1, 2, None)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_an_interrupted_bench_leaves_no_process() -> None:
    # What runs in the background ignores Ctrl-C, and so does what it starts: these tests may.
    command = subprocess.Popen(
        [*BENCH, "--calls", "1", "--seconds", "60"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        mother = psutil.Process(command.pid)
        deadline = time.monotonic() + LONGEST_S
        while len(children := mother.children(recursive=True)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(children) == 2, "the server and the callers"
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=LONGEST_S)
        assert command.returncode == 130
        assert "Stopped" in said
        assert not [child for child in children if child.is_running()]
    finally:
        command.kill()
        command.wait()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--calls", "0"], "--calls 0"),
        (["--calls", "1,,2"], "--calls 1,,2"),
        (["--calls", "abc"], "--calls abc"),
        (["--seconds", "0"], "--seconds 0"),
        (["--json", "/nowhere/result.json"], "--json /nowhere/result.json"),
        (["--chart", "/nowhere/chart.png"], "--chart /nowhere/chart.png"),
        (["--chart", "chart.doc"], "--chart chart.doc"),
    ],
)
def test_a_bad_argument_is_named_before_anything_starts(arguments: list[str], why: str) -> None:
    done = subprocess.run([*BENCH, *arguments], capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(why)
