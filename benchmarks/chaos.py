"""Kill drivers, workers and whole nodes at random moments of every phase; whatever comes out must be what an
undisturbed run gives, byte for byte.

    python -m benchmarks.chaos [--kills 24] [--seed 0] [--json FILE]

Runs on a Ray cluster of a head and three nodes on this machine. A driver that is killed is started again with the same
command, a node is replaced by a fresh one, a worker is Ray's to replace. The moments are drawn by the seed; where
exactly they fall depends on the machine. The exit status is 1 if anything differs, is lost or stands twice.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import cost
from curation.phases import report
from tests import films
from tests.films import Scene

PHASES = ("ingest", "split", "score", "select", "caption", "cut", "shard", "report")
KINDS = ("driver", "worker", "node")
# Of the phases that the driver does by itself, a file that it has just written.
_FIRST_FILE = {"ingest": "inputs/00000.parquet", "select": "selection.parquet", "report": "ledger.json"}
_KILLS_A_RUN = 6
_NODES = 3
_PATIENCE_S = 600.0
_LONGEST_DELAY_S = 0.8


@dataclass
class Kill:
    """One that was done."""

    kind: str
    aimed: str
    """The phase that was waited for."""
    phase: str
    """In which phase the run was when it was hit."""
    at_s: float
    """Seconds since its run began."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=24, help="how many in all")
    parser.add_argument("--films", type=int, default=10, help="films that go in")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-chaos-") as folder:
        figures = chaos(Path(folder), chosen.kills, chosen.films, chosen.seed)
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(1 if figures["wrong"] else 0)


def chaos(folder: Path, kills: int, films_count: int, seed: int) -> dict[str, Any]:
    """An undisturbed run, then disturbed ones until there have been so many kills; what differed."""
    manifest = _manifest(folder, films_count)
    calm = folder / "calm"
    subprocess.run(_command(manifest, calm), check=True, capture_output=True)
    wanted = contents(calm)
    drawn = random.Random(seed)
    # Every kind in every phase before any comes again.
    plan = [(phase, kind) for phase in PHASES for kind in KINDS]
    drawn.shuffle(plan)
    done: list[Kill] = []
    wrong: list[str] = []
    events: Counter[str] = Counter()
    runs = starts = 0
    with _cluster() as nodes:
        while len(done) < kills:
            ahead = [plan[(len(done) + number) % len(plan)] for number in range(min(_KILLS_A_RUN, kills - len(done)))]
            ahead.sort(key=lambda hit: PHASES.index(hit[0]))
            out = folder / f"run{runs}"
            told, begun = _disturbed(manifest, out, ahead, nodes, drawn)
            done += told
            starts += begun
            runs += 1
            wrong += [f"run {runs}: {line}" for line in _differences(wanted, out)]
            events.update(_log(out))
            print(f"run {runs}: {len(told)} kills, {begun} starts of the driver, {len(wrong)} wrong", flush=True)
    return {
        "machine": cost.machine(),
        "nodes": _NODES + 1,
        "films": films_count,
        "files": len(wanted),
        "runs": runs,
        "kills": len(done),
        "by_kind": dict(Counter(kill.kind for kill in done)),
        "by_phase": dict(Counter(kill.aimed for kill in done)),
        "driver_starts": starts,
        "units_lost_and_done_again": events["lost"],
        "units_found_committed": events["already"],
        "wrong": wrong,
        "each": [asdict(kill) for kill in done],
    }


def contents(out: Path) -> dict[str, str]:
    """The sha256 of every file, but for the log, what the report tells of it, and the lock."""
    return {
        str(path.relative_to(out)): hashlib.sha256(report.of_tables(path.read_bytes())).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(("events", ".lock"))
    }


def _manifest(folder: Path, count: int) -> Path:
    """Films of several scenes each, long enough that a kill finds a unit at work."""
    (folder / "films").mkdir()
    drawn = random.Random(7)
    for number in range(count):
        scenes = [
            Scene(drawn.randint(40, 160), tuple(drawn.randint(20, 220) for _ in range(3)), step=drawn.randint(1, 5))  # type: ignore[arg-type]
            for _ in range(4)
        ]
        films.write(folder / "films" / f"{number:03d}.mp4", scenes, size=(480, 270))
    recipe = {
        "name": "chaos",
        "sources": [{"files": str(folder / "films")}],
        "split": {"max_seconds": 3},
        "select": {"rules": [{"field": "frames", "min": 16}]},
        "shard": {"samples": 6, "short_side": 180},
    }
    path = folder / "chaos.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def _command(manifest: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "curation.cli", "curate", str(manifest), "--out", str(out), *more]


