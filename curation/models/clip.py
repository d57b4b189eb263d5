"""CLIP by open_clip: pictures and texts to embeddings of length one, on the GPU in half precision where there is one.

An embedding depends on its picture and the model alone, bit for bit: batches are always filled up to a size of which
`batches` has seen that it gives the same results as the others.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import UserError
from curation.models import batches, weights
from curation.recipe_score import Clip

# Sizes of batches to choose from; the first fixes the results. On a core of a CPU nothing is gained beyond the first
# (docs/benchmarks.md), and a size is tried only where the one before was over in a fifth of a second.
_SIZES = {"cpu": (4, 8, 16), "cuda": (32, 64, 128, 256, 512)}
_TEXTS = {"cpu": 4, "cuda": 64}
# Threads that decode and resize the next batch while a GPU works on one.
_THREADS = {"cpu": 1, "cuda": 8}
_KEY = "score.clip"


class ClipModel:
    """A CLIP model with its weights, its preparation of pictures and its tokenizer.

    Args:
        device: cuda or cpu; by default cuda where it is.
        half: float16; by default on cuda.

    Raises:
        UserError: open_clip is not installed, the model or its weights are unknown, missing or damaged.
    """

    def __init__(self, clip: Clip, *, device: str | None = None, half: bool | None = None):
        open_clip = _open_clip()
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        half = self.device == "cuda" if half is None else half
        self._type = torch.float16 if half else torch.float32
        self._numbers = dimensions(clip)
        name, given = _source(clip)
        try:
            self._model = open_clip.create_model(
                name, device=self.device, precision="fp16" if half else "fp32", require_pretrained=True, **given
            ).eval()
        except Exception as error:  # damaged files raise anything
            raise UserError(f"{_told(clip)} cannot be loaded: {' '.join(str(error).split())[:200]}") from error
        prepared = open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(self._model))
        self._prepare = open_clip.transform.image_transform_v2(prepared, is_train=False)
        self._tokenize = open_clip.get_tokenizer(name)
        self._shape = tuple(prepared.input_size)
        self.scale = float(self._model.logit_scale.detach().exp())
        """What a difference of cosines is multiplied by before a softmax (CLIP, arXiv 2103.00020, section 2.3)."""

    def pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings (n, numbers) float64 of pictures (H, W, 3) uint8 RGB, each of length one."""
        from PIL import Image

        def prepare(picture: np.ndarray) -> Any:
            return self._prepare(Image.fromarray(picture))

        with ThreadPoolExecutor(_THREADS[self.device]) as pool:
            return self._pictures(lambda start, end: pool.map(prepare, pictures[start:end]), len(pictures))

    def _pictures(self, prepared: Callable[[int, int], Iterable[Any]], count: int) -> np.ndarray:
        """`prepared` begins to prepare the pictures from one number to another and gives them when they are ready."""
        import torch

        found = [np.empty((0, self._numbers))]
        spans = list(pairwise(batches.edges(count, self.sizes))) if count else []
        waiting = prepared(*spans[0]) if spans else []
        for (start, end), following in zip(spans, [*spans[1:], None]):
            ready = torch.stack(list(waiting))
            waiting = prepared(*following) if following is not None else []
            batch = torch.zeros((batches.filled(end - start, self.sizes), *self._shape))
            batch[: end - start] = ready
            found.append(self._forward(batch)[: end - start])
        return _unit_length(np.concatenate(found))

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings (n, numbers) float64 of texts, each of length one. Longer ones are cut off by the tokenizer."""
        import torch

        size = _TEXTS[self.device]
        found = [np.empty((0, self._numbers))]
        for start in range(0, len(texts), size):
            some = list(texts[start : start + size])
            tokens = self._tokenize(some + [""] * (size - len(some))).to(self.device)
            with torch.inference_mode(), _one_thread():
                found.append(self._model.encode_text(tokens).float().cpu().numpy()[: len(some)])
        return _unit_length(np.concatenate(found))

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of batches that are used, from the smallest to the fastest."""
        chosen, _ = batches.measured(self._forward, self._shape, _SIZES[self.device])
        return chosen

    def _forward(self, batch: Any) -> np.ndarray:
        import torch

        with torch.inference_mode(), _one_thread():
            given = batch.to(device=self.device, dtype=self._type, non_blocking=True)
            numbers: np.ndarray = self._model.encode_image(given).float().cpu().numpy()
        return numbers


@functools.lru_cache(maxsize=1)
def loaded(clip: Clip) -> ClipModel:
    """The model, once a worker."""
    return ClipModel(clip)


