"""Batches: the same whoever prepares them, complete though samples are damaged."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import webdataset
from conftest import Clip, squares, write_dataset
from PIL import Image

from curation.errors import UserError
from training.recipe_data import Data
from training.stream import Batch, Loader, Position, batches
from training.stream.opened import open_loader


def loader(
    manifest: Path,
    *,
    batch: int = 2,
    position: Position | None = None,
    text_dropout: float = 0.0,
    rank: int = 0,
    world: int = 1,
    **data: object,
) -> Loader:
    defaults = {"url": str(manifest), "frames": 4, "stride": 2, "size": (16, 24), "images": 2, "prefetch": 1}
    return open_loader(
        Data.model_validate({**defaults, **data}),
        seed=0,
        batch=batch,
        text_dropout=text_dropout,
        position=position,
        rank=rank,
        world=world,
    )


def taken(source: Loader, count: int) -> list[Batch]:
    stream = iter(source)
    found = [next(stream) for _ in range(count)]
    stream.close()
    return found


def same(one: Batch, other: Batch) -> bool:
    """Whether all that a trainer sees is equal."""
    fields = [dataclasses.astuple(dataclasses.replace(batch, draws=[], failures=[])) for batch in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*fields)) and one.draws == other.draws


def joined(parts: list[Batch]) -> Batch:
    """The slices of all ranks as one batch."""
    return Batch(
        pixels=np.concatenate([part.pixels for part in parts]),
        frames=parts[0].frames,
        captions=[captions for part in parts for captions in part.captions],
        keys=[key for part in parts for key in part.keys],
        draws=[draws for part in parts for draws in part.draws],
        fps=np.concatenate([part.fps for part in parts]),
        known=np.concatenate([part.known for part in parts]),
        low=None,
        noise_level=np.concatenate([part.noise_level for part in parts]),
        failures=[],
    )


def on_ranks(manifest: Path, world: int, count: int, positions: list[Position], **data: object) -> list[Batch]:
    """What so many ranks take together, step by step."""
    ranks = [
        taken(loader(manifest, batch=4, position=positions[rank], rank=rank, world=world, **data), count)
        for rank in range(world)
    ]
    return [joined(list(parts)) for parts in zip(*ranks)]


SHARED = {"stride": (1, 2), "known": "mask", "text_dropout": 0.3, "window": 2}


def test_the_sequence_is_the_same_on_any_ranks_and_threads(dataset: Path) -> None:
    """Samples, pictures, captions and all draws, over more than an epoch."""
    whole = on_ranks(dataset, 1, 4, [Position()], threads=2, **SHARED)
    assert {draws.epoch for batch in whole for draws in batch.draws} == {0, 1}
    for world, threads in itertools.product((1, 2, 4), (0, 1, 3)):
        positions = [Position() for _ in range(world)]
        found = on_ranks(dataset, world, 4, positions, threads=threads, **SHARED)
        assert all(map(same, found, whole)), (world, threads)
        cursors = [json.dumps(dataclasses.asdict(position.cursor)) for position in positions]
        assert len(set(cursors)) == 1 and {position.samples for position in positions} == {16}


@pytest.mark.parametrize(("stop", "before", "after"), [(1, (2, 3), (1, 0)), (2, (1, 1), (4, 3)), (3, (4, 0), (2, 1))])
def test_a_stream_goes_on_where_the_trainer_stopped_on_another_layout(
    dataset: Path, stop: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Only what the trainer took counts, though more was prepared; the state goes through JSON."""
    whole = on_ranks(dataset, 1, 5, [Position()], **SHARED)
    positions = [Position() for _ in range(before[0])]
    first = on_ranks(dataset, before[0], stop, positions, threads=before[1], **SHARED)
    state = json.dumps(dataclasses.asdict(positions[0]))
    again = [Position.from_json(json.loads(state)) for _ in range(after[0])]
    rest = on_ranks(dataset, after[0], 5 - stop, again, threads=after[1], **SHARED)
    assert len(first + rest) == len(whole) and all(map(same, first + rest, whole))


def test_the_public_batches_are_those_of_the_trainer(dataset: Path) -> None:
    stream = batches(str(dataset), batch=2, frames=4, stride=2, size=(16, 24), images=2)
    assert all(same(next(stream), batch) for batch in taken(loader(dataset), 3))
    with pytest.raises(UserError, match="did you mean 'stride'"):
        batches(str(dataset), strides=3)


def test_an_epoch_takes_every_clip_once_with_its_own_captions(dataset: Path) -> None:
    found = taken(loader(dataset), 5)
    clips = [keys[0] for batch in found for keys in _by_sample(batch)]
    assert len(set(clips)) == 10
    colours = {clip.key: clip.caption for clip in squares(10)}
    for batch in found:
        for keys, captions in zip(_by_sample(batch), batch.captions):
            assert captions == [colours[key] for key in keys]
            assert keys[0] not in keys[1:]


