"""CLIP through open_clip's own loading: the right numbers, the same ones in any company, and clear refusals."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from curation.errors import UserError
from curation.models import batches
from curation.models.clip import ClipModel, _source, dimensions, fetched, loaded
from curation.models.embeddings import of_clip
from curation.recipe_score import Clip
from tests.tiny_clip import CONFIG, NUMBERS, PREPARED

RNG = np.random.default_rng(5)
PICTURES = [RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(11)]


@pytest.fixture(scope="module")
def model(tiny_clip: Path) -> ClipModel:
    return loaded(Clip(model=str(tiny_clip)))


def _by_hand(folder: Path) -> Any:
    """The model put together without what loads models."""
    import open_clip
    from safetensors.torch import load_file

    made = open_clip.model.CLIP(**CONFIG)
    made.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    return made.eval()


def test_embeddings_of_pictures_are_those_of_the_model_on_pictures_prepared_by_hand(
    tiny_clip: Path, model: ClipModel
) -> None:
    rows = []
    for picture in PICTURES[:5]:
        small = Image.fromarray(picture).resize((42, 32), Image.Resampling.BILINEAR).crop((5, 0, 37, 32))
        rows.append((np.asarray(small, np.float32) / 255 - PREPARED["mean"]) / PREPARED["std"])
    with torch.inference_mode():
        given = torch.tensor(np.stack(rows), dtype=torch.float32).permute(0, 3, 1, 2)
        expected = torch.nn.functional.normalize(_by_hand(tiny_clip).encode_image(given), dim=-1).numpy()
    assert model.pictures(PICTURES[:5]) == pytest.approx(expected, abs=1e-5)


def test_embeddings_of_texts_are_those_of_the_text_tower(tiny_clip: Path, model: ClipModel) -> None:
    import open_clip

    texts = ["a red car", "two dogs on a beach", "a cat", "words " * 100, "snow"]
    with torch.inference_mode():
        tokens = open_clip.SimpleTokenizer(context_length=32)(texts)
        expected = torch.nn.functional.normalize(_by_hand(tiny_clip).encode_text(tokens), dim=-1).numpy()
    assert model.texts(texts) == pytest.approx(expected, abs=1e-5)
    assert model.texts([]).shape == (0, NUMBERS)


def test_embedding_is_the_same_to_the_bit_in_any_company(model: ClipModel) -> None:
    together = model.pictures(PICTURES)
    assert model.pictures([]).shape == (0, NUMBERS)
    for number in range(len(PICTURES)):
        assert np.array_equal(model.pictures(PICTURES[number : number + 1])[0], together[number])
    assert np.array_equal(model.pictures(PICTURES[::-1]), together[::-1])
    texts = ["one", "two", "three", "four", "five"]
    assert np.array_equal(model.texts(texts)[::-1], model.texts(texts[::-1]))


def test_embedding_of_a_clip_is_the_mean_of_its_pictures_at_length_one(model: ClipModel) -> None:
    pictures = model.pictures(PICTURES[:3])
    clip = of_clip(pictures.astype(np.float16)).astype(np.float64)
    mean = pictures.mean(axis=0)
    assert clip == pytest.approx(mean / np.linalg.norm(mean), abs=2e-3)
    assert np.linalg.norm(clip) == pytest.approx(1, abs=1e-3)


def test_half_precision_stays_near_the_whole_one(tiny_clip: Path, model: ClipModel) -> None:
    half = ClipModel(Clip(model=str(tiny_clip)), half=True)
    assert half.pictures(PICTURES) == pytest.approx(model.pictures(PICTURES), abs=0.01)


def test_size_of_batches_may_only_change_the_speed() -> None:
    def sums(batch: torch.Tensor) -> np.ndarray:
        return batch.sum(dim=1).numpy() + (1e-6 if len(batch) > 8 else 0)

    used, rates = batches.measured(sums, (5,), (4, 8, 16, 32))
    assert used[0] == 4
    assert set(used) <= {4, 8}
    assert 16 not in rates


@pytest.mark.parametrize("sizes", [(4,), (4, 8), (4, 8, 32)])
def test_batches_hold_every_input_once_and_fit(sizes: tuple[int, ...]) -> None:
    for count in range(1, 90):
        edges = batches.edges(count, sizes)
        assert edges[0] == 0 and edges[-1] == count
        for start, end in zip(edges, edges[1:]):
            assert 0 < end - start <= batches.filled(end - start, sizes) in sizes


def test_configuration_and_checkpoint_can_be_two_files(tiny_clip: Path, model: ClipModel, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps(CONFIG))
    torch.save(_by_hand(tiny_clip).state_dict(), tmp_path / "own.pt")
    clip = Clip(model=str(tmp_path / "own.json"), pretrained=str(tmp_path / "own.pt"))
    assert dimensions(clip) == NUMBERS
    assert fetched(clip) == tmp_path / "own.pt"
    assert ClipModel(clip).texts(["a cat"]) == pytest.approx(model.texts(["a cat"]), abs=1e-6)


def test_models_of_open_clip_are_known_without_loading_them() -> None:
    assert dimensions(Clip(model="ViT-L-14", pretrained="openai")) == 768
    assert dimensions(Clip(model="ViT-B-32", pretrained="openai")) == 512


def test_tag_is_run_with_the_activation_that_it_was_trained_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.models.clip._of_tag", lambda *_: Path("weights"))
    for tag, quick in (("openai", True), ("laion2b_s32b_b82k", False)):
        _, given = _source(Clip(model="ViT-L-14", pretrained=tag))
        assert given["force_quick_gelu"] is quick


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        (
            Clip(model="ViT-L-15", pretrained="openai"),
            "score.clip.model: open_clip has no 'ViT-L-15'; did you mean 'ViT-",
        ),
        (
            Clip(model="ViT-L-14", pretrained="opanai"),
            "score.clip.pretrained: ViT-L-14 has no weights 'opanai'; it has",
        ),
        (Clip(model="./nowhere"), "score.clip.model: no file nowhere/open_clip_config.json"),
        (Clip(model="./no.json", pretrained="x.pt"), "score.clip.model: no file ./no.json"),
        (Clip(model="ViT-B-32", pretrained="no/file.pt"), "score.clip.pretrained: no file no/file.pt"),
    ],
)
def test_what_is_missing_is_named_with_its_key(clip: Clip, told: str) -> None:
    with pytest.raises(UserError) as error:
        fetched(clip)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_that_cannot_be_fetched_are_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("REELMILL_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="hf download timm/vit_large_patch14_clip_224.openai"):
        fetched(Clip(model="ViT-L-14", pretrained="openai"))


def test_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "own.json").write_text(json.dumps(CONFIG))
    (tmp_path / "own.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"weight": Evil()}, tmp_path / "zip.pt")
    for name in ("own.pt", "zip.pt"):
        with pytest.raises(UserError, match="cannot be loaded"):
            ClipModel(Clip(model=str(tmp_path / "own.json"), pretrained=str(tmp_path / name)))
    assert not (tmp_path / "ran").exists()


def test_damaged_weights_are_one_line(tiny_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_clip, folder)
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"score\.clip: .*damaged cannot be loaded"):
        ClipModel(Clip(model=str(folder)))
