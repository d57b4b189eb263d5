"""A loss that is no number, or far above what it was: which step, which samples, and what to do about it."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from curation.errors import UserError
from training import recipe_seen
from training.engine.ranks import Ranks

_SHOWN = 20
_LOSS = 0  # place of the loss among the values of a step


class Spikes:
    """Judges the losses of steps by those of the windows before, a window being a line of the log.

    The median of the windows is not moved by a spike in one of them.

    Args:
        past: the mean losses of the windows so far, in a run that goes on; it judges as if it had never stopped.
        least: no loss below this is a spike. A model that predicts nothing but zeros has a loss of about 1, and a
            good one as much for single samples with little noise, whatever its mean.
    """

    def __init__(self, settings: recipe_seen.Spikes, past: Iterable[float] = (), *, least: float = 0.0):
        self.settings = settings
        self._least = least
        self._windows = deque(past, maxlen=settings.windows)

    @property
    def limit(self) -> float:
        """The largest loss that is no spike; infinite without enough windows to tell, and where none is looked for."""
        if self.settings.action == "none" or len(self._windows) < self.settings.windows:
            return math.inf
        return max(self._least, self.settings.factor * statistics.median(self._windows))

    def window(self, loss: float) -> None:
        """Count the mean loss of a window."""
        self._windows.append(loss)

    def skip(self, optimiser: torch.optim.Optimizer, loss: Tensor, ranks: Ranks) -> None:
        """Have a fused optimiser leave out a step with a spike, where that is asked for; decided on the device.

        Args:
            loss: of this rank.
        """
        if self.settings.action == "skip":
            optimiser.found_inf = (ranks.mean(loss) > self.limit).float()  # type: ignore[attr-defined]

    def first(self, steps: Sequence[Sequence[Sequence[float]]]) -> tuple[int, list[int]] | None:
        """The first step that must not be, and the ranks that it comes from; None where all is well.

        Args:
            steps: the values of every rank in every step, the loss first.
        """
        for number, ranks in enumerate(steps):
            if not all(math.isfinite(value) for values in ranks for value in values):
                bad = [rank for rank, values in enumerate(ranks) if not math.isfinite(values[_LOSS])]
                return number, bad or list(range(len(ranks)))
            losses = [values[_LOSS] for values in ranks]
            if self.settings.action == "stop" and statistics.fmean(losses) > self.limit:
                return number, [rank for rank, loss in enumerate(losses) if loss > self.limit] or [
                    losses.index(max(losses))
                ]
        return None

    def error(self, step: int, values: Sequence[Sequence[float]], keys: Iterable[str]) -> UserError:
        """What `first` found, for people.

        Args:
            step: counted from 1.
            values: of every rank in that step.
            keys: of the samples of the ranks that it comes from.
        """
        listed = list(keys)
        names = ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
        if not all(math.isfinite(value) for rank in values for value in rank):
            return UserError(
                f"step {step}: the loss or its gradient is not a finite number; its samples: {names}; "
                "lower optimiser.lr or look at these samples"
            )
        loss = statistics.fmean(rank[_LOSS] for rank in values)
        return UserError(
            f"step {step}: the loss is {loss:.4g}, over the limit of {self.limit:.4g} (train.spikes) by the median of "
            f"the lines before; its samples: {names}; look at these samples, or go on with train.spikes.action=skip "
            "or none"
        )
