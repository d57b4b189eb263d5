"""Which language a caption is in, by py3langid (langid.py, Lui and Baldwin 2012), whose model is in its wheel."""

from __future__ import annotations

import functools
from typing import Any

import regex

# Nothing is said of fewer letters than this, since on a few words the model guesses. Ours.
_LETTERS, _LETTERS_UNSPACED = 24, 8
# A caption is called foreign where the model gives the expected language less than this. Sister languages
# share the rest (en and pcm, zh and wuu), so the expected one need not be the first. Ours.
_LIKELY = 0.02
_LETTER = regex.compile(r"\p{L}")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_QUOTED = regex.compile(r"[\"“«「『][^\"”»」』]*[\"”»」』]")


def known() -> list[str]:
    """The languages that can be expected, by their ISO 639 codes."""
    return sorted(set(_model().nb_classes) - {"zxx"})


def is_foreign(caption: str, expected: str) -> bool:
    """Whether a caption is surely not in the expected language; what it quotes does not count."""
    text = _QUOTED.sub(" ", caption)
    least = _LETTERS_UNSPACED if _UNSPACED.search(text) else _LETTERS
    if len(_LETTER.findall(text)) < least:
        return False
    return dict(_model().rank(text)).get(expected, 0.0) < _LIKELY


@functools.cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
