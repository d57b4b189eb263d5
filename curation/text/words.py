"""Words of a caption, also in languages that write without spaces.

Between spaces a word is what holds a letter or a digit. Chinese, Japanese, Thai, Lao, Khmer and Burmese
put no spaces between words; finding theirs takes a dictionary for each. Here their length is divided by
that of a usual word instead, which is near enough for a rule such as "at least three words".
"""

from __future__ import annotations

import math

import regex

# Letters in a usual word, by rule of thumb; marks that are written above or below a letter are not counted.
# Chinese has about 1.6 letters a word and Japanese 2, Thai and Lao 3 to 4, Khmer and Burmese about 4. Ours.
_LETTERS_OF_A_WORD = {
    r"\p{Han}": 1.6,
    r"[\p{Hiragana}\p{Katakana}ー]": 2.5,
    r"[\p{Thai}\p{Lao}]": 3.5,
    r"[\p{Khmer}\p{Myanmar}]": 4.0,
}
_UNSPACED = "[" + "".join(script.strip("[]") for script in _LETTERS_OF_A_WORD) + "]"
_RUN = regex.compile(rf"(?:{_UNSPACED}\p{{M}}*)+")
_COUNTED = [(regex.compile(rf"(?:{script})"), letters) for script, letters in _LETTERS_OF_A_WORD.items()]
_MARK = regex.compile(r"\p{M}+")
_SAID = regex.compile(r"[\p{L}\p{N}]")
_TOKEN = regex.compile(rf"(?:{_UNSPACED})\p{{M}}*|(?:(?!{_UNSPACED})[\p{{L}}\p{{N}}]\p{{M}}*(?:['’](?=\p{{L}}))?)+")


def words(caption: str | None) -> int:
    """Words between spaces; in scripts without spaces, letters over the letters of a usual word, rounded."""
    if not caption:
        return 0
    unspaced = _MARK.sub("", "".join(_RUN.findall(caption)))
    share = sum(len(counted.findall(unspaced)) / letters for counted, letters in _COUNTED)
    spaced = sum(bool(_SAID.search(word)) for word in _RUN.sub(" ", caption).split())
    return spaced + (max(1, math.floor(share + 0.5)) if share else 0)


def tokens(caption: str) -> list[str]:
    """Lower-case words without punctuation; of scripts without spaces, single letters with their marks."""
    return [token.casefold() for token in _TOKEN.findall(caption)]
