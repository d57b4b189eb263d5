"""A driver that aborts is no lost run, and no child outlives its parent."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation.phases import report
from tests.conftest import REELMILL, SETTINGS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found through /proc")


def _child(pid: int) -> int:
    """The process that a guarded command forked."""
    for _ in range(600):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError("no child was forked")


def _sums(out: Path) -> dict[str, str]:
    files = [path for path in out.rglob("*") if path.is_file() and path.name not in ("events.jsonl", ".lock")]
    told = {str(path.relative_to(out)): report.of_tables(path.read_bytes()) for path in files}
    return {name: hashlib.sha256(content).hexdigest() for name, content in told.items()}


def test_a_run_whose_driver_aborts_goes_on_and_ends_in_the_same_files(
    dataset: Path, footage: Path, tmp_path: Path
) -> None:
    out = tmp_path / dataset.name
    command = [*REELMILL, "curate", str(footage), "--out", str(out), *SETTINGS]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not list((out / "clips").glob("*.parquet")):
        assert run.poll() is None
        time.sleep(0.02)
    os.kill(_child(run.pid), signal.SIGABRT)
    _, said = run.communicate(timeout=240)
    assert run.returncode == 0, said
    assert "going on in a new process" in said
    assert _sums(out) == _sums(dataset)


def _guarded(body: str) -> subprocess.Popen[str]:
    code = f"import os, signal, sys, time\nfrom curation.guard import guarded\ndef work():\n    {body}\nguarded(work)\n"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("body", "code"), [("pass", 0), ("sys.exit(2)", 2), ("1 / 0", 1), ("os.kill(os.getpid(), 9)", -9)]
)
def test_a_guarded_command_ends_as_its_work_ends(body: str, code: int) -> None:
    run = _guarded(body)
    run.communicate(timeout=60)
    assert run.returncode == code


def test_work_that_aborts_every_time_is_given_up(tmp_path: Path) -> None:
    run = _guarded(f"file = open({str(tmp_path / 'tries')!r}, 'a'); file.write('x'); file.close(); os.abort()")
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGABRT
    assert (tmp_path / "tries").read_text() == "xxx"


def test_a_killed_command_takes_its_work_with_it() -> None:
    run = _guarded("print(os.getpid(), flush=True); time.sleep(600)")
    assert run.stdout is not None
    child = int(run.stdout.readline())
    run.kill()
    run.wait()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.05)
    raise AssertionError("the child lives on")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_once(number: signal.Signals) -> None:
    # Short sleeps: a signal that comes just before one is only seen after it.
    work = f"signal.signal({int(number)}, lambda *_: sys.exit(7)); print('up', flush=True)"
    run = _guarded(f"{work}; [time.sleep(0.1) for _ in range(600)]")
    assert run.stdout is not None
    run.stdout.readline()
    run.send_signal(number)
    assert run.wait(timeout=30) == 7
