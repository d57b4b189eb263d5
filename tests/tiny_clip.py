"""A tiny CLIP with random weights, saved as open_clip saves its models, so that the real loading code runs."""

from __future__ import annotations

import json
from pathlib import Path

NUMBERS = 16
CONFIG = {
    "embed_dim": NUMBERS,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# Preparation of its own, which must be found in the folder: not that of openai's models.
PREPARED = {"mean": [0.4, 0.5, 0.6], "std": [0.3, 0.25, 0.2], "interpolation": "bilinear"}


def write(folder: Path, seed: int = 0) -> Path:
    """A folder as `score.clip.model` takes it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": PREPARED}))
    before = torch.get_rng_state()
    torch.manual_seed(seed)
    model = open_clip.model.CLIP(**CONFIG)
    for value in model.parameters():  # CLIP begins with weights so small that all pictures look alike
        torch.nn.init.normal_(value, std=0.3) if value.ndim > 1 else None
    torch.set_rng_state(before)
    save_file(model.state_dict(), str(folder / "open_clip_model.safetensors"))
    return folder
