"""Balance: no group of clips is larger than it may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation.phases.select.order import at_random, best_first
from curation.phases.select.percentiles import Bools
from curation.phases.select.reasons import Verdict
from curation.phases.select.rules import coded
from curation.recipe_select import Balance


def balanced(clips: pa.Table, balance: Balance, keep_by: Sequence[str], rows: Bools) -> Verdict:
    """The clips among `rows` that are too many in their group. The same clips stay in whatever order they come."""
    order = np.flatnonzero(rows)
    if balance.choose == "best":
        order = best_first(clips, keep_by, order)
    else:
        order = at_random(clips, balance.seed, order)
    group, names = coded(clips[balance.by])
    sizes = np.bincount(group[order], minlength=len(names))
    most = balance.most or max(int((balance.times_median or 1) * np.median(sizes[sizes > 0])), 1) if len(order) else 0
    by_group = order[np.argsort(group[order], kind="stable")]
    first = np.cumsum(sizes) - sizes
    place = np.arange(len(by_group)) - first[group[by_group]]
    codes = np.full(clips.num_rows, Verdict.PASSES, np.int32)
    codes[by_group[place >= most]] = 0
    return Verdict(codes, [f"balance: more than {most} of one {balance.by}"])