def _by_sample(batch: Batch) -> list[list[str]]:
    count = len(batch.captions[0])
    return [batch.keys[start : start + count] for start in range(0, len(batch.keys), count)]


def test_clips_are_strided_pieces_of_the_video(tmp_path: Path) -> None:
    """The square moves one pixel a frame, so the stride shows as its speed."""
    manifest = write_dataset(tmp_path / "one", [Clip("one", 40, "white", 0)])
    for batch in taken(loader(manifest, frames=5, stride=3, size=(48, 64), flip=False, images=0), 3):
        for pixels, fps in zip(batch.pixels, batch.fps):
            columns = (pixels[:, 20].min(axis=-1) > 150).argmax(axis=1)
            assert np.diff(columns).tolist() == [3, 3, 3, 3]
            assert fps == pytest.approx(8.0)


def test_mirrored_clips_keep_the_side_that_their_caption_names(tmp_path: Path) -> None:
    for caption, mirrored in (("it moves", {True, False}), ("it moves Right.", {False})):
        clip = Clip("one", 40, "white", 0, caption=caption)
        manifest = write_dataset(tmp_path / caption, [clip])
        seen = set()
        for batch in taken(loader(manifest, size=(48, 64), images=0), 6):
            for pixels in batch.pixels:
                columns = (pixels[:, 20].min(axis=-1) > 150).argmax(axis=1)
                seen.add(bool(columns[1] < columns[0]))
        assert seen == mirrored


def test_text_dropout_empties_that_share_of_captions(dataset: Path) -> None:
    found = taken(loader(dataset, text_dropout=0.5, batch=10, frames=1, images=1), 9)
    captions = [caption for batch in found for both in batch.captions for caption in both]
    assert 0.35 < captions.count("") / len(captions) < 0.65


def test_a_damaged_sample_is_replaced_and_counted(tmp_path: Path) -> None:
    clips = squares(20)
    clips[3].damage = b"damaged" * 50
    source = loader(write_dataset(tmp_path / "data", clips), images=0)
    position = source.position
    found = taken(source, 10)
    keys = [key for batch in found for key in batch.keys]
    assert len(keys) == 20 and "clip003" not in keys and keys.count("clip004") == 2
    failures = [failure for batch in found for failure in batch.failures]
    assert [failure.key for failure in failures] == ["clip003"] and failures[0].reason and failures[0].shard
    assert (position.tried, position.failed) == (21, {"undecodable": 1})


def test_too_many_damaged_samples_stop_the_training(tmp_path: Path) -> None:
    clips = squares(12)
    for clip in clips[:4]:
        clip.damage = b"damaged" * 50
    manifest = write_dataset(tmp_path / "data", clips)
    with pytest.raises(UserError, match=r"\d+ of \d+ samples could not be used .* clip00[0-3]: undecodable"):
        taken(loader(manifest), 60)


def test_a_dataset_without_any_good_sample_says_so(tmp_path: Path) -> None:
    clips = [Clip(f"clip{i}", damage=b"damaged" * 50) for i in range(3)]
    with pytest.raises(UserError, match="none of its samples can be used"):
        taken(loader(write_dataset(tmp_path / "data", clips)), 1)


def test_images_of_a_foreign_dataset_are_the_single_frames(dataset: Path, tmp_path: Path) -> None:
    """As LaVie mixes WebVid10M and Laion5B: clips of ours, and tars as img2dataset writes them."""
    with webdataset.TarWriter(str(tmp_path / "00000.tar")) as tar:
        for number in range(6):
            out = io.BytesIO()
            Image.new("RGB", (40, 30), (40 * number, 0, 0)).save(out, "JPEG")
            tar.write({"__key__": f"picture{number}", "jpg": out.getvalue(), "txt": f"shade {number}"})
    sources = [{"url": str(dataset), "name": "web"}, {"url": str(tmp_path / "{00000..00000}.tar"), "name": "laion"}]
    found = taken(loader(dataset, url=None, datasets=sources, cache_dir=str(tmp_path / "cache")), 3)
    shades = [
        (caption, round(float(pixels[4 + number, ..., 0].mean()) / 40))
        for batch in found
        for captions, pixels in zip(batch.captions, batch.pixels)
        for number, caption in enumerate(captions[1:])
    ]
    assert len(shades) == 12 and all(caption == f"shade {shade}" for caption, shade in shades)
    assert sorted(shade for _, shade in shades[:6]) == list(range(6))
    assert all(captions[0].endswith("square") for batch in found for captions in batch.captions)
