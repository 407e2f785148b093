"""Words, sentences and pieces of a text in any language, and comparing short texts.

One module for everything that counts, cuts or compares words, so that no part of selection reads only English:

    text                      words                                tokens (words and marks)
    "Don't stop, x2!"         Don t stop x2                        Don ' t stop , x2 !
    "मैला क्या है?"              मैला क्या है                            मैला क्या है ?
    "ข้าวสวย"                  ข้ า ว ส ว ย                          the same
    "用 C++ 写。"               用 C 写                               用 C + + 写 。

A word is a run of letters, digits and "_" with the combining marks and joiners that stand on them. Scripts that are
written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar and the rest of Unicode's line-breaking class SA) have
no words that could be found without a dictionary: there each character with its marks counts as one. Two such
characters make a word of ordinary length, so a number of words means about half as much text there. For ASCII all of
this is `\\w+`.

The classes come from the `regex` package, which follows the Unicode character database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import TypeVar

import regex

_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Line_Break=SA}\u30fc\uff70"
_LETTER = r"\p{L}\p{N}_"
_CHARACTER = rf"[{_SPACELESS}]\p{{M}}*"
_WORD = rf"{_CHARACTER}|[[{_LETTER}]--[{_SPACELESS}]][[{_LETTER}\p{{M}}\u200c\u200d]--[{_SPACELESS}]]*"
_ENDS = r"\p{Sentence_Terminal}\u061b\uff1a\uff1b"
_CLOSERS = r"\p{Pe}\p{Pf}\"'"

_WORDS, _ASCII_WORDS = regex.compile(_WORD, regex.V1), re.compile(r"\w+")
_TOKENS, _ASCII_TOKENS = regex.compile(rf"{_WORD}|\S", regex.V1), re.compile(r"\w+|[^\w\s]")
_SIGN = (  # mathematics, emoji, money; a minus, times or slash beside a number; C#
    r"[[\p{Sm}\p{So}\p{Sc}]--[|~]]|(?<=[\p{L}\p{N})]\s*)[-*/%^](?=\s*[(\p{N}])|(?<=(?:^|[\s=(,])-?)-(?=\p{N})|(?<=\p{L})\#"
)
_SIGNED = regex.compile(rf"{_SIGN}|{_WORD}", regex.V1)
_LAYOUT = regex.compile(rf"(?<=\n)[ \t]+(?=\S)|{_WORD}|\S", regex.V1)
_ASCII_LAYOUT = re.compile(r"(?<=\n)[ \t]+(?=\S)|\w+|[^\w\s]")
_PIECES = regex.compile(
    rf"{_CHARACTER}[[^\s{_SPACELESS}]--[{_LETTER}]]*\s*|[^\s{_SPACELESS}]+\s*|\s+", regex.V1
)
_ASCII_PIECES = re.compile(r"\S+\s*|\s+")
_ASCII_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n+")
_SENTENCE_END = regex.compile(
    rf"(?<=[.!?;:])\s+|\n+|(?<=[!?;:])(?=[{_SPACELESS}])"
    rf"|(?<=[[{_ENDS}]--[.!?]][{_CLOSERS}]*)(?![{_ENDS}{_CLOSERS}])\s*",
    regex.V1,
)
_STARTS_SPACELESS = regex.compile(rf"[{_SPACELESS}]")
_ENDS_SPACELESS = regex.compile(rf"[{_SPACELESS}][^{_LETTER}]*$")
_ENDS_FINISHED = regex.compile(rf"[{_ENDS}:{_CLOSERS}`]$")
_SENTENCE_MARK = regex.compile(rf"[.!?][{_CLOSERS}]*(?:\s|$)|[[{_ENDS}]--[.!?]]", regex.V1)
_PHRASE_WORD = regex.compile(
    rf"(?<![{_LETTER}])[a-z](?:\+\+|\#)(?![{_LETTER}])|(?<![[{_LETTER}\p{{M}}]--[{_SPACELESS}\ufe00-\ufe0f]])[\p{{L}}--[{_SPACELESS}]]"
    rf"[[{_LETTER}\p{{M}}'\u200c\u200d-]--[{_SPACELESS}]]*[[{_LETTER}\p{{M}}]--[{_SPACELESS}]]",
    regex.V1,
)
_SPACELESS_RUN = regex.compile(rf"(?:{_CHARACTER})+")

_HALF = re.compile("[\ud800-\udfff]")
T = TypeVar("T")
TRAILING = (
    " .,;:!?…\"'`*)]}\u201d\u2019\u00bb"
    "\u3002\uff0e\uff01\uff1f\uff0c\u3001\uff1b\uff1a\u300d\u300f\uff09\u3011\u300b\u3009"  # Chinese, Japanese
    "\u0964\u0965\u061f\u060c\u061b\u06d4"  # of Hindi, Arabic and Urdu
)
"""Marks that end a sentence or wrap an answer and say nothing about it."""


def words(text: str) -> list[str]:
    """The words of a text in order; see the module."""
    return _ASCII_WORDS.findall(text) if text.isascii() else _WORDS.findall(text)


def tokens(text: str) -> list[str]:
    """Words and single marks, so that "12 + 7" and "12 - 7" differ."""
    return _ASCII_TOKENS.findall(text) if text.isascii() else _TOKENS.findall(text)


def layout_tokens(text: str) -> list[str]:
    """Words, marks, and the white space that a line after the first begins with: code moved into a loop differs."""
    return _ASCII_LAYOUT.findall(text) if text.isascii() else _LAYOUT.findall(text)


def words_and_signs(text: str) -> list[str]:
    """Words, and the signs that make another question of the same words; punctuation and Markdown are left out.

    >>> words_and_signs("**What** is 3 - 4, in C#?")
    ['What', 'is', '3', '-', '4', 'in', 'C', '#']
    """
    return _SIGNED.findall(text)


def is_spaceless(word: str) -> bool:
    """Whether a word (or a text) begins in a script that is written without spaces."""
    return not word.isascii() and _STARTS_SPACELESS.match(word) is not None


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without white space around them; empty ones are left out.

    >>> sentences("Tea is hot. Why?\\nBecause.")
    ['Tea is hot.', 'Why?', 'Because.']
    """
    end = _ASCII_SENTENCE_END if text.isascii() else _SENTENCE_END
    return [part.strip() for part in end.split(text) if part and part.strip()]


