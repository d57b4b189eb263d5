"""`ray_cluster.yaml` and `kubernetes/rayjob.yaml` are what Ray, KubeRay and Kubernetes take."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from curation.engine import CPU_POOL, POOL

ROOT = Path(__file__).parents[2]
# Written after the reference of KubeRay's API (ray.io/v1): the fields that there are, and what must be there.
RAY_JOB = json.loads((Path(__file__).parent / "rayjob.schema.json").read_text())


def _cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())


def _job() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "kubernetes" / "rayjob.yaml").read_text())


def _groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_ray_up_takes_the_cluster_file() -> None:
    prepared = prepare_config(_cluster())
    validate_config(prepared)
    assert set(prepared["available_node_types"]) == {"head", "cpu", "gpu"}
    assert prepared["available_node_types"]["cpu"]["max_workers"] == 32


@pytest.mark.parametrize("harm", [{"max_wrokers": 3}, {"head_node_type": "none"}, {"available_node_types": {"a": {}}}])
def test_ray_would_refuse_a_cluster_file_with_a_mistake(harm: dict[str, Any]) -> None:
    with pytest.raises((jsonschema.ValidationError, ValueError, KeyError)):
        validate_config(prepare_config(_cluster() | harm))


def test_cluster_file_keeps_units_off_the_head_and_cpu_work_off_gpus() -> None:
    kinds = _cluster()["available_node_types"]
    assert kinds["head"]["resources"]["CPU"] == 0
    assert kinds["cpu"]["labels"] == {POOL: CPU_POOL}
    assert kinds["gpu"]["labels"][POOL] != CPU_POOL
    assert kinds["gpu"]["resources"]["GPU"] == 1
    for name in ("cpu", "gpu"):
        assert kinds[name]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_kuberay_takes_the_job_and_kubernetes_its_pods() -> None:
    job = _job()
    jsonschema.validate(job, RAY_JOB)
    for group in _groups(job):
        metadata = {"name": "pod", **group["template"].get("metadata", {})}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def test_a_job_with_a_mistake_is_refused() -> None:
    for path in (("spec", "entripoint"), ("spec", "rayClusterSpec", "workerGroupSpec")):
        job: dict[str, Any] = copy.deepcopy(_job())
        here = job
        for key in path[:-1]:
            here = here[key]
        here[path[-1]] = "wrong"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(job, RAY_JOB)


def test_job_keeps_units_off_the_head_and_cpu_work_off_gpus() -> None:
    head, cpu, gpu = _groups(_job())
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert cpu["rayStartParams"]["labels"] == f"{POOL}={CPU_POOL}"
    assert gpu["rayStartParams"]["labels"] != f"{POOL}={CPU_POOL}"
    assert gpu["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_commands_in_the_files_are_commands_of_reelmill() -> None:
    from typer.testing import CliRunner

    from curation.cli import app

    program, command, *rest = shlex.split(_job()["spec"]["entrypoint"])
    assert program == "reelmill"
    told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    for option in (word for word in rest if word.startswith("--")):
        assert option in told
