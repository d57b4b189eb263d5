"""Streams that go on for long: over many epochs, over a dataset that grows, in several processes."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import squares, write_dataset

from curation.errors import UserError
from training.recipe_data import Data
from training.stream import Loader, Position
from training.stream.opened import open_loader

SMALL = {"frames": 3, "stride": 1, "size": (16, 24), "images": 1, "prefetch": 1}


def loader(manifest: Path | str, position: Position | None = None, *, batch: int = 5, **data: object) -> Loader:
    settings = Data.model_validate({"url": str(manifest), **SMALL, **data})
    return open_loader(settings, seed=0, batch=batch, text_dropout=0.0, position=position)


def test_memory_threads_and_handles_stay_flat_over_many_epochs(dataset: Path) -> None:
    stream = iter(loader(dataset, batch=10))
    seen = []
    for _ in range(3):
        for _ in range(8):  # an epoch each
            next(stream)
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        seen.append(
            (pages * os.sysconf("SC_PAGESIZE") / 1e6, len(os.listdir("/proc/self/fd")), threading.active_count())
        )
    assert seen[2][0] - seen[0][0] < 60  # megabytes
    assert seen[2][1] <= seen[0][1] + 2 and seen[2][2] <= seen[0][2]
    before = threading.active_count()
    stream.close()
    assert threading.active_count() < before


def publish(folder: Path, number: int, clips: int) -> None:
    """Make a generation of so many clips the newest; older ones stay, as curation leaves them."""
    part = folder.with_name(f"part-{number}")
    told = json.loads(write_dataset(part, squares(clips)).read_text())
    for shard in told["shards"]:
        for kind in ("tar", "index"):
            name = shard[kind].replace("shards/", f"shards/{number}-")
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            shutil.move(part / shard[kind], folder / name)
            shard[kind] = name
    text = json.dumps({**told, "generation": number})
    (folder / f"manifest-{number:05d}.json").write_text(text)
    (folder / "manifest.json").write_text(text)


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """A dataset of ten clips."""
    publish(tmp_path / "growing", 0, 10)
    return tmp_path / "growing"


def clips(batch: object) -> list[str]:
    return list(batch.keys[::2])


def test_a_new_generation_begins_with_an_epoch_and_old_ones_are_resumed(growing: Path, tmp_path: Path) -> None:
    def cache(name: str) -> dict[str, str]:
        return {"cache_dir": str(tmp_path / name)}

    position = Position()
    stream = iter(loader(growing, position, threads=0, **cache("a")))
    first = [next(stream)]
    publish(growing, 1, 13)  # the next epoch is planned already, and stays what it is
    first += [next(stream), next(stream)]
    state = json.loads(json.dumps(position, default=vars))
    rest = [next(stream) for _ in range(4)]
    stream.close()
    taken = [key for batch in first + rest for key in clips(batch)]
    for start, count in ((0, 10), (10, 10), (20, 13)):
        assert sorted(taken[start : start + count]) == [f"clip{number:03d}" for number in range(count)]
    found = position.cursor.generations["data"]
    assert [(one.epoch, one.file) for one in found] == [(0, "manifest-00000.json"), (2, "manifest-00001.json")]

    # A run that stopped in the old generation ends its epoch with it, though a newer one is there.
    resumed = iter(loader(growing, Position.from_json(state), threads=2, **cache("b")))
    again = [next(resumed) for _ in range(4)]
    resumed.close()
    assert [batch.keys for batch in again] == [batch.keys for batch in rest]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(again, rest))


def test_a_generation_that_is_gone_is_one_line(growing: Path, tmp_path: Path) -> None:
    position = Position()
    stream = iter(loader(growing, position, threads=0, cache_dir=str(tmp_path / "a")))
    next(stream)
    publish(growing, 1, 13)
    (growing / "manifest-00000.json").unlink()
    with pytest.raises(UserError, match="manifest-00000.json"):
        loader(growing, position, cache_dir=str(tmp_path / "b"))


def test_two_processes_take_the_slices_of_the_same_batches(dataset: Path) -> None:
    code = (
        "import json, sys; from training.stream.opened import open_loader; from training.recipe_data import Data;"
        "import hashlib; data = Data.model_validate(json.loads(sys.argv[1]));"
        "s = iter(open_loader(data, seed=0, batch=4, text_dropout=0.0, rank=int(sys.argv[2]), world=2));"
        "batches = [next(s) for _ in range(3)];"
        "print(json.dumps([[b.keys, hashlib.sha256(b.pixels.tobytes()).hexdigest()] for b in batches]))"
    )
    settings = json.dumps({"url": str(dataset), **SMALL})
    ranks = [
        subprocess.Popen([sys.executable, "-c", code, settings, str(rank)], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    told = [json.loads(process.communicate()[0]) for process in ranks]
    stream = iter(loader(dataset, batch=4))
    for one, other in zip(*told):
        whole = next(stream)
        assert one[0] + other[0] == whole.keys and one[1] != other[1]
