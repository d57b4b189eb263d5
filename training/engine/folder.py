"""The folder of a run: one trainer at a time, one recipe, and the model that comes out.

OUT/checkpoints/     see `checkpoint`
OUT/metrics.jsonl    see `metrics`
OUT/tensorboard/     see `board`
OUT/samples/         see `samples`
OUT/model/           what `reelmill sample` reads: unet/ text/ vae/ recipe.yaml config.json
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import json
import os
from collections.abc import Iterator
from pathlib import Path

from curation.errors import UserError
from curation.store import explain, is_url
from curation.validate import as_yaml, parse, resolved
from training.engine import checkpoint
from training.models.lavie.stage import Stage
from training.recipe import FREE, Recipe

MODEL_FORMAT = "reelmill-model/1"


def local(path: str) -> Path:
    """The folder of a run; raises a `UserError` if it is not a local one."""
    if is_url(path):
        raise UserError(f"train.out: {path} is not a local folder")
    return Path(path)


@contextlib.contextmanager
def claimed(path: str) -> Iterator[Path]:
    """The folder of a run for this process (the first of a run's) alone, without what a killed one left half-written.

    Raises:
        UserError: it is not a local folder, cannot be written, or another process trains in it.
    """
    out = local(path)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"train.out: cannot use {out}: {explain(error)}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system drops it when the process ends
        except OSError as error:
            raise UserError(f"train.out: another process is training in {out}") from error
        checkpoint.sweep(out)
        yield out
    finally:
        os.close(lock)


def refuse_other_recipe(recipe: Recipe, before: checkpoint.State, out: Path) -> None:
    """Raise a `UserError` if a run was begun with other settings than may change on the way."""
    now, then = _leaves(resolved(recipe)), _leaves(resolved(parse(before.recipe, Recipe, name=str(out))))
    for key in sorted(now.keys() | then.keys()):
        free = any(fnmatch.fnmatchcase(key, name) or key.startswith(f"{name}.") for name in FREE)
        if not free and now.get(key) != then.get(key):
            raise UserError(
                f"{out} was trained with {key}={json.dumps(then.get(key))}, the recipe says "
                f"{json.dumps(now.get(key))}; set it back, or use another train.out"
            )


def exported_step(out: Path) -> int | None:
    """The step of the model in a run's folder; None where there is none."""
    try:
        return int(json.loads((out / "model" / "config.json").read_text())["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def export(model: Stage, recipe: Recipe, state: checkpoint.State, out: Path) -> None:
    """Write model/, and publish it by one rename.

    Raises:
        UserError: it cannot be written.
    """
    part = out / "model.incomplete"
    try:
        part.mkdir()
        model.save(part)
        (part / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
        read = state.position.cursor.generations
        datasets = {name: [generation.hash for generation in found] for name, found in read.items()}
        config = {"format": MODEL_FORMAT, "step": state.step, "datasets": datasets}
        (part / "config.json").write_text(json.dumps(config, indent=1))
        checkpoint.publish(part, out / "model")
    except OSError as error:
        raise UserError(f"cannot write {out / 'model'}: {explain(error)}") from error


def _leaves(tree: object, key: str = "") -> dict[str, object]:
    """A tree of mappings, also of mappings in lists, as one mapping of dotted keys."""
    if isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree):
        tree = {str(number): item for number, item in enumerate(tree)}
    if not isinstance(tree, dict):
        return {key: tree}
    return {
        name: leaf for part, value in tree.items() for name, leaf in _leaves(value, f"{key}.{part}".strip(".")).items()
    }
