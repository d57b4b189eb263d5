"""Windows that overlap: they cover everything, and their average is what all of them object to least."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.cascade.chunks import WHOLE, Box, Cut, Cuts, averaged, boxes


@pytest.mark.parametrize("length", [1, 7, 8, 9, 13, 61])
@pytest.mark.parametrize(("overlap", "multiple"), [(0, 1), (2, 1), (7, 1), (3, 4)])
def test_windows_cover_a_video_and_share_what_they_should(length: int, overlap: int, multiple: int) -> None:
    cut = Cut(8, overlap, multiple)
    starts = cut.starts(length)
    assert starts[0] == 0 and starts[-1] == max(0, length - 8)
    assert all(after - before <= 8 - overlap for before, after in zip(starts, starts[1:]))
    assert all(start % multiple == 0 for start in starts[:-1])
    weights = cut.weights(length)
    assert len(weights) == min(8, length) and weights.min() > 0 and torch.equal(weights, weights.flip(0))


def test_dense_windows_of_interpolation_begin_at_known_frames() -> None:
    for keys in range(16, 60):
        assert all(start % 4 == 0 for start in Cut(61, 13, 4).starts(4 * (keys - 1) + 1))


CUTS: Cuts = (Cut(4, 2), Cut(5, 1), Cut(6, 3))
SHAPE = (9, 8, 13)


def test_what_all_windows_agree_on_passes_unchanged() -> None:
    whole = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0))
    asked: list[Box] = []

    def predict(box: Box) -> torch.Tensor:
        asked.append(box)
        return whole[box]

    torch.testing.assert_close(averaged(predict, CUTS, SHAPE), whole, rtol=0, atol=1e-6)
    assert asked == boxes(CUTS, SHAPE) and len(asked) == 4 * 2 * 4


def test_the_average_is_the_least_squares_of_all_windows() -> None:
    """Against the equations written out: one row for each place of each window, weighted."""
    cut, length = Cut(4, 2), 9
    rng = np.random.default_rng(0)
    starts = cut.starts(length)
    predictions = {start: rng.standard_normal(4) for start in starts}
    weights = np.sqrt(cut.weights(length).double().numpy())
    rows, values = [], []
    for start in starts:
        for place in range(4):
            rows.append(weights[place] * np.eye(length)[start + place])
            values.append(weights[place] * predictions[start][place])
    expected = np.linalg.lstsq(np.stack(rows), np.array(values), rcond=None)[0]
    found = averaged(
        lambda box: torch.from_numpy(predictions[box[2].start]).view(1, 1, 4, 1, 1), (cut, WHOLE, WHOLE), (length, 1, 1)
    )
    np.testing.assert_allclose(found.flatten().numpy(), expected, atol=1e-6)


def test_a_video_of_one_window_is_predicted_as_it_is() -> None:
    whole = torch.randn(1, 2, 3, 4, 5)
    assert torch.equal(averaged(lambda box: whole[box], (Cut(8, 2), Cut(4, 1), Cut(9, 0)), (3, 4, 5)), whole)


@pytest.mark.parametrize("overlap", [0, 1, 2, 3])
def test_what_windows_disagree_on_changes_gradually(overlap: int) -> None:
    """Every window wants its own number: between two of them it goes in even steps, and jumps without overlap."""
    cut, length = Cut(8, overlap), 8 + 3 * (8 - overlap)
    wants = {start: float(number) for number, start in enumerate(cut.starts(length))}

    def predict(box: Box) -> torch.Tensor:
        return torch.full((1, 1, 8, 1, 1), wants[box[2].start])

    found = averaged(predict, (cut, WHOLE, WHOLE), (length, 1, 1)).flatten()
    assert found[0] == 0 and found[-1] == 3
    assert found.diff().max().item() == pytest.approx(1 / (overlap + 1), abs=1e-6) and found.diff().min() >= 0
