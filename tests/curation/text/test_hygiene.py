"""Captions are cleaned of what chat adds, and what is no caption is called by its name."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.hygiene import clean, flags, repeats, tidy
from curation.text.words import tokens, words


@pytest.mark.parametrize(
    ("answered", "caption"),
    [
        ("The video shows a cat that sleeps.", "A cat that sleeps."),
        ("the  video\nshows a cat.", "A cat."),
        ("This short video clip depicts two men on a pier.", "Two men on a pier."),
        ("In this video, we can see a red bus.", "A red bus."),
        ("The scene begins with a close-up of a hand.", "A close-up of a hand."),
        ("Sure! Here is a detailed description of the video: A boat leaves the harbour.", "A boat leaves the harbour."),
        ("**Caption:** A dog runs.", "A dog runs."),
        ('"A dog runs."', "A dog runs."),
        ('"Go!" she says, "now."', '"Go!" she says, "now."'),
        ("<think>They want a caption.\nOK.</think>\n\nThe image shows a tree.", "A tree."),
        ("A video of a horse on the beach.", "A horse on the beach."),
        ("A tree.<|im_end|>", "A tree."),
        ("该视频展示了一只猫在草地上跳。", "一只猫在草地上跳。"),
        ("The video shows", "The video shows"),
        ("A man films a video of his dog.", "A man films a video of his dog."),
        ("The scenery is calm.", "The scenery is calm."),
        ("The film crew waits.", "The film crew waits."),
    ],
)
def test_what_chat_adds_is_stripped(answered: str, caption: str) -> None:
    assert clean(answered) == caption


_PIECES = st.sampled_from(
    [
        *(
            "The video shows ",
            "the image depicts",
            "In this clip, ",
            "Sure, ",
            "Caption: ",
            "Here is a caption: ",
            "**",
            "##",
        ),
        *(
            '"',
            "“",
            "”",
            "'",
            "<think>",
            "</think>",
            "<|im_end|>",
            "</s>",
            "a cat",
            " ",
            "\n",
            "…",
            "ß",
            "ŉ",
            "视频展示了",
            "猫",
        ),
        *(
            "\u200b",
            "\ufeff",
            "\x00",
            "__",
            "```json",
            "A video of ",
            "that ",
            ":",
            "<",
            "|",
            ">",
            "<s",
            "s>",
            "<|a",
            "b|>",
        ),
    ]
)


@settings(max_examples=1000)
@given(st.one_of(st.text(), st.lists(st.one_of(_PIECES, st.text(max_size=4)), max_size=12).map("".join)))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert tidy(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I cannot describe this video as it contains people.",
        "I am unable to view videos.",
        "Unfortunately, I can't see it.",
        "As an AI language model, I do not have eyes.",
        "It seems there is no video attached.",
        "No image was provided.",
        "Please provide the video that you want me to describe.",
        "抱歉，我无法描述这个视频。",
    ],
)
def test_refusal_is_called_one(text: str) -> None:
    assert "refusal" in flags(clean(text))


@pytest.mark.parametrize(
    "text",
    [
        "A man says that he is sorry and leaves.",
        "I love my dog, says a note on the door.",
        "A robot, shown as an AI that plays chess, moves a pawn.",
        "A sorry-looking dog waits in the rain. No image of the moon is seen.",
        "A woman walks from left to right, then from right to left, and waves.",
        "A close-up of a hand. The hand holds a red ball. The hand opens, and the ball falls to the floor of the room.",
        "Rot und grün.",
        "Yeah yeah yeah, she sings.",
        "一只猫在草地上跳来跳去，然后慢慢地走开了。",
    ],
)
def test_honest_caption_gets_no_flag(text: str) -> None:
    assert flags(clean(text)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A man walks into the", True),
        ("A man walks,", True),
        ("A man walks with", True),
        ("一只猫，", True),
        ("A man walks", False),
        ("A man walks in.", False),
    ],
)
def test_open_end_is_called_truncated(text: str, said: bool) -> None:
    assert flags(text) == (["truncated"] if said else [])
    assert "truncated" in flags(text, truncated=True)


@pytest.mark.parametrize(
    "text",
    [
        "the man walks the man walks the man walks",
        "A car. " * 4,
        "very very very very very good",
        "一只猫在跳一只猫在跳一只猫在跳",
        "A man stands in front of a wall. He smiles. A man stands in front of a wall. He waves. "
        "A man stands in front of a wall.",
    ],
)
def test_loop_is_called_repeats(text: str) -> None:
    assert flags(text) == ["repeats"]


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_loops_are_found_as_the_definition_says(said: list[str]) -> None:
    """Against the definition, plainly: some piece stands three times in a row, a single word five times."""
    found = any(
        said[start : start + length] * times == said[start : start + length * times]
        for length in range(1, len(said) + 1)
        for times in [5 if length == 1 else 3]
        for start in range(len(said) - length * times + 1)
    )
    if found:
        assert repeats(said)
    elif len(said) < 10:
        assert not repeats(said)


@given(st.lists(st.integers(), max_size=60, unique=True))
def test_words_that_differ_never_repeat(said: list[int]) -> None:
    assert not repeats([str(word) for word in said])


@pytest.mark.parametrize(
    ("text", "expected", "foreign"),
    [
        ("A man is riding a horse on the beach.", "en", False),
        ("Un hombre monta a caballo en la playa.", "en", True),
        ("Un hombre monta a caballo en la playa.", "es", False),
        ("一只猫在草地上跳来跳去", "en", True),
        ("一只猫在草地上跳来跳去", "zh", False),
        ("Marbella", "en", False),
        ("A shop sign reads “Wir haben heute leider geschlossen, bitte kommen Sie morgen wieder”.", "en", False),
        ("12345", "en", False),
    ],
)
def test_language_is_judged_only_where_it_is_sure(text: str, expected: str, foreign: bool) -> None:
    assert ("language" in flags(text, language=expected)) == foreign
    assert "language" not in flags(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (None, 0),
        ("A cat sleeps.", 3),
        ("a cat - well - sleeps …", 4),
        ("Ünïcödé's 3 words", 3),
        ("고양이가 풀밭에서 뛴다", 3),
        ("猫", 1),
        ("一只猫在跳", 3),
        ("一只猫在草地上跳来跳去", 7),
        ("แมวกำลังกระโดดบนหญ้า", 5),
        ("一只 cat 在跳", 4),
    ],
)
def test_words_are_counted_in_every_script(text: str | None, count: int) -> None:
    assert words(text) == count


@settings(max_examples=300)
@given(st.lists(st.text("abcdefghäöüß", min_size=1, max_size=9), max_size=20))
def test_spaced_words_are_what_stands_between_spaces(said: list[str]) -> None:
    assert words(" ".join(said)) == len(said)
    assert tokens(", ".join(said)) == [word.casefold() for word in said]


def test_longer_text_of_a_script_without_spaces_never_has_fewer_words() -> None:
    text = "一只猫在草地上跳来跳去，然后慢慢地走开了。แมวกำลังกระโดดบนหญ้า"
    counts = [words(text[:length]) for length in range(len(text))]
    assert all(one <= other for one, other in pairwise(counts))
