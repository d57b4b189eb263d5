"""From a sample to totals over all sources, with ranges: ratio estimates, and a bootstrap over what was sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from curation.estimate.measure import Source
from curation.estimate.sample import Probed

Floats = npt.NDArray[np.float64]
DRAWS = 2000
_LOW, _HIGH = 5.0, 95.0


class Totals:
    """Totals over all sources of one kind. Every total is an array: the estimate, then `DRAWS` of the bootstrap.

    An amount is taken to be in proportion to the seconds of a film (Cochran 1977, ch. 6): the mean of what a second
    gave, over the measured sources, times all seconds. Draws take the measured sources, and those probed, anew with
    replacement (Efron 1979), and spread less the more of all seconds was measured (Cochran 1977, §2.6): what was
    measured whole is no guess.

    Args:
        sources: those measured. With none, all totals are 0.
        probed: those whose headers were read, at random; of images all.
        count: how many sources there are.
        bytes_: of all of them together, where it is known.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        probed: Sequence[Probed],
        count: int,
        bytes_: float | None,
        chance: np.random.Generator,
    ):
        self.sources = list(sources)
        self.count = count
        self._weights = np.array([source.weight for source in sources])
        self._seconds = np.array([source.seconds for source in sources])
        self._whole = np.array([source.probed.seconds for source in sources])
        draws = chance.multinomial(max(len(sources), 1), np.full(max(len(sources), 1), 1 / max(len(sources), 1)), DRAWS)
        self._times = np.vstack([np.ones((1, draws.shape[1])), draws])
        self.readable, self.seconds = self._probed(probed, bytes_, chance)
        measured = float(self._seconds.sum())
        self._spread = np.sqrt(max(0.0, 1 - measured / self.seconds[0])) if self.seconds[0] else 0.0

    def of(self, amount: Callable[[Source], float | None]) -> Floats:
        """The total of an amount that goes with what is decoded; sources for which it is None do not count."""
        values = [amount(source) for source in self.sources]
        return self._near(self.seconds * self._mean(values, self._weights, self._seconds))

    def of_each(self, amount: Callable[[Source], float | None]) -> Floats:
        """The total of an amount that a source has whatever its length."""
        values = [amount(source) for source in self.sources]
        per_source = self._weights / self._whole if len(self._whole) else self._weights
        return self._near(self.readable * self._mean(values, per_source, np.ones(len(values))))

    def rate(self, amount: Callable[[Source], float | None]) -> float:
        """The mean of an amount for a second."""
        values = [amount(source) for source in self.sources]
        return float(self._mean(values, self._weights, self._seconds)[0])

    def _mean(self, values: Sequence[float | None], weights: Floats, over: Floats) -> Floats:
        there = np.array([value is not None for value in values], np.bool_)
        if not there.any():
            return np.zeros(DRAWS + 1)
        ratios = np.array([value for value in values if value is not None], np.float64) / over[there]
        heavy = self._times[:, there] * weights[there]
        total = heavy.sum(axis=1)
        # A draw that took none of those that count says what the estimate says.
        heavy[total == 0] = heavy[0]
        return np.asarray(heavy @ ratios / heavy.sum(axis=1))

    def _near(self, draws: Floats) -> Floats:
        return np.asarray(draws[0] + (draws - draws[0]) * self._spread)

    def _probed(
        self, probed: Sequence[Probed], bytes_: float | None, chance: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """How many sources can be read, and their seconds together."""
        nothing = np.zeros(DRAWS + 1)
        if not probed:
            return nothing, nothing
        usable = np.array([one.error is None and one.seconds > 0 for one in probed], np.float64)
        seconds = np.array([one.seconds for one in probed]) * usable
        sizes = np.array([float(one.bytes) for one in probed])
        if len(probed) == self.count:
            return nothing + usable.sum(), nothing + seconds.sum()
        drawn = chance.multinomial(len(probed), np.full(len(probed), 1 / len(probed)), DRAWS)
        times = np.vstack([np.ones((1, len(probed))), drawn])
        share = self.count / len(probed)
        by = share if bytes_ is None or not sizes.sum() else bytes_ / np.maximum(times @ sizes, 1.0)
        spread = np.sqrt(1 - len(probed) / self.count)
        readable, total = times @ usable * share, times @ seconds * by
        return readable[0] + (readable - readable[0]) * spread, total[0] + (total - total[0]) * spread


def ranged(draws: Floats) -> dict[str, float]:
    """`low`, `mid`, `high`: the estimate, and where nine of ten draws lie."""
    low, high = np.percentile(draws[1:], [_LOW, _HIGH])
    mid = float(draws[0])
    return {"low": min(float(low), mid), "mid": mid, "high": max(float(high), mid)}