def dimensions(clip: Clip) -> int:
    """How many numbers an embedding has; read without loading weights or PyTorch.

    Raises:
        UserError: open_clip is not installed, or knows no such model.
    """
    if clip.model.startswith("hf-hub:"):
        with _from_hub(clip, clip.model.removeprefix("hf-hub:")):
            return int(_open_clip().get_model_config(clip.model)["embed_dim"])
    file = _config_file(clip)
    config = json.loads(file.read_text(encoding="utf-8"))
    return int(config.get("model_cfg", config)["embed_dim"])


def fetched(clip: Clip) -> Path:
    """The model's weights on this machine, or the folder that has them; fetched if they are not there yet.

    Raises:
        UserError: says what is missing and how to get it.
    """
    dimensions(clip)
    name, given = _source(clip)
    if clip.model.startswith("hf-hub:"):
        with _from_hub(clip, name.removeprefix("hf-hub:")):
            return Path(_open_clip().download_pretrained_from_hf(name.removeprefix("hf-hub:")))
    return Path(given.get("pretrained", clip.model))


def _config_file(clip: Clip) -> Path:
    if clip.brings_weights:
        file = Path(clip.model) / "open_clip_config.json"
        if not file.is_file():
            raise UserError(f"{_KEY}.model: no file {file}; give a name of open_clip, or a folder that has one")
        return file
    if clip.model.endswith(".json"):
        if not Path(clip.model).is_file():
            raise UserError(f"{_KEY}.model: no file {clip.model} on {platform.node()}")
        return Path(clip.model)
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise _not_installed()
    folder = Path(spec.submodule_search_locations[0]) / "model_configs"
    file = folder / f"{clip.model}.json"
    if not file.is_file():
        import difflib

        near = difflib.get_close_matches(clip.model, [path.stem for path in folder.glob("*.json")], n=1, cutoff=0.4)
        advice = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"{_KEY}.model: open_clip has no {clip.model!r}{advice}")
    return file


def _source(clip: Clip) -> tuple[str, dict[str, Any]]:
    """The name and the other arguments by which open_clip makes the model, its weights fetched."""
    open_clip = _open_clip()
    if clip.brings_weights:
        return (clip.model if clip.model.startswith("hf-hub:") else f"local-dir:{clip.model}"), {}
    assert clip.pretrained is not None
    if clip.model.endswith(".json"):
        open_clip.add_model_config(_config_file(clip))
        return Path(clip.model).stem, {"pretrained": str(weights.found(clip.pretrained, f"{_KEY}.pretrained"))}
    tag = open_clip.get_pretrained_cfg(clip.model, clip.pretrained)
    if not tag:
        if not weights.is_url(clip.pretrained) and not Path(clip.pretrained).suffix:
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(clip.model)) or "none"
            raise UserError(f"{_KEY}.pretrained: {clip.model} has no weights {clip.pretrained!r}; it has {tags}")
        return clip.model, {"pretrained": str(weights.found(clip.pretrained, f"{_KEY}.pretrained"))}
    # open_clip only warns where a tag was trained with another activation than its model's configuration says.
    prepared = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in tag}
    given = {"force_quick_gelu": bool(tag.get("quick_gelu")), "force_preprocess_cfg": prepared}
    return clip.model, {"pretrained": str(_of_tag(open_clip, clip, tag)), **given}


def _of_tag(open_clip: Any, clip: Clip, tag: dict[str, Any]) -> Path:
    if not tag.get("hf_hub"):
        return weights.fetched(tag["url"], f"{_KEY}.pretrained")
    repository, _, file = tag["hf_hub"].rpartition("/")
    with _from_hub(clip, f"{repository} {file}".rstrip()):
        return Path(open_clip.download_pretrained_from_hf(repository, filename=file or None))


@contextmanager
def _from_hub(clip: Clip, files: str) -> Iterator[None]:
    """One process of this node at a time asks the hub for these files."""
    try:
        with weights.alone(f"{clip.model}-{clip.pretrained}"):
            yield
    except Exception as error:  # the hub's library raises its own
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{_told(clip)}: the weights are not on {platform.node()} and cannot be fetched; get them with "
            f"`hf download {files}`, or give the path of a checkpoint ({reason})"
        ) from error


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise _not_installed() from error
    return open_clip


def _not_installed() -> UserError:
    return UserError(f"{_KEY} needs open_clip, which is not installed; pip install 'reelmill[models]'")


def _told(clip: Clip) -> str:
    return f"{_KEY}: {clip.model}" + (f" with {clip.pretrained}" if clip.pretrained else "")


def _unit_length(rows: np.ndarray) -> np.ndarray:
    wide = rows.astype(np.float64)
    lengths: np.ndarray = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    normalised: np.ndarray = wide / np.maximum(lengths, 1e-12)[:, None]
    return normalised


@contextmanager
def _one_thread() -> Iterator[None]:
    """A worker is one of as many as there are cores; and sums depend on how threads share them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
