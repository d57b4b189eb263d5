"""`reelmill curate`, as a user runs it: sums, resume, update, and what came with the sources."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from curation.phases import report
from curation.store import Place
from tests import films
from tests.conftest import REELMILL, SETTINGS, Reelmill, samples
from tests.films import BLACK, BLUE, GREEN, GREY, RED, Scene

# The first file that each phase writes; a run is killed as soon as it sees one.
MOMENTS = (
    "inputs/00000.parquet",
    "clips/00000.parquet",
    "scores/00000.parquet",
    "selection.parquet",
    "captions/00000.parquet",
    "cuts/00000.parquet",
    "shards/00000.tar",
    "shards/00001.parquet",
    "manifest.json",
    "ledger.json",
)


def contents(out: Path) -> dict[str, str]:
    """The sha256 of every file of an output, but for the log of events and what the report tells of it."""
    return {
        str(path.relative_to(out)): hashlib.sha256(report.of_tables(path.read_bytes())).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(("events", ".lock"))
    }


def test_every_input_and_every_clip_is_accounted_for(dataset: Path) -> None:
    ledger = json.loads((dataset / "ledger.json").read_text())
    sources = pq.read_table(dataset / "sources").to_pylist()
    assert ledger["inputs"] == len(sources) == 5
    by_id = {row["source_id"]: row for row in sources}
    assert by_id["not-a-video.mp4"]["status"] == "failed"
    assert "not a media file" in by_id["not-a-video.mp4"]["error"]
    assert by_id["broken.mkv"]["status"] == "ok"
    assert by_id["broken.mkv"]["warning"]
    clips, samples = ledger["clips"], ledger["samples"]
    assert clips["all"] == clips["kept"] + clips["dropped"]
    assert clips["kept"] == samples["in shards"] + samples["failed"]
    assert clips["dropped_by_any_reason"] == {"frames < 16": 1, "height < 240": 1}


def test_cuts_of_the_footage_are_the_clips(dataset: Path) -> None:
    clips = pq.read_table(dataset / "clips").to_pylist()
    of_cuts = [clip["frames"] for clip in clips if clip["source_id"] == "cuts.mp4"]
    assert of_cuts == [30, 40, 10, 36]
    of_long = [clip for clip in clips if clip["source_id"] == "long.mkv"]
    assert [clip["frames"] for clip in of_long] == [40, 40, 40, 24]
    assert [(clip["scene"], clip["piece"]) for clip in of_long] == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_clips_of_a_film_are_spread_over_the_shards(dataset: Path) -> None:
    assert len({row["shard"] for row in samples(dataset) if row["source_id"] == "long.mkv"}) > 1


def test_second_run_does_nothing_and_says_so_without_starting_ray(
    dataset: Path, footage: Path, reelmill: Reelmill
) -> None:
    before, events = contents(dataset), (dataset / "events.jsonl").read_bytes()
    # An address at which nothing listens: a run that started Ray would fail.
    done = reelmill("curate", footage, "--out", dataset, *SETTINGS, "--address", "127.0.0.1:9")
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert contents(dataset) == before
    assert (dataset / "events.jsonl").read_bytes() == events


def test_run_killed_in_every_phase_ends_in_the_same_files(dataset: Path, footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    command = [*REELMILL, "curate", str(footage), "--out", str(out), *SETTINGS]
    killed = 0
    for moment in MOMENTS:
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while run.poll() is None and not (out / moment).exists():
            time.sleep(0.002)
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            killed += 1
        run.wait()
    assert killed >= len(MOMENTS) - 2
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    assert contents(out) == contents(dataset)


@pytest.mark.campaign
def test_one_phase_after_the_other_ends_in_the_same_files(
    dataset: Path, footage: Path, tmp_path: Path, reelmill: Reelmill
) -> None:
    out = tmp_path / "dataset"
    early = reelmill("score", footage, "--out", out, *SETTINGS)
    assert early.returncode == 2
    assert "run `reelmill ingest` first" in early.stderr
    for phase in ("ingest", "split", "score", "select", "caption", "shard", "report"):
        done = reelmill(phase, footage, "--out", out, *SETTINGS)
        assert done.returncode == 0, done.stderr
    assert contents(out) == contents(dataset)


def test_other_recipe_is_refused_until_update_redoes_what_it_touches(
    dataset: Path, footage: Path, tmp_path: Path, reelmill: Reelmill
) -> None:
    out = tmp_path / "dataset"
    shutil.copytree(dataset, out)
    change = ("--set", "select.rules.0.min=36")
    refused = reelmill("curate", footage, "--out", out, *SETTINGS, *change)
    assert refused.returncode == 2
    assert "select.rules.0.min: 16.0 then, 36.0 now" in refused.stderr
    assert contents(out) == contents(dataset)
    before = {name: os.stat(out / name).st_mtime_ns for name in contents(out)}
    done = reelmill("curate", footage, "--out", out, *SETTINGS, *change, "--update")
    assert done.returncode == 0, done.stderr
    published = ("clips/", "scores/", "sources/", "inputs/", "shards/", "manifest-")
    assert all(os.stat(out / name).st_mtime_ns == before[name] for name in before if name.startswith(published))
    now = contents(out)
    assert all(now[name] == contents(dataset)[name] for name in before if name.startswith(published))
    assert json.loads((out / "manifest.json").read_text())["generation"] == 1
    wanted = {row["clip_id"] for row in samples(dataset) if row["clip_frames"] >= 36}
    assert {row["clip_id"] for row in samples(out)} == wanted


@pytest.mark.campaign
def test_growth_killed_anywhere_leaves_what_was_published_and_ends_in_the_same_files(
    tmp_path: Path, reelmill: Reelmill
) -> None:
    folder, calm, killed = tmp_path / "films", tmp_path / "calm", tmp_path / "killed"
    folder.mkdir()
    for name, colour in (("b.mp4", RED), ("c.mp4", GREEN), ("e.mp4", BLUE)):
        films.write(folder / name, [Scene(40, colour)])
    settings = ("--set", "shard.samples=2", "--set", "shard.short_side=120")
    assert reelmill("curate", folder, "--out", calm, *settings).returncode == 0
    first = contents(calm)
    shutil.copytree(calm, killed)
    films.write(folder / "a.mp4", [Scene(40, GREY)])  # comes first in the folder, and last in the output
    films.write(folder / "d.mp4", [Scene(40, BLACK, step=4)])
    early = reelmill("score", folder, "--out", calm, *settings)
    assert "the sources have grown (2 new, 0 gone, 0 changed, first a.mp4)" in early.stderr
    assert reelmill("curate", folder, "--out", calm, *settings).returncode == 0

    command = [*REELMILL, "curate", str(folder), "--out", str(killed), *settings]
    for moment in ("inputs/00003.parquet", "clips/00003.parquet", "shards/00002.tar", "manifest-00001.json"):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while run.poll() is None and not (killed / moment).exists():
            time.sleep(0.002)
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
        run.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    grown = contents(killed)
    assert grown == contents(calm)
    whole = [name for name in first if name.startswith(("manifest-", "shards/", "inputs/0", "clips/", "scores/"))]
    assert all(grown[name] == first[name] for name in whole)
    old, new = (json.loads((killed / f"manifest-0000{n}.json").read_text()) for n in (0, 1))
    checked = reelmill("verify", killed, "--generation", 0)
    assert checked.returncode == 0, checked.stdout
    assert f"of generation 0, {old['samples']} clips" in checked.stdout
    assert "no generation 7 here; there are: 0, 1" in reelmill("verify", killed, "--generation", 7).stderr
    assert new["shards"][: len(old["shards"])] == old["shards"]
    assert {row["source_id"] for row in samples(killed)} == {f"{name}.mp4" for name in "abcde"}
    assert reelmill("verify", killed).returncode == 0


def test_captions_and_categories_of_a_table_reach_the_samples(
    tmp_path: Path, reelmill: Reelmill, serve: Callable[[Path], str]
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    films.write(folder / "one.mp4", [Scene(40, RED)])
    films.write(folder / "two.mp4", [Scene(40, BLUE)])
    (folder / "t.csv").write_text(
        "videoid,contentUrl,name,page_dir\n"
        "11,one.mp4,a white square on a red wall,Animation\n"
        "12,two.mp4,,\n"
        "13,missing.mp4,never seen by anyone,Travel\n"
    )
    columns = {"uri": "contentUrl", "id": "videoid", "caption": "name", "category": "page_dir"}
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        yaml.safe_dump({"name": "table", "sources": [{"files": f"{serve(folder)}/t.csv", "columns": columns}]})
    )
    out = tmp_path / "out"
    done = reelmill("curate", manifest, "--out", out)
    assert done.returncode == 0, done.stderr
    made = {row["source_id"]: row for row in samples(out)}
    assert set(made) == {"11", "12"}
    assert made["11"]["caption"] == "a white square on a red wall"
    assert (made["11"]["captioner"], made["11"]["category"]) == ("source", "Animation")
    assert made["12"]["captioner"] == "describe"
    failed = [row for row in pq.read_table(out / "sources").to_pylist() if row["status"] == "failed"]
    assert [row["source_id"] for row in failed] == ["13"]
    assert "does not exist" in failed[0]["error"]


def test_source_that_goes_bad_before_the_cut_costs_its_own_clips(
    tmp_path: Path, reelmill: Reelmill, serve: Callable[[Path], str]
) -> None:
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    films.write(folder / "a.mp4", [Scene(40, RED)])
    films.write(folder / "b.mp4", [Scene(40, BLUE)])
    url, table = serve(folder), tmp_path / "t.csv"
    table.write_text(f"uri\n{url}/a.mp4\n{url}/b.mp4\n")
    code = (
        "from rich.console import Console; from curation import recipe; from curation.run import Run\n"
        f"run = Run(recipe.load({str(table)!r}), {str(out)!r}, console=Console(stderr=True))\n"
        "run.curate(('ingest', 'split', 'score', 'select', 'caption'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    (folder / "b.mp4").write_bytes(b"gone bad")
    done = reelmill("shard", table, "--out", out)
    assert done.returncode == 0, done.stderr
    ledger = json.loads((out / "ledger.json").read_text())
    assert ledger["samples"]["in shards"] == 1
    assert ledger["samples"]["failed"] == 1


def test_workers_are_bounded_and_no_media_lies_around(dataset: Path) -> None:
    assert not list(dataset.rglob("*.part"))
    assert not (dataset / "cuts").exists()
    ended = [json.loads(line) for line in (dataset / "events.jsonl").read_text().splitlines()][-1]
    assert ended["event"] == "end"
    assert ended["peak_mb"] < 1024
    assert pytest.approx(ended["cpu_s"]) == ended["cpu_s"] > 0


class _Moody(http.server.SimpleHTTPRequestHandler):
    """Answers 503 for one file until it is told to be well."""

    ill = True

    def do_GET(self) -> None:
        if self.ill and "moody" in self.path:
            self.send_error(503)
        else:
            super().do_GET()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.campaign
def test_source_that_was_unreachable_is_taken_in_by_retry(tmp_path: Path, reelmill: Reelmill) -> None:
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    films.write(folder / "fine.mp4", [Scene(40, RED)])
    films.write(folder / "moody.mp4", [Scene(40, BLUE)])
    handler = type("Moody", (_Moody,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    table = tmp_path / "t.csv"
    table.write_text(f"id,uri\na,{url}/fine.mp4\nb,{url}/moody.mp4?token=secret\n")
    manifest = tmp_path / "m.yaml"
    manifest.write_text(yaml.safe_dump({"name": "t", "sources": [{"files": str(table)}]}))
    try:
        assert reelmill("curate", manifest, "--out", out).returncode == 0
        failed = [row for row in pq.read_table(out / "sources").to_pylist() if row["status"] == "failed"]
        assert [row["source_id"] for row in failed] == ["b"]
        assert "the server answered 503" in failed[0]["error"]
        handler.ill = False
        assert "nothing to do" in reelmill("curate", manifest, "--out", out).stdout
        done = reelmill("curate", manifest, "--out", out, "--retry-failed")
        assert done.returncode == 0, done.stderr
        assert {row["source_id"] for row in samples(out)} == {"a", "b"}
        assert reelmill("verify", out).returncode == 0
    finally:
        server.shutdown()
        server.server_close()
    assert not any(b"secret" in path.read_bytes() for path in (out / "shards").iterdir())


def test_film_that_was_replaced_is_noticed(tmp_path: Path, reelmill: Reelmill) -> None:
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    films.write(folder / "a.mp4", [Scene(40, RED)])
    assert reelmill("curate", folder, "--out", out).returncode == 0
    films.write(folder / "a.mp4", [Scene(50, BLUE)])
    refused = reelmill("curate", folder, "--out", out)
    assert refused.returncode == 2
    assert "0 new, 0 gone, 1 changed, first a.mp4" in refused.stderr
    assert reelmill("curate", folder, "--out", out, "--update").returncode == 0
    assert [row["frames"] for row in samples(out)] == [50]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_says_how_to_go_on(footage: Path, tmp_path: Path, by: signal.Signals) -> None:
    out = tmp_path / "out"
    command = [*REELMILL, "curate", str(footage), "--out", str(out), *SETTINGS]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not (out / "clips" / "00000.parquet").exists():
        time.sleep(0.01)
    run.send_signal(by)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 130, told
    assert told.strip().splitlines()[-1] == "reelmill: stopped; run the same command again to go on from here"


def test_unit_that_always_fails_is_set_aside_and_the_others_are_done(
    footage: Path, tmp_path: Path, reelmill: Reelmill
) -> None:
    out = tmp_path / "out"
    for phase in ("ingest", "split"):
        assert reelmill(phase, footage, "--out", out, *SETTINGS).returncode == 0
    part = out / "clips" / "00001.parquet"
    clips = pq.read_table(part)
    place = clips.schema.get_field_index("thumbnails")
    bad = pa.array([[b"no picture"]] * clips.num_rows, clips.schema.field(place).type)
    pq.write_table(clips.set_column(place, clips.schema.field(place), bad), part)
    done = reelmill("score", footage, "--out", out, *SETTINGS)
    assert done.returncode == 1
    told = done.stderr.strip().splitlines()
    assert "1 of 5 units of score failed every time, first 1: ValueError: a thumbnail is not a picture" in told[-1]
    assert sum("unit 1 is tried again" in line for line in told) == 2
    assert sorted(path.name for path in (out / "scores").iterdir()) == [f"0000{n}.parquet" for n in (0, 2, 3, 4)]


def test_second_writer_is_refused(dataset: Path, footage: Path, reelmill: Reelmill) -> None:
    with Place(dataset).claimed():
        done = reelmill("curate", footage, "--out", dataset, *SETTINGS)
    assert done.returncode == 2
    assert "another process is working in" in done.stderr


def test_report_of_old_shards_is_refused(dataset: Path, footage: Path, tmp_path: Path, reelmill: Reelmill) -> None:
    out = tmp_path / "dataset"
    shutil.copytree(dataset, out)
    change = (*SETTINGS, "--set", "select.rules.0.min=36")
    assert reelmill("select", footage, "--out", out, *change, "--update").returncode == 0
    done = reelmill("report", footage, "--out", out, *change)
    assert done.returncode == 2
    assert "run `reelmill shard` first" in done.stderr
