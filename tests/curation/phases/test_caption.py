"""A caption belongs to its clip, is clean or says what is wrong with it, and is paid for once."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import parts, tables, validate
from curation.answers import Answers
from curation.errors import UserError
from curation.models.captioners import Answer, Captioner, Shown
from curation.phases import Unit
from curation.phases.caption import Caption
from curation.recipe import Recipe
from curation.recipe_caption import Style
from curation.store import Place
from tests import chat
from tests.chat import ChatServer, seen


def picture(number: int) -> bytes:
    rng = np.random.default_rng(number)
    return bytes(cv2.imencode(".jpg", rng.integers(0, 255, (16, 16, 3), np.uint8))[1])


PICTURES = [picture(number) for number in range(24)]
IDS = [f"{number:016x}" for number in range(24)]


def rows(numbers: Sequence[int], source_caption: str | None = None) -> list[dict]:
    facts = {"source_caption": source_caption, "brightness": 0.1, "motion": 0.1, "motion_x": 0.0, "motion_y": 0.0}
    return [{"clip_id": IDS[number], "thumbnails": [PICTURES[number]], **facts} for number in numbers]


def recipe(**caption: Any) -> Recipe:
    return validate.parse({"name": "t", "sources": [{"files": "x"}], "caption": caption}, Recipe)


def endpoint(server: ChatServer, **given: Any) -> dict[str, Any]:
    return {"url": server.url, "model": server.model, "backoff_s": 0.001, "concurrency": 4} | given


@contextlib.contextmanager
def phase(out: Path, **caption: Any) -> Iterator[Caption]:
    """The phase as a worker has it, over this output."""
    made = Caption(recipe(**caption))
    made.setup()
    made.remember(Place(out))
    yield made
    for captioner in made.captioners.values():
        getattr(captioner, "close", lambda: None)()


def captioned(made: Caption, number: int, given: list[dict]) -> list[dict]:
    return made.process(Unit(number, ""), given, Path()).tables["captions"]


def files(out: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "answers").glob("*")}


class _Fussy(Captioner):
    """Answers for some clips, in another order, and for one that nobody asked about."""

    def __init__(self, answered: set[str]):
        self._answered = answered

    def caption(self, clips: Sequence[Shown], style: Style) -> Iterator[tuple[str, Answer]]:
        yield "f" * 16, Answer("Made for nobody.")
        for clip in reversed(clips):
            yield clip.clip_id, Answer(f"Made for {clip.clip_id}.") if clip.clip_id in self._answered else Answer()


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_caption_never_reaches_another_clip(first: list[bool], second: list[bool]) -> None:
    numbers = range(len(first))
    with tempfile.TemporaryDirectory() as folder, phase(Path(folder)) as made:
        made.captioners["source"] = _Fussy({IDS[n] for n, answers in zip(numbers, first) if answers})
        made.captioners["describe"] = _Fussy({IDS[n] for n, answers in zip(numbers, second) if answers})
        for captioner, name in zip(made.captioners.values(), ("source", "describe")):
            captioner.name = name
        captions = captioned(made, 0, rows(numbers))
    assert [row["clip_id"] for row in captions] == IDS[: len(first)]
    for row, one, other in zip(captions, first, second):
        assert row["caption"] == (f"Made for {row['clip_id']}." if one or other else None)


_FAULTS = st.sampled_from([0, 0, 400, 500, chat.CUT, chat.NOT_JSON, chat.NO_CHOICE, chat.LENGTH])
_RUNS = st.lists(st.tuples(st.permutations(range(8)), st.integers(1, 8), st.integers(1, 3)), min_size=1, max_size=4)


@settings(max_examples=25)
@given(st.lists(_FAULTS, max_size=12), _RUNS, st.integers(0, 12))
def test_whatever_fails_is_reordered_divided_anew_or_known_no_caption_reaches_another_clip(
    faults: list[int], runs: list[tuple[list[int], int, int]], budget: int
) -> None:
    """Several runs over one output: other clips, in another order, in other units, with faults and a budget."""
    with tempfile.TemporaryDirectory() as folder, ChatServer() as server:
        server.fault = lambda number, _: faults[number - 1] if number <= len(faults) else 0
        for order, count, units in runs:
            given = {"tries": 2, "budget": {"requests": budget}}
            with phase(Path(folder), **{"from": ["endpoint"], "endpoint": endpoint(server, **given)}) as made:
                for unit in range(units):
                    try:
                        captions = captioned(made, unit, rows(order[:count][unit::units]))
                    except UserError:
                        continue
                    assert [row["clip_id"] for row in captions] == [IDS[n] for n in order[:count][unit::units]]
                    for row in captions:
                        of_clip = seen([PICTURES[IDS.index(row["clip_id"])]])
                        assert row["caption"] in (f"A scene called {of_clip}.", f"A scene called {of_clip}", None)
                        assert bool(row["caption"]) != bool(row["caption_error"])
        kept = [row for path in Path(folder).rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert server.answered - len(kept) <= sum(fault == chat.NO_CHOICE for fault in faults)
    assert all(seen([PICTURES[IDS.index(row["clip_id"])]]) in row["text"] for row in kept)
    assert len({row["key"] for row in kept}) == len(kept) <= budget


def test_second_run_asks_nothing_whatever_the_units_are(tmp_path: Path) -> None:
    with ChatServer() as server:
        settings = {"from": ["endpoint"], "endpoint": endpoint(server)}
        with phase(tmp_path, **settings) as made:
            first = captioned(made, 0, rows(range(12))) + captioned(made, 1, rows(range(12, 24)))
        assert server.requests == 24
        before = files(tmp_path)
        assert sorted(before) == ["00000.parquet", "00001.parquet"]
        with phase(tmp_path, **settings) as made:
            again = [row for unit in range(8) for row in captioned(made, unit, rows(range(unit * 3, unit * 3 + 3)))]
        assert (again, server.requests, files(tmp_path)) == (first, 24, before)
        with phase(tmp_path, **settings, styles={"other": {"prompt": "And now?"}}) as made:
            captioned(made, 0, rows(range(3)))
        assert server.requests == 27
        with phase(tmp_path, **{**settings, "endpoint": endpoint(server, url=server.url + "/")}) as made:
            assert captioned(made, 0, rows(range(12))) == first[:12]
        assert server.requests == 27


def test_unit_that_was_stopped_pays_only_for_what_is_missing_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    with ChatServer() as server:
        whole, halves = tmp_path / "whole", tmp_path / "halves"
        for out, budgets in ((whole, [24]), (halves, [1, 5, 17, 24])):
            before = server.requests
            for budget in budgets:
                ends = pytest.raises(UserError, match="used up") if budget < 24 else contextlib.nullcontext()
                given = endpoint(server, budget={"requests": budget})
                with phase(out, **{"from": ["endpoint"], "endpoint": given}) as made, ends:
                    captioned(made, 0, rows(range(24)))
            assert server.requests - before == 24
        assert files(whole) == files(halves)
        assert sorted(files(halves)) == ["00000.parquet"]


def test_row_says_who_was_asked_what_and_what_is_wrong(tmp_path: Path) -> None:
    prompt = "Look!"
    with ChatServer(said=lambda *_: "**The video shows** a man, a man, a man, a man, a man walks in the") as server:
        styles = {"dense": {"prompt": prompt}, "given": {"from": ["source"]}}
        with phase(tmp_path, **{"from": ["endpoint"], "endpoint": endpoint(server), "styles": styles}) as made:
            (row,) = captioned(made, 0, rows([3], source_caption="A man's  walk"))
    hashed = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    told = {"captioner": "endpoint", "model": "tiny", "prompt": hashed, "flags": ["truncated", "repeats"]}
    text = "A man, a man, a man, a man, a man walks in the"
    assert row == {
        "clip_id": IDS[3],
        "caption": text,
        "caption_words": 13,
        "captioner": "endpoint",
        "caption_model": "tiny",
        "caption_prompt": hashed,
        "caption_score": None,
        "caption_flags": ["truncated", "repeats"],
        "captions": [
            {
                "style": "dense",
                "text": text,
                "words": 13,
                **told,
                "raw": f"**The video shows** {text[0].lower()}{text[1:]}",
            },
            {
                "style": "given",
                "text": "A man's walk",
                "words": 3,
                "captioner": "source",
                "model": None,
                "prompt": None,
                "flags": [],
                "raw": None,
            },
        ],
        "caption_error": None,
    }
    assert tables.table([row], tables.CAPTIONS).to_pylist() == [row]


def test_next_captioner_answers_where_one_failed_and_the_row_says_so(tmp_path: Path) -> None:
    with ChatServer(fault=lambda *_: 500) as server:
        given = {"from": ["endpoint", "describe"], "endpoint": endpoint(server, tries=1)}
        with phase(tmp_path, **given) as made:
            output = made.process(Unit(0, ""), rows([1, 2]), Path())
    for row in output.tables["captions"]:
        assert (row["captioner"], row["caption_flags"], row["caption_model"]) == ("describe", [], None)
        assert row["caption_error"] == "endpoint: the server answered 500: a fault of kind 500 (1 tries)"
    assert output.notes == {"unreachable": 2}


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ({"from": ["endpoint"]}, "`from` names endpoint, which needs endpoint"),
        ({"endpoint": {"url": "http://x/v1", "model": "m"}}, "endpoint is described and never asked"),
        ({"from": ["endpoint"], "endpoint": {"url": "http://me:word@x/v1", "model": "m"}}, "does not match"),
        ({"from": ["gpt"]}, "must be 'source', 'describe', 'endpoint' or 'transformers'"),
        ({"styles": {"a b": {}}}, "styles"),
        (
            {"from": ["endpoint"], "endpoint": {"url": "http://x/v1", "model": "m", "budget": {"dollars": 1}}},
            "needs prices",
        ),
    ],
)
def test_recipe_that_cannot_be_followed_is_refused(caption: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        recipe(**caption)


def test_settings_are_what_decides_the_rows(tmp_path: Path) -> None:
    given = {"url": "http://one/v1", "model": "m"}
    settings = Caption(recipe(**{"from": ["endpoint"], "endpoint": given})).settings()
    same = {"url": "http://two/v1", "concurrency": 2, "budget": {"requests": 3}}
    assert Caption(recipe(**{"from": ["endpoint"], "endpoint": given | same})).settings() == settings
    for other in ({"model": "n"}, {"temperature": 0.3}):
        assert Caption(recipe(**{"from": ["endpoint"], "endpoint": given | other})).settings() != settings
    one, two = {"a": {"prompt": "x"}}, {"b": {"prompt": "y"}}
    orders = [Caption(recipe(styles=styles)).settings() for styles in (one | two, two | one)]
    assert validate.fingerprint(orders[0]) != validate.fingerprint(orders[1])


def test_file_that_holds_no_answers_is_named(tmp_path: Path) -> None:
    parts.commit(Place(tmp_path), "answers", 7, [{"a": 1}], pa.schema([pa.field("a", pa.int64())]), {})
    with pytest.raises(UserError, match=r"answers/00007.parquet holds no answers .*; remove it"):
        Answers(Place(tmp_path)).spent("endpoint")
