"""Datasets by address: our own by manifest, and WebDataset tars that anybody wrote."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import posixpath
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Literal, TypeVar, Union
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.errors import UserError
from curation.ranges import NoRanges
from curation.store import filesystem, is_url, publishable, without_secrets
from training.stream import index as indexes
from training.stream import manifests, tars
from training.stream.cache import Cache, named
from training.stream.dataset import Column, Entry, Traffic
from training.stream.faults import SampleError
from training.stream.fetching import Fetching
from training.stream.index import ROWS, Index
from training.stream.patterns import expanded
from training.stream.reading import Reading
from training.stream.remote import Files, Tar

Read = Literal["auto", "shards", "members"]
"""shards: whole tars through the cache; members: each by itself; auto: shards where they all fit into the cache."""

# Changes whenever the same dataset would be indexed differently, since indexes are kept.
_INDEX = "1"
# Indexes that are read at once.
_AT_ONCE = 16
_MOST_MANIFEST, _MOST_INDEX = 1 << 28, 1 << 30

T = TypeVar("T")
R = TypeVar("R")


def open_dataset(
    url: str | Sequence[str],
    *,
    name: str = "",
    caption: str | None = None,
    texts: str | Sequence[str] | None = None,
    cache_dir: str | None = None,
    cache_bytes: int,
    room: int | None = None,
    read: Read = "auto",
) -> Opened:
    """A dataset by address.

    The rows of all samples are read once, from the indexes beside our own tars or from the headers of others', and kept
    in the cache; opening it again asks only for the manifest, or for the versions of the tars.

    Args:
        url: of a manifest.json of any generation, or of its folder; or of tars, with braces or `*`, one or a list.
        name: instead of the manifest's own.
        caption: where captions of foreign tars are, such as `txt` or `json:windows.0.caption`; `tars.CAPTIONS` unless
            given.
        texts: tars with the captions and metadata of foreign tars that hold media alone, under the same keys, one for
            each of `url` (the layout of cosmos-curate: `…/metas/part_000000/000000.tar`).
        cache_dir: the user's cache folder unless given.
        cache_bytes: the most that may be in it, whoever put it there.
        room: how much of it this dataset can count on; all of it unless given.
        read: how bytes are had; see `Read`.

    Raises:
        UserError: the address cannot be read or is none of a dataset, or the cache cannot be used.
    """
    for address in [*_listed(url), *_listed(texts or ())]:
        filesystem(address)  # an address that is none is told as such, before anything takes it apart
    opened = Opened(url, name, caption, texts, Cache(cache_dir, cache_bytes))
    fits = opened.remote_bytes <= (cache_bytes if room is None else room)
    opened.read_whole(read == "shards" or (read == "auto" and fits))
    return opened


class Opened:
    """A `dataset.Dataset` by address."""

    def __init__(
        self,
        url: str | Sequence[str],
        name: str,
        caption: str | None,
        texts: str | Sequence[str] | None,
        cache: Cache,
    ):
        self._given = (url, name, caption, texts)
        self._caption, self._cache = caption, cache
        self.traffic = Traffic()
        self._files = Files(self.traffic)
        self.read_whole(False)
        try:
            if isinstance(url, str) and not _names_tars(url):
                self._open_manifest(url, name)
            else:
                self._open_tars(_listed(url), _listed(texts or ()), name)
        except SampleError as error:
            raise UserError(str(error)) from error
        if not len(self._index):
            reasons = "".join(f"; {count} times {reason}" for reason, count in self.left_out.items())
            raise UserError(f"{self.url} has no samples{reasons}")

    def read_whole(self, whole: bool) -> None:
        """Whether whole tars are fetched."""
        self._whole = whole
        self._reading = Reading(self._files, self._cache, whole=whole)

    @property
    def remote_bytes(self) -> int:
        """Length of all tars that are not on a disk."""
        return sum(tar.bytes for tar in self._tars if not tar.local)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name in _CARRIED}
        return _reopened, (state, self._index.name)

    def __len__(self) -> int:
        return len(self._index)

    def column(self, name: Column) -> NDArray:
        return self._index.column(name)

    def all_keys(self) -> Iterator[str]:
        return self._index.all_keys()

    def entry(self, number: int) -> Entry:
        return self._index.entry(number, self._shown)

    def media(self, entry: Entry) -> bytes:
        return self._reading.media(self._tar_of(entry), entry)

    def reader(self, entry: Entry) -> BinaryIO:
        return self._reading.reader(self._tar_of(entry), entry)

    def prefetch(self, entries: Iterable[Entry]) -> None:
        self._reading.prefetch([(self._tar_of(entry), entry) for entry in entries])

    def close(self) -> None:
        self._reading.close()

    def _tar_of(self, entry: Entry) -> Tar:
        return self._tars[self._index.shard_of(entry.number)]

    def _open_manifest(self, url: str, name: str) -> None:
        if "?" in url and is_url(url):
            raise UserError(f"{without_secrets(url)} has a query, which its shards could not be read with")
        if not url.endswith(".json"):
            url = posixpath.join(url, "manifest.json")
        self.url = without_secrets(url)
        folder = posixpath.dirname(url)
        folder = folder or "."
        content = self._files.whole(url, _MOST_MANIFEST)
        manifest = manifests.parsed(content, self.url)
        self.name = name or manifest.name
        self.hash = manifest.dataset_hash
        self.left_out: dict[str, int] = {}
        self._tars = [Tar(posixpath.join(folder, shard.tar), shard.bytes, shard.sha256) for shard in manifest.shards]
        self._shown = [without_secrets(tar.url) for tar in self._tars]

        name = named(".arrow", _INDEX, publishable(folder), hashlib.sha256(content).hexdigest())
        newest = named(".newest", _INDEX, publishable(folder))
        earlier = self._earlier(newest)

        def rows(item: tuple[int, manifests.Shard]) -> pa.Table:
            number, shard = item
            address = posixpath.join(folder, shard.index)
            known = earlier.rows(shard, number) if earlier else None
            if known is not None:
                return known
            return manifests.rows(shard, number, lambda: self._files.whole(address, _MOST_INDEX), address)

        def all_rows() -> Iterator[pa.Table]:
            yield from _in_order(rows, enumerate(manifest.shards))
            self._cache.drop(newest)
            with self._cache.making(newest, len(name)) as part:
                if part is not None:
                    part.write(name.encode())

        self._index = Index.get(self._cache, name, all_rows, manifests.facts(manifest))

    def _earlier(self, newest: str) -> manifests.Earlier | None:
        """The generation that was indexed last, of which most shards may be in this one too."""
        file = self._cache.open(newest)
        if file is None:
            return None
        with file:
            index = Index.open(self._cache, file.read().decode())
        return manifests.Earlier(index) if index else None

    def _open_tars(self, patterns: Sequence[str], texts: Sequence[str], name: str) -> None:
        urls = list(itertools.chain.from_iterable(map(expanded, patterns)))
        if not urls:
            raise UserError("a list of tars is empty")
        self.url = without_secrets(patterns[0]) + (f" and {len(patterns) - 1} more" if len(patterns) > 1 else "")
        self.name = name or posixpath.basename(without_secrets(patterns[0]))
        self._tars = list(_in_order(self._found, urls))
        self._shown = [without_secrets(url) for url in urls]
        beside = list(itertools.chain.from_iterable(map(expanded, texts)))
        if beside and len(beside) != len(urls):
            raise UserError(f"data.texts: {len(beside)} tars of texts do not go with {len(urls)} tars of media")
        pairs = list(zip(self._tars, _in_order(self._found, beside) if beside else itertools.repeat(None)))
        index = named(".arrow", _INDEX, self._ways, *(tar.name for pair in pairs for tar in pair if tar))
        # Facts are known before the first row is written.
        self._index = Index.open(self._cache, index) or Index.get(
            self._cache, index, functools.partial(self._rows, pairs), self._facts(pairs)
        )
        self.hash = self._index.facts["hash"]
        self.left_out = self._index.facts["left_out"]

    @property
    def _ways(self) -> str:
        return json.dumps(self._caption or tars.CAPTIONS)

    def _found(self, url: str) -> Tar:
        try:
            version = self._files.version(url)
        except NoRanges:
            with self._files.stream(url) as (version, _):
                pass
        if version.size < 0:
            raise UserError(f"{without_secrets(url)}: its server tells neither its length nor parts of it")
        return Tar(url, version.size, None, version)

    def _facts(self, pairs: Sequence[_Pair]) -> dict[str, Any]:
        """What the headers of all tars say; the rows of each are kept from here on."""
        digest = hashlib.sha256()
        left_out: Counter[str] = Counter()
        for _, facts in _in_order(self._walked, pairs):
            digest.update(facts["hash"].encode())
            left_out.update(facts["left_out"])
        return {"hash": digest.hexdigest(), "left_out": dict(left_out)}

    def _rows(self, pairs: Sequence[_Pair]) -> Iterator[pa.Table]:
        for number, (table, _) in enumerate(_in_order(self._walked, pairs)):
            shard = pa.array(np.full(len(table), number, np.int32))
            yield table.set_column(ROWS.get_field_index("shard"), ROWS.field("shard"), shard)

    def _walked(self, pair: _Pair) -> tuple[pa.Table, dict[str, Any]]:
        names = [tar.name for tar in pair if tar]
        return indexes.rows(self._cache, named(".rows", _INDEX, self._ways, *names), lambda: self._walk(*pair))

    def _walk(self, tar: Tar, texts: Tar | None) -> tuple[pa.Table, dict[str, Any]]:
        beside, digest = self._with_parts(texts, tars.texts) if texts else (None, "")
        walked = self._with_parts(tar, functools.partial(tars.walk, beside=beside))
        return walked.rows, {"hash": walked.hash + digest, "left_out": dict(walked.left_out)}

    def _with_parts(self, tar: Tar, walk: Callable[[tars.Read, int, str, str | None], T]) -> T:
        def part(start: int, end: int) -> bytes:
            return self._files.get(tar.url, start, end, tar.version)

        try:
            return walk(part, tar.bytes, tar.url, self._caption)
        except NoRanges:  # then it is read once through, and kept
            fetching = Fetching(self._files, self._cache)
            while (file := self._cache.open(tar.name)) is None:
                fetching.fetch(tar)
            with file:
                return walk(functools.partial(_part, file.fileno()), tar.bytes, tar.url, self._caption)


_Pair = tuple[Tar, Union[Tar, None]]
"""A tar, and the one with its texts."""

# What goes along when a dataset is pickled; the rest is opened again.
_CARRIED = ("_given", "_caption", "_cache", "url", "name", "hash", "left_out", "_tars", "_shown", "_whole")


def _reopened(state: dict[str, Any], name: str) -> Opened:
    dataset = Opened.__new__(Opened)
    dataset.__dict__.update(state)
    dataset.traffic = Traffic()
    dataset._files = Files(dataset.traffic)
    dataset.read_whole(dataset._whole)
    found = Index.open(dataset._cache, name)
    if found is None:  # the cache was emptied meanwhile
        anew = Opened(*dataset._given, dataset._cache)
        anew.read_whole(dataset._whole)
        return anew
    dataset._index = found
    return dataset


def _part(file: int, start: int, end: int) -> bytes:
    return os.pread(file, end - start, start)


def _listed(addresses: str | Sequence[str]) -> Sequence[str]:
    return [addresses] if isinstance(addresses, str) else addresses


def _names_tars(url: str) -> bool:
    path = urlsplit(url).path if is_url(url) else url
    return path.endswith((".tar", "}", "*")) or "{" in url or "*" in path


def _in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results for all items in order; a few are worked on at once, ahead of use."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 2 * _AT_ONCE:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
