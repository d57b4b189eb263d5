"""Indexes beside a tar that other readers look for: NVIDIA DALI's and webshart's. Both are made from the tar alone."""

from __future__ import annotations

import json
import tarfile
from itertools import groupby
from pathlib import Path

from curation.tables import Row


def written(tar: Path, samples: list[Row]) -> dict[str, Path]:
    """The side-cars of a finished tar, by their names in the output's `shards/`.

    Args:
        samples: the rows of the tar's index: `key`, `width`, `height` and `caption` are told to readers.
    """
    files = {}
    for suffix, text in texts(tar.name, tar.stat().st_size, _members(tar), samples).items():
        path = tar.with_suffix(suffix)
        path.write_text(text, encoding="utf-8")
        files[path.name] = path
    return files


def texts(name: str, size: int, members: list[tarfile.TarInfo], samples: list[Row]) -> dict[str, str]:
    """What the side-cars of a tar say, by their endings.

    Args:
        name: of the tar's file.
        size: of the tar in bytes.
    """
    return {".idx": dali(members), ".json": webshart(name, size, members, samples)}


def dali(members: list[tarfile.TarInfo]) -> str:
    """The index of DALI's `fn.readers.webdataset`, in the format v1.2 of its `wds2idx`.

    A line with the version and the number of samples, then a line a sample: of each member its extension, where its
    bytes begin, how many they are, and its name.
    """
    samples = [list(of) for _, of in groupby(members, key=lambda member: member.name.partition(".")[0])]
    lines = [
        " ".join(f"{m.name.partition('.')[2]} {m.offset_data} {m.size} {m.name}" for m in sample) for sample in samples
    ]
    return "\n".join([f"v1.2 {len(samples)}", *lines]) + "\n"


def webshart(tar: str, size: int, members: list[tarfile.TarInfo], samples: list[Row]) -> str:
    """The JSON of webshart (github.com/bghira/webshart): of each member where its bytes begin and how many they are.

    Media also tell their size in pixels, their caption, and where the sample's own JSON is.
    """
    about = {row["key"]: row for row in samples}
    files: dict[str, Row] = {m.name: {"offset": m.offset_data, "length": m.size} for m in members}
    for name, told in files.items():
        key, _, extension = name.partition(".")
        if extension in ("json", "txt"):
            continue
        row, beside = about[key], files[f"{key}.json"]
        told |= {"width": row["width"], "height": row["height"], "aspect": round(row["width"] / row["height"], 6)}
        told |= {"captions": [row["caption"]] if row["caption"] else []}
        told |= {"json_path": f"{key}.json", "json_offset": beside["offset"], "json_length": beside["length"]}
    return json.dumps({"path": tar, "filesize": size, "files": files}, ensure_ascii=False)


def _members(tar: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(tar) as file:
        return file.getmembers()
