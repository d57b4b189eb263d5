"""Kept clips to finished media: every source is opened once more, and only what was kept is encoded.

Cuts are an intermediate store, one tar for each part of the clips. Shards are packed from it, so
that a shard may hold clips of any film while a film is fetched and read once. It is removed when
the shards are complete.
"""

from __future__ import annotations

import platform
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import parts, tables
from curation.errors import StoreError, UserError
from curation.fetch import fetched
from curation.phases import Needs, Output, Phase, Unit, stills
from curation.phases.failures import mendable
from curation.recipe import Recipe, deciding
from curation.store import Place, sha256_of
from curation.tables import Row
from curation.video import encoders
from curation.video.cut import Encoding
from curation.video.cutting import Wanted
from curation.video.jail import Jail
from curation.video.probe import MediaError
from curation.video.sound import Sound

_OF_CLIP = ("clip_id", "kind", "source_id", "start_pts", "end_pts", "frames", "looks")
_OF_SOURCE = ("source_id", "uri", "mended", "warning")


class Cut(Phase):
    name = "cut"
    version = 6
    reads = "clips"
    writes = ("cuts",)
    needs = Needs(cpus=1, memory_mb=1024)

    def setup(self) -> None:
        self._jail = Jail(self.recipe.split.memory_mb)
        self._stills = stills.Stills(self.recipe, self._jail)
        self._wanted = wanted(self.recipe)

    def child_usage(self) -> tuple[float, float]:
        return self._jail.cpu_s, self._jail.peak_mb

    def schema(self, table: str) -> pa.Schema:
        return tables.CUTS

    def settings(self) -> Any:
        return encoding_settings(self)

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The clips of the part that the plan chose, in their order, with what must be known of their sources."""
        assert unit.given is not None
        clips = out.table(parts.path("clips", unit.number), list(_OF_CLIP))
        clips = clips.filter(pc.is_in(clips["clip_id"], value_set=unit.given["clip_id"]))
        sources = out.table(parts.path("sources", unit.number), list(_OF_SOURCE))
        rows: list[Row] = parts.joined(clips, sources, "source_id").to_pylist()
        return rows

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        cuts: list[Row] = []
        failed: list[Row] = []
        tar_path = scratch / f"{unit.number:05d}.tar"
        with tarfile.open(tar_path, "w", format=tarfile.USTAR_FORMAT) as tar:
            images = [row for row in rows if row["kind"] == "image"]
            for clip_id, still in self._cut_images([unit.address(row) for row in images], images, scratch):
                if isinstance(still, Exception):
                    failed.append(_failed(clip_id, still))
                else:
                    cuts.append(_packed(tar, _target(scratch, clip_id, "image"), clip_id, still))
            films = [row for row in rows if row["kind"] != "image"]
            for _, of_source in groupby(films, key=lambda row: row["source_id"]):
                clips = list(of_source)
                try:
                    with fetched(unit.address(clips[0]), max_bytes=self.recipe.ingest.max_bytes) as source:
                        for clip_id, found in self._cut(source, clips, scratch):
                            if isinstance(found, str):
                                failed.append(_failed(clip_id, found))
                            else:
                                cuts.append(_packed(tar, _target(scratch, clip_id), clip_id, found))
                except StoreError as error:
                    failed.extend(_failed(row["clip_id"], error) for row in clips)
        with tarfile.open(tar_path) as tar:
            offsets = {member.name.partition(".")[0]: member.offset_data for member in tar}
        for row in cuts:
            row["offset"] = offsets[row["clip_id"]]
        counts = {"clips": len(cuts), "failed": len(failed)}
        return Output({"cuts": cuts}, {f"cuts/{tar_path.name}": tar_path}, {"failed": failed}, counts)

    def _cut_images(
        self, addresses: Sequence[str], rows: Sequence[Row], scratch: Path
    ) -> Iterator[tuple[str, Row | Exception]]:
        """The id of every image with the index of its JPEG, or with the reason why there is none."""
        targets = [_target(scratch, row["clip_id"], "image") for row in rows]
        with self._stills.cut(addresses, targets) as cuts:
            for row, found in zip(rows, cuts):
                shown = {"start_pts": row["start_pts"], "end_pts": row["end_pts"], "lost_frames": 0}
                yield row["clip_id"], found if isinstance(found, Exception) else found | shown

    def _cut(self, source: Path, rows: Sequence[Row], scratch: Path) -> Iterator[tuple[str, Row | str]]:
        """The id of every clip of a source with what was cut, or with the reason why there is nothing."""
        try:
            found = self._cut_together(source, rows, scratch)
        except MediaError as error:
            # The child died, or took too long: each clip by itself, so that one of them costs no other.
            found = []
            for row in rows:
                try:
                    found += self._cut_together(source, [row], scratch) if len(rows) > 1 else [{"failed": str(error)}]
                except MediaError as reason:
                    found.append({"failed": str(reason)})
        for row, cut in zip(rows, found):
            yield row["clip_id"], cut.get("failed", cut)

    def _cut_together(self, source: Path, rows: Sequence[Row], scratch: Path) -> list[Row]:
        cuts: list[Row] = self._jail.call(
            "cut",
            source,
            self.recipe.split.timeout_s + self.recipe.shard.timeout_s * len(rows),
            clips=[
                {name: row[name] for name in ("clip_id", "start_pts", "end_pts", "frames", "looks")}
                | {"target": str(_target(scratch, row["clip_id"]))}
                for row in rows
            ],
            wanted=asdict(self._wanted),
            mended=bool(rows[0]["mended"]),
            damaged=rows[0]["warning"] is not None,
        )["cuts"]
        return cuts


def _failed(clip_id: str, error: Exception | str) -> Row:
    """Why there is no cut; `passing` where another try may give one, so that `--retry-failed` finds it."""
    return {"clip_id": clip_id, "reason": str(error)} | ({"passing": True} if mendable(error) else {})


def _target(scratch: Path, clip_id: str, kind: str = "scene") -> Path:
    return scratch / f"{clip_id}.{tables.extension(kind)}"


def _packed(tar: tarfile.TarFile, target: Path, clip_id: str, found: Row) -> Row:
    """Move a cut into the tar; its row, but for the offset."""
    member = tarfile.TarInfo(target.name)
    member.size = target.stat().st_size
    with open(target, "rb") as file:
        tar.addfile(member, file)
    sha256 = sha256_of(target)
    target.unlink()
    fps = found["frames"] / found["duration_s"] if found["duration_s"] else None
    return found | {"clip_id": clip_id, "fps": fps, "bytes": member.size, "sha256": sha256}


# What of `shard` decides only where a cut is packed.
OF_PACKING = {"samples", "seed", "buckets"}


def encoding_settings(phase: Phase) -> Any:
    """The part of the recipe that decides the bytes of a cut."""
    of_shard = deciding(phase.recipe)["shard"]
    # How few frames a copied clip may have.
    least = of_shard.pop("copied_share"), phase.recipe.split.min_frames
    shard = {name: value for name, value in of_shard.items() if name not in OF_PACKING}
    # And how closely its pictures are compared.
    return [shard, least if shard["cut"] == "copy" else None, phase.recipe.split.speed]


def wanted(recipe: Recipe) -> Wanted:
    """What the recipe asks for, on this machine.

    Raises:
        UserError: it asks for a hardware encoder, and none works here.
    """
    shard = recipe.shard
    encoder = encoders.SOFTWARE[shard.codec]
    if shard.encoder != "software":
        found = encoders.hardware(shard.codec)
        if found is None and shard.encoder == "hardware":
            tried = ", ".join(encoders.HARDWARE[shard.codec])
            raise UserError(
                f"shard.encoder: hardware, but none for {shard.codec} works on {platform.node()} (tried {tried}); "
                "use a machine that has one, or shard.encoder: auto"
            )
        encoder = found or encoder
    sounds = {"drop": None, "keep": Sound()}
    audio = shard.audio
    return Wanted(
        way=shard.cut,
        otherwise=shard.otherwise,
        encoding=Encoding(
            shard.short_side, shard.crf, shard.preset, shard.gop, encoder, shard.fps, fast_decode=shard.fast_decode
        ),
        least_share=shard.copied_share,
        least_frames=recipe.split.min_frames,
        sound=sounds[audio] if isinstance(audio, str) else Sound(audio.rate, audio.channels),
        loose=recipe.split.speed == "fast",
        timeout_s=shard.timeout_s,
        memory_mb=recipe.split.memory_mb,
    )
