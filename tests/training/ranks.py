"""Starts trainings in several processes: each does a list of runs, one after another, in one process group.

    python ranks.py JOBS.json PORT PORT PORT        with RANK, WORLD_SIZE and MASTER_ADDR as torchrun sets them

JOBS.json is a list of [recipe, overrides]; a third item are overrides of the last rank alone. What a run ends with is
written to JOBS.json.RANK, one line each. After them, in groups of their own, the last rank fails while the others wait
for it, once with a reason and once without a word.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def start(jobs: Path, world: int) -> None:
    """Run the jobs in `world` processes and wait for them."""
    ports = [_free_port() for _ in range(3)]
    processes = []
    for rank in range(world):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "OMP_NUM_THREADS": 1}
        environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", **{key: str(value) for key, value in place.items()}}
        command = [sys.executable, __file__, str(jobs), *map(str, ports)]
        processes.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=1200) for process in processes] == [0] * world


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main(jobs: str, *ports: str) -> None:
    """One rank."""
    import torch
    import torch.distributed as dist

    from curation.errors import UserError
    from training.engine.ranks import joined
    from training.train import train

    torch.set_num_threads(1)
    os.environ["MASTER_PORT"] = ports[0]
    dist.init_process_group("gloo")  # as Ray Train does
    last = dist.get_rank() == dist.get_world_size() - 1
    told = Path(f"{jobs}.{dist.get_rank()}").open("w", buffering=1)  # noqa: SIM115
    for recipe, overrides, *more in json.loads(Path(jobs).read_text()):
        try:
            train(recipe, [*overrides, *(more[0] if more and last else [])])
            told.write("done\n")
        except UserError as error:
            told.write(f"{error}\n")
    dist.destroy_process_group()
    for port, reason in zip(ports[1:], ("the loss is not a number", None)):
        os.environ["MASTER_PORT"] = port
        try:
            with joined("cpu") as ranks:
                ranks.sum([1])
                if last and reason is None:
                    return
                if last:
                    raise UserError(reason)
                ranks.sum([1])
        except UserError as error:
            told.write(f"{error}\n")
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