def ends_finished(text: str) -> bool:
    """Whether a text ends with a mark that closes a sentence, a quotation or a bracket."""
    return _ENDS_FINISHED.search(text[-1:]) is not None


def holds_sentence_end(text: str) -> bool:
    """Whether any mark that ends a sentence stands at the end of a word; Thai, and lists, are written without.

    >>> holds_sentence_end("Tea is hot. And"), holds_sentence_end("version 2.5"), holds_sentence_end("茶很热。和")
    (True, False, True)
    """
    return _SENTENCE_MARK.search(text) is not None


def pieces(text: str) -> list[str]:
    """What a text can be cut into without breaking a word; the pieces joined are the text.

    A piece is a run without white space, or one character of a spaceless script with the marks after it, and
    the white space that follows.

    >>> pieces("Tea is hot.")
    ['Tea ', 'is ', 'hot.']
    """
    found = _ASCII_PIECES.findall(text) if text.isascii() else _PIECES.findall(text)
    return found if not found or not found[0].isspace() else [found[0] + "".join(found[1:2]), *found[2:]]


def join_pieces(parts: Iterable[str]) -> str:
    """Pieces, or whole texts, one after the other: a space between two that would run together.

    >>> join_pieces(["is ", "hot.", "Tea "])
    'is hot. Tea '
    """
    joined: list[str] = []
    for part in filter(None, parts):
        if joined and not (joined[-1][-1].isspace() or part[0].isspace() or _run_on(joined[-1], part)):
            joined.append(" ")
        joined.append(part)
    return "".join(joined)


def _run_on(left: str, right: str) -> bool:
    """Whether no space belongs between two texts: one of the scripts at the border is written without."""
    return is_spaceless(right) or (not left.isascii() and _ENDS_SPACELESS.search(left[-8:]) is not None)


def phrases(text: str, max_words: int, stop: Collection[str] = ()) -> list[str]:
    """Candidates for keyphrases: runs of 1 to `max_words` words, lower case, without stop words.

    Words begin with a letter and have at least two characters: numbers name nothing. "c++" and "c#" are words. Where
    there are no spaces the candidates are all runs of 2 to 2 * max_words characters.

    >>> phrases("The top 3 Tea-shops", 2, {"the"})
    ['top', 'tea-shops', 'top tea-shops']
    """
    lower = text.lower()
    known = [word for word in _PHRASE_WORD.findall(lower) if word not in stop]
    found = list(known)
    for n in range(2, max_words + 1):
        found += [" ".join(known[i : i + n]) for i in range(len(known) - n + 1)]
    if not lower.isascii():
        for run in _SPACELESS_RUN.findall(lower):
            units = words(run)
            for n in range(2, 2 * max_words + 1):
                found += ["".join(units[i : i + n]) for i in range(len(units) - n + 1)]
    return found


def comparable(text: str) -> str:
    """Unicode NFC and line ends as "\\n": equal for texts that differ only in how they are stored.

    >>> comparable("cafe\\u0301\\r\\n")
    'café\\n'
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normalize(text: str) -> str:
    """Unicode NFC, case folded, runs of white space as one space, trailing punctuation removed."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(folded.split()).rstrip(TRAILING)


_WORD_BEFORE = regex.compile(rf"[[{_LETTER}\p{{M}}]--[{_SPACELESS}]]-?$", regex.V1)
_NUMBER_BEFORE = regex.compile(
    rf"([[{_LETTER}\p{{M}}]--[{_SPACELESS}]]|\d[.,:/]|(^|[^\w)])[-\u2212])$", regex.V1
)


def exact_match(reply: str, answer: str) -> bool:
    """Whether `reply`, normalized, ends with `answer` at a word boundary.

    A word or number must end the reply whole: "one" is not given by "twenty-one", nor "14" by "3.14",
    "1/14" or "-14". In a script without spaces every character is a boundary.

    >>> exact_match("So the total is **42**.", "42")
    True
    >>> exact_match("It is 142.", "42")
    False
    >>> exact_match("答案是北京。", "北京")
    True
    """
    wanted, given = normalize(answer), normalize(reply)
    if not wanted or not given.endswith(wanted):
        return False
    before = given[: len(given) - len(wanted)]
    if is_spaceless(wanted):
        return True
    return not (_NUMBER_BEFORE if wanted[0].isdigit() else _WORD_BEFORE).search(before)


def whole_characters(value: T) -> T:
    """A text, or any JSON value, as UTF-8 can hold it: half an emoji, cut off by a limit, becomes U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else _HALF.sub("\ufffd", value)  # type: ignore[return-value]
    if isinstance(value, list):
        return [whole_characters(item) for item in value]  # type: ignore[return-value]
    if isinstance(value, dict):
        return {whole_characters(key): whole_characters(item) for key, item in value.items()}  # type: ignore[return-value]
    return value
