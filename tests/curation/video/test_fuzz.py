"""Damage of any kind ends in a row or a reason, and the jail serves the next file."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fuzz_media import fuzz

FILES = 300


def test_mutated_files_cost_their_own_row_only(tmp_path: Path) -> None:
    ends = fuzz(tmp_path, FILES, seed=20)["ends"]
    assert set(ends) == {"row", "marked row", "refused"}
    assert min(ends.values()) > FILES // 10
