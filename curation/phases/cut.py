"""Kept clips to finished media: every source is opened once more, and only what was kept is encoded.

Cuts are an intermediate store, one tar for each part of the clips. Shards are packed from it, so
that a shard may hold clips of any film while a film is fetched and read once. It is removed when
the shards are complete.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import tables
from curation.errors import StoreError
from curation.fetch import fetched
from curation.phases import Needs, Output, Phase, Unit
from curation.store import Place, sha256_of
from curation.tables import Row
from curation.video import cut
from curation.video.jail import Jail
from curation.video.probe import MediaError

# What the plan must give of every clip and its source.
GIVEN = ("clip_id", "source_id", "uri", "mended", "start_pts", "end_pts", "time_base", "frames", "width", "height")


class Cut(Phase):
    name = "cut"
    version = 2
    reads = "clips"
    writes = ("cuts",)
    needs = Needs(cpus=1, memory_mb=1024)

    def setup(self) -> None:
        self._jail = Jail(self.recipe.split.memory_mb)
        shard = self.recipe.shard
        self._encoding = cut.Encoding(shard.short_side, shard.crf, shard.preset, shard.gop)

    def child_usage(self) -> tuple[float, float]:
        return self._jail.cpu_s, self._jail.peak_mb

    def schema(self, table: str) -> pa.Schema:
        return tables.CUTS

    def settings(self) -> Any:
        return encoding_settings(self)

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        assert unit.given is not None
        rows: list[Row] = unit.given.to_pylist()
        return rows

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        cuts: list[Row] = []
        failed: list[Row] = []
        tar_path = scratch / f"{unit.number:05d}.tar"
        with tarfile.open(tar_path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for _, of_source in groupby(rows, key=lambda row: row["source_id"]):
                clips = list(of_source)
                try:
                    with fetched(clips[0]["uri"], max_bytes=self.recipe.ingest.max_bytes) as source:
                        for clip_id, found in self._cut(source, clips, scratch):
                            if isinstance(found, str):
                                failed.append({"clip_id": clip_id, "reason": found})
                            else:
                                cuts.append(_packed(tar, _target(scratch, clip_id), clip_id, found))
                except StoreError as error:
                    failed.extend({"clip_id": row["clip_id"], "reason": str(error)} for row in clips)
        with tarfile.open(tar_path) as tar:
            offsets = {member.name: member.offset_data for member in tar}
        for row in cuts:
            row["offset"] = offsets[f"{row['clip_id']}.mp4"]
        counts = {"clips": len(cuts), "failed": len(failed)}
        return Output({"cuts": cuts}, {f"cuts/{tar_path.name}": tar_path}, {"failed": failed}, counts)

    def _cut(self, source: Path, rows: Sequence[Row], scratch: Path) -> Iterator[tuple[str, Row | str]]:
        """The id of every clip of a source with the index of its cut, or with the reason why there is none.

        FFmpeg's program seeks and is quick. What it cannot cut so, or not to the frame, is cut by frames: all such
        clips of the source in one decode.
        """
        left = []
        for row in rows:
            found = None if row["mended"] else self._by_seeking(source, row, _target(scratch, row["clip_id"]))
            if found:
                yield row["clip_id"], found
            else:
                left.append(row)
        if left:
            yield from self._by_frames(source, left, scratch)

    def _by_seeking(self, source: Path, row: Row, target: Path) -> Row | None:
        """The index of the cut, or None where it is not the clip of the row."""
        try:
            cut.encode(
                source,
                target,
                start_pts=row["start_pts"],
                end_pts=row["end_pts"],
                time_base=Fraction(row["time_base"]),
                size=(row["width"], row["height"]),
                encoding=self._encoding,
                timeout_s=self.recipe.shard.timeout_s,
                memory_mb=self.recipe.split.memory_mb,
            )
            return self._checked(target, row)
        except MediaError:
            return None

    def _by_frames(self, source: Path, rows: Sequence[Row], scratch: Path) -> Iterator[tuple[str, Row | str]]:
        targets = [_target(scratch, row["clip_id"]) for row in rows]
        timeout_s = self.recipe.shard.timeout_s
        try:
            reasons = self._jail.call(
                "recut",
                source,
                self.recipe.split.timeout_s + timeout_s * len(rows),
                clips=[
                    {"start_pts": row["start_pts"], "end_pts": row["end_pts"], "target": str(target)}
                    for row, target in zip(rows, targets)
                ],
                size=(rows[0]["width"], rows[0]["height"]),
                encoding=asdict(self._encoding),
                clip_timeout_s=timeout_s,
            )["reasons"]
        except MediaError as error:
            reasons = [str(error)] * len(rows)
        for row, target, reason in zip(rows, targets, reasons):
            try:
                yield row["clip_id"], reason or self._checked(target, row)
            except MediaError as error:
                yield row["clip_id"], str(error)

    def _checked(self, target: Path, row: Row) -> Row:
        """The index of a cut.

        Raises:
            MediaError: it does not decode, or is not the clip of the row.
        """
        found: Row = self._jail.call("index", target, self.recipe.shard.timeout_s)
        if found["frames"] != row["frames"]:
            raise MediaError(f"the cut has {found['frames']} frames where the clip has {row['frames']}")
        first, last = (found["frame_pts"][at] * Fraction(found["frame_time_base"]) for at in (0, -1))
        if first != 0 or last >= (row["end_pts"] - row["start_pts"]) * Fraction(row["time_base"]):
            raise MediaError(f"the cut shows its frames from {float(first):g} to {float(last):g} s, unlike the clip")
        return found


def _target(scratch: Path, clip_id: str) -> Path:
    return scratch / f"{clip_id}.mp4"


def _packed(tar: tarfile.TarFile, target: Path, clip_id: str, found: Row) -> Row:
    """Move a cut into the tar; its row, but for the offset."""
    member = tarfile.TarInfo(target.name)
    member.size = target.stat().st_size
    with open(target, "rb") as file:
        tar.addfile(member, file)
    sha256 = sha256_of(target)
    target.unlink()
    fps = found["frames"] / found["duration_s"]
    return found | {"clip_id": clip_id, "fps": fps, "bytes": member.size, "sha256": sha256}


def encoding_settings(phase: Phase) -> Any:
    """The part of the recipe that decides the bytes of a cut."""
    shard = phase.recipe.shard.model_dump(mode="json")
    return {name: value for name, value in shard.items() if name not in ("samples", "seed")}
