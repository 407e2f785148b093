"""What a response looks like, as numbers with names: the part of quality that needs no knowledge of facts.

On top of the `SURFACE` features of `tacos.scoring.features` it reads length in several forms, how lines and
lists are laid out, marks, and counts of small word classes (connectives, hedges, pronouns, ...). The classes
are general English, none was taken from expert pairs.

    "Tea is hot because it is boiled."   log_words 2.08, lines 0.69, explain 0.69 (one "because"), finished 1
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tacos.scoring.features import SURFACE, surface

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
NUMBERED = re.compile(r"\(?\d+[.):]")
BULLET = re.compile(r"[-*+] ")
CODE = re.compile(r"```|[{}=<>]|\bdef \w|\bint \w")
CLOSING = "\"')]}`* "

CLASSES: dict[str, tuple[str, ...]] = {
    name: tuple(words.split())
    for name, words in {
        "explain": "because since therefore thus hence so as due reason reasons means meaning result leads "
        "causes caused why explain explains",
        "example": "example examples instance such like including include includes",
        "contrast": "however although though but while whereas despite instead rather nevertheless still",
        "add": "also additionally furthermore moreover besides well addition",
        "conclude": "overall conclusion summary finally ultimately lastly",
        "hedge": "may might can could possible possibly perhaps often typically usually generally sometimes "
        "depending likely some",
        "absolute": "must always never all every only very really extremely",
        "you": "you your yours yourself",
        "i": "i my me mine myself i'm i've i'd i'll",
        "we": "we our us ours let's",
        "assistant": "ai assistant language model",
        "benefit": "help helps ensure important allows provide provides make making improve essential ability",
        "article": "the a an",
        "of": "of",
        "and": "and",
        "to": "to",
        "pronoun": "it they them their he she his her its this these that those",
        "be": "is are was were be been being",
        "preposition": "in on at by for with from",
        "relative": "which who that where when",
    }.items()
}
OF_WORD: dict[str, tuple[int, ...]] = {
    word: tuple(i for i, words in enumerate(CLASSES.values()) if word in words)
    for words in CLASSES.values()
    for word in words
}
MARKS = {
    "comma": ",",
    "colon": ":",
    "semicolon": ";",
    "parenthesis": "(",
    "quote": '"',
    "apostrophe": "'",
    "hyphen": "-",
    "exclamation": "!",
    "question": "?",
    "period": ".",
    "slash": "/",
}

LENGTHS = (
    "log_chars",
    "sqrt_words",
    "words_to_prompt",
    "sentences",
    "lines",
    "words_per_sentence",
    "words_per_line",
    "first_sentence",
    "last_sentence",
)
LAYOUT = (
    "numbered_lines",
    "bullet_lines",
    "list_share",
    "numbered",
    "bulleted",
    "closing_after_list",
    "opens_with_list",
    "finished",
    "ends_with_mark",
    "ends_open",
    "starts_lower",
    "sentences_upper",
    "lines_finished",
    "code",
)
WORDS = (
    "root_distinct_words",
    "distinct_trigrams",
    "copied_trigrams",
    "first_sentence_on_prompt",
    "upper",
    "non_ascii",
    "contractions",
    "long_words",
    "capitalised",
    "as_an_ai",
    "ing",
    "ly",
    "ed",
)
STYLE = (
    *SURFACE,
    *LENGTHS,
    *LAYOUT,
    *WORDS,
    *MARKS,
    *(f"{name}_share" for name in MARKS),
    *CLASSES,
    *(f"{name}_share" for name in CLASSES),
)


def style(prompt: str, response: str) -> list[float]:
    """The features of `STYLE`, in order; both texts are canonical."""
    words = [w.casefold() for w in WORD.findall(response)]
    asked = [w.casefold() for w in WORD.findall(prompt)]
    lines = [line for line in response.split("\n") if line]
    parts = [part for part in SENTENCE.split(response) if part and part.strip()]
    return [
        *surface(prompt, response),
        *_lengths(response, words, asked, lines, parts),
        *_layout(response, lines, parts),
        *_words(response, words, asked, parts),
        *_marks(response),
        *_classes(words),
    ]


def styles(prompts: Sequence[str], responses: Sequence[str]) -> np.ndarray:
    """(n, len(STYLE)) float64."""
    rows = [style(p, r) for p, r in zip(prompts, responses, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(STYLE))


def _lengths(
    response: str, words: list[str], asked: list[str], lines: list[str], parts: list[str]
) -> list[float]:
    n = len(words)
    return [
        np.log1p(len(response)),
        np.sqrt(n),
        np.log1p(n) - np.log1p(len(asked)),
        np.log1p(len(parts)),
        np.log1p(len(lines)),
        np.log1p(n / max(1, len(parts))),
        np.log1p(n / max(1, len(lines))),
        np.log1p(len(WORD.findall(parts[0]))) if parts else 0.0,
        np.log1p(len(WORD.findall(parts[-1]))) if parts else 0.0,
    ]


def _layout(response: str, lines: list[str], parts: list[str]) -> list[float]:
    numbered = [bool(NUMBERED.match(line)) for line in lines]
    bullets = [bool(BULLET.match(line)) for line in lines]
    listed = [a or b for a, b in zip(numbered, bullets, strict=True)] or [False]
    return [
        np.log1p(sum(numbered)),
        np.log1p(sum(bullets)),
        sum(listed) / len(listed),
        float(sum(numbered) > 1),
        float(sum(bullets) > 1),
        float(len(lines) > 2 and any(listed) and not listed[-1]),
        float(listed[0]),
        float(response.rstrip(CLOSING).endswith((".", "!", "?"))),
        float(bool(response) and not response[-1].isalnum()),
        float(response.endswith((":", ","))),
        float(response[:1].islower()),
        sum(part.lstrip("-*+ 0123456789.)(\"'")[:1].isupper() for part in parts) / max(1, len(parts)),
        sum(line.rstrip(CLOSING).endswith((".", "!", "?", ":")) for line in lines) / max(1, len(lines)),
        float(bool(CODE.search(response))),
    ]


def _words(response: str, words: list[str], asked: list[str], parts: list[str]) -> list[float]:
    n, c = max(1, len(words)), max(1, len(response))
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    in_prompt = set(asked)
    opening = {w.casefold() for w in WORD.findall(parts[0])} if parts else set()
    return [
        len(set(words)) / np.sqrt(n),
        len(set(trigrams)) / len(trigrams) if trigrams else 1.0,
        len(set(trigrams) & set(zip(asked, asked[1:], asked[2:], strict=False))) / max(1, len(trigrams)),
        len(in_prompt & opening) / max(1, len(in_prompt)),
        sum(map(str.isupper, response)) / c,
        (c - sum(map(str.isascii, response))) / c if response else 0.0,
        100 * sum("'" in w for w in words) / n,
        sum(len(w) > 7 for w in words) / n,
        sum(w[0].isupper() for w in WORD.findall(response)) / n,
        float("as an ai" in response.casefold()),
        sum(w.endswith("ing") for w in words) / n,
        sum(w.endswith("ly") for w in words) / n,
        sum(w.endswith("ed") for w in words) / n,
    ]


def _marks(response: str) -> list[float]:
    counts = [response.count(mark) for mark in MARKS.values()]
    c = max(1, len(response))
    return [*np.log1p(counts), *(100 * count / c for count in counts)]


def _classes(words: list[str]) -> list[float]:
    counts = [0] * len(CLASSES)
    for word, times in Counter(words).items():
        for i in OF_WORD.get(word, ()):
            counts[i] += times
    n = max(1, len(words))
    return [*np.log1p(counts), *(count / n for count in counts)]
