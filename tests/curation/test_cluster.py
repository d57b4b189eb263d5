"""The same command on a Ray cluster that is already there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.conftest import SETTINGS, Reelmill
from tests.curation.test_curate import contents


@pytest.fixture
def cluster() -> Iterator[str]:
    """Two Ray nodes on this machine; the address of the first."""
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    nodes.add_node(num_cpus=1, object_store_memory=100 << 20)
    yield nodes.address
    nodes.shutdown()


def test_run_on_two_nodes_gives_the_same_files(
    dataset: Path, footage: Path, tmp_path: Path, reelmill: Reelmill, cluster: str
) -> None:
    out = tmp_path / "dataset"
    done = reelmill("curate", footage, "--out", out, *SETTINGS, "--address", cluster)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(dataset)


def test_cluster_that_is_not_there_is_one_line(footage: Path, tmp_path: Path, reelmill: Reelmill) -> None:
    done = reelmill("curate", footage, "--out", tmp_path / "out", "--address", "127.0.0.1:9")
    assert done.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:9" in done.stderr.strip().splitlines()[-1]
