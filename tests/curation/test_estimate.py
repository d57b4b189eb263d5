"""`reelmill plan`: what it predicts is what comes, within its ranges, and the same for the same seed."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from curation.errors import UserError
from curation.estimate import Asked, estimate
from curation.estimate.cluster import Cluster, cluster
from curation.estimate.measure import Source
from curation.estimate.sample import Probed, chosen
from curation.estimate.totals import Totals, ranged
from curation.prediction import PREDICTION, compared
from curation.recipe import Recipe, load
from curation.run import ORDER, Run
from curation.store import Place
from tests import films
from tests.conftest import SETTINGS
from tests.films import BLUE, GREEN, GREY, RED, Scene

COLOURS = (RED, GREEN, BLUE, GREY)
WITHIN = 1.5


def _recipe(place: str | Path, *settings: str) -> Recipe:
    return load(str(place), [*(word for word in SETTINGS if word != "--set"), *settings])


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small films of many lengths, and one long one."""
    folder = tmp_path_factory.mktemp("collection")
    for number in range(16):
        scenes = [Scene(20 + 7 * (number % 5), COLOURS[(number + at) % 4]) for at in range(1 + number % 3)]
        films.write(folder / f"{number:02d}.{'mp4' if number % 2 else 'mkv'}", scenes, size=(160, 120))
    films.write(folder / "long.mp4", [Scene(48 + at % 30, COLOURS[at % 4]) for at in range(12)], size=(160, 120))
    return folder


@pytest.fixture(scope="module")
def everything(collection: Path) -> dict[str, Any]:
    """What measuring all of it gives, which is what a run would."""
    return estimate(_recipe(collection, *_LOOSE), _ALL)


_LOOSE = ("select={max_frozen: null, rules: [{field: frames, min: 16}, {field: signal, min: p20}]}",)
# No clock decides what is measured.
_LONG_S = 36000.0
_ALL = Asked(sample=100, seconds=_LONG_S)
_SAMPLE = Asked(sample=6, seconds=_LONG_S, excerpt_s=6, seed=1)


def _amounts(told: dict[str, Any]) -> dict[str, dict[str, float]]:
    """All that no clock decides."""
    said = told["predicted"]
    amounts = {f"{part} {name}": said[part][name] for part in ("sources", "clips", "samples") for name in said[part]}
    return amounts | {f"bytes after {name}": phase["bytes"] for name, phase in said["phases"].items()}


@pytest.fixture(scope="module")
def sampled(collection: Path) -> dict[str, Any]:
    return estimate(_recipe(collection, *_LOOSE), _SAMPLE)


def test_plan_that_measures_all_predicts_the_run_that_came(footage: Path, dataset: Path, tmp_path: Path) -> None:
    told = estimate(_recipe(footage), _ALL)
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    (out / PREDICTION).write_text(json.dumps(told))
    lines = {line.what: line for line in compared(Place(out))}
    for what in ("clips", "hours of clips", "clips kept", "hours kept", "samples", "bytes of shards"):
        assert lines[what].mid == pytest.approx(lines[what].actual, rel=1e-3), what
        assert lines[what].low == lines[what].high == lines[what].mid
    assert {"CPU of split", "CPU of cut", "CPU of all"} <= lines.keys()
    assert any(line.startswith("wall time, on ") for line in lines)
    sums = json.loads((out / "ledger.json").read_text())
    assert told["predicted"]["sources"]["failed"]["mid"] == sums["sources"]["failed"]
    assert told["predicted"]["samples"]["shards"]["mid"] == sums["samples"]["shards"]
    tables = sum(file.stat().st_size for name in ("inputs", "sources", "clips") for file in (out / name).iterdir())
    assert 1 / WITHIN < told["predicted"]["phases"]["split"]["bytes"]["mid"] / tables < WITHIN


def test_sample_predicts_the_whole_within_a_factor_of_one_and_a_half(
    everything: dict[str, Any], sampled: dict[str, Any]
) -> None:
    assert sampled["sample"]["measured"] <= 6
    assert sampled["sample"]["pieces"] == 1
    actual = _amounts(everything)
    for what, range_ in _amounts(sampled).items():
        if actual[what]["mid"]:
            assert 1 / WITHIN < range_["mid"] / actual[what]["mid"] < WITHIN, what
        assert range_["low"] <= range_["mid"] <= range_["high"]
    assert sampled["predicted"]["clips"]["all"]["low"] < sampled["predicted"]["clips"]["all"]["high"]


def test_same_seed_gives_the_same_prediction(collection: Path, sampled: dict[str, Any]) -> None:
    again = estimate(_recipe(collection, *_LOOSE), _SAMPLE)
    assert _amounts(again) == _amounts(sampled)
    assert again["sample"]["strata"] == sampled["sample"]["strata"]


