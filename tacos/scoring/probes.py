"""Answers altered by known steps: what a scorer that can be trusted puts lower, or at least not higher.

    kind       grades            what is done to the answer
    truncate   25, 50, 75        so many percent of it are cut off its end
    swap       near, far, any    the answer to the nearest other prompt, to one less near, to any other
    errors     1, 2, 4           so many numbers, and where there are fewer, words, exchanged for others
    pad        1                 its beginning said again ("In other words: ..."), and a polite closing

    errors 1    "3 + 4 = 9, so seven apples are left."      errors 2 holds that error and one more

Grades of errors and of cuts hold those before them; of swaps, the prompt that is answered lies further off each time.
Nearness is that of words (TF-IDF), so that no model is needed. Each kind alters rows of its own. They are answers of
`LEAST` pieces with four places for an error, whatever the kind: what is found holds for such rows, not for answers of a
word. The seed decides what is drawn.

An altered row takes the place of its original in a pool (`at_step`) and never stands beside it: copies of one answer
would be each other's neighbours and make each other's sentences common, which moves whatever is fitted on a pool.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tacos.errors import PoolError
from tacos.scoring.corrupt import MARKS
from tacos.text import join_pieces, pieces, sentences, words
from tacos.types import Message, Pool, Record, Sample

TRUNCATE, SWAP, ERRORS, PAD = "truncate", "swap", "errors", "pad"
GRADES: dict[str, tuple[str, ...]] = {
    TRUNCATE: ("25", "50", "75"),
    SWAP: ("near", "far", "any"),
    ERRORS: ("1", "2", "4"),
    PAD: ("1",),
}
"""Kind -> its grades, the mildest first."""
STEPS = max(map(len, GRADES.values()))
LEAST = 8
"""Pieces of an answer that can be cut three times."""
FAR = 100
"""Of the nearest prompts, the place of one that is less near; in a small pool, a quarter of the way."""
CLOSINGS = (
    "I hope this helps!",
    "Let me know if you have any questions.",
    "Please feel free to ask for more details.",
    "I hope that answers your question.",
    "Thank you for asking.",
    "Do not hesitate to ask if anything is unclear.",
)
_PLACE = re.compile(r"\d+|[^\W\d_]{4,}")


class Probe(Record):
    """A row of a pool and its altered answers."""

    row: int
    kind: str
    answers: tuple[str, ...]
    """One for each of `GRADES[kind]`."""


def probes(pool: Pool, donors: Pool, most: int, seed: int) -> list[Probe]:
    """At most `most` rows of the pool for each kind, drawn at random; the same number for all kinds.

    donors: where answers to other prompts are taken from; the larger, the nearer is the nearest.

    Raises: PoolError where all their answers are the same.
    """
    rng = np.random.default_rng([seed, len(pool)])
    usable = [row for row in rng.permutation(len(pool)).tolist() if _can_be_altered(_answer(pool[row]))]
    n = min(most, len(usable) // len(GRADES))
    drawn = {kind: sorted(usable[at * n : (at + 1) * n]) for at, kind in enumerate(GRADES)}
    vocabulary = sorted({word for answer in pool.responses for word in _words_of(answer)})
    found = []
    for kind, rows in drawn.items():
        samples = [pool[row] for row in rows]
        if kind == SWAP:
            made = _others(samples, donors, rng)
        else:
            made = [_altered(kind, _answer(sample), vocabulary, rng) for sample in samples]
        found += [
            Probe(row=row, kind=kind, answers=tuple(answers)) for row, answers in zip(rows, made, strict=True)
        ]
    return found


def at_step(pool: Pool, altered: Sequence[Probe], step: int) -> Pool:
    """The pool with every altered row in its `step`-th grade, from 1; rows of kinds with fewer grades as they are."""
    answers = {probe.row: probe.answers[step - 1] for probe in altered if step <= len(probe.answers)}
    rows = (_with_answer(s, answers[i]) if i in answers else s for i, s in enumerate(pool))
    return Pool.from_samples(rows)


def _altered(kind: str, text: str, vocabulary: Sequence[str], rng: np.random.Generator) -> list[str]:
    if kind == TRUNCATE:
        return [truncated(text, int(grade) / 100) for grade in GRADES[TRUNCATE]]
    if kind == ERRORS:
        return with_errors(text, [int(grade) for grade in GRADES[ERRORS]], vocabulary, rng)
    return [padded(text, rng)]


def truncated(text: str, share: float) -> str:
    """Without a share of its pieces at the end, and without a mark where it was cut.

    >>> truncated("One two three four.", 0.5)
    'One two'
    """
    parts = pieces(text)
    return join_pieces(parts[: max(1, round(len(parts) * (1 - share)))]).rstrip(MARKS)


def with_errors(
    text: str, counts: Sequence[int], vocabulary: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """The text with so many errors, once for each count; numbers come first, and more errors hold the fewer."""
    places = list(_PLACE.finditer(text))
    numbers = [place for place in places if place[0][0].isdigit()]
    rest = [place for place in places if not place[0][0].isdigit()]
    ordered = [group[i] for group in (numbers, rest) for i in rng.permutation(len(group)).tolist()]
    wrong = [(place.span(), _another(place[0], vocabulary, rng)) for place in ordered[: max(counts)]]
    return [_replaced(text, wrong[:count]) for count in counts]


def _another(word: str, vocabulary: Sequence[str], rng: np.random.Generator) -> str:
    """A number with another first digit, or another word written as this one is."""
    if word[0].isdigit():
        digits = [digit for digit in "123456789" if digit != word[0]]
        return digits[int(rng.integers(len(digits)))] + word[1:]
    found = word.lower()
    while found == word.lower() and len(vocabulary) > 1:
        found = vocabulary[int(rng.integers(len(vocabulary)))]
    return found.capitalize() if word[0].isupper() else found


def _replaced(text: str, wrong: Sequence[tuple[tuple[int, int], str]]) -> str:
    for (start, end), word in sorted(wrong, reverse=True):
        text = text[:start] + word + text[end:]
    return text


def padded(text: str, rng: np.random.Generator) -> str:
    """The text, its beginning once more, and a closing: longer, and nothing new."""
    again: list[str] = []
    enough = max(12, len(words(text)) // 3)
    for sentence in sentences(text):
        again.append(sentence)
        if len(words(" ".join(again))) >= enough:
            break
    return f"{text}\n\nIn other words: {' '.join(again)} {CLOSINGS[int(rng.integers(len(CLOSINGS)))]}"


def _can_be_altered(text: str) -> bool:
    return len(pieces(text)) >= LEAST and len(_PLACE.findall(text)) >= int(GRADES[ERRORS][-1])


def _words_of(text: str) -> set[str]:
    return {word.lower() for word in _PLACE.findall(text) if not word[0].isdigit()}


def _others(samples: Sequence[Sample], donors: Pool, rng: np.random.Generator) -> list[list[str]]:
    """For each sample the answers to the nearest other prompt, to one less near, and to any.

    Raises: PoolError where all answers are the same.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not samples:
        return []
    if len(set(donors.responses)) < 2:
        raise PoolError("every row of the pool has the same answer, so there is no other one to swap it for")
    model = TfidfVectorizer(analyzer=lambda text: words(text.lower()), dtype=np.float32)
    known = model.fit_transform(donors.prompts)
    likeness = model.transform([sample.prompt for sample in samples]) @ known.T
    far = max(1, min(FAR, len(donors) // 4))
    found = []
    for number, sample in enumerate(samples):
        row = likeness[number].toarray()[0]
        nearest = np.argsort(-row, kind="stable")[: 4 * far + 8].tolist()
        texts = [text for i in nearest if (text := donors.responses[i]) != sample.response]
        anybody = sample.response
        while anybody == sample.response:
            anybody = donors.responses[int(rng.integers(len(donors)))]
        found.append([texts[0], texts[min(far, len(texts) - 1)], anybody] if texts else [anybody] * 3)
    return found


def _last_answer(sample: Sample) -> int:
    return max(i for i, message in enumerate(sample.messages) if message.role == "assistant")


def _answer(sample: Sample) -> str:
    """What is altered: the last turn of the assistant."""
    return sample.messages[_last_answer(sample)].content


def _with_answer(sample: Sample, answer: str) -> Sample:
    at = _last_answer(sample)
    altered = Message(role="assistant", content=answer)
    messages = (*sample.messages[:at], altered, *sample.messages[at + 1 :])
    return sample.model_copy(update={"messages": messages})
