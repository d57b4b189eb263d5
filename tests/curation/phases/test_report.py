"""The report: what it says is what the tables say, whatever strangers wrote into them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from curation import ledger, parts, tables
from curation.phases import report, select
from curation.phases.report.numbers.facts import gather
from curation.phases.report.numbers.picks import evenly
from curation.phases.score import measures
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import CAPTIONS, CLIPS, Row
from curation.validate import parse

RULES: list[Row] = [
    {"field": "frames", "min": 16},
    {"field": "height", "min": 240},
    {"field": "category", "one_of": ["city", "sea"]},
    {"field": "motion", "between": ["p10", "p90"]},
    {"field": "caption_words", "min": 3},
]
PICTURES = {"overview.png", "overview-dark.png", "distributions.png", "kept.png", "dropped.png"}
NASTY = '<script>alert("x")</script> & <img src=x onerror=alert(1)> $\\frac{1}{0}$ \u0007 海'


def recipe(rules: Sequence[Row] = RULES, shown: int = 4) -> Recipe:
    given = {"name": "strange", "sources": [{"files": ["a"]}], "select": {"rules": list(rules)}}
    return parse(given | {"report": {"clips": shown, "playing": 0}}, Recipe)


def jpegs(number: int) -> list[bytes]:
    """Three pictures, some of them upright."""
    shape = (96, 54, 3) if number % 5 == 0 else (54, 96, 3)
    images = [np.full(shape, (number * 37 % 256, 60 * at, 200 - number % 200), np.uint8) for at in range(3)]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def a_clip(number: int, **given: Any) -> Row:
    """One clip and everything that is said of it; what is given wins."""
    chance = np.random.default_rng(number)
    source = f"film {number % 7}"
    frames = int(chance.integers(4, 200))
    row = {
        "clip_id": tables.clip_id(source, number, number + frames, "1/25"), "source_id": source, "scene": number,
        "piece": 0, "kind": "scene", "trimmed": 0, "start_pts": number, "end_pts": number + frames,
        "time_base": "1/25", "start_s": number / 25, "end_s": (number + frames) / 25, "duration_s": frames / 25,
        "frames": frames, "fps": 25.0, "width": 640,
        "height": int(chance.choice([144, 360, 720, 2160])), "category": ("city", "sea", "<b>", None)[number % 13 % 4],
        "motion": float(chance.exponential(0.1)) if number % 11 else None, "motion_x": 0.0, "motion_y": 0.0,
        "sharpness": 100.0, "brightness": float(chance.random()), "black": 0.0, "frozen": 0.25,
        "phash": [number] * (3 if number % 9 else 0), "thumbnails": jpegs(number) if number % 9 else [],
        "thumbnail_s": [0.0] * (3 if number % 9 else 0), "looks": None,
        "caption": f"clip {number} " + "word " * (number % 6),
        "signal": float(chance.random() * 10),
    }  # fmt: skip
    return row | given


def finished(
    folder: Path,
    made: Recipe,
    clips: Sequence[Row],
    failed: Sequence[Row] = (),
    uncut: int = 0,
    twice: Mapping[str, str] | None = None,
) -> Place:
    """An output with these clips in three parts by their sources, as the phases before the report leave it.

    Args:
        twice: clips that repeat a better one, and which.
    """
    out = Place(folder)
    named = sorted({clip["source_id"] for clip in clips})
    given = [{"source_id": name, "uri": f"/films/{name}", "kind": "video"} for name in named]
    good = {"status": "ok", "bytes": 1000, "width": 640, "height": 360, "codec": "h264"}
    of = [[clip for clip in clips if clip["source_id"] == name] for name in named]
    sources = [
        row | good | {"clips": len(its), "duration_s": sum(clip["duration_s"] for clip in its), "warning": None}
        for row, its in zip(given, of)
    ]
    if sources:
        sources[0]["warning"] = "cut off & damaged"
    bad = [{"uri": "x", "kind": "video", "status": "failed", "clips": 0} | row for row in failed]
    inputs = [{name: row[name] for name in ("source_id", "uri", "kind")} for row in [*given, *bad]]
    parts.commit(out, "inputs", 0, inputs, tables.INPUTS, {})
    unit_of = {name: number % 3 for number, name in enumerate(named)}
    for unit in range(3):
        its = [row for row in sources if unit_of[row["source_id"]] == unit]
        parts.commit(out, "sources", unit, [*its, *(bad if unit == 0 else [])], tables.SOURCES, {})
    scored, rules = measures(made), made.select.every_rule
    for unit in range(3):
        rows = [row for row in clips if unit_of[row["source_id"]] == unit]
        of_clips = [{name: row[name] for name in CLIPS.names} for row in rows]
        parts.commit(out, "clips", unit, of_clips, CLIPS, {})
        scores = [{"clip_id": row["clip_id"], "signal": row["signal"]} for row in rows]
        parts.commit(out, "scores", unit, scores, tables.scores_schema(scored), {})
    known = parts.joined(parts.read(out, "clips"), parts.read(out, "scores"))
    early, _ = select.decide(known, rules, captioned=False)
    passed = {row["clip_id"] for row in early.to_pylist() if row["kept"]}
    for unit in range(3):
        rows = [row for row in clips if unit_of[row["source_id"]] == unit and row["clip_id"] in passed]
        told = [{"clip_id": r["clip_id"], "caption": r["caption"], "caption_words": words(r)} for r in rows]
        parts.commit(out, "captions", unit, told, CAPTIONS, {})
    selection, _ = select.decide(parts.joined(known, parts.read(out, "captions")), rules, captioned=True)
    if twice:
        found = [
            row | {"kept": False, "drop_reasons": ["duplicate"], "duplicate_of": twice[row["clip_id"]]}
            if row["clip_id"] in twice
            else row
            for row in selection.to_pylist()
        ]
        selection = tables.table(found, tables.SELECTION)
    out.commit_table("selection.parquet", selection)
    kept = {row["clip_id"] for row in selection.to_pylist() if row["kept"]}
    samples = [row for row in clips if row["clip_id"] in kept]
    footer = {"failed": [{"clip_id": row["clip_id"], "reason": "the encoder crashed"} for row in samples[:uncut]]}
    schema = pa.schema([tables.SAMPLES.field(name) for name in ("clip_id", "duration_s", "offset", "bytes")])
    told = [
        {"clip_id": row["clip_id"], "duration_s": row["duration_s"], "offset": 0, "bytes": 0} for row in samples[uncut:]
    ]
    parts.commit(out, "shards", 0, told, schema, footer)
    shards = [{"tar": "shards/00000.tar", "index": "shards/00000.parquet", "samples": len(told)}]
    manifest = {
        "format": tables.MANIFEST_FORMAT,
        "dataset_hash": "d" * 64,
        "bytes": 10240,
        "samples": len(told),
        "shards": shards,
    }
    out.commit("manifest.json", json.dumps(manifest).encode())
    assert ledger.discrepancies(out) == []
    out.commit("ledger.json", json.dumps(ledger.balance(out)).encode())
    return out


def words(row: Row) -> int:
    return len((row["caption"] or "").split())


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, out: Place):
        super().__init__()
        self.html = out.text(report.PAGE)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self.sheets: dict[str, list[str]] = {}
        self._sheet = ""
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "section":
            self._sheet = given.get("id") or ""
            self.sheets[self._sheet] = []

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        if tag != "style":
            self.text.append(data)
        if tag == "code" and len(data) == 16 and self._sheet:
            self.sheets[self._sheet].append(data)
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] = self.rows[-1][-1] or data.strip()

    def headline(self) -> dict[str, str]:
        text = [data for data in self.text if data.strip()]
        names = ("Sources", "Clips found", "Clips kept", "Footage in shards", "Shards")
        return {name: text[text.index(name) + 1] for name in names}

    def reasons(self) -> dict[str, tuple[int, ...]]:
        """First, at all and only, by reason."""
        start = next(at for at, row in enumerate(self.rows) if row[:1] == ["reason"])
        names = self.rows[start]
        rows = [row for row in self.rows[start + 1 :] if len(row) == len(names)]
        return {row[0]: tuple(int(cell.replace(",", "")) for cell in row[-3:]) for row in rows}


def reasons_of(clips: Sequence[Row]) -> dict[str, list[str]]:
    """The rules again, one clip at a time."""
    motions = [np.float32(clip["motion"]) for clip in clips if clip["motion"] is not None]
    low, high = np.percentile(np.array(motions, np.float64), [10, 90])
    found = {}
    for clip in clips:
        motion = None if clip["motion"] is None else float(np.float32(clip["motion"]))
        why = [
            *([f"kind is {clip['kind']}"] if clip["kind"] != "scene" else []),
            *(["black > 0.5"] if clip["black"] > 0.5 else []),
            *(["no frozen"] if clip["frozen"] is None else ["frozen > 0.9"] if clip["frozen"] > 0.9 else []),
            *(["frames < 16"] if clip["frames"] < 16 else []),
            *(["height < 240"] if clip["height"] < 240 else []),
            *(["no category"] if clip["category"] is None else []),
            *(["category is <b>"] if clip["category"] == "<b>" else []),
            *(["no motion"] if motion is None else ["motion < p10"] if motion < low else []),
            *(["motion > p90"] if motion is not None and motion > high else []),
        ]
        found[clip["clip_id"]] = why or (["caption_words < 3"] if words(clip) < 3 else [])
    return found


@pytest.fixture(scope="module")
def clips() -> list[Row]:
    rows = [a_clip(number) for number in range(240)]
    good = {
        "frames": 50,
        "height": 360,
        "category": "sea",
        "motion": 0.07,
        "kind": "scene",
        "black": 0.0,
        "frozen": 0.0,
    }
    rows[0] |= good | {"caption": NASTY, "source_id": "https://host/film?token=s3cret"}
    rows[1] |= good | {"frames": 3, "source_id": "<i>film</i>"}
    return rows


@pytest.fixture(scope="module")
def out(clips: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Place:
    failed = [{"source_id": "broken <u>", "error": "no video & no <sound>"}]
    place = finished(tmp_path_factory.mktemp("strange"), recipe(), clips, failed, uncut=2)
    assert report.fingerprint_of(place) is None
    report.write(place, recipe(), "f" * 64)
    return place


@pytest.fixture(scope="module")
def page(out: Place) -> Page:
    return Page(out)


def test_the_headline_counts_what_the_tables_hold(page: Page, clips: list[Row]) -> None:
    kept = [clip for clip in clips if not reasons_of(clips)[clip["clip_id"]]]
    seconds = sum(clip["duration_s"] for clip in kept[2:])
    assert page.headline() == {
        "Sources": str(len({clip["source_id"] for clip in clips}) + 1),
        "Clips found": "240",
        "Clips kept": str(len(kept)),
        "Footage in shards": f"{seconds / 60:.3g} min",
        "Shards": "1",
    }


def test_every_reason_is_counted_as_first_at_all_and_alone(page: Page, clips: list[Row]) -> None:
    why = [reasons for reasons in reasons_of(clips).values() if reasons]
    first = Counter(reasons[0] for reasons in why)
    every = Counter(reason for reasons in why for reason in reasons)
    only = Counter(reasons[0] for reasons in why if len(reasons) == 1)
    assert page.reasons() == {reason: (first[reason], every[reason], only[reason]) for reason in every}


def test_every_first_reason_has_a_sheet_of_clips_that_have_it(page: Page, clips: list[Row]) -> None:
    why = reasons_of(clips)
    first = Counter(reasons[0] for reasons in why.values() if reasons)
    shown = {name: ids for name, ids in page.sheets.items() if name.startswith("dropped-")}
    found = Counter({why[ids[0]][0]: len(ids) for ids in shown.values()})
    assert found == {reason: min(n, 4) for reason, n in first.items()}
    assert all(len({why[clip_id][0] for clip_id in ids}) == 1 for ids in shown.values())
    assert len(page.sheets["kept"]) == 4 and not any(why[clip_id] for clip_id in page.sheets["kept"])
    assert len(page.sheets["not-cut"]) == 2 and "not cut: the encoder crashed" in page.text


def test_bars_hold_every_clip_with_a_value_and_thresholds_stand_where_rules_cut(out: Place, clips: list[Row]) -> None:
    with gather(out, recipe()) as found:
        charts = {chart.field: chart for chart in found.distributions}
    for chart in charts.values():
        assert chart.all.sum() + chart.missing == len(clips)
        assert (chart.kept <= chart.all).all()
    assert charts["motion"].missing == sum(clip["motion"] is None for clip in clips)
    low, high = charts["motion"].marks
    bins = len(charts["motion"].all)
    assert charts["motion"].kept[: int(low.at * bins)].sum() == 0
    assert charts["motion"].kept[int(high.at * bins) + 1 :].sum() == 0
    assert [mark.text for mark in charts["frames"].marks] == ["≥ 16"]
    assert charts["height"].kept[charts["height"].edges[:-1] < 240].sum() == 0
    assert charts["signal_min"].missing == len(clips) and charts["signal_min"].median is None


def test_the_page_asks_for_nothing_else_and_runs_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "poster", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, name)
    assert "url(" not in page.html and "@import" not in page.html


def test_links_lead_to_something_on_the_page(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in page.tags if tag == "a"} <= {f"#{name}" for name in ids}


def test_the_words_of_strangers_are_shown_and_not_obeyed(page: Page) -> None:
    text = "".join(page.text)
    for told in (NASTY, "broken <u>", "no video & no <sound>", "<i>film</i>", "category is <b>", "cut off & damaged"):
        assert told in text
    assert not {"script", "u"} & {tag for tag, _ in page.tags}


def test_a_source_known_by_its_url_keeps_its_token_to_itself(page: Page) -> None:
    assert "https://host/film" in "".join(page.text)
    assert "s3cret" not in page.html


def test_every_picture_is_described(page: Page) -> None:
    shown = [attributes for tag, attributes in page.tags if tag == "img"]
    assert shown and all("alt" in attributes for attributes in shown)
    assert "no thumbnails" in page.text


def test_the_same_output_gives_the_same_bytes(out: Place, clips: list[Row], tmp_path: Path) -> None:
    failed = [{"source_id": "broken <u>", "error": "no video & no <sound>"}]
    again = finished(tmp_path / "elsewhere", recipe(), clips, failed, uncut=2)
    report.write(again, recipe(), "f" * 64)
    names = out.names("report")
    assert set(names) == {"index.html", *PICTURES} and again.names("report") == names
    assert all(out.read(f"report/{name}") == again.read(f"report/{name}") for name in names)


def test_the_page_says_what_it_was_made_of(out: Place) -> None:
    assert report.fingerprint_of(out) == "f" * 64


@pytest.mark.parametrize(
    ("rules", "change", "kept"),
    [
        pytest.param([{"field": "frames", "min": 10**6}], {}, 0, id="nothing is kept"),
        pytest.param([{"field": "frames", "min": 1}], {}, 30, id="nothing is dropped"),
        pytest.param([{"field": "signal", "min": "p50"}], {"signal": None}, 0, id="scores are null"),
        pytest.param([{"field": "frames", "max": 80}], {"category": None, "frames": 80}, 30, id="all clips are alike"),
        pytest.param([{"field": "frames", "min": 1}], {"thumbnails": [], "caption": None}, 30, id="nothing to show"),
        pytest.param([{"field": "brightness", "max": 0.5}], {"brightness": float("nan")}, 0, id="nothing is a number"),
    ],
)
def test_the_report_is_whole_where(rules: list[Row], change: Row, kept: int, tmp_path: Path) -> None:
    made = recipe(rules)
    place = finished(tmp_path, made, [a_clip(number, **change) for number in range(30)])
    report.write(place, made, "a")
    page = Page(place)
    assert page.headline()["Clips kept"] == str(kept)
    assert ("No clip was dropped." in page.text) == (kept == 30)
    assert_pictures(place)


def test_the_report_is_whole_where_every_source_failed(tmp_path: Path) -> None:
    made = recipe()
    place = finished(tmp_path, made, [], [{"source_id": f"film {n}", "error": "not a video"} for n in range(3)])
    report.write(place, made, "a")
    assert Page(place).headline()["Clips found"] == "0"
    assert "No source was decoded." in Page(place).text
    assert_pictures(place)


def test_with_very_many_reasons_sheets_become_shorter(tmp_path: Path) -> None:
    made = recipe([{"field": "category", "one_of": ["good"]}], shown=2)
    clips = [a_clip(number, category=f"kind {number // 4}") for number in range(400)]
    place = finished(tmp_path, made, clips)
    report.write(place, made, "a")
    shown = [ids for name, ids in Page(place).sheets.items() if name.startswith("dropped-")]
    assert [len(ids) for ids in shown] == [1] * 100


@pytest.mark.parametrize(("available", "most"), [(0, 4), (3, 4), (4, 4), (5, 1), (5, 4), (1000, 24), (25, 24)])
def test_what_is_shown_is_spread_evenly(available: int, most: int) -> None:
    chosen = evenly(available, most)
    assert len(chosen) == min(available, most)
    steps = [after - before for before, after in zip(chosen, chosen[1:])]
    if steps:
        assert (chosen[0], chosen[-1]) == (0, available - 1)
        assert min(steps) > 0 and max(steps) - min(steps) <= 1


def assert_pictures(place: Place) -> None:
    for name in PICTURES:
        image = cv2.imdecode(np.frombuffer(place.read(f"report/{name}"), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None and image.shape[1] >= 1600 and image.std() > 1
