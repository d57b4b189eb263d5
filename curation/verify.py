"""Is an output what it says it is? Sums, checksums, every tar, and every clip decoded; or quickly, by samples.

The shards are checked by threads of this process, or by all nodes of a Ray cluster. What has been found is noted in a
journal, so that a check that was stopped goes on from there; it goes away at the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.progress import Progress

from curation import generations, intact, tables
from curation.check import Checked, Quick, check
from curation.engine import Engine, Failure, Where
from curation.errors import Incomplete, StoreError, UserError
from curation.phases import Needs, Unit
from curation.published import listed
from curation.store import Place
from curation.validate import fingerprint

_VERSION = 2
# What the manifest says of a shard.
_OF_SHARD = {"tar": str, "index": str, "samples": int, "bytes": int, "sha256": str, "index_sha256": str}
_NEEDS = Needs(cpus=1, memory_mb=1024)


def verify(
    root: str,
    console: Console,
    *,
    quick: Quick | None = None,
    address: str | None = None,
    journal: Path | None = None,
    generation: int | None = None,
) -> tuple[list[str], str]:
    """Everything that is wrong with an output, a sentence each, and what was looked at.

    Args:
        quick: check sums, sizes, indexes, and only some clips of each shard.
        address: of a Ray cluster that checks the shards; None checks them here.
        journal: where to note what has been checked; by default in the output, or in the user's cache folder
            where the output is not a folder that can be written to.
        generation: an older one, of which the shards are checked; the tables have gone on since, and are left out.

    Raises:
        UserError: there is no finished output at this place.
        Incomplete: some shards could not be checked.
    """
    out = Place(root)
    try:
        manifest = _manifest(out) if generation is None else generations.read(out, generation)
    except _NoManifest as error:
        return [f"{generations.MANIFEST}: {error}"], "no shard was looked at"
    units = [_unit(number, shard) for number, shard in enumerate(manifest["shards"])]
    out = listed(out, len(units))
    wrong = intact.faults(out, pictures=quick is None) if generation is None else []
    key = fingerprint(
        _VERSION, root, [quick.clips, quick.seed] if quick else None, [unit.fingerprint for unit in units]
    )
    work = partial(check, out.root, quick)
    with _Journal(journal or _journal(out, key), key) as notes, _Bar(console, len(units), notes) as bar:
        pending = [unit for unit in units if unit.number not in notes.found]
        if address is None:
            for checked in _by_threads(work, pending):
                bar.done(checked)
        else:
            engine = Engine(address)
            try:
                aside = engine.run("verify", _NEEDS, work, pending, bar)
            finally:
                engine.close()
            if aside:
                raise Incomplete(f"{len(aside)} shards could not be checked, first {aside[0].unit}: {aside[0].reason}")
        notes.finish()
    for number in sorted(notes.found):
        wrong.extend(notes.found[number])
    megabytes = sum(shard["bytes"] for shard in manifest["shards"]) / 1e6
    how = f"checked by {quick.clips} clips of each" if quick else "checked"
    of = "" if generation is None else f" of generation {generation}"
    return wrong, f"{len(units)} shards{of}, {manifest['samples']} clips, {megabytes:.1f} MB {how}"


class _NoManifest(Exception):
    """What stands where the manifest should be cannot be read as one."""


def _by_threads(work: Callable[[Unit, bool], Checked], units: Sequence[Unit]) -> Iterator[Checked]:
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for future in as_completed([pool.submit(work, unit, False) for unit in units]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _manifest(out: Place) -> dict[str, Any]:
    if not out.exists("manifest.json"):
        raise UserError(f"{out.url()}: no manifest.json here; `reelmill curate` has not finished with this output")
    try:
        manifest = json.loads(out.text(generations.MANIFEST))
        form = manifest["format"]
        whole = all(isinstance(shard.get(key), kind) for shard in manifest["shards"] for key, kind in _OF_SHARD.items())
        whole = whole and all(isinstance(manifest.get(key), int) for key in ("samples", "bytes"))
    except intact.GARBAGE:
        raise _NoManifest("it is no manifest of Reelmill") from None
    if form != tables.MANIFEST_FORMAT:
        raise _NoManifest(f"it has the format {str(form)[:40]!r}, not {tables.MANIFEST_FORMAT!r}")
    if not whole:
        raise _NoManifest("it does not say all that must be known of its shards")
    return dict(manifest)


def _unit(number: int, shard: dict[str, Any]) -> Unit:
    return Unit(number, fingerprint(shard), pa.Table.from_pylist([shard]))


def _journal(out: Place, key: str) -> Path:
    if out.local and os.access(out.root, os.W_OK):
        return Path(out.root) / f".verify-{key[:8]}.jsonl"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "reelmill" / f"verify-{key[:16]}.jsonl"


class _Journal:
    """What has been found so far: a line with the key of what is checked, then one for every shard."""

    def __init__(self, path: Path, key: str):
        self._path, self._key = path, key
        self.found: dict[int, list[str]] = {}

    def __enter__(self) -> _Journal:
        try:
            lines = list(self._lines())
            if lines and lines[0] == {"of": self._key}:
                self.found = {line["unit"]: line["wrong"] for line in lines[1:]}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "w", encoding="utf-8")
            self._write({"of": self._key})
            for unit, wrong in self.found.items():
                self._write({"unit": unit, "wrong": wrong})
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}; give another --journal") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, checked: Checked) -> None:
        self.found[checked.unit] = checked.wrong
        self._write({"unit": checked.unit, "wrong": checked.wrong})

    def finish(self) -> None:
        self._path.unlink(missing_ok=True)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The whole lines; one that was cut off is checked again."""
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    return


class _Bar:
    """Shows how far the check is, and keeps the journal."""

    def __init__(self, console: Console, total: int, journal: _Journal):
        self._journal = journal
        self._progress = Progress(console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task("verify", total=total, completed=len(journal.found))

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begun(self, unit: int, where: Where) -> None:
        pass

    def done(self, result: Checked) -> None:
        self._journal.add(result)
        self._progress.advance(self._task)

    def retried(self, failure: Failure) -> None:
        self._progress.console.print(f"shard {failure.unit} is checked again: {failure.reason}", highlight=False)

    def failed(self, failure: Failure) -> None:
        pass
