"""From what a person types to the clip or the source that it names."""

from __future__ import annotations

import difflib
import posixpath
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curation import parts
from curation.errors import UserError
from curation.inspect.rows import Wanted, everywhere
from curation.store import Place, publishable, without_secrets

_CLIP = re.compile(r"[0-9a-f]{1,16}")
_MEMBER = re.compile(r"\.(mp4|jpg|txt|json)$")
_WHOLE_ID = 16
# Names that are compared letter by letter with one that is not there.
_COMPARED = 20_000
_TOLD = 5
# Digits in which an id is like another one not by chance.
_LEAST_ALIKE = 4


@dataclass(frozen=True)
class Clip:
    """Where a clip stands in the tables by source."""

    clip_id: str
    part: int
    row: int
    """In its part; scores have the order of the clips."""


@dataclass(frozen=True)
class Source:
    """Where a source stands."""

    source_id: str
    part: int


def named(out: Place, name: str) -> Clip | Source:
    """The one clip or source that a name means: a clip id or its beginning, a member of a tar such as KEY.mp4, a
    source's id, its address, or the end of either.

    Raises:
        UserError: it means none, or several.
    """
    key = _MEMBER.sub("", posixpath.basename(name)).lower()
    whole = len(key) == _WHOLE_ID and _CLIP.fullmatch(key)
    if whole and (clips := _clips(out, key)):
        return clips[0]
    sources = _sources(out)
    if (at := _exactly(sources, name)) is not None:
        return at
    if not whole and _CLIP.fullmatch(key) and (clips := _clips(out, key)):
        if len(clips) > 1:
            raise _several(name, "clips", [clip.clip_id for clip in clips])
        return clips[0]
    ending = _ending(sources, name)
    if len(ending) > 1:
        raise _several(name, "sources", [at.source_id for at in ending])
    if ending:
        return ending[0]
    near = _near_clips(out, key) or _near(sources["source_id"].to_pylist(), name)
    advice = (
        f"the nearest are {', '.join(near)}" if near else "a clip has 16 hex digits, a source what stands in sources/"
    )
    raise UserError(f"{without_secrets(out.url())}: no clip or source {without_secrets(name)!r}; {advice}")


def _clips(out: Place, key: str) -> list[Clip]:
    """By the scores, which are small and in the order of the clips; before there are any, by the clips."""
    table = "scores" if parts.units(out, "scores") else "clips"
    if not parts.units(out, table):
        return []
    found = everywhere(out, table, Wanted("clip_id", key, prefix=len(key) < _WHOLE_ID), ["clip_id"])
    return [Clip(row["clip_id"], part, row["row"]) for part, row in found]


def _sources(out: Place) -> pa.Table:
    """Id, address and part of every source."""
    return parts.read(out, "inputs", ["source_id", "uri"], numbered=True)


def _exactly(sources: pa.Table, name: str) -> Source | None:
    for column, wanted in (("source_id", name), ("uri", name)):
        at = pc.index(sources[column], wanted).as_py()
        if at >= 0:
            return _source(sources, at)
    return None


def _ending(sources: pa.Table, name: str) -> list[Source]:
    """The sources whose id or address, without its secrets, ends so after a slash, or would without its ending."""
    whole = name.lstrip("/")
    if not whole:
        return []
    holding = pc.or_(*(pc.match_substring(sources[key], posixpath.basename(whole)) for key in ("source_id", "uri")))
    wanted = re.compile(rf"(^|/){re.escape(whole)}(\.\w{{1,5}})?$")
    rows = (at.as_py() for at in pc.indices_nonzero(holding))
    texts = ((at, sources["source_id"][at].as_py(), publishable(sources["uri"][at].as_py())) for at in rows)
    return [_source(sources, at) for at, *either in texts if any(map(wanted.search, either))]


def _source(sources: pa.Table, at: int) -> Source:
    return Source(sources["source_id"][at].as_py(), sources["part"][at].as_py())


def _several(name: str, what: str, ids: list[str]) -> UserError:
    more = ", …" if len(ids) > _TOLD else ""
    return UserError(f"{name!r} names {len(ids)} {what}: {', '.join(ids[:_TOLD])}{more}; give more of the one you mean")


def _near_clips(out: Place, key: str) -> list[str]:
    """The clips whose ids begin most like this one."""
    digits = re.match(r"[0-9a-f]*", key)
    for length in range(len(digits[0]) if digits else 0, _LEAST_ALIKE - 1, -1):
        if found := _clips(out, key[:length]):
            return [clip.clip_id for clip in found[:_TOLD]]
    return []


def _near(ids: list[str], name: str) -> list[str]:
    """The sources that hold this text in their id, or else are spelled like it."""
    low = name.lower()
    holding = [one for one in ids if low and low in one.lower()][:_TOLD]
    return holding or difflib.get_close_matches(name, ids[:_COMPARED], n=3, cutoff=0.5)