class _Nodes:
    """A cluster of Ray on this machine, of which nodes can be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._small = {"num_cpus": 1, "object_store_memory": 80 << 20}
        # The driver hangs on the head, which has no CPUs: killing another node never takes the driver with it.
        self._cluster = Cluster(initialize_head=True, head_node_args=self._small | {"num_cpus": 0})
        self.address: str = self._cluster.address
        for _ in range(_NODES):
            self.add()

    def add(self) -> None:
        self._cluster.add_node(**self._small)

    def kill(self, node_id: str | None) -> None:
        """SIGKILL to all processes of a node, by preference this one; a fresh one takes its place."""
        nodes = list(self._cluster.worker_nodes)
        chosen = next((node for node in nodes if node_id and node.node_id.startswith(node_id)), nodes[0])
        self._cluster.remove_node(chosen, allow_graceful=False)
        self.add()

    def __enter__(self) -> _Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.shutdown()


def _cluster() -> _Nodes:
    return _Nodes()


def _disturbed(
    manifest: Path, out: Path, ahead: list[tuple[str, str]], nodes: _Nodes, drawn: random.Random
) -> tuple[list[Kill], int]:
    """One run with these kills, to its end; and how often its driver was started."""
    command = _command(manifest, out, "--address", nodes.address)
    began = time.monotonic()
    driver, starts = _started(command), 1
    done = []
    for phase, kind in ahead:
        if not _reached(out, phase, driver):
            break
        time.sleep(drawn.uniform(0, _LONGEST_DELAY_S if phase in ("split", "cut") else 0.1))
        if driver.poll() is not None:
            break
        done.append(Kill(kind, phase, _phase_now(out), round(time.monotonic() - began, 2)))
        at_work = _at_work(out)
        if kind == "driver":
            driver.kill()
        elif kind == "node":
            nodes.kill(at_work["node"] if at_work else None)
        elif at_work:
            _kill(at_work["pid"])
        if kind == "driver" or driver.poll() not in (None, 0):
            driver.wait()
            driver, starts = _started(command), starts + 1
    while driver.wait(timeout=_PATIENCE_S):
        driver, starts = _started(command), starts + 1
        if starts > 3 * _KILLS_A_RUN:
            raise RuntimeError(f"{command} does not come to its end")
    return done, starts


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # its unit and it have just ended
        os.kill(pid, signal.SIGKILL)


def _reached(out: Path, phase: str, driver: subprocess.Popen[bytes]) -> bool:
    """Wait until the run is in this phase or past it; False if it ended before."""
    ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends:
        if phase in _FIRST_FILE:
            if (out / _FIRST_FILE[phase]).exists():
                return True
        elif any(event["event"] == "begun" and event["phase"] == phase for event in _events(out)):
            return True
        if driver.poll() is not None:
            return False
        time.sleep(0.005)
    raise RuntimeError(f"{phase} was not reached in {_PATIENCE_S:.0f} s")


def _phase_now(out: Path) -> str:
    """The phase of the last event."""
    for event in reversed(list(_events(out))):
        if "phase" in event:
            after = {"done": f"after {event['phase']}"}
            return after.get(event["event"], event["phase"])
        if event["event"] in PHASES:
            return str(event["event"])
    return "ingest"


def _at_work(out: Path) -> dict[str, Any] | None:
    """The begun unit that has not ended, the last one."""
    begun: dict[tuple[str, int], dict[str, Any]] = {}
    for event in _events(out):
        if event["event"] == "begun":
            begun[event["phase"], event["unit"]] = event
        elif event["event"] in ("unit", "retry", "failed"):
            begun.pop((event["phase"], event["unit"]), None)
        elif event["event"] == "start":
            begun.clear()
    return list(begun.values())[-1] if begun else None


def _log(out: Path) -> Counter[str]:
    counted: Counter[str] = Counter()
    for event in _events(out):
        counted["lost"] += event["event"] == "retry" and event.get("lost", False)
        counted["already"] += event.get("already", 0)
    return counted


def _events(out: Path) -> Iterator[dict[str, Any]]:
    log = out / "events.jsonl"
    for line in log.read_text().splitlines() if log.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:  # a driver was killed while it wrote
            continue


def _differences(wanted: dict[str, str], out: Path) -> list[str]:
    """How an output is not the undisturbed one, and what `verify` has to say of it."""
    found = contents(out)
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    wrong += [f"{name} should not be there" for name in sorted(found.keys() - wanted.keys())]
    wrong += [f"{name} differs" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    verify = [sys.executable, "-m", "curation.cli", "verify", str(out)]
    told = subprocess.run(verify, capture_output=True, text=True, check=False)
    if told.returncode:
        wrong += told.stdout.splitlines()
    return wrong


if __name__ == "__main__":
    main()
