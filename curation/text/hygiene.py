"""Cleaning captions that models wrote, and finding those that are none.

    clean     what chat adds around a caption goes: reasoning, markup, quotes, "The video shows"
    flags     why a caption should not be trusted, each by a name:

    refusal    the model declined, or asked for a video
    truncated  it ends in the middle: the server said so, or it ends as no sentence does
    repeats    it says the same again and again
    language   it is in another language than the recipe expects

A sixth, `common`, is said of a dataset's captions by `curation.phases.select`. A prefix that was stripped is no
flag. Phrases are those that captioning pipelines strip (Open-Sora-Plan's report, Panda-70M's and ShareGPT4Video's
captions) and that chat models write; the limits are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import regex

from curation.text.language import is_foreign
from curation.text.words import tokens

FLAGS = ("refusal", "truncated", "repeats", "language", "common")

_THOUGHT = regex.compile(r"\s*<think>.*?</think>", regex.DOTALL)
_UNFINISHED_THOUGHT = regex.compile(r"\s*<think>")
# <|im_end|> and its like, and the end marks of the Llama family.
_SPECIAL = regex.compile(r"<\|[\w ]{1,40}\|>|</?s>|<end_of_turn>|<eos>")
_MARKUP = regex.compile(r"[*_]{2,}|^#{1,6}\s+|`{3}\w*", regex.MULTILINE)
_UNSEEN = regex.compile(r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}\u200b\u2028\u2029\ufeff\ufffd]+")
_QUOTES = {'"': '"', "“": "”", "«": "»", "「": "」", "'": "'", "‘": "’"}

_WHAT = r"(?:video|clip|footage|film|scene|image|picture|photo(?:graph)?|frame|frames|images|pictures|sequence|shot)s?"
_WHICH = r"(?:the|this|these|that)\s+(?:(?:given|provided|short|entire|whole|attached|following)\s+)?(?:video\s+)?"
_SHOWS = (
    r"(?:(?:clearly|mainly|primarily|simply)\s+)?"
    r"(?:shows?|showing|depicts?|depicting|displays?|features?|featuring|captures?|capturing|presents?|portrays?|"
    r"illustrates?|showcases?|contains?|describes?|is\s+of|is\s+about|consists\s+of|"
    r"begins\s+with|starts\s+with|opens\s+with|appears\s+to\s+(?:show|depict|be))"
)
_PREFIXES = regex.compile(
    rf"""
      (?:sure|certainly|of\ course|okay|ok)[,!.:]\s+ (?=\S)
    | here(?:'s|’s|\ is|\ are)\s+(?:a|an|the|one|your)\s+(?:[\w-]+\s+){{0,4}}(?:caption|description|summary)s?
      (?:\s+(?:of|for)\s+{_WHICH}{_WHAT})? \s*[:：]\s*
    | (?:(?:short|dense|detailed|brief|video|image|final|the|a)\s+){{0,3}}
      (?:caption|description|summary|answer) \s*[:：]\s*
    | (?:in|throughout)\s+{_WHICH}{_WHAT}\s*,\s*(?:we\s+(?:can\s+)?see\s+|there\s+(?:is|are)\s+)?
    | {_WHICH}{_WHAT}\s+{_SHOWS}(?:\s+that\b)?\s+
    | (?:a|an)\s+(?:short\s+)?(?:video|clip|footage)\s+(?:of|showing|depicting|featuring)\s+
    | (?:(?:在)?(?:这|该|此|本)?(?:段|个|部|张|幅)?(?:视频|影片|画面|图片|图像|照片)(?:中|里)?
      (?:主要)?(?:展示|显示|描绘|呈现|展现|描述|记录|讲述)(?:了|的是)?[，,：:]?\s*)
    """,
    regex.IGNORECASE | regex.VERBOSE,
)

_REFUSALS = regex.compile(
    r"""
      ^\W*(?:(?:i['’]?m|i\s+am|we\s+are)\s+(?:really\s+|very\s+|so\s+)?(?:sorry|afraid|unable|not\s+able|not\s+allowed)\b
      | (?:sorry|apologies|unfortunately|my\s+apologies)\s*[,.!:]
      | i\s+apologi[sz]e\b
      | i\s+(?:can['’]?t|cannot|can\s+not|could\s+not|couldn['’]?t|won['’]?t|do\s+not|don['’]?t|am)\s+(?:not\s+)?
        (?:help|assist|see|view|watch|access|provide|describe|identify|determine|comply|fulfil|fulfill|process|analy[sz]e|
        have|unable|answer|caption|generate|create|engage|discuss)\b
      | (?:there\s+is\s+)?no\s+(?:video|image|picture|clip)s?\s+(?:was|were|is|has|have)\b
        [^.]*(?:provided|attached|uploaded|shared)
      | please\s+(?:provide|upload|share|attach|send)\b
      | it\s+(?:seems|appears|looks\s+like)\s+(?:that\s+)?(?:there\s+(?:is|was)\s+no\s+(?:video|image|picture)
        | you\s+(?:forgot|did\s+not|didn['’]?t|have\s+not|haven['’]?t)
        | the\s+(?:video|image)\b[^.]*(?:not|n['’]t)\b
          [^.]*\b(?:attached|provided|included|load|loaded|uploaded|through))
      | (?:抱歉|对不起|很抱歉|不好意思|我无法|我不能|我没有办法|无法(?:查看|识别|描述|提供))
      | (?:申し訳|すみません|죄송|lo\s+siento|désolé|es\s+tut\s+mir\s+leid)
      )
    | \bas\s+an?\s+(?:ai|artificial\s+intelligence)(?:\s+(?:language\s+)?(?:model|assistant))?\b\s*,?\s*i\b
    | 作为(?:一个|一名)?(?:AI|人工智能)
    """,
    regex.IGNORECASE | regex.VERBOSE,
)
# How no sentence ends: a mark that announces more, or a word that cannot be the last.
_OPEN_END = regex.compile(
    r"(?:[,;:(\[{–—&/，、；：]|(?<=\s)-|\b(?:a|an|the|and|or|of|with|to|in|on|at|by|from|for|while|as|its|their|his|her|is|"
    r"are|which|that))$",
    regex.IGNORECASE,
)

# The same n words this often in a row are a loop; single words more often ("no, no, no!").
_LOOP, _LOOP_OF_ONE = 3, 5
_LONGEST_LOOP = 40
# Share of the words that stand in a run of five which occurred before (Gopher's duplicate n-grams, Rae et al. 2021).
_NGRAM = 5
_REPEATED_SHARE = 0.3


def clean(text: str) -> str:
    """The caption without what chat puts around it. Cleaning what is clean changes nothing."""
    while (cleaner := _cleaned(text)) != text:
        text = cleaner
    return text


def tidy(text: str) -> str:
    """Runs of white space and control characters as one space; the words of a source stay as they are."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def flags(text: str, *, language: str | None = None, truncated: bool = False, refused: bool = False) -> list[str]:
    """The names of what is wrong with a cleaned caption, in the order of `FLAGS`.

    Args:
        language: the one that is expected, by its ISO 639 code; None for any.
        truncated: the model stopped at its limit of tokens.
        refused: the server said that the model declined.
    """
    wrong = {
        "refusal": refused or bool(_REFUSALS.search(text)),
        "truncated": truncated or bool(_UNFINISHED_THOUGHT.match(text)) or bool(_OPEN_END.search(text)),
        "repeats": repeats(tokens(text)),
        "language": language is not None and is_foreign(text, language),
    }
    return [name for name in FLAGS if wrong.get(name)]


def repeats(said: Sequence[str]) -> bool:
    """Whether a list of words runs in a loop, or mostly says again what it said before."""
    for length in range(1, min(_LONGEST_LOOP, len(said) // _LOOP) + 1):
        wanted = (_LOOP_OF_ONE if length == 1 else _LOOP) * length - length
        same = 0
        for position in range(length, len(said)):
            same = same + 1 if said[position] == said[position - length] else 0
            if same >= wanted:
                return True
    if len(said) < 2 * _NGRAM:
        return False
    places = range(len(said) - _NGRAM + 1)
    often = Counter(tuple(said[start : start + _NGRAM]) for start in places)
    seen: set[tuple[str, ...]] = set()
    repeated: set[int] = set()
    for start in places:
        ngram = tuple(said[start : start + _NGRAM])
        if often[ngram] > 1 and ngram in seen:
            repeated.update(range(start, start + _NGRAM))
        seen.add(ngram)
    return len(repeated) > _REPEATED_SHARE * len(said)


def _cleaned(text: str) -> str:
    thought = _THOUGHT.match(text)
    if thought:
        text = text[thought.end() :]
    text = tidy(_MARKUP.sub("", _SPECIAL.sub("", text)))
    return _begun(_unquoted(text))


def _begun(text: str) -> str:
    """Without a prefix, where words are left; then it begins with a capital."""
    prefix = _PREFIXES.match(text)
    rest = text[prefix.end() :].strip() if prefix else ""
    if not tokens(rest):
        return text
    first = rest[0].upper()
    return first + rest[1:] if len(first) == 1 else rest


def _unquoted(text: str) -> str:
    closing = _QUOTES.get(text[:1])
    inner = text[1:-1]
    if closing and len(text) > 2 and text.endswith(closing) and closing not in inner and text[0] not in inner:
        return inner.strip()
    return text
