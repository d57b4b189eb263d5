"""How well found transitions agree with known ones.

**Hard cuts.** A true cut is found by a found cut at most `TOLERANCE` frames away, one to one. A true cut that is left
over counts for recall too, once a range, where a found range covers it (`by_range`): the range parts the shots there,
as at the end of a fade to black. A found cut that matches none is *inside* where it lies in a true gradual transition,
and then neither right nor wrong; else it is false. Precision is right / (right + false).

**Gradual transitions.** A found range that overlaps a true one finds it, one to one, largest intersection over
union first; every other range is false, a second one on the same transition too. A true transition is *touched* if a
range found it or a found cut is inside: all that detectors without ranges can do.

**Frames.** Leak: the share of frames of true transitions that no found range takes out. Lost: the share of all other
frames that one does.

**Traps.** One is sprung by a false cut or a false range on it, `TOLERANCE` frames around included.

What lies in ignored ranges, found or known, counts nowhere; a found range that touches one and finds nothing neither.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from benchmarks.joined.truth import Range, Truth

TOLERANCE = 1


@dataclass
class Found:
    """What a detector says of a film: frames that begin a shot, and transitions [first, end) between shots."""

    cuts: list[int]
    ranges: list[tuple[int, int]] = field(default_factory=list)
    cpu_s: float = 0.0


@dataclass
class Score:
    """Counts of one film, or of several added up."""

    cuts: int = 0
    cuts_found: int = 0
    cuts_by_range: int = 0
    cuts_false: int = 0
    cuts_inside: int = 0
    gradual: int = 0
    gradual_found: int = 0
    gradual_touched: int = 0
    ranges_false: int = 0
    overlap: float = 0.0
    """Sum of intersection over union of the transitions that were found."""
    leaked: int = 0
    gradual_frames: int = 0
    lost: int = 0
    shot_frames: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Transitions by kind and length."""
    kinds_found: Counter[str] = field(default_factory=Counter)
    kinds_touched: Counter[str] = field(default_factory=Counter)
    traps: Counter[str] = field(default_factory=Counter)
    traps_sprung: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0

    def __add__(self, other: Score) -> Score:
        return Score(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    @property
    def hard(self) -> dict[str, float | None]:
        return _rates(self.cuts_found + self.cuts_by_range, self.cuts, self.cuts_found, self.cuts_false)

    @property
    def soft(self) -> dict[str, float | None]:
        return _rates(self.gradual_found, self.gradual, self.gradual_found, self.ranges_false)

    def to_json(self) -> dict[str, Any]:
        """All counts, and the rates of them; None where there was nothing to count."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            "hard": self.hard,
            "soft": self.soft,
            "iou": ratio(self.overlap, self.gradual_found),
            "leak": ratio(self.leaked, self.gradual_frames),
            "loss": ratio(self.lost, self.shot_frames),
        }


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def scored(truth: Truth, found: Found) -> Score:
    """Counts of one film; see the module for what they mean."""
    cuts = [cut for cut in truth.hard_cuts if not _within(cut, truth.ignore)]
    said = [cut for cut in sorted(found.cuts) if not _within(cut, truth.ignore)]
    right = _paired(cuts, said)
    free_ranges = list(found.ranges)
    by_range = 0
    for cut in cuts:
        cover = next((one for one in free_ranges if one[0] - TOLERANCE <= cut <= one[1] + TOLERANCE), None)
        if cut not in right and cover:
            free_ranges.remove(cover)
            by_range += 1
    rest = [cut for cut in said if cut not in right.values()]
    inside = [cut for cut in rest if _within(cut, truth.gradual)]
    false_cuts = [cut for cut in rest if cut not in inside]
    score = Score(
        cuts=len(cuts),
        cuts_found=len(right),
        cuts_by_range=by_range,
        cuts_false=len(false_cuts),
        cuts_inside=len(inside),
        cpu_s=found.cpu_s,
    )
    false_ranges = _score_ranges(score, truth, found.ranges, inside)
    _score_frames(score, truth, found.ranges)
    events: list[Range] = [(cut, cut) for cut in false_cuts] + [(first, end - 1) for first, end in false_ranges]
    for (first, last), kind in truth.traps:
        score.traps[kind] += 1
        score.traps_sprung[kind] += any(a <= last + 1 + TOLERANCE and b >= first - TOLERANCE for a, b in events)
    return score


def _score_ranges(
    score: Score, truth: Truth, ranges: list[tuple[int, int]], inside: list[int]
) -> list[tuple[int, int]]:
    """Count the gradual transitions; the found ranges that are false."""
    unions = {
        (known, one): share
        for known in range(len(truth.gradual))
        for one in range(len(ranges))
        if (share := _iou(truth.gradual[known], ranges[one])) > 0
    }
    finds: dict[int, int] = {}
    for (known, one), share in sorted(unions.items(), key=lambda pair: -pair[1]):
        if known not in finds and one not in finds.values():
            finds[known] = one
            score.overlap += share
    for known, ((first, last), kind) in enumerate(zip(truth.gradual, truth.kinds)):
        name = f"{kind} {last - first + 1}"
        touched = known in finds or any(_within(cut, [(first, last)]) for cut in inside)
        score.gradual += 1
        score.gradual_found += known in finds
        score.gradual_touched += touched
        score.kinds[name] += 1
        score.kinds_found[name] += known in finds
        score.kinds_touched[name] += touched
    spare = [one for number, one in enumerate(ranges) if number not in finds.values()]
    false = [one for one in spare if not any(_iou(ignored, one) for ignored in truth.ignore)]
    score.ranges_false = len(false)
    return false


def _score_frames(score: Score, truth: Truth, ranges: list[tuple[int, int]]) -> None:
    ignored = _frames([(first, last + 1) for first, last in truth.ignore])
    gradual = _frames([(first, last + 1) for first, last in truth.gradual]) - ignored
    taken = _frames(ranges)
    score.gradual_frames = len(gradual)
    score.leaked = len(gradual - taken)
    score.shot_frames = truth.frames - len(gradual) - len(ignored)
    score.lost = len(taken - gradual - ignored)


def _paired(true: list[int], said: list[int]) -> dict[int, int]:
    """The largest one-to-one matching within the tolerance; both lists rise."""
    pairs: dict[int, int] = {}
    left = list(said)
    for cut in true:
        near = next((one for one in left if abs(one - cut) <= TOLERANCE), None)
        if near is not None:
            left.remove(near)
            pairs[cut] = near
    return pairs


def _within(cut: int, ranges: list[Range]) -> bool:
    """Whether a cut lies in a range or right at its ends."""
    return any(first - TOLERANCE <= cut <= last + 1 + TOLERANCE for first, last in ranges)


def _iou(known: Range, one: tuple[int, int]) -> float:
    first, end = known[0], known[1] + 1
    shared = max(0, min(end, one[1]) - max(first, one[0]))
    return shared / (end - first + one[1] - one[0] - shared)


def _frames(ranges: list[tuple[int, int]]) -> set[int]:
    return {frame for first, end in ranges for frame in range(first, end)}


def _rates(recalled: int, true: int, right: int, false: int) -> dict[str, float | None]:
    precision, recall = ratio(right, right + false), ratio(recalled, true)
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}
