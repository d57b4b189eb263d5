"""Scores that follow from embeddings, each against its formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from curation.errors import UserError
from curation.models.aesthetic import AestheticScorer
from curation.models.categories import CategoryScorer
from curation.models.classifiers import ClassifierScorer
from curation.models.clip import loaded
from curation.models.consistency import ConsistencyScorer
from curation.models.prompts import PromptScorer
from curation.phases.score import measures
from curation.recipe_score import VIMEO_CATEGORIES, Aesthetic, Categories, Clip, Prompt, Score
from curation.validate import parse
from tests.tiny_clip import NUMBERS

RNG = np.random.default_rng(2)


def _rows(count: int) -> np.ndarray:
    rows = RNG.normal(size=(count, NUMBERS))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def clip(tiny_clip: Path) -> Clip:
    return Clip(model=str(tiny_clip))


def _direction(clip: Clip, texts: list[str]) -> np.ndarray:
    mean = loaded(clip).texts(texts).mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_consistency_is_the_cosine_of_neighbours() -> None:
    rows = _rows(4)
    cosines = [float(rows[number] @ rows[number + 1]) for number in range(3)]
    score = ConsistencyScorer().score(rows)
    assert score == pytest.approx({"consistency": np.mean(cosines), "consistency_min": min(cosines)})
    assert ConsistencyScorer().score(rows[:1]) == {"consistency": None, "consistency_min": None}
    assert ConsistencyScorer().score(rows[[0, 0]])["consistency"] == pytest.approx(1)


def test_aesthetic_keeps_the_mean_and_the_least_of_the_pictures(clip: Clip, tmp_path: Path) -> None:
    network, rows = nn.Linear(NUMBERS, 1), _rows(3)
    torch.save(network.state_dict(), tmp_path / "head.pth")
    scorer = AestheticScorer(clip, Aesthetic(head=str(tmp_path / "head.pth")))
    assert scorer.fetch() == [tmp_path / "head.pth"]
    scorer.setup()
    expected = network(torch.tensor(rows, dtype=torch.float32)).detach().numpy()
    assert scorer.score(rows) == pytest.approx(
        {"aesthetic": expected.mean(), "aesthetic_min": expected.min()}, abs=1e-5
    )


def test_classifier_keeps_the_mean_and_the_greatest(clip: Clip, tmp_path: Path) -> None:
    network, rows = nn.Linear(NUMBERS, 1), _rows(3)
    torch.save(network.state_dict(), tmp_path / "head.pth")
    scorer = ClassifierScorer(clip, {"unsafe": str(tmp_path / "head.pth")})
    scorer.setup()
    expected = network(torch.tensor(rows, dtype=torch.float32)).detach().numpy()
    assert scorer.score(rows) == pytest.approx({"unsafe": expected.mean(), "unsafe_max": expected.max()}, abs=1e-5)


def test_single_prompt_is_a_cosine_and_a_pair_a_probability(clip: Clip) -> None:
    rows = _rows(3)
    scorer = PromptScorer(
        clip, {"snow": Prompt(texts=["snow", "ice"]), "dark": Prompt(texts=["a dark night"], against=["a bright day"])}
    )
    scorer.setup()
    cosines = rows @ _direction(clip, ["snow", "ice"])
    logits = loaded(clip).scale * np.stack(
        [rows @ _direction(clip, [text]) for text in ("a dark night", "a bright day")]
    )
    probabilities = 1 / (1 + np.exp(logits[1] - logits[0]))
    expected = {
        "snow": cosines.mean(),
        "snow_max": cosines.max(),
        "dark": probabilities.mean(),
        "dark_max": probabilities.max(),
    }
    assert scorer.score(rows) == pytest.approx(expected)
    assert {measure.name for measure in scorer.measures} == set(expected)


def test_category_is_the_one_whose_texts_are_nearest(clip: Clip) -> None:
    texts = {"cars": ["a red car", "a truck"], "pets": ["a dog"], "food": ["a bowl of soup"]}
    scorer = CategoryScorer(clip, Categories(texts=texts))
    scorer.setup()
    directions = np.stack([_direction(clip, some) for some in texts.values()])
    for number, name in enumerate(texts):
        rows = np.stack([directions[number], directions[number] + 0.02 * RNG.normal(size=NUMBERS)])
        mean = rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0))
        powers = np.exp(loaded(clip).scale * (directions @ mean))
        expected = {"zero_shot": name, "zero_shot_share": pytest.approx(powers[number] / powers.sum())}
        assert scorer.score(rows) == expected


def test_ten_vimeo_categories_are_the_default() -> None:
    score = parse({"categories": {}}, Score)
    assert score.categories is not None
    assert list(score.categories.texts) == list(VIMEO_CATEGORIES)
    assert len(VIMEO_CATEGORIES) == 10
    assert score.clip == Clip(model="ViT-L-14", pretrained="openai")


def test_watermark_and_nsfw_bring_their_own_texts() -> None:
    score = parse({"prompts": {"watermark": {}, "nsfw": None, "snow": "a snowy street"}}, Score)
    assert score.prompts["watermark"].against and score.prompts["nsfw"].against
    assert score.prompts["snow"].texts == ["a snowy street"]
    assert parse(score.model_dump(by_alias=True), Score) == score
    with pytest.raises(UserError, match="prompts.fog"):
        parse({"prompts": {"fog": {}}}, Score)


def test_model_named_under_aesthetic_is_the_one_of_all_scores() -> None:
    named = {"model": "ViT-B-32", "pretrained": "openai"}
    score = parse({"aesthetic": {**named, "head": "h.pth"}, "categories": {}}, Score)
    assert score.clip == Clip(**named)
    assert parse(score.model_dump(by_alias=True), Score) == score
    assert parse({"aesthetic": {"head": "h.pth"}}, Score).clip == Clip(model="ViT-L-14", pretrained="openai")
    with pytest.raises(UserError, match="another model than clip"):
        parse({"aesthetic": {**named, "head": "h"}, "clip": {"model": "ViT-L-14", "pretrained": "openai"}}, Score)
    assert parse({}, Score).clip is None


@pytest.mark.parametrize(
    ("score", "told"),
    [
        ({"prompts": {"motion": "fast motion"}}, "a column 'motion' already"),
        ({"prompts": {"a": "x"}, "classifiers": {"a_max": "h.pth"}}, "a column 'a_max' already"),
        ({"prompts": {"Some Name": "x"}}, "becomes a column"),
        ({"clip": {"model": "ViT-L-14"}}, "needs pretrained"),
        ({"clip": {"model": "./folder", "pretrained": "openai"}}, "brings its own weights"),
    ],
)
def test_names_and_models_that_cannot_be_are_refused(score: dict, told: str) -> None:
    from curation.recipe import Recipe

    with pytest.raises(UserError, match=told):
        measures(parse({"name": "t", "sources": [{"files": "x"}], "score": score}, Recipe))
