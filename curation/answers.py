"""What models answered, kept in `answers/` of an output, so that no answer is paid for twice.

An answer is found by a hash of everything that decided it: clip, pictures, model, prompt, sampling. While a unit
works, answers are written in batches (`00012-0003.parquet`), so that a killed run has lost a few at most; at its
end they become one file (`00012.parquet`), sorted by key. A unit looks into its own files first, and then, for clips
that another unit asked about before the sources were divided anew, into all others. Nothing is ever removed: the
folder grows by what was paid for, and may be deleted by whoever wants to pay again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.errors import StoreError, UserError
from curation.models.captioners import Answer, Spent
from curation.store import Place
from curation.tables import Row

FOLDER = "answers"
# A longer answer is a model that does not stop; it is cut here. Characters.
_LONGEST = 20_000
# Answers are written when so many are waiting, or one has waited so long.
_BATCH, _WAIT_S = 32, 5.0
_THREADS = 8


def key_of(clip_id: str, jpegs: Iterable[bytes], identity: Any) -> bytes:
    """What an answer is found by. 16 bytes."""
    pictures = [hashlib.sha256(jpeg).hexdigest() for jpeg in jpegs]
    text = json.dumps([clip_id, pictures, identity], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()[:16]


class Answers:
    """All answers of one output. Threads may share it; a unit is written by one of them at a time."""

    def __init__(self, out: Place):
        self.out = out
        self._lock = threading.Lock()
        self._index: _Index | None = None

    def of_unit(self, number: int) -> UnitAnswers:
        return UnitAnswers(self, number)

    def spent(self, captioner: str) -> Spent:
        """What this captioner's answers have cost in all runs."""
        columns = ["captioner", "tokens_in", "tokens_out", "dollars"]
        with ThreadPoolExecutor(_THREADS) as pool:
            asked = list(pool.map(lambda name: self.read(name, columns), self.names()))
        table = pa.concat_tables([tables.ANSWERS.empty_table().select(columns), *asked])
        table = table.filter(pc.field("captioner") == captioner)
        tokens = sum(pc.sum(table[name]).as_py() or 0 for name in ("tokens_in", "tokens_out"))
        return Spent(table.num_rows, tokens, pc.sum(table["dollars"]).as_py() or 0.0)

    def names(self) -> list[str]:
        return self.out.names(FOLDER, ".parquet")

    def read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        try:
            table = self.out.table(f"{FOLDER}/{name}", columns)
            return table.select(columns or tables.ANSWERS.names).cast(_schema(columns))
        except (pa.ArrowException, KeyError) as error:
            raise UserError(
                f"{self.out.url(FOLDER)}/{name} holds no answers ({' '.join(str(error).split())[:100]}); remove it"
            ) from None

    def elsewhere(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Answers that were there, in any unit's files, when this process first asked."""
        with self._lock:
            if self._index is None:
                self._index = _Index(self)
            try:
                return self._index.found(keys)
            except StoreError:  # a unit at work elsewhere has put its files together
                self._index = _Index(self)
                return self._index.found(keys)


class UnitAnswers:
    """The answers of one unit while it works: what is known, and what comes in."""

    def __init__(self, answers: Answers, number: int):
        self._answers = answers
        self._unit = f"{number:05d}"
        self._rows: dict[bytes, Row] = {}
        self._files: list[str] = []
        self._waiting: list[Row] = []
        self._since = 0.0
        self._written = 0

    def __enter__(self) -> UnitAnswers:
        whole, pieces = f"{self._unit}.parquet", f"{self._unit}-"
        self._files = [name for name in self._answers.names() if name == whole or name.startswith(pieces)]
        for name in self._files:
            self._rows |= {row["key"]: row for row in self._answers.read(name).to_pylist()}
        self._written = max((int(name[len(pieces) : -8]) + 1 for name in self._files if name != whole), default=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """What came in is kept, also where the unit failed; once it is done, in one file."""
        self._write()
        whole = f"{self._unit}.parquet"
        if kind is None and self._files not in ([], [whole]):
            rows = [self._rows[key] for key in sorted(self._rows)]
            self._answers.out.commit_table(f"{FOLDER}/{whole}", tables.table(rows, tables.ANSWERS))
            for name in self._files:
                if name != whole:
                    self._answers.out.remove(f"{FOLDER}/{name}")

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The answers to these keys that anybody has ever had."""
        found = {key: _answer(self._rows[key]) for key in keys if key in self._rows}
        if missing := [key for key in keys if key not in found]:
            found |= self._answers.elsewhere(missing)
        return found

    def keep(self, key: bytes, clip_id: str, captioner: str, model: str | None, prompt: str, answer: Answer) -> Answer:
        """Take in an answer that has a text; the same, as it will be known from now on."""
        text = (answer.text or "")[:_LONGEST].encode(errors="replace").decode()
        row = {
            "key": key,
            "clip_id": clip_id,
            "captioner": captioner,
            "model": model or "",
            "prompt": prompt,
            "text": text,
            "truncated": answer.truncated or len(answer.text or "") > _LONGEST,
            "refused": answer.refused,
            "tokens_in": answer.tokens_in,
            "tokens_out": answer.tokens_out,
            "dollars": answer.dollars,
        }
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting.append(row)
        self._rows[key] = row
        if len(self._waiting) >= _BATCH or time.monotonic() - self._since > _WAIT_S:
            self._write()
        return _answer(row)

    def _write(self) -> None:
        if self._waiting:
            name = f"{self._unit}-{self._written:06d}.parquet"
            self._answers.out.commit_table(f"{FOLDER}/{name}", tables.table(self._waiting, tables.ANSWERS))
            self._files.append(name)
            self._written += 1
            self._waiting = []


class _Index:
    """Which file of an output holds which keys: 12 bytes an answer."""

    def __init__(self, answers: Answers):
        self._answers, self._names = answers, answers.names()
        names = self._names
        with ThreadPoolExecutor(_THREADS) as pool:
            heads = list(pool.map(lambda name: _heads(answers.read(name, ["key"])["key"].to_pylist()), names))
        all_heads = np.concatenate([np.empty(0, np.uint64), *heads])
        files = np.repeat(np.arange(len(names), dtype=np.int32), [len(head) for head in heads])
        order = np.argsort(all_heads, kind="stable")
        self._heads, self._files = all_heads[order], files[order]

    def found(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        wanted = set(keys)
        heads = np.unique(_heads(keys))
        first, last = (np.searchsorted(self._heads, heads, side=side) for side in ("left", "right"))
        files = {int(file) for start, end in zip(first, last) for file in self._files[start:end]}
        found: dict[bytes, Answer] = {}
        for file in sorted(files):
            rows = self._answers.read(self._names[file]).to_pylist()
            found |= {row["key"]: _answer(row) for row in rows if row["key"] in wanted}
        return found


def _heads(keys: Sequence[bytes]) -> np.ndarray:
    """The first 8 bytes of each key as a number."""
    return np.frombuffer(b"".join(key[:8] for key in keys), dtype=">u8").astype(np.uint64)


def _schema(columns: list[str] | None) -> pa.Schema:
    return pa.schema([tables.ANSWERS.field(name) for name in columns or tables.ANSWERS.names])


def _answer(row: Row) -> Answer:
    given: dict[str, Any] = {
        name: row[name] for name in ("text", "truncated", "refused", "tokens_in", "tokens_out", "dollars")
    }
    return Answer(**given)
