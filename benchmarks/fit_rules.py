"""Fit the linear rules by which cuts and transitions are judged, on footage with known truth.

    python -m benchmarks.fit_rules --footage DIR --truth DIR [--seeds 3] [--keep DIR]

Candidates come from `curation.video.scenes.candidates` and `curation.video.gradual.traces`: of the first half of every
real film, and of the joined footage's set `tune`, made from the same halves with several seeds. Nothing of the second
halves is seen, so that `benchmarks.scene_accuracy` can check there. Each rule is a logistic regression with a small
ridge. It prints the constants that go into the two files, and how the rules do on what they were fitted to.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.joined import make
from benchmarks.joined.truth import Truth, read
from curation.video import gradual, scenes
from curation.video.scan import measure
from curation.video.series import Series
from curation.video.settings import Settings

_RIDGE = 1.0
_STEPS = 50
# A trace that lies in a true transition by less than this share of itself teaches nothing.
_LEAST_SHARE = 0.3
# A candidate counts for this many where footage is real.
_REAL = 2.0


@dataclass
class _Examples:
    """Candidates of one rule: what was measured, what is true, and how much each counts."""

    measures: list[tuple[float, ...]] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)

    def add(self, measures: tuple[float, ...], label: bool | None, count: float) -> None:
        if label is not None:
            self.measures.append(measures)
            self.labels.append(label)
            self.counts.append(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, required=True, help="a folder of films")
    parser.add_argument("--truth", type=Path, required=True, help="a folder of what is known of them")
    parser.add_argument("--seeds", type=int, default=3, help="how many times the joined footage is made anew")
    parser.add_argument("--keep", type=Path, help="where joined footage is kept and taken again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        cuts, transitions = _Examples(), _Examples()
        for path, truth, frames, weight in _films(chosen, chosen.keep or Path(folder)):
            stem = Path(folder, "one")
            part = measure(path, Settings(), stem)
            series = Series([Path(part["series"])])
            rate = Fraction(part["rate"])
            candidates = list(scenes.candidates(series, rate))
            found = frozenset(record for record, seen in candidates if scenes.certainty(seen) >= scenes.CERTAIN)
            for record, seen in candidates:
                if record < frames:
                    cuts.add(seen, _is_cut(truth, record), weight)
            for trace in gradual.traces(series, float(rate), found):
                if trace.end <= frames:
                    transitions.add(trace.measures, _is_transition(truth, trace.first, trace.end), weight)
            print(f"{path.name}: {len(cuts.labels)} and {len(transitions.labels)} candidates so far", flush=True)
        _tell("curation/video/scenes.py", cuts, scenes.CERTAIN)
        _tell("curation/video/gradual.py", transitions, gradual.CERTAIN)


def _films(chosen: argparse.Namespace, folder: Path) -> Iterator[tuple[Path, Truth, int, float]]:
    """Each film, its truth, how many of its frames may be looked at, and what its examples weigh."""
    for truth in read(chosen.truth):
        yield chosen.footage / truth.file, truth, truth.frames // 2, _REAL
    for seed in range(1, chosen.seeds + 1):
        made = folder / f"seed{seed}"
        if not (made / "tune").exists():
            make(made, chosen.footage, chosen.truth, ("tune",), seed)
        for truth in read(made / "tune"):
            yield made / "tune" / truth.file, truth, truth.frames, 1.0


def _is_cut(truth: Truth, record: int) -> bool | None:
    """None where it cannot be said: in a transition, or where the truth is to be left out."""
    if any(abs(record - cut) <= 1 for cut in truth.hard_cuts):
        return True
    unsure = [*truth.gradual, *truth.ignore]
    return None if any(first - 1 <= record <= last + 1 for first, last in unsure) else False


def _is_transition(truth: Truth, first: int, end: int) -> bool | None:
    if any(first <= last and end > low for low, last in truth.ignore):
        return None
    inside = max((min(end, last + 1) - max(first, low) for low, last in truth.gradual), default=0)
    if inside <= 0:
        return False
    return True if inside >= _LEAST_SHARE * (end - first) else None


def _tell(file: str, examples: _Examples, certain: float) -> None:
    measures, labels = np.array(examples.measures), np.array(examples.labels)
    weights, bias = fitted(measures, labels, np.array(examples.counts))
    certainty = 1 / (1 + np.exp(-(measures @ weights + bias)))
    said = certainty >= certain
    print(f"\n{file}: {len(labels)} candidates, {labels.sum()} true")
    print(f"WEIGHTS = ({', '.join(f'{weight:.2f}' for weight in weights)})\nBIAS = {bias:.2f}")
    print(f"at {certain}: {(said & labels).sum()} found, {(said & ~labels).sum()} false")


def fitted(measures: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias of a logistic regression with a ridge on standardised measures, by Newton's method."""
    mean, deviation = measures.mean(0), measures.std(0) + 1e-9
    inputs = np.hstack([(measures - mean) / deviation, np.ones((len(measures), 1))])
    ridge = np.diag([_RIDGE] * measures.shape[1] + [0.0])
    solution = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        certainty = 1 / (1 + np.exp(-np.clip(inputs @ solution, -30, 30)))
        slope = inputs.T @ (counts * (certainty - labels)) + ridge @ solution
        curve = (inputs * (counts * certainty * (1 - certainty))[:, None]).T @ inputs + ridge
        solution = solution - np.linalg.solve(curve, slope)
    weights = solution[:-1] / deviation
    return weights, float(solution[-1] - weights @ mean)


if __name__ == "__main__":
    main()
