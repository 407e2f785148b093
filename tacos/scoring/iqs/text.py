r"""The one form in which a scorer reads a text, so that how it was stored says nothing about its quality.

The released expert pairs give themselves away by escapes and empty lines (`tacos.data.expert_pairs`).
Beyond undoing those, dashes and bullets are made plain, since originals carry typeset ones where experts
typed, and it is done until nothing changes: text that was escaped twice reads like text that was not.

    He said \\"hot\\" \u2013\n\n\u2022 tea    and    He said "hot" -    both read    He said "hot" -
                                                   - tea                            - tea

A bare `\times` reads as a tab and "imes": alike on both sides, and only a scorer sees it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from tacos.data.expert_pairs import clean_escaped
from tacos.text import words

PLAIN = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022\u00b7\u25cf", "-")
    | {"\u2026": "..."}
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad")
)


COMMON, FEWEST, FAMILIAR = 100, 20, 0.2
"""Words that a language is known by; words of a text that can be told; share of common ones below which it is in
another language. Of 2,000 responses of Alpaca with their prompts, 1 in 50 is below."""


def canonical(text: str) -> str:
    """Escapes decoded, NFKC, plain quotes and dashes, single white space, no empty lines.

    `canonical(canonical(text)) == canonical(text)`.
    """
    while True:
        clean = clean_escaped(unicodedata.normalize("NFKC", text.translate(PLAIN)))
        if clean == text:
            return clean
        text = clean


def canonicals(texts: Iterable[str]) -> list[str]:
    return [canonical(text) for text in texts]


def joined(instruction: str, given: str) -> str:
    """A prompt whose first empty line parts instruction and input; an instruction's own empty lines are gone."""
    asked, more = canonical(instruction), canonical(given)
    return f"{asked}\n\n{more}" if more else asked


def triple(prompt: str, response: str) -> str:
    """What the encoder reads [code]: "Instruction: ... Input: ... Response: ...", also where there is no input.

    The released code scores with the empty label and trains without it; ours always has it.

    prompt: as `joined` makes it.
    """
    instruction, _, given = prompt.partition("\n\n")
    return f"Instruction: {canonical(instruction)} Input: {canonical(given)} Response: {canonical(response)}"


def common_words(texts: Iterable[str]) -> list[str]:
    """The commonest words, the first first."""
    counts = Counter(word.casefold() for text in texts for word in words(text))
    return [word for word, _ in counts.most_common(COMMON)]


def foreign(texts: Sequence[str], common: Iterable[str]) -> int:
    """Number of texts that hold few of the words that are common where the scorer was trained."""
    known, found = frozenset(common), 0
    for text in texts:
        said = words(text.casefold())
        found += len(said) >= FEWEST and sum(word in known for word in said) < FAMILIAR * len(said)
    return found
