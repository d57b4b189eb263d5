"""Near-duplicates: found as by comparing all pairs, the best copy stays, and nothing is joined over others."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import tables
from curation.errors import UserError
from curation.phases import select
from curation.phases.select import duplicates
from curation.phases.select.embeddings_alike import EmbeddingsAlike
from curation.phases.select.order import best_first
from curation.phases.select.pictures_alike import PicturesAlike
from curation.recipe_select import Duplicates, Rule, SameMeaning, Select


def a_hash(seed: int, flips: int = 0) -> int:
    """A hash with half of its bits set, then some bits changed."""
    chance = np.random.default_rng(seed)
    value = sum(1 << int(bit) for bit in chance.permutation(64)[:32])
    for bit in np.random.default_rng([seed, flips]).permutation(64)[:flips]:
        value ^= 1 << int(bit)
    return value


HASHES = st.builds(a_hash, st.integers(0, 4), st.integers(0, 6)) | st.sampled_from([0, 2**64 - 1, 1])
CLIPS = st.lists(st.lists(HASHES, max_size=4), min_size=1, max_size=12)


def _lists(rows: list[list[int]]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(rows, pa.list_(pa.uint64()))])


def _same_pictures(one: list[int], other: list[int], distance: int) -> bool:
    """The definition, one pair at a time."""
    one, other = ([h for h in clip if 24 <= h.bit_count() <= 40] for clip in (one, other))
    best = 0
    for size in range(1, min(len(one), len(other)) + 1):
        for left in itertools.combinations(one, size):
            for right in itertools.combinations(other, size):
                if all((a ^ b).bit_count() <= distance for a, b in zip(left, right)):
                    best = size
    return 2 * best > max(len(one), len(other))


@settings(max_examples=60)
@given(rows=CLIPS, distance=st.integers(0, 8))
def test_same_pictures_are_found_as_by_comparing_all_pairs(rows: list[list[int]], distance: int) -> None:
    count = len(rows)
    found = PicturesAlike(_lists(rows), np.zeros(count, np.bool_), distance)
    expected = {
        (a, b) for a, b in itertools.permutations(range(count), 2) if _same_pictures(rows[a], rows[b], distance)
    }
    every = np.arange(count)
    one, other = found.among(every)
    assert set(zip(one.tolist(), other.tolist())) == expected
    found.add(every[: count // 2])
    found.add(every[count // 2 :])
    one, other = found.known(every)
    assert set(zip(one.tolist(), other.tolist())) == expected


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def _vectors(rows: np.ndarray, missing: tuple[int, ...] = ()) -> pa.ChunkedArray:
    values = [None if at in missing else row.tolist() for at, row in enumerate(rows)]
    return pa.chunked_array([pa.array(values, pa.list_(pa.float16(), rows.shape[1]))])


def test_same_meaning_is_found_as_by_comparing_all_pairs() -> None:
    chance = np.random.default_rng(3)
    middles = chance.normal(size=(20, 64))
    rows = _unit(middles[chance.integers(0, 20, 300)] + 0.35 * chance.normal(size=(300, 64)))
    cosines = rows.astype(np.float64) @ rows.T.astype(np.float64)
    lengths = np.sqrt(np.diag(cosines))
    near = cosines / np.outer(lengths, lengths) >= 0.9
    near[7] = near[:, 7] = False
    np.fill_diagonal(near, False)
    expected = set(zip(*(side.tolist() for side in np.nonzero(near))))
    found = EmbeddingsAlike(_vectors(rows, (7,)), np.zeros(300, np.bool_), 0.9)
    every = np.arange(300)
    one, other = found.among(every)
    assert {(min(pair), max(pair)) for pair in zip(one.tolist(), other.tolist())} == {
        pair for pair in expected if pair[0] < pair[1]
    }
    found.add(every)
    one, other = found.known(every)
    assert set(zip(one.tolist(), other.tolist())) == expected
    assert 100 < len(expected) < 300 * 100


def test_beyond_the_exact_search_nearly_all_of_the_same_meaning_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.phases.select.embeddings_alike._EXACT_UP_TO", 100)
    chance = np.random.default_rng(5)
    first = chance.normal(size=(1500, 64))
    copies = first[:500] + 0.15 * chance.normal(size=(500, 64))
    rows = _unit(np.concatenate([first, copies]))
    found = duplicates.repeated(np.arange(2000), [EmbeddingsAlike(_vectors(rows), np.zeros(2000, np.bool_), 0.95)])
    assert (found[:1500] < 0).all()
    right = found[1500:] == np.arange(500)
    assert right.mean() > 0.97


def _clips(rows: list[list[int]], **columns: list) -> pa.Table:
    ids = [tables.clip_id("film", number, number + 1, "1/25") for number in range(len(rows))]
    given = {"kind": ["scene"] * len(rows), "height": [360] * len(rows)} | columns
    return pa.table({"clip_id": ids, "phash": _lists(rows), **given})


def _searched(clips: pa.Table, keep_by: list[str], rows: np.ndarray | None = None) -> list[int]:
    everyone = np.ones(clips.num_rows, np.bool_)
    return duplicates.search(clips, Duplicates(), keep_by, everyone if rows is None else rows).tolist()


@settings(max_examples=40)
@given(rows=CLIPS, seed=st.integers(0, 99))
def test_every_duplicate_names_a_better_clip_that_stays_and_is_like_it(rows: list[list[int]], seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 3, len(rows)).tolist()
    clips = _clips(rows, signal=scores)
    rank = {row: place for place, row in enumerate(best_first(clips, ["signal"], np.arange(len(rows))).tolist())}
    found = _searched(clips, ["signal"])
    stay = [row for row, better in enumerate(found) if better < 0]
    for row, better in enumerate(found):
        like = [other for other in stay if other != row and _same_pictures(rows[row], rows[other], 5)]
        if better < 0:
            assert not like
        else:
            assert better == min(like, key=rank.__getitem__) and rank[better] < rank[row]


def test_many_copies_leave_one_whatever_the_order_and_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[a_hash(clip % 9, flips=clip % 2) for _ in range(3)] for clip in range(200)]
    clips = _clips(rows, signal=[float(clip % 50) for clip in range(200)])
    names = clips["clip_id"].to_pylist()
    expected = dict(zip(names, _searched(clips, ["signal"])))
    assert sum(better < 0 for better in expected.values()) == 9
    for block in (1, 7, 4096):
        monkeypatch.setattr("curation.phases.select.duplicates._BLOCK", block)
        mixed = np.random.default_rng(block).permutation(200)
        shuffled = clips.take(pa.array(mixed))
        for name, better in zip(shuffled["clip_id"].to_pylist(), _searched(shuffled, ["signal"])):
            named = shuffled["clip_id"][better].as_py() if better >= 0 else None
            assert named == (names[expected[name]] if expected[name] >= 0 else None)


def test_a_dropped_clip_is_never_the_copy_that_stays() -> None:
    rows = [[a_hash(1)] * 3, [a_hash(1)] * 3, [a_hash(1)] * 3]
    clips = _clips(rows, signal=[9.0, 5.0, 1.0], frames=[4, 40, 40])
    selection, _ = select.decide(
        clips,
        [Rule(field="frames", min=16)],
        captioned=False,
        search=lambda passed: duplicates.search(clips, Duplicates(), ["signal"], passed),
    )
    assert selection["drop_reasons"].to_pylist() == [["frames < 16"], [], ["duplicate"]]
    names = clips["clip_id"].to_pylist()
    assert selection["duplicate_of"].to_pylist() == [None, None, names[1]]


def test_flat_pictures_and_pictures_of_everything_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _searched(_clips([[0, 0, 0], [0, 0, 0], []]), []) == [-1, -1, -1]
    monkeypatch.setattr("curation.phases.select.pictures_alike._COMMON", 5)
    logo = a_hash(99)
    others = [[logo, logo, a_hash(number)] for number in range(6)]
    assert _searched(_clips([*others, [logo, logo, a_hash(0)]]), []).count(-1) == 6


def test_images_are_no_copies_of_videos() -> None:
    clips = _clips([[a_hash(1)], [a_hash(1)], [a_hash(1)]], kind=["scene", "image", "image"])
    found = _searched(clips, [])
    assert found[0] == -1 and sorted(found[1:]) in ([-1, 1], [-1, 2])


def test_the_better_copy_stays_and_ties_go_by_id() -> None:
    clips = _clips([[a_hash(1)] * 2] * 4, signal=[2.0, None, 2.0, float("nan")], height=[360, 2160, 720, 2160])
    assert _searched(clips, ["signal", "height"]) == [2, 2, -1, 2]
    first = int(np.argmin(clips["clip_id"].to_numpy(zero_copy_only=False).astype(str)))
    assert [row for row, better in enumerate(_searched(clips, [])) if better < 0] == [first]


def test_embeddings_that_nobody_wrote_are_asked_for_in_vain() -> None:
    measured = [tables.column("signal", pa.float32(), "", null=True), *tables.CAPTIONS.remove(0)]
    known = pa.schema([*tables.CLIPS, *measured])
    with pytest.raises(UserError, match="no scorer of this recipe writes clip_embedding"):
        select.check(Select(duplicates=Duplicates(embedding=SameMeaning())), known)
    with pytest.raises(UserError, match="select.keep_by.0: no column 'signl'; did you mean 'signal'"):
        select.check(Select(keep_by=["signl"]), known)
    with pytest.raises(UserError, match="ranked by numbers"):
        select.check(Select(keep_by=["category"]), known)


def test_what_only_captions_tell_decides_nothing_before_captioning() -> None:
    known = pa.schema([*tables.CLIPS, *tables.CAPTIONS.remove(0)])
    with pytest.raises(UserError, match="select.keep_by: 'caption_score' is not known yet"):
        select.check(Select(duplicates=Duplicates(), keep_by=["caption_score"]), known)
    with pytest.raises(UserError, match="select.rules.0.by: 'captioner' is not known yet"):
        select.check(Select(rules=[Rule(field="motion", min="p5", by="captioner")]), known)
    select.check(
        Select(rules=[Rule(field="caption_words", min="p5", by="captioner")], keep_by=["caption_score"]), known
    )
