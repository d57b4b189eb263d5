"""The same command on a Ray cluster that is already there: where units run, what is lost, what is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.conftest import REELMILL, SETTINGS, Reelmill
from tests.curation.test_curate import contents

SMALL = {"num_cpus": 1, "object_store_memory": 100 << 20}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Three Ray nodes on this machine: two of the pool for what needs no GPU, and one with a GPU in name."""
    nodes = Cluster(initialize_head=True, head_node_args=SMALL | {"num_gpus": 1})
    for _ in range(2):
        nodes.add_node(**SMALL, labels={"reelmill-pool": "cpu"})
    yield nodes
    nodes.shutdown()


def test_run_on_a_cluster_gives_the_same_files_and_keeps_off_the_gpu_node(
    dataset: Path, footage: Path, tmp_path: Path, nodes: Cluster
) -> None:
    out = tmp_path / "dataset"
    command = [*REELMILL, "curate", str(footage), "--out", str(out), *SETTINGS, "--address", nodes.address]
    run = subprocess.Popen([*command, "--metrics", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    kind, url = run.stderr.readline().split()
    assert kind == "metrics"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert "reelmill_units_waiting" in answer.read().decode()
    _, told = run.communicate(timeout=240)
    assert run.returncode == 0, told
    assert contents(out) == contents(dataset)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    of_units = [event for event in events if event["event"] in ("begun", "unit")]
    assert {event["phase"] for event in of_units} == {"split", "score", "caption", "cut", "shard"}
    assert all(event["pid"] and event["host"] for event in of_units)
    assert nodes.head_node.node_id[:8] not in {event["node"] for event in of_units}


def test_verify_on_a_cluster_finds_what_is_wrong(
    dataset: Path, tmp_path: Path, nodes: Cluster, reelmill: Reelmill
) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    tar = copy / "shards" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:-20_000])
    done = reelmill("verify", copy, "--address", nodes.address)
    assert done.returncode == 1, done.stderr
    assert "00001.tar" in done.stdout
    assert "00000.tar" not in done.stdout


def test_lost_workers_and_failures_cost_tries_and_then_the_unit_alone(nodes: Cluster, tmp_path: Path) -> None:
    """Unit 0 is well; 1 loses its worker once, 2 always; 3 fails once, 4 always."""
    script = f"""
import os, pathlib, signal, sys
from curation import engine
from curation.phases import Needs, Unit

engine.LOSSES = 2
tries = pathlib.Path({str(tmp_path)!r})

def work(unit, again):
    number = unit.number
    first = not (tries / str(number)).exists()
    (tries / str(number)).touch()
    assert again != first
    if number == 2 or (number == 1 and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4 or (number == 3 and first):
        raise ValueError("no")
    return number

class Watcher:
    def begun(self, unit, where): print("> begun", unit)
    def done(self, result): print("> done", result)
    def retried(self, failure): print("> retried", failure.unit, failure.lost)
    def failed(self, failure): print("> failed", failure.unit, failure.lost)

here = engine.Engine({nodes.address!r})
aside = here.run("work", Needs(memory_mb=64), work, [Unit(number, "") for number in range(5)], Watcher())
print("> aside", sorted(failure.unit for failure in aside))
here.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    told = [line[2:] for line in done.stdout.splitlines() if line.startswith("> ")]
    assert sorted(line for line in told if not line.startswith("begun")) == [
        "aside [2, 4]",
        "done 0",
        "done 1",
        "done 3",
        "failed 2 True",
        "failed 4 False",
        "retried 1 True",
        "retried 2 True",
        "retried 3 False",
        "retried 4 False",
        "retried 4 False",
    ]
    assert told.count("begun 4") == 3


def test_cluster_that_is_not_there_is_one_line(footage: Path, tmp_path: Path, reelmill: Reelmill) -> None:
    done = reelmill("curate", footage, "--out", tmp_path / "out", "--address", "127.0.0.1:9")
    assert done.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:9" in done.stderr.strip().splitlines()[-1]


def test_client_addresses_are_answered_with_what_to_do(footage: Path, tmp_path: Path, reelmill: Reelmill) -> None:
    done = reelmill("curate", footage, "--out", tmp_path / "out", "--address", "ray://head:10001")
    assert done.returncode == 2
    assert "ray job submit" in done.stderr
