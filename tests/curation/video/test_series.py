"""What is noted of every frame comes back as it was, however long the film and wherever it was divided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.video.series import FRAME, TINY, Series, SeriesWriter


def _written(path: Path, first: int, count: int) -> Path:
    """Records of frames `first` to `first + count`, written in blocks."""
    numbers = first + np.arange(count)
    records = np.zeros(count, FRAME)
    records["number"], records["pts"], records["content"] = np.arange(count), 40 * numbers, numbers + 0.5
    records["tiny"] = (numbers % 251).reshape(-1, 1, 1, 1)
    with SeriesWriter(path) as writer:
        for start in range(0, count, 33):
            writer.extend(records[start : start + 33])
    return path


@pytest.mark.parametrize("count", [0, 1, 2, 4095, 4096, 4097, 9000])
def test_records_come_back_over_every_border_of_the_buffers(tmp_path: Path, count: int) -> None:
    series = Series([_written(tmp_path / "a", 0, count)])
    numbers = np.arange(count)
    assert len(series) == count
    assert np.array_equal(series.column("pts"), 40 * numbers)
    assert np.array_equal(series.column("content"), numbers + 0.5)
    assert np.array_equal(series.tiny(0, count)[:, 0, 0, 0], numbers % 251)


def test_joined_parts_read_like_one(tmp_path: Path) -> None:
    lengths = [700, 1, 0, 4100, 512]
    starts = np.cumsum([0, *lengths])
    parts = [_written(tmp_path / str(number), int(starts[number]), length) for number, length in enumerate(lengths)]
    joined, whole = Series(parts), Series([_written(tmp_path / "whole", 0, sum(lengths))])
    assert len(joined) == len(whole)
    assert np.array_equal(joined.column("pts"), whole.column("pts"))
    for first, end in [(0, 5313), (699, 702), (700, 701), (650, 4900), (4800, 4801), (5000, 9999), (30, 30)]:
        assert np.array_equal(joined.tiny(first, end), whole.tiny(first, end))
    assert joined.tiny(6000, 6001).shape == (0, *TINY, 3)
