"""Generations: what was published of an output, one manifest each, and none of it is ever changed again.

`manifest-00000.json` is the first generation. A run that comes to other shards, or to the same by another recipe,
publishes the next; shards that still hold what they should are named again, and the numbers of others are never given
twice. So whoever reads a generation, for instance a training, goes on undisturbed while the dataset grows.
`manifest.json` is a copy of the newest one and is committed last.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from curation import parts, tables
from curation.errors import UserError
from curation.store import Place

MANIFEST = "manifest.json"
_NUMBERED = re.compile(r"manifest-(\d{5,})\.json")
_TAR = re.compile(r"shards/(\d{5,})\.tar")
# Beside a shard's tar; the index comes last, because it is what vouches for the others.
SUFFIXES = (".tar", ".idx", ".json", ".parquet")

Manifest = dict[str, Any]


def path(number: int) -> str:
    return f"manifest-{number:05d}.json"


def numbers(out: Place) -> list[int]:
    """The generations that are there, the newest last."""
    found = (_NUMBERED.fullmatch(name) for name in out.names("", ".json"))
    return sorted(int(match[1]) for match in found if match)


def newest(out: Place) -> Manifest | None:
    """The newest generation; None before the first. A manifest from before there were any is the first."""
    if found := numbers(out):
        return read(out, found[-1])
    return {"generation": 0} | _parsed(out, MANIFEST) if out.exists(MANIFEST) else None


def read(out: Place, number: int | None = None) -> Manifest:
    """A generation, by default the newest.

    Raises:
        UserError: it is not there, or not a manifest that this version reads.
    """
    if number is None:
        manifest = newest(out)
        if manifest is None:
            raise UserError(f"{out.url()}: no {MANIFEST} here; `reelmill curate` has not finished with this output")
        return manifest
    if not out.exists(path(number)):
        there = ", ".join(map(str, numbers(out))) or "none"
        raise UserError(f"{out.url()}: no generation {number} here; there are: {there}")
    return _parsed(out, path(number))


def publish(out: Place, content: Manifest) -> tuple[Manifest, bool]:
    """Make this the newest generation, unless the newest one says the same; the generation, and whether it is new."""
    before = newest(out)
    if before is not None and not numbers(out):
        out.commit(path(0), out.read(MANIFEST))
    new = before is None or {name: before.get(name) for name in content} != content
    manifest = before
    if new:
        number = 0 if before is None else before["generation"] + 1
        parent = None if before is None else before["generation"]
        manifest = {"format": content["format"], "generation": number, "parent": parent, **content}
        out.commit(path(number), json.dumps(manifest, indent=1, ensure_ascii=False).encode())
    assert manifest is not None
    data = out.read(path(manifest["generation"]))
    if not out.exists(MANIFEST) or out.read(MANIFEST) != data:
        out.commit(MANIFEST, data)
    return manifest, new


def shard_number(shard: Manifest) -> int:
    """The number of a shard that a manifest names.

    Raises:
        UserError: it names another file.
    """
    match = _TAR.fullmatch(str(shard["tar"]))
    if match is None or shard["index"] != parts.path("shards", int(match[1])):
        raise UserError(f"{str(shard['tar'])[:80]}: the manifest names it in the wrong place")
    return int(match[1])


def next_shard(manifest: Manifest | None) -> int:
    """The first number that no shard had yet."""
    if manifest is None:
        return 0
    return int(manifest.get("next_shard", len(manifest["shards"])))


def named(out: Place, kept: list[int] | None = None) -> set[int]:
    """The shards that any of these generations names, by default all."""
    manifests = [read(out, number) for number in (numbers(out) if kept is None else kept)] or [read(out)]
    return {shard_number(shard) for manifest in manifests for shard in manifest["shards"]}


def unnamed(out: Place, kept: list[int] | None = None) -> list[str]:
    """Files of shards that none of these generations names, in the order in which to remove them."""
    wanted = named(out, kept)
    files = []
    for name in out.names("shards"):
        stem, suffix = posixpath.splitext(name)
        if suffix in SUFFIXES and stem.isdigit() and int(stem) not in wanted:
            files.append((-SUFFIXES.index(suffix), int(stem), f"shards/{name}"))
    return [file for _, _, file in sorted(files)]


def prunable(out: Place, keep: int) -> list[str]:
    """What goes if only the newest `keep` generations stay: their manifests, then the shards that only they named."""
    there = numbers(out)
    gone, kept = there[:-keep], there[-keep:]
    return [path(number) for number in gone] + (unnamed(out, kept) if kept else [])


def _parsed(out: Place, name: str) -> Manifest:
    try:
        manifest = json.loads(out.text(name))
        form = manifest["format"]
        assert isinstance(manifest["shards"], list)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise UserError(f"{out.url(name)} is not a Reelmill manifest") from None
    if form != tables.MANIFEST_FORMAT:
        raise UserError(f"{out.url(name)} has the format {form!r}, not {tables.MANIFEST_FORMAT!r}")
    return dict(manifest)
