"""`reelmill inspect`: what it tells of a clip is what the tables say, from every kind of place."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from curation import parts
from curation.errors import UserError
from curation.inspect import history
from curation.inspect.rows import Wanted, everywhere, matching
from curation.inspect.rules import judged
from curation.inspect.show import show
from curation.plan import Plan
from curation.store import Place
from tests import films
from tests.conftest import Reelmill, samples
from tests.curation.phases.test_report import a_clip, finished
from tests.curation.phases.test_report import recipe as a_recipe

RULES = [
    {"field": "frames", "min": 16},
    {"field": "category", "none_of": ["sea"]},
    {"field": "motion", "between": ["p10", "p90"], "by": "category"},
    {"field": "signal", "min": "p20"},
    {"field": "caption_words", "between": [3, "p80"]},
]


def _selection(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "selection.parquet").to_pylist()


def test_rules_that_failed_are_the_reasons_for_which_a_clip_was_dropped(tmp_path: Path) -> None:
    made = a_recipe(RULES)
    place = finished(tmp_path / "out", made, [a_clip(number) for number in range(50)])
    plan = Plan(made, place)
    clips = {row["clip_id"]: row for row in plan.clips([*plan.clip_schema().names]).to_pylist()}
    kept = 0
    for row in _selection(tmp_path / "out"):
        told = judged(plan, clips[row["clip_id"]])
        assert [rule["reason"] for rule in told if rule["passed"] is False] == row["drop_reasons"]
        kept += row["kept"]
        for rule in told:
            if rule["passed"] and rule["least"] is not None:
                assert rule["value"] >= rule["least"]
    assert 0 < kept < 50


def test_every_clip_is_found_by_its_id_its_beginning_and_its_member_of_a_tar(dataset: Path) -> None:
    for row in _selection(dataset):
        told = history(str(dataset), row["clip_id"])
        assert told["decision"]["kept"] == row["kept"]
        assert told["decision"]["drop_reasons"] == row["drop_reasons"]
        assert history(str(dataset), row["clip_id"][:10]) == told
        assert history(str(dataset), f"{row['clip_id']}.mp4") == told
        assert (told["sample"] is not None) == row["kept"]


def test_sample_comes_out_of_its_tar_by_the_command_that_is_shown(dataset: Path, tmp_path: Path) -> None:
    for row in samples(dataset)[:3]:
        told = history(str(dataset), row["clip_id"])
        assert told["sample"]["tar"] == f"shards/{row['shard']}"
        subprocess.run(told["commands"]["of_sample"]["extract"], shell=True, check=True, cwd=tmp_path)
        media = (tmp_path / f"{row['clip_id']}.mp4").read_bytes()
        assert hashlib.sha256(media).hexdigest() == told["sample"]["sha256"] == row["sha256"]


def test_command_on_the_source_gives_exactly_the_frames_of_the_clip(dataset: Path, tmp_path: Path) -> None:
    told = history(str(dataset), "long")
    decoded = films.decoded(Path(told["source"]["uri"]))
    first = 0
    for clip in told["clips"]:
        command = shlex.split(history(str(dataset), clip["clip_id"])["commands"]["of_source"]["frames"])
        assert command[0] == "ffmpeg"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *command[1:]]
        subprocess.run(command, check=True, cwd=tmp_path, timeout=60)
        shown = films.decoded(tmp_path / f"{clip['clip_id']}.mkv")
        assert len(shown) == clip["frames"]
        assert all((one == other).all() for one, other in zip(shown, decoded[first:]))
        first += clip["frames"]


def test_source_tells_what_became_of_each_of_its_clips(dataset: Path) -> None:
    of = {row["clip_id"]: row for row in _selection(dataset)}
    told = history(str(dataset), "more/small.mp4")
    assert told["dropped_by_first_reason"] == {"height < 240": 1}
    told = history(str(dataset), "cuts")
    assert [clip["frames"] for clip in told["clips"]] == [30, 40, 10, 36]
    assert all(of[clip["clip_id"]]["kept"] == clip["kept"] for clip in told["clips"])
    failed = history(str(dataset), "not-a-video.mp4")
    assert failed["source"]["status"] == "failed"
    assert "not a media file" in failed["source"]["error"]


def test_published_output_tells_the_same_over_http_and_s3(
    dataset: Path, serve: Callable[[Path], str], bucket: str
) -> None:
    import s3fs

    s3fs.S3FileSystem().put(f"{dataset}/", f"{bucket}/set", recursive=True)
    kept = next(row["clip_id"] for row in _selection(dataset) if row["kept"])
    here = history(str(dataset), kept)
    for place, reads in ((f"{serve(dataset.parent)}/{dataset.name}", "curl -s -r"), (f"{bucket}/set", "aws s3api")):
        there = history(place, kept)
        assert there["commands"].pop("of_sample")["play"].startswith(reads)
        assert there == {**here, "commands": {"of_source": here["commands"]["of_source"]}}


def test_what_is_not_there_is_answered_with_the_nearest(dataset: Path) -> None:
    clip_id = _selection(dataset)[0]["clip_id"]
    other = "0" if clip_id[-1] != "0" else "1"
    for name, nearest in ((clip_id[:-1] + other, clip_id), ("cutz.mp4", "cuts.mp4"), ("SMALL", "more/small.mp4")):
        with pytest.raises(UserError, match=f"no clip or source .* the nearest are {nearest}"):
            history(str(dataset), name)
    with pytest.raises(UserError, match=r"'mp4' names|no clip or source 'mp4'"):
        history(str(dataset), "mp4")


def test_name_that_means_several_is_answered_with_them(tmp_path: Path) -> None:
    out = finished(tmp_path / "out", a_recipe([]), [a_clip(number) for number in range(40)])
    out.commit("recipe.yaml", b"name: x\nsources: [{files: [a]}]\n")
    ids = sorted(row["clip_id"] for row in parts.read(out, "scores", ["clip_id"]).to_pylist())
    first = next(one for one, other in zip(ids, ids[1:]) if one[0] == other[0])
    with pytest.raises(UserError, match="names .* clips: .* give more of the one you mean"):
        history(out.root, first[0])


def test_rows_are_found_in_any_part_and_group_of_rows(tmp_path: Path) -> None:
    out = finished(tmp_path / "out", a_recipe([]), [a_clip(number) for number in range(400)])
    for part in range(3):
        table = out.table(parts.path("clips", part), ["clip_id", "source_id"])
        assert pq.ParquetFile(tmp_path / "out" / parts.path("clips", part)).num_row_groups > 1
        for place, row in enumerate(table.to_pylist()):
            if place % 7 == 0:
                wanted = Wanted("clip_id", row["clip_id"])
                [(where, found)] = everywhere(out, "clips", wanted, ["clip_id", "source_id"])
                assert (where, found) == (part, row | {"row": place})
        films_rows = matching(out, parts.path("clips", part), Wanted("source_id", "film 3"), ["clip_id"])
        assert len(films_rows) == table["source_id"].to_pylist().count("film 3")


def test_pictures_are_not_read(dataset: Path) -> None:
    [row] = matching(Place(dataset), parts.path("clips", 0), Wanted("clip_id", _selection(dataset)[0]["clip_id"]))
    assert {"thumbnails", "looks"}.isdisjoint(row)


def test_command_says_why_a_clip_was_dropped_in_text_and_json(dataset: Path, reelmill: Reelmill) -> None:
    dropped = next(row for row in _selection(dataset) if not row["kept"])
    as_json = reelmill("inspect", dataset, dropped["clip_id"], "--json")
    told = history(str(dataset), dropped["clip_id"])
    assert json.loads(as_json.stdout) == told
    text = io.StringIO()
    show(told, Console(file=text, emoji=False, width=200))
    assert f"dropped: {dropped['drop_reasons'][0]}" in text.getvalue()
    wrong = reelmill("inspect", dataset, "nothing-like-it")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_words_of_strangers_do_not_command_the_terminal(dataset: Path) -> None:
    told = history(str(dataset), next(row["clip_id"] for row in _selection(dataset) if row["kept"]))
    told["caption"]["caption"] = "\x1b]0;title\x07 [bold]a\x1b[2J :v: \x9b31m"
    told["source"]["meta"] = {"title": "\x1b[1m"}
    text = io.StringIO()
    show(told, Console(file=text, emoji=False, width=200))
    assert "\x1b" not in text.getvalue()
    assert "\x9b" not in text.getvalue()
    assert "[bold]a" in text.getvalue()
    assert ":v:" in text.getvalue()
