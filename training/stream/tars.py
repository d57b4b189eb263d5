"""Tars that others wrote: the samples in them, found from their headers.

The layout is WebDataset's, as img2dataset, video2dataset and others write it: neighbouring members whose names are
alike up to the first dot after the last slash are a sample. Headers and small members are read, media is jumped over.
What cannot be used is left out and counted; a tar is trusted as little as any stranger's file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curation.errors import UserError
from curation.store import without_secrets
from training.stream.dataset import KINDS
from training.stream.index import ROWS
from training.stream.manifests import printable

VIDEOS = ("mp4", "m4v", "mov", "webm", "mkv")
IMAGES = ("jpg", "jpeg", "png", "webp")
CAPTIONS = ("txt", "json:caption", "json:text")
"""Where a caption is looked for: the ending of a member, and in JSON the path of a field."""

_MOST_TEXT = 1 << 20
_MOST_CAPTION = 1 << 16
_MOST_MEDIA = 1 << 30
# Bytes asked for at a time: the fewest after a jump over media; twice as many each time that little is jumped over.
_LEAST, _MOST = 64 << 10, 8 << 20
# webdataset's: the key up to the first dot after the last slash, then the suffix; and its members that are no samples.
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
_META = re.compile(r"__[^/]*__($|/)")


@dataclass
class Walked:
    """What is in a tar."""

    rows: pa.Table
    """As `index.ROWS`; `shard` is 0."""
    hash: str
    """Of all headers: names, sizes and times of all members."""
    left_out: Counter[str]
    """Samples and odd members that cannot be used, by reason."""


@dataclass(frozen=True)
class Told:
    """What the texts of a sample say of it."""

    caption: str
    duration_s: float | None
    fps: float | None
    width: int | None
    height: int | None


@dataclass
class _Sample:
    key: str
    media: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    wrong: str | None = None


Read = Callable[[int, int], bytes]


def walk(
    read: Read, size: int, url: str, caption: str | None = None, beside: Mapping[str, Told] | None = None
) -> Walked:
    """All samples of a tar.

    Args:
        read: gives the bytes from one offset to another.
        size: of the tar, in bytes.
        url: of the tar, for messages.
        caption: where captions are, in the form of `CAPTIONS`; those are tried in turn unless given.
        beside: what another tar tells of the samples, by key.

    Raises:
        UserError: it is no tar, or a compressed one.
    """
    left_out: Counter[str] = Counter()
    digest = hashlib.sha256()
    columns: dict[str, list[Any]] = {name: [] for name in ROWS.names}
    for sample in _samples(read, size, url, left_out, digest, caption):
        try:
            told = _told(sample, caption)
            if beside is not None:
                if sample.key not in beside:
                    raise _Unusable("nothing of its key in the tar of texts")
                told = beside[sample.key]
            row = _row(sample, told)
        except _Unusable as error:
            left_out[str(error)] += 1
            continue
        for name, values in columns.items():
            values.append(row.get(name))
    return Walked(pa.table(columns, schema=ROWS), digest.hexdigest(), left_out)


def texts(read: Read, size: int, url: str, caption: str | None = None) -> tuple[dict[str, Told], str]:
    """What a tar of texts tells, by key, and the hash of its headers.

    Raises:
        UserError: it is no tar, or a compressed one.
    """
    digest = hashlib.sha256()
    found = {}
    for sample in _samples(read, size, url, Counter(), digest, caption):
        with contextlib.suppress(_Unusable):
            found[sample.key] = _told(sample, caption)
    return found, digest.hexdigest()


def _samples(
    read: Read, size: int, url: str, left_out: Counter[str], digest: Any, caption: str | None
) -> Iterator[_Sample]:
    tape = _Tape(read, size)
    texts = {way.partition(":")[0] for way in _ways(caption)}
    sample: _Sample | None = None
    for member in _members(tape, size, url, left_out):
        digest.update(f"{member.name}\0{member.size}\0{member.mtime}\0{member.chksum}\n".encode("utf-8", "replace"))
        if member.isdir() or _META.match(member.name):
            continue
        if not member.isreg():
            left_out["a link, device or other odd member"] += 1
            continue
        name = _NAME.fullmatch(member.name)
        if name is None:
            left_out["a member without an ending"] += 1
            continue
        key, suffix = name[1], name[2].lower()
        if sample is None or key != sample.key:
            if sample:
                yield sample
            sample = _Sample(key)
        ending = suffix.rpartition(".")[2]
        if suffix in sample.media or suffix in sample.texts:
            sample.wrong = "two members of the same name"
        elif member.issparse():
            sample.wrong = "a sparse member"
        elif ending in VIDEOS or ending in IMAGES:
            sample.media[suffix] = member
        elif suffix in texts or suffix == "json":
            if member.size > _MOST_TEXT:
                sample.wrong = f"{ending} of more than {_MOST_TEXT} bytes"
            else:
                tape.seek(member.offset_data)
                sample.texts[suffix] = tape.read(member.size)
    if sample:
        yield sample


def _members(tape: _Tape, size: int, url: str, left_out: Counter[str]) -> Iterator[tarfile.TarInfo]:
    where = without_secrets(url)
    try:
        tar = tarfile.TarFile(fileobj=tape, encoding="utf-8")  # type: ignore[arg-type]
    except tarfile.TarError as error:
        if size == 0:
            raise UserError(f"{where} is empty") from None
        raise UserError(f"{where} is not a tar, or a compressed one ({error})") from None
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, ValueError, OverflowError, RecursionError):
            left_out["the tar is damaged or ends too early, what follows"] += 1
            return
        if member is None:
            break
        tar.members.clear()  # type: ignore[attr-defined]
        # What tarfile counts as the length of a sparse member is not what it takes in the tar.
        if member.size < 0 or (not member.issparse() and member.offset_data + member.size > size):
            left_out["the tar is damaged or ends too early, what follows"] += 1
            return
        yield member
    # tarfile takes any header that it cannot read for the end.
    tape.seek(tar.offset)
    if any(tape.read(tarfile.BLOCKSIZE)):
        left_out["the tar is damaged or ends too early, what follows"] += 1


class _Unusable(Exception):
    pass


def _ways(caption: str | None) -> tuple[str, ...]:
    return (caption,) if caption else CAPTIONS


def _told(sample: _Sample, caption: str | None) -> Told:
    if sample.wrong:
        raise _Unusable(sample.wrong)
    facts = _json(sample.texts["json"]) if "json" in sample.texts else None
    told = facts if isinstance(facts, dict) else {}
    return Told(
        _caption(sample, facts, _ways(caption)),
        _number(told, "duration_s", "duration"),
        _number(told, "fps", "framerate"),
        _size(told, "width"),
        _size(told, "height"),
    )


def _row(sample: _Sample, told: Told) -> dict[str, Any]:
    if not printable(sample.key):
        raise _Unusable("a key of more than 1024 characters, or with some that cannot be printed")
    kind = next((kind for kind, endings in zip(KINDS, (VIDEOS, IMAGES)) if _first(sample.media, endings)), None)
    if kind is None:
        raise _Unusable("no video or image")
    suffix = _first(sample.media, VIDEOS if kind == "video" else IMAGES)
    member = sample.media[suffix]
    if not 0 < member.size <= _MOST_MEDIA:
        raise _Unusable("media that is empty" if not member.size else f"media of more than {_MOST_MEDIA} bytes")
    return {
        "key": sample.key,
        "shard": 0,
        "kind": KINDS.index(kind),
        "suffix": suffix.rpartition(".")[2],
        "offset": member.offset_data,
        "bytes": member.size,
        "caption": told.caption,
        "frames": 1 if kind == "image" else None,
        "duration_s": told.duration_s if kind == "video" else 0.0,
        "fps": told.fps if kind == "video" else None,
        "width": told.width,
        "height": told.height,
    }


def _first(media: dict[str, tarfile.TarInfo], endings: tuple[str, ...]) -> str:
    """The suffix of the member to take, one that is nothing but an ending before others; else empty."""
    fitting = [suffix for suffix in media if suffix.rpartition(".")[2] in endings]
    return next((suffix for suffix in fitting if suffix in endings), fitting[0] if fitting else "")


def _caption(sample: _Sample, facts: Any, captions: tuple[str, ...]) -> str:
    for way in captions:
        suffix, _, path = way.partition(":")
        if suffix not in sample.texts:
            continue
        if path:
            found = facts if suffix == "json" else _json(sample.texts[suffix])
            for step in path.split("."):
                if isinstance(found, dict):
                    found = found.get(step)
                elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
                    found = found[int(step)]
                else:
                    found = None
            text = found if isinstance(found, str) else ""
        else:
            try:
                text = sample.texts[suffix].decode("utf-8")
            except UnicodeDecodeError:
                raise _Unusable("a caption that is not UTF-8") from None
        if text := text.strip():
            if len(text) > _MOST_CAPTION:
                raise _Unusable(f"a caption of more than {_MOST_CAPTION} characters")
            return text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold halves of characters
    return ""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise _Unusable("JSON that is damaged") from None


def _number(facts: dict[str, Any], *names: str) -> float | None:
    for name in names:
        value = facts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
            return float(value)
    return None


def _size(facts: dict[str, Any], name: str) -> int | None:
    value = facts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16 else None


class _Tape:
    """What tarfile reads from: a window of the file, which grows while little is jumped over."""

    def __init__(self, read: Read, size: int):
        self._read, self._size = read, size
        self._at = 0
        self._start, self._window = 0, b""
        self._step = _LEAST

    def seek(self, offset: int) -> None:
        self._at = offset

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        if count > _MOST_TEXT:  # only headers and small members are read
            raise tarfile.ReadError(f"a header of {count} bytes")
        end = min(self._at + max(count, 0), self._size)
        if end <= self._at:
            return b""
        behind = self._start + len(self._window)
        if self._at < self._start or end > behind:
            near = behind > 0 and self._start <= self._at <= behind + self._step
            self._step = min(self._step * 2, _MOST) if near else _LEAST
            kept = self._window[self._at - self._start :] if self._start <= self._at < behind else b""
            begin = self._at + len(kept)
            self._window = kept + self._read(begin, min(max(end, begin + self._step), self._size))
            self._start = self._at
        piece = self._window[self._at - self._start : end - self._start]
        self._at += len(piece)
        return piece
