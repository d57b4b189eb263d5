"""A training as a job of Ray Train: workers on a cluster, started again where some were lost.

The only file of `training` that imports ray. A worker does what a process of torchrun does: `loop.run`.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from curation.errors import UserError
from curation.validate import parse, resolved
from training.extras import share_cores
from training.recipe import Recipe

# On a machine without Ray's dashboard it says every second that it cannot ask it whether the driver is there.
_CHATTY = "ray.train.v2._internal.execution.controller.placement_group_cleaner"


def run(recipe: Recipe, workers: int, address: str | None, console: Console) -> None:
    """Train with `workers` processes of a Ray cluster, each with a GPU of its own unless `train.device` is cpu.

    `train.out` must be a folder that all nodes share. Where workers or nodes are lost, the others end too and all start
    again from the newest checkpoint, as long as there is a newer one each time.

    Args:
        address: of a running cluster (`auto`, `host:port`), or None to start Ray on this machine.

    Raises:
        UserError: a worker ended with it, Ray does not answer or has no GPUs, or workers are lost again and again.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    from training.engine import checkpoint, folder

    out = folder.local(recipe.train.out)
    cpus = 1 + recipe.data.threads
    given: dict[str, Any] = {} if address else {"include_dashboard": False, "num_cpus": workers * cpus}
    environment = {"worker_process_setup_hook": f"{__name__}._set_up"}
    try:
        ray.init(address=address or "local", logging_level="ERROR", runtime_env=environment, **given)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address or 'this machine'}: {_line(error)}") from error
    try:
        gpus = _gpus(recipe.train.device, workers, ray.cluster_resources())
        reached = checkpoint.newest(out)
        while (lost := _fit(recipe, workers, {"CPU": cpus, **({"GPU": 1} if gpus else {})})) is not None:
            newest = checkpoint.newest(out)
            if newest == reached:
                raise UserError(f"workers were lost before there was a new checkpoint: {lost}")
            reached = newest
            console.print(f"workers were lost ({lost}); starting again from {newest}")
    finally:
        ray.shutdown()


def _fit(recipe: Recipe, workers: int, each: dict[str, float]) -> str | None:
    """Train to the end; what happened where workers were lost on the way.

    Raises:
        UserError: a worker ended with it.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    notes = Path(recipe.train.out).absolute() / ".ray"
    trainer = TorchTrainer(
        _work,
        train_loop_config={"recipe": resolved(recipe)},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu="GPU" in each, resources_per_worker=each),
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if "GPU" in each else "gloo"),
        run_config=RunConfig(name=uuid.uuid4().hex, storage_path=str(notes)),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        reason = _user_error(error)
        if reason is not None:
            raise UserError(reason) from None
        return _line(error)
    finally:
        shutil.rmtree(notes, ignore_errors=True)
    return None


def _set_up() -> None:
    """What every process of the job begins with."""
    share_cores()
    logging.getLogger(_CHATTY).setLevel(logging.CRITICAL)


def _work(config: dict[str, Any]) -> None:
    """What a worker does; Ray has joined it to the others."""
    from training.engine.loop import run

    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        run(parse(config["recipe"], Recipe, name="recipe"), console)
    except UserError as error:
        raise error.with_traceback(None) from None  # Ray logs all that it has


def _gpus(device: str, workers: int, there: Mapping[str, float]) -> bool:
    """Whether workers get GPUs.

    Raises:
        UserError: they should, and there are too few.
    """
    found = int(there.get("GPU", 0))
    if device == "cpu" or (device == "auto" and not found):
        return False
    if found < workers:
        raise UserError(f"--ray {workers}: the cluster has {found} GPUs; use as many workers, or train.device=cpu")
    return True


def _user_error(error: Exception) -> str | None:
    """The line for the user, where a worker has ended with one. Ray tells it in the tracebacks of its workers."""
    kinds: list[type] = [UserError, *UserError.__subclasses__()]
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds}
    for line in str(error).splitlines():
        name, _, message = line.partition(": ")
        if name in names:
            return message
    return None


def _line(error: Exception) -> str:
    """The first sentence of the last line."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return line.partition(". ")[0][:200]
