"""What a dataset will hold, need and cost, from a measured sample of its sources.

Some sources are probed, some of these go through the phases on this machine, and totals follow by ratio with ranges.
`OUT/prediction.json` keeps it, and `reelmill curate` tells how it compares with what came.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.errors import UserError
from curation.estimate.cluster import Cluster, here
from curation.estimate.measure import Measured, measure
from curation.estimate.predict import Population, Prediction
from curation.estimate.sample import Probed, at_random, chosen, probe, size_of
from curation.estimate.totals import Totals, ranged
from curation.phases import ingest, select
from curation.plan import Plan
from curation.prediction import FORMAT
from curation.recipe import Recipe, hash_of
from curation.recipe_caption import Caption
from curation.store import Place
from curation.tables import Row
from curation.work import PHASES

__all__ = ["Asked", "estimate"]

# Headers that are read for each source that is measured; they cost little, and tell how long all films are.
_PROBED_EACH = 8
_FOR_PROBING = 0.2


@dataclass(frozen=True)
class Asked:
    """How much is measured."""

    sample: int = 24
    """Sources of each kind."""
    seconds: float = 120.0
    """Wall time that it may take, about."""
    excerpt_s: float = 60.0
    """Of films that are longer than one and a half of these, a piece of this length is measured."""
    seed: int = 0
    """Of the choice."""


def estimate(recipe: Recipe, asked: Asked = Asked(), cluster: Cluster | None = None) -> dict[str, Any]:
    """What a run of this recipe will give, JSON-ready; `docs/data.md` lists the keys.

    Raises:
        UserError: the manifest names nothing, no source can be read, or what the recipe needs is missing.
    """
    began = time.monotonic()
    chance = np.random.default_rng(asked.seed)
    listed, _ = ingest.listing(recipe)
    select.check(recipe.select, Plan(recipe, Place(".")).clip_schema())
    good = [row for row in listed if not row["error"]]
    films, images = ([row for row in good if row["kind"] == kind] for kind in ("video", "image"))
    probed = probe(
        at_random(films, chance), recipe, _PROBED_EACH * asked.sample, began + _FOR_PROBING * asked.seconds
    ) if films else []  # fmt: skip
    pictures = [Probed(row, size_of(row) or 0, 1.0) for row in at_random(images, chance)]
    picked = [*chosen(probed, asked.sample, chance), *((one, 1.0) for one in pictures[: asked.sample])]
    if not picked:
        reasons = Counter(one.error for one in probed if one.error).most_common(1) or [(listed[0]["error"], 1)]
        raise UserError(f"none of {len(listed)} sources can be read: {reasons[0][0]}")
    mixed = [picked[at] for at in chance.permutation(len(picked))]
    found = measure(_bounded(recipe, asked), mixed, asked.excerpt_s, began + asked.seconds, chance)
    if not found.sources:
        name, why = next(iter(found.skipped.items()))
        raise UserError(f"none of {len(mixed)} sources could be measured, first {name}: {why}")
    kinds = [
        _totals(found, "video", probed, films, chance),
        _totals(found, "image", pictures, images, chance),
    ]
    population = Population(
        kinds=kinds,
        sources=len(listed),
        unusable=len(listed) - len(good),
        bytes=_bytes(films, images, probed, kinds[1]),
        longest_s=max((one.seconds for one in probed), default=0.0),
        largest=max((one.bytes for one in probed), default=0),
    )
    prediction = Prediction(recipe, population, found, cluster, chance)
    return {
        "format": FORMAT,
        "name": recipe.name,
        "recipe_hash": hash_of(recipe),
        "cluster": (cluster or here()).model_dump(),
        "population": {
            "sources": len(listed),
            "videos": len(films),
            "images": len(images),
            "unusable": len(listed) - len(good),
            "hours": _scaled(ranged(kinds[0].seconds), 1 / 3600),
        },
        "sample": {
            "seed": asked.seed,
            "probed": len(probed),
            "measured": len(found.sources),
            "pieces": sum(not source.whole for source in found.sources),
            "hours": sum(source.seconds for source in found.sources if source.probed.row["kind"] == "video") / 3600,
            "skipped": found.skipped,
            "strata": _strata(probed, found),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "seconds": round(time.monotonic() - began, 3),
        },
        "predicted": {
            "sources": prediction.sources(),
            "clips": prediction.clips(),
            "samples": prediction.samples(),
            "phases": prediction.phases(),
            **prediction.whole(),
        },
        "notes": [*_out_of_time(len(mixed), found), *_notes(recipe, found, probed, len(films), cluster)],
    }


def _bounded(recipe: Recipe, asked: Asked) -> Recipe:
    """The recipe as it is measured: a source a unit, no server asked for captions, no film longer than all may take."""
    local = [name for name in recipe.caption.captioners if name != "endpoint"] or ["describe"]
    styles = {name: style.model_copy(update={"captioners": None}) for name, style in recipe.caption.styles.items()}
    caption = Caption.model_validate(
        {
            "from": local,
            "styles": {name: style.model_dump(by_alias=True) for name, style in styles.items()},
            "language": recipe.caption.language,
            "transformers": recipe.caption.transformers if "transformers" in local else None,
        }
    )
    timeout_s = min(recipe.split.timeout_s, max(asked.seconds, 1.0))
    return recipe.model_copy(
        update={
            "ingest": recipe.ingest.model_copy(update={"unit": 1}),
            "split": recipe.split.model_copy(update={"timeout_s": timeout_s}),
            "caption": caption,
        }
    )


def _totals(
    found: Measured, kind: str, probed: Sequence[Probed], rows: Sequence[Row], chance: np.random.Generator
) -> Totals:
    sizes = [size_of(row) for row in rows]
    known = float(sum(size or 0 for size in sizes)) if all(size is not None for size in sizes) else None
    of_kind = [source for source in found.sources if source.probed.row["kind"] == kind]
    return Totals(of_kind, probed, len(rows), known if kind == "video" else None, chance)


def _bytes(
    films: Sequence[Row], images: Sequence[Row], probed: Sequence[Probed], of_images: Totals
) -> dict[str, float]:
    """Of all sources: as local files say, or as those remote ones that were looked at."""
    known = [size_of(row) for row in (*films, *images)]
    if all(size is not None for size in known):
        return dict.fromkeys(("low", "mid", "high"), float(sum(size or 0 for size in known)))
    total = ranged(of_images.of_each(lambda source: source.gave["bytes"]))
    sizes = np.array([one.bytes for one in probed if one.bytes], np.float64)
    if not len(sizes):
        return total
    mid = float(sizes.mean()) * len(films)
    error = 1.645 * float(sizes.std()) / math.sqrt(len(sizes)) * len(films) if len(sizes) < len(films) else 0.0
    ends = {"low": max(mid - error, 0.0), "mid": mid, "high": mid + error}
    return {name: total[name] + ends[name] for name in ends}


def _strata(probed: Sequence[Probed], found: Measured) -> list[dict[str, Any]]:
    """What kinds of films there are, and how many of each were measured."""
    there = Counter(one.stratum for one in probed if one.error is None)
    measured = Counter(source.probed.stratum for source in found.sources if source.probed.row["kind"] == "video")
    names = ("container", "length_class", "size_class", "probed", "measured")
    return [dict(zip(names, (*stratum, count, measured[stratum]))) for stratum, count in sorted(there.items())]


def _out_of_time(picked: int, found: Measured) -> list[str]:
    left_out = picked - len(found.sources) - len(found.skipped)
    if left_out <= 0:
        return []
    return [f"time ran out: {left_out} of {picked} chosen sources were not measured; give more --seconds"]


def _notes(recipe: Recipe, found: Measured, probed: Sequence[Probed], films: int, cluster: Cluster | None) -> list[str]:
    """What the numbers leave out."""
    notes = []
    if recipe.caption.endpoint:
        notes.append("the captions' endpoint was not asked; local captions stood in, and its time and price are not in")
    if recipe.select.duplicates or recipe.select.balance:
        notes.append("near-duplicates and balance are seen within the sample alone; of all sources more may be dropped")
    wanting = [name for name in ("score", "caption") if _wants_gpu(recipe, name) and name not in found.on_gpu]
    if wanting and (cluster is None or not cluster.gpu_speed):
        notes.append(
            f"there is no GPU here to measure {' and '.join(wanting)} on, which are planned for cores; "
            "say gpu_speed=N in --cluster if you know how many cores a GPU replaces"
        )
    if len(probed) < films:
        notes.append(f"headers of {len(probed)} of {films} films were read; the others are taken to be like them")
    if found.skipped:
        name, why = next(iter(found.skipped.items()))
        notes.append(f"{len(found.skipped)} chosen sources could not be measured, first {name}: {why}")
    return notes


def _wants_gpu(recipe: Recipe, phase: str) -> bool:
    return bool(PHASES[phase](recipe).takes().gpus)


def _scaled(range_: dict[str, float], by: float) -> dict[str, float]:
    return {name: value * by for name, value in range_.items()}
