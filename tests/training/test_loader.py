"""Batches: the same whoever prepares them, complete though samples are damaged."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from conftest import Clip, squares, write_dataset

from curation.errors import UserError
from training.recipe import Data
from training.stream.loader import Batch, Loader, Position
from training.stream.plan import Plan
from training.stream.shards import Dataset
from training.stream.views import View, base_view


def loader(
    manifest: Path, *, batch: int = 2, threads: int = 2, position: Position | None = None, **data: object
) -> Loader:
    defaults = {"url": str(manifest), "frames": 4, "stride": 2, "size": (16, 24), "images": 2}
    settings = Data.model_validate({**defaults, **data})
    dataset = Dataset(settings.url, span=settings.span, cache_dir=None, cache_bytes=1)
    view = functools.partial(base_view, dataset, settings, text_dropout=0.0)
    plan = Plan(0, dataset.manifest.dataset_hash, len(dataset))
    return Loader(plan, view, batch=batch, threads=threads, prefetch=1, position=position or Position())


def views(source: Loader, samples: int) -> list[View]:
    return [source.view(source.plan.at(position)) for position in range(samples)]


def batches(source: Loader, count: int) -> list[Batch]:
    stream = iter(source)
    taken = [next(stream) for _ in range(count)]
    stream.close()
    return taken


def test_batches_do_not_depend_on_threads_or_batch_size(dataset: Path) -> None:
    alone = np.concatenate([batch.pixels for batch in batches(loader(dataset, batch=1, threads=1), 12)])
    together = np.concatenate([batch.pixels for batch in batches(loader(dataset, batch=4, threads=3), 3)])
    assert alone.shape == (12, 6, 16, 24, 3)
    assert np.array_equal(alone, together)


def test_a_stream_goes_on_where_the_trainer_stopped(dataset: Path) -> None:
    whole = batches(loader(dataset), 6)
    position = Position()
    first = batches(loader(dataset, position=position), 2)
    assert position.samples == 4
    rest = batches(loader(dataset, position=position), 4)
    assert [batch.keys for batch in first + rest] == [batch.keys for batch in whole]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first + rest, whole))


def test_an_epoch_takes_every_clip_once_with_its_own_captions(dataset: Path) -> None:
    taken = views(loader(dataset), 10)
    assert len({view.keys[0] for view in taken}) == 10
    colours = {clip.key: clip.caption for clip in squares(10)}
    for view in taken:
        assert view.captions == [colours[key] for key in view.keys]
        assert view.keys[0] not in view.keys[1:]


def test_clips_are_strided_pieces_of_the_video(tmp_path: Path) -> None:
    """The square moves one pixel a frame, so the stride shows as its speed."""
    manifest = write_dataset(tmp_path / "one", [Clip("one", 40, "white", 0)])
    for view in views(loader(manifest, frames=5, stride=3, size=(48, 64), flip=False, images=0), 5):
        columns = (view.pixels[:, 20].min(axis=-1) > 150).argmax(axis=1)
        assert np.diff(columns).tolist() == [3, 3, 3, 3]


def test_mirrored_clips_keep_the_side_that_their_caption_names(tmp_path: Path) -> None:
    for caption, mirrored in (("it moves", {True, False}), ("it moves Right.", {False})):
        clip = Clip("one", 40, "white", 0, caption=caption)
        manifest = write_dataset(tmp_path / caption, [clip])
        seen = set()
        for view in views(loader(manifest, size=(48, 64), images=0), 12):
            columns = (view.pixels[:, 20].min(axis=-1) > 150).argmax(axis=1)
            seen.add(bool(columns[1] < columns[0]))
        assert seen == mirrored


def test_text_dropout_empties_that_share_of_captions(dataset: Path) -> None:
    source = loader(dataset)
    view = functools.partial(source.view, text_dropout=0.5)
    captions = [caption for position in range(60) for caption in view(source.plan.at(position)).captions]
    assert 0.35 < captions.count("") / len(captions) < 0.65


def test_a_damaged_sample_is_replaced_and_counted(tmp_path: Path) -> None:
    clips = squares(20)
    clips[3].damage = b"damaged" * 50
    source = loader(write_dataset(tmp_path / "data", clips), images=0)
    position = source.position
    taken = batches(source, 10)
    keys = [key for batch in taken for key in batch.keys]
    assert len(keys) == 20 and "clip003" not in keys and keys.count("clip004") == 2
    failures = [failure for batch in taken for failure in batch.failures]
    assert [failure.key for failure in failures] == ["clip003"] and failures[0].reason
    assert (position.clips, position.replaced) == (20, 1)


def test_too_many_damaged_samples_stop_the_training(tmp_path: Path) -> None:
    clips = squares(12)
    for clip in clips[:4]:
        clip.damage = b"damaged" * 50
    manifest = write_dataset(tmp_path / "data", clips)
    with pytest.raises(UserError, match=r"\d+ of \d+ clips cannot be decoded, the last was clip00[0-3]: "):
        batches(loader(manifest), 60)


def test_a_dataset_without_any_good_sample_says_so(tmp_path: Path) -> None:
    clips = [Clip(f"clip{i}", damage=b"damaged" * 50) for i in range(3)]
    with pytest.raises(UserError, match="none of its samples can be decoded"):
        batches(loader(write_dataset(tmp_path / "data", clips)), 1)
