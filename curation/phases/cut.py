"""Kept clips to finished media: every source is opened once more, and only what was kept is encoded.

Cuts are an intermediate store, one tar for each part of the clips. Shards are packed from it, so
that a shard may hold clips of any film while a film is fetched and read once. It is removed when
the shards are complete.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import tables
from curation.errors import StoreError
from curation.phases import Needs, Output, Phase, Unit
from curation.store import Place, fetched, sha256_of
from curation.tables import Row
from curation.video import cut
from curation.video.jail import Jail
from curation.video.probe import MediaError

# What the plan must give of every clip.
GIVEN = ("clip_id", "uri", "start_pts", "end_pts", "time_base", "frames", "width", "height")


class Cut(Phase):
    name = "cut"
    reads = "clips"
    writes = ("cuts",)
    needs = Needs(cpus=1, memory_mb=1024)

    def setup(self) -> None:
        self._jail = Jail(self.recipe.split.memory_mb)

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
            for uri, clips in groupby(rows, key=lambda row: row["uri"]):
                waiting = list(clips)
                try:
                    with fetched(uri, max_bytes=self.recipe.ingest.max_bytes) as source:
                        while waiting:
                            try:
                                cuts.append(self._cut(source, waiting[0], scratch, tar))
                            except MediaError as error:
                                failed.append({"clip_id": waiting[0]["clip_id"], "reason": str(error)})
                            waiting.pop(0)
                except StoreError as error:
                    failed.extend({"clip_id": row["clip_id"], "reason": str(error)} for row in waiting)
        with tarfile.open(tar_path) as tar:
            offsets = {member.name: member.offset_data for member in tar}
        for row in cuts:
            row["offset"] = offsets[f"{row['clip_id']}.mp4"]
        counts = {"clips": len(cuts), "failed": len(failed)}
        return Output({"cuts": cuts}, {f"cuts/{tar_path.name}": tar_path}, {"failed": failed}, counts)

    def _cut(self, source: Path, row: Row, scratch: Path, tar: tarfile.TarFile) -> Row:
        """Encode one clip, check it frame by frame, and add it to the tar."""
        shard = self.recipe.shard
        target = scratch / f"{row['clip_id']}.mp4"
        found: Row = {}
        # Where seeking in a file lands wrong, it is decoded from its beginning instead.
        for seek in (True, False):
            cut.encode(
                source,
                target,
                start_pts=row["start_pts"],
                end_pts=row["end_pts"],
                time_base=Fraction(row["time_base"]),
                size=(row["width"], row["height"]),
                encoding=cut.Encoding(shard.short_side, shard.crf, shard.preset, shard.gop),
                timeout_s=shard.timeout_s,
                seek=seek,
            )
            found = self._jail.call("index", target, shard.timeout_s)
            if found["frames"] == row["frames"]:
                break
        else:
            raise MediaError(f"the cut has {found['frames']} frames where the clip has {row['frames']}")
        member = tarfile.TarInfo(target.name)
        member.size = target.stat().st_size
        with open(target, "rb") as file:
            tar.addfile(member, file)
        cut_row = found | {
            "clip_id": row["clip_id"],
            "fps": found["frames"] / found["duration_s"],
            "bytes": member.size,
            "sha256": sha256_of(target),
        }
        target.unlink()
        return cut_row


def encoding_settings(phase: Phase) -> Any:
    """The part of the recipe that decides the bytes of a cut."""
    shard = phase.recipe.shard.model_dump(mode="json")
    return {name: value for name, value in shard.items() if name not in ("samples", "seed")}
