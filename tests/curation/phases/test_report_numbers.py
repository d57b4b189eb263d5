"""The report's numbers against a second computation of them, clip by clip in plain Python."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import stats
from curation.phases import report
from curation.phases.report.numbers import rules
from curation.phases.report.numbers.captions import HASH, Repeats, Vocabulary
from curation.phases.report.numbers.columns import Columns, Ends, quantiles
from curation.phases.report.numbers.facts import Facts, gather
from curation.phases.report.numbers.funnel import funnel
from curation.phases.report.numbers.journal import journal
from curation.phases.report.numbers.picks import ends, rows_of
from curation.recipe import Recipe
from curation.recipe_select import Duplicates
from curation.store import Place
from curation.tables import Row
from curation.text.words import tokens
from tests.curation.phases.test_report import Page, a_clip, finished, reasons_of, recipe, words

COPIES = 5


@pytest.fixture(scope="module")
def made() -> Recipe:
    plain = recipe()
    return plain.model_copy(update={"select": plain.select.model_copy(update={"duplicates": Duplicates()})})


@pytest.fixture(scope="module")
def clips() -> list[Row]:
    rows = [a_clip(number) for number in range(300)]
    for number in range(0, 300, 3):
        rows[number]["caption"] = ("a dog runs", "A dog runs.", "don't stop — naïve 海边 café", "the sea at night")[
            number % 4
        ]
    return rows


@pytest.fixture(scope="module")
def why(clips: list[Row]) -> dict[str, list[str]]:
    """The drop reasons of every clip."""
    found = reasons_of(clips)
    kept = [clip_id for clip_id, reasons in found.items() if not reasons]
    return found | {clip_id: ["duplicate"] for clip_id in kept[1 : 1 + COPIES]}


@pytest.fixture(scope="module")
def out(clips: list[Row], why: dict[str, list[str]], made: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Place:
    better = next(clip_id for clip_id, reasons in why.items() if not reasons)
    twice = {clip_id: better for clip_id, reasons in why.items() if reasons == ["duplicate"]}
    failed = [{"source_id": f"broken {n}", "error": "no video", "bytes": 10 + n} for n in range(3)]
    return finished(tmp_path_factory.mktemp("numbers"), made, clips, failed, uncut=2, twice=twice)


@pytest.fixture(scope="module")
def facts(out: Place, made: Recipe) -> Iterator[Facts]:
    with gather(out, made) as found:
        yield found


@pytest.fixture(scope="module")
def kept(clips: list[Row], why: dict[str, list[str]]) -> list[Row]:
    return [clip for clip in clips if not why[clip["clip_id"]]]


def test_what_each_rule_costs_in_order_at_all_and_alone(facts: Facts, clips: list[Row], why: dict) -> None:
    field_of = {reason: "near-duplicates" if reason == "duplicate" else reason.split()[-1 if " " not in reason else 0]
                for reasons in why.values() for reason in reasons}  # fmt: skip
    field_of |= {reason: reason.split()[1] for reason in field_of if reason.startswith("no ")}
    left = len(clips)
    for cost in facts.drops.costs:
        name = cost.decision.name
        against = [clip for clip in clips if name in [field_of[reason] for reason in why[clip["clip_id"]]]]
        first = [clip for clip in against if field_of[why[clip["clip_id"]][0]] == name]
        only = [clip for clip in against if {field_of[reason] for reason in why[clip["clip_id"]]} == {name}]
        left -= len(first)
        assert (cost.any, cost.first, cost.only, cost.left) == (len(against), len(first), len(only), left), name
        assert cost.seconds == pytest.approx(sum(clip["duration_s"] for clip in first))
    assert left == facts.sums["clips"]["kept"]
    for (a, one), (b, other) in itertools.product(enumerate(facts.drops.costs), repeat=2):
        both = {one.decision.name, other.decision.name}
        count = sum(both <= {field_of[reason] for reason in why[clip["clip_id"]]} for clip in clips)
        assert facts.drops.together[a, b] == count


def test_the_funnel_adds_up_in_clips_seconds_and_bytes(facts: Facts, clips: list[Row], why: dict) -> None:
    of_sources, of_clips = funnel(facts)
    assert [step.count for step in of_sources if step.kind != "loss"] == [10, 7]
    assert [(step.label, step.count, step.bytes) for step in of_sources if step.kind == "loss"] == [("no video", 3, 33)]
    assert of_sources[0].bytes == 7 * 1000 + 33 and of_sources[-1].bytes == 7 * 1000
    whole, *losses = [step for step in of_clips if step.label not in ("kept", "samples in shards")]
    kept = next(step for step in of_clips if step.label == "kept")
    losses = [step for step in losses if not step.label.startswith("not cut")]
    for amount in ("count", "seconds", "bytes"):
        lost = sum(getattr(step, amount) for step in losses)
        assert getattr(whole, amount) == pytest.approx(lost + getattr(kept, amount))
    assert whole.bytes == pytest.approx(7 * 1000)
    assert {step.label: step.count for step in losses} == Counter(reasons[0] for reasons in why.values() if reasons)


@pytest.mark.parametrize("field", ["duration_s", "height", "frames", "brightness", "motion", "caption_words"])
def test_bins_medians_and_ends_of_a_column(facts: Facts, clips: list[Row], why: dict, field: str) -> None:
    early = {
        clip["clip_id"] for clip in clips if why[clip["clip_id"]] not in ([], ["duplicate"], ["caption_words < 3"])
    }
    rows = [clip | {"caption_words": words(clip) if clip["clip_id"] not in early else None} for clip in clips]
    known = [clip for clip in rows if clip[field] is not None]
    values = [float(np.float32(clip[field])) if field in ("brightness", "motion") else clip[field] for clip in known]
    good = [value for value, clip in zip(values, known) if not why[clip["clip_id"]]]
    chart = stats.column(facts, field)
    assert (chart.known, chart.missing) == (len(known), len(clips) - len(known))
    assert (chart.least, chart.greatest) == (min(values), max(values))
    assert (chart.median, chart.median_kept) == (np.median(values), np.median(good))
    inside = [(low, high) for low, high in zip(chart.edges, chart.edges[1:])][1:-1]
    for (low, high), every, passed in zip(inside, chart.all[1:-1], chart.kept[1:-1]):
        assert every == sum(low <= value < high for value in values)
        assert passed == sum(low <= value < high for value in good)
    assert (chart.all.sum(), chart.kept.sum()) == (len(values), len(good))
    least, greatest = ends(facts.columns, field, 4)
    order = [facts.columns.whole(field)[row] for row in (*least, *greatest)]
    assert order == sorted(values)[:4] + sorted(values, reverse=True)[:4]


def test_lavies_figures_of_the_kept_clips(facts: Facts, kept: list[Row]) -> None:
    found = {one.name: one for one in facts.comparisons}
    assert list(found) == ["category", "duration", "caption", "aesthetic", "height"]
    lengths = [2, 4, 8, 14, 20]
    shares = Counter(sum(clip["duration_s"] >= edge for edge in lengths) for clip in kept)
    assert [one.ours for one in found["duration"].bins] == [shares[n] for n in range(6)]
    heights = Counter(sum(clip["height"] >= edge for edge in (400, 600, 800)) for clip in kept)
    assert [one.ours for one in found["height"].bins] == [heights[n] for n in range(4)]
    said = Counter(sum(words(clip) >= edge for edge in (4, 7, 9, 11, 13)) for clip in kept)
    assert [one.ours for one in found["caption"].bins] == [said[n] for n in range(6)]
    of = Counter(clip["category"] for clip in kept)
    assert {one.label: one.ours for one in found["category"].bins if one.ours} == dict(of)
    for one in found.values():
        assert one.field is None or sum(row.share or 0 for row in one.bins) == pytest.approx(1)
    assert found["aesthetic"].field is None and {row.ours for row in found["aesthetic"].bins} == {None}


def test_what_lavie_published_is_said_and_nothing_else(facts: Facts) -> None:
    told = {
        (one.name, row.label): (row.vimeo25m, row.webvid10m)
        for one in facts.comparisons
        for row in one.bins
        if (row.vimeo25m, row.webvid10m) != (None, None)
    }
    assert told == {
        ("aesthetic", "2–4"): (None, 0.1996),
        ("aesthetic", "4–6"): (0.7912, 0.7258),
        ("aesthetic", "> 6"): (0.1689, 0.0722),
        ("height", "< 400"): (0.0018, 0.9999),
        ("height", "400–600"): (0.0150, None),
        ("height", "600–800"): (0.5993, None),
        ("height", "> 800"): (0.3840, None),
    }


def test_words_and_repeated_captions_of_the_kept_clips(facts: Facts, clips: list[Row], kept: list[Row]) -> None:
    counts = Counter(word for clip in kept for word in tokens(clip["caption"]))
    assert facts.words.captions == len(kept) and facts.words.total == sum(counts.values())
    assert facts.words.different == len(counts) and facts.words.once == sum(n == 1 for n in counts.values())
    assert facts.words.frequent == sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:60]
    said = Counter(clip["caption"] for clip in kept)
    assert facts.different_captions == len(said)
    rows = rows_of(facts.columns, [clip["clip_id"] for clip in clips])
    by_row = {rows[clip["clip_id"]]: clip["caption"] for clip in clips}
    assert {by_row[row]: n for row, n in facts.repeated} == {text: n for text, n in said.items() if n > 1}


def test_thresholds_are_those_that_select_used(facts: Facts, clips: list[Row]) -> None:
    motions = np.array([np.float32(clip["motion"]) for clip in clips if clip["motion"] is not None], np.float64)
    [rule] = [one for one in facts.resolved if one.rule.field == "motion"]
    assert (rule.least, rule.greatest) == tuple(np.percentile(motions, [10, 90]))
    assert f"motion ≥ {rule.least:.3g} (p10) and ≤ {rule.greatest:.3g} (p90)" in [
        name for name, _ in rules.costs(facts)
    ]


def test_near_duplicates_stand_beside_the_better_clip(out: Place, made: Recipe, why: dict) -> None:
    html = written(out, made).decode()
    section = html[html.index('id="twice"') : html.index('id="captions"')]
    better = next(clip_id for clip_id, reasons in why.items() if not reasons)
    copies = [clip_id for clip_id, reasons in why.items() if reasons == ["duplicate"]]
    pairs = section.split('class="pair"')[1:]
    assert len(pairs) == min(len(copies), 4) and all(better in pair for pair in pairs)
    assert all(any(copy in pair for copy in copies) for pair in pairs)


def test_the_page_stays_within_its_budget(out: Place, made: Recipe) -> None:
    sizes = []
    for most in (0.12, 0.2, 15.0):
        small = made.model_copy(update={"report": made.report.model_copy(update={"max_mb": most, "clips": 40})})
        [(_, page)] = report.files(out, small, "0" * 64, pictures=False)
        assert len(page) <= most * 1e6
        sizes.append(page.count(b'class="strip"'))
    assert sizes[0] < sizes[1] < sizes[2] and b"no room left on the page" not in page


def written(out: Place, made: Recipe) -> bytes:
    """The page alone."""
    [(name, page)] = report.files(out, made, "0" * 64, pictures=False)
    out.commit(name, page)
    return page


def events(out: Place, told: list[dict[str, Any]], cut_off: str = "") -> None:
    out.commit("events.jsonl", "".join(json.dumps(one) + "\n" for one in told).encode() + cut_off.encode())


LOG = [
    {"time": 100.0, "event": "start", "phase": "split", "units": 2, "pending": 2},
    {
        "time": 103.0,
        "event": "unit",
        "phase": "split",
        "unit": 0,
        "host": "a",
        "seconds": 2.5,
        "cpu_s": 2.0,
        "clips": 7,
    },
    {"time": 104.0, "event": "retry", "phase": "split", "unit": 1, "reason": "<script>lost</script>", "lost": True},
    # Here the run was killed, and begun again.
    {"time": 900.0, "event": "start", "phase": "split", "units": 2, "pending": 1},
    {
        "time": 901.0,
        "event": "unit",
        "phase": "split",
        "unit": 1,
        "host": "b",
        "seconds": 0.5,
        "cpu_s": 0.25,
        "clips": 3,
    },
    {"time": 902.0, "event": "done", "phase": "split", "seconds": 2.0, "cpu_s": 0.25},
    {"time": 903.0, "event": "end", "seconds": 3.0, "cpu_s": 0.25, "peak_mb": 321.0},
]


def test_the_log_of_a_killed_and_resumed_run(out: Place) -> None:
    events(out, LOG, '{"time": 904.0, "eve')
    told = journal(out)
    assert told is not None and list(told.phases) == ["split"]
    split = told.phases["split"]
    assert (split.wall_s, split.cpu_s, split.units, split.slowest_s) == (4.0 + 2.0, 2.25, 2, 2.5)
    assert (split.retries, split.lost, split.failed, split.counts["clips"]) == (1, 1, 0, 10)
    assert (told.runs, told.elapsed_s, told.peak_mb, dict(told.hosts)) == (1, 803.0, 321.0, {"a": 1, "b": 1})
    assert [(span.start_s, span.end_s) for span in told.spans] == [(0.0, 4.0), (800.0, 802.0)]


def test_only_the_last_section_tells_of_the_run(out: Place, made: Recipe) -> None:
    pages = []
    for told in (LOG[:3], LOG):
        events(out, told)
        pages.append(written(out, made))
    assert pages[0] != pages[1] and report.of_tables(pages[0]) == report.of_tables(pages[1])
    assert report.of_tables(pages[0]).endswith(b"</section>\n\n") and b'id="run"' not in report.of_tables(pages[0])
    assert b"&lt;script&gt;lost" in pages[1] and b"<script" not in pages[1]


def test_a_prediction_stands_beside_what_came(out: Place, made: Recipe) -> None:
    events(out, LOG)
    told = {"low": 100, "mid": 150, "high": 200}
    amounts = {"clips": dict.fromkeys(("all", "hours", "kept", "kept_hours"), told)}
    amounts |= {"samples": dict.fromkeys(("in shards", "bytes"), told), "phases": {"split": {"cpu_s": told}}}
    foretold = {"cluster": {"cpus": 2}, "predicted": amounts | {"cpu_s": told, "wall_s": told}}
    out.commit("prediction.json", json.dumps(foretold).encode())
    written(out, made)
    rows = {row[0]: row[1:] for row in Page(out).rows if row}
    assert rows["clips"] == ["100", "150", "200", "300", "0.5"]
    out.remove("prediction.json")
    assert b"Predicted and actual" not in written(out, made)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_are_exact_however_few_fit_into_memory(values: list[float], share: float) -> None:
    pieces = [np.array(values[at : at + 7]) for at in range(0, len(values), 7)]
    found = quantiles(lambda: iter(pieces), len(values), [share, 0.5], few=4)
    assert found[1] == pytest.approx(np.median(values), rel=1e-12, abs=1e-300)
    low, high = sorted(values)[int(share * (len(values) - 1))], max(values)
    assert low <= found[0] <= high
    assert found == quantiles(lambda: iter(pieces), len(values), [share, 0.5])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 5))
def test_ends_are_those_of_the_sorted_values(values: list[int], most: int) -> None:
    found = Ends(most)
    for begin in range(0, len(values), 6):
        some = np.array(values[begin : begin + 6])
        found.add(some, np.arange(begin, begin + len(some)))
    order = sorted(range(len(values)), key=lambda row: (values[row], row))
    assert found.least == order[:most]
    assert found.greatest == sorted(range(len(values)), key=lambda row: (-values[row], row))[:most]


@given(st.lists(st.text("aB c'’-.é海7", max_size=12), max_size=30))
def test_words_are_counted_as_the_table_counts_them(captions: list[str]) -> None:
    counting = Vocabulary()
    for caption in captions:
        counting.add(pa.array([caption]))
    expected = Counter(word for caption in captions for word in tokens(caption))
    found = counting.words(1000)
    assert dict(found.frequent) == expected and found.total == sum(expected.values())


def test_a_vocabulary_forgets_only_what_was_seen_once() -> None:
    counting = Vocabulary(most=10)
    counting.add(pa.array(["often often", *(f"rare{n}" for n in range(20))]))
    found = counting.words(5)
    assert found.forgotten and found.frequent == [("often", 2)]


@given(st.lists(st.sampled_from([None, "a", "b", "c", "d", "e"]), max_size=60))
def test_repeated_captions_are_found(captions: list[str | None]) -> None:
    counting = Repeats()
    with Columns(piece=8) as columns:
        columns.append(HASH, counting.add(pa.array(captions, pa.string())))
        columns.finish()
        found, different = counting.most(columns, 3)
    counts = Counter(caption for caption in captions if caption is not None)
    assert different == len(counts)
    assert [n for _, n in found] == [n for n in sorted(counts.values(), reverse=True) if n > 1][:3]
    assert all(counts[captions[row]] == n for row, n in found)
    assert all(row == captions.index(captions[row]) for row, _ in found)


def test_an_output_without_a_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(stats.UserError, match="no recipe"):
        stats.read(str(tmp_path))
