"""The dataset card: a README.md in the layout of the Hugging Face hub, so that the output can be uploaded as it is.

`datasets.load_dataset` finds the tars of the newest generation through the card's configs, one for each kind of sample.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from typing import Any

import yaml

from curation.generations import Manifest
from curation.ledger import as_text, funnel
from curation.recipe import Recipe
from curation.recipe_select import Rule

CARD = "README.md"
# The hub's names for sizes (huggingface.co/docs/hub/datasets-cards).
_SIZES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    *((10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B")),
)
_MEMBER = {"video": "mp4", "image": "jpg"}


def card(recipe: Recipe, manifest: Manifest, sums: dict[str, Any], licences: Sequence[str | None]) -> str:
    """The text of the card; the same for the same tables.

    Args:
        manifest: the newest generation.
        sums: of the ledger.
        licences: of the sources, one for each.
    """
    kinds = sorted({shard.get("kind", "video") for shard in manifest["shards"]}) or ["video"]
    about = {
        "pretty_name": recipe.name,
        "license": "other",
        "task_categories": ["text-to-video"],
        "tags": ["video", "webdataset", "reelmill"],
        "size_categories": [_size(manifest["samples"])],
        "configs": [_config(kind, manifest) for kind in kinds if manifest["shards"]],
    }
    front = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=100)
    members = " or ".join(f"`key.{_MEMBER[kind]}`" for kind in kinds)
    return f"""---
{front}---

# {recipe.name}

{manifest["samples"]:,} captioned samples, {manifest["duration_s"] / 3600:.2f} hours, {manifest["bytes"] / 1e6:.1f} MB
in {len(manifest["shards"])} WebDataset shards (generation {manifest["generation"]}), curated with Reelmill.

```python
from datasets import load_dataset

samples = load_dataset("PATH_OR_NAME", "{kinds[0]}", split="train", streaming=True)
```

Each sample is {members}, its caption `key.txt`, and `key.json` with the source, the exact time range and every score.
`shards/*.parquet` holds the same with offsets, checksums and the time of every frame. Trainers read `manifest.json`.

## Where everything went

```
{as_text(funnel(sums))}
```

## What was kept

{chr(10).join(f"- {_told(rule)}" for rule in recipe.select.every_rule)}

Whole recipe: `recipe.yaml`. Every clip that was dropped, and why: `selection.parquet`.

## Licences of the sources

{_licences(licences)}
"""


def _size(samples: int) -> str:
    at = bisect.bisect_right([most for most, _ in _SIZES], samples)
    return _SIZES[at][1] if at < len(_SIZES) else "n>1T"


def _config(kind: str, manifest: Manifest) -> dict[str, Any]:
    """A pattern where it names this generation's shards alone; a list where kinds or generations share the folder."""
    tars = [shard["tar"] for shard in manifest["shards"] if shard.get("kind", "video") == kind]
    alone = len(tars) == len(manifest["shards"]) == manifest["next_shard"]
    return {"config_name": kind, "data_files": [{"split": "train", "path": "shards/*.tar" if alone else tars}]}


def _told(rule: Rule) -> str:
    conditions = rule.model_dump(mode="json", exclude_defaults=True, exclude={"field"})
    return f"`{rule.field}`: " + ", ".join(f"{name} {_plain(value)}" for name, value in conditions.items())


def _plain(value: Any) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def _licences(licences: Sequence[str | None]) -> str:
    counts = sorted(
        Counter(licence or "not given" for licence in licences).items(), key=lambda item: (-item[1], item[0])
    )
    rows = [f"| {licence.replace('|', '/')} | {count:,} |" for licence, count in counts]
    return "\n".join(["| licence | sources |", "|---|---|", *rows])