def test_remote_sources_are_measured_as_they_are_read(
    collection: Path, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    table = tmp_path / "films.csv"
    url = serve(collection)
    table.write_text("uri\n" + "".join(f"{url}/{number:02d}.mp4\n" for number in (1, 3, 5)) + f"{url}/none.mp4\n\n")
    told = estimate(_recipe(table), _ALL)
    assert told["population"]["sources"] == 4
    assert told["predicted"]["sources"]["ok"]["mid"] == 3
    assert told["predicted"]["sources"]["failed"]["mid"] == 1
    assert told["predicted"]["scratch_bytes"] > 0
    assert told["predicted"]["sources"]["bytes"]["mid"] > 0


def test_images_and_films_are_estimated_apart(collection: Path, tmp_path: Path) -> None:
    from PIL import Image

    for number in range(9):
        Image.new("RGB", (320, 240), (number * 20, 90, 90)).save(tmp_path / f"{number}.png")
    manifest = tmp_path / "both.yaml"
    manifest.write_text(
        f"name: both\nsources:\n  - files: {collection}/0[1-5].mp4\n  - {{files: {tmp_path}, kind: image}}\n"
        "select: {rules: []}\nshard: {short_side: 64}\n"
    )
    told = estimate(load(str(manifest)), Asked(sample=3, seconds=_LONG_S))
    assert told["population"]["images"] == 9
    assert told["sample"]["measured"] == 6
    assert told["predicted"]["sources"]["ok"]["mid"] == pytest.approx(told["population"]["videos"] + 9)


def test_endpoint_is_not_asked_and_the_cluster_has_its_price(collection: Path, sampled: dict[str, Any]) -> None:
    settings = ("caption={from: [endpoint], endpoint: {url: 'http://127.0.0.1:9/v1', model: m}}", *_LOOSE)
    machines = cluster("cpus=8,gpus=1,cpu_price=0.5,gpu_price=2")
    told = estimate(_recipe(collection / "01.mp4", *settings), _ALL, machines)
    said = told["predicted"]
    assert said["samples"]["in shards"]["mid"] > 0
    assert any("endpoint was not asked" in note for note in told["notes"])
    assert said["dollars"]["mid"] == pytest.approx(said["wall_s"]["mid"] / 3600 * (8 * 0.5 + 2))
    assert sampled["predicted"]["dollars"] is None


def test_cluster_is_read_from_words_and_files(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("cpus: 64\ngpus: 4\n")
    assert cluster("cpus=64, gpus=4") == cluster(str(file)) == Cluster(cpus=64, gpus=4)
    for wrong, told in (("cpus", "expected keys"), ("cpus=1,gpu=3", "did you mean 'gpus'"), ("cpus=0", "cpus")):
        with pytest.raises(UserError, match=told):
            cluster(wrong)


def test_sources_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("no film at all")
    with pytest.raises(UserError, match="none of 1 sources can be read: not a media file"):
        estimate(_recipe(tmp_path), _ALL)


def test_run_takes_a_place_that_holds_a_prediction_alone(footage: Path, tmp_path: Path) -> None:
    (tmp_path / PREDICTION).write_text("{}")
    Run(_recipe(footage), str(tmp_path), console=Console())._check(ORDER)
    (tmp_path / "other").write_text("")
    with pytest.raises(UserError, match="holds other files"):
        Run(_recipe(footage), str(tmp_path), console=Console())._check(ORDER)


def _source(number: int, seconds: float, container: str = "mp4") -> Probed:
    row = {"source_id": str(number), "uri": f"/{number}.{container}", "kind": "video", "version": None}
    return Probed(row, int(seconds * 1000), seconds, 480)


def test_every_stratum_has_its_share_of_the_sample() -> None:
    probed = [_source(number, 20.0 + number % 7, "mp4" if number % 4 else "webm") for number in range(400)]
    total = sum(one.seconds for one in probed)
    picked = chosen(probed, 40, np.random.default_rng(0))
    assert len({one.row["source_id"] for one, _ in picked}) == 40
    assert sum(weight for _, weight in picked) == pytest.approx(total)
    assert Counter(one.stratum[0] for one, _ in picked)[".mp4"] in (29, 30, 31)
    giants = chosen([*probed, _source(998, 1e5), _source(999, 3e5)], 40, np.random.default_rng(0))
    assert len({one.row["source_id"] for one, _ in giants}) == 40
    assert {weight for one, weight in giants if one.seconds > 1e4} == {1e5, 3e5}
    assert sum(weight for _, weight in giants) == pytest.approx(total + 4e5)


def _totals(population: Sequence[tuple[float, float]], measured: int, seed: int) -> np.ndarray:
    """The total of what films gave, by a sample of them; each is its seconds and what it gave."""
    chance = np.random.default_rng(seed)
    order = chance.permutation(len(population))
    probed = [_source(int(at), population[at][0]) for at in order]
    sources = []
    for one, weight in chosen(probed, measured, chance):
        gave = defaultdict(float, clips=population[int(one.row["source_id"])][1])
        sources.append(Source(one, weight, one.seconds, True, gave))
    return Totals(sources, probed, len(population), None, chance).of(lambda source: source.gave["clips"])


def test_ranges_hold_what_is_true_about_as_often_as_they_say() -> None:
    chance = np.random.default_rng(3)
    seconds = chance.lognormal(4, 1, 300)
    population = list(zip(seconds.tolist(), chance.poisson(seconds / 5 * chance.lognormal(0, 0.4, 300)).tolist()))
    truth, held, mids = sum(gave for _, gave in population), 0, []
    for seed in range(60):
        range_ = ranged(_totals(population, 24, seed))
        held += range_["low"] <= truth <= range_["high"]
        mids.append(range_["mid"])
    assert np.mean(mids) == pytest.approx(truth, rel=0.03)
    assert held / 60 >= 0.8


def test_range_closes_where_all_was_measured() -> None:
    population = [(10.0 + number, float(number)) for number in range(20)]
    assert ranged(_totals(population, 20, 0)) == dict.fromkeys(("low", "mid", "high"), pytest.approx(190.0))
