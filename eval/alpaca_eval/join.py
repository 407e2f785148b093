"""Which question of the AlpacaEval set an annotation belongs to, and which baseline answer an output.

By instruction, white space aside; or by position, as the reference (tatsu-lab/alpaca_eval) does: it takes a row's
number in the file for the question's, so that after a missing row every later one has another question's
difficulty, and the length-controlled win rate is off. Published figures of such files are reproduced by
position; by instruction, rows of unknown questions and second rows of a question are counted and left out.

    rows 0, 2, 3 of four questions   by instruction: questions 0, 2, 3   by position: questions 0, 1, 2

claude-2 without rows 100-102: 28.16 whole, 34.32 by position, in the reference as here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from eval.alpaca_eval.files import Annotation, Reference, normal
from tacos.errors import TacosError

Join = Literal["instruction", "position"]


@dataclass(frozen=True, slots=True)
class Placed:
    """Annotations of one model with the index of each one's question."""

    rows: list[Annotation]
    index: list[int]
    duplicate: int = 0
    unknown: int = 0


def place(rows: Sequence[Annotation], reference: Reference, join: Join = "instruction") -> Placed:
    """One model's annotations, in the order of the file, on the questions they are for."""
    return by_position(rows, reference) if join == "position" else by_instruction(rows, reference)


def by_instruction(rows: Sequence[Annotation], reference: Reference) -> Placed:
    """Each row with its question; where the evaluation set repeats an instruction, in the order of rows.

    A question keeps its first row with a preference, or its first row where none has one.
    """
    taken: dict[int, Annotation] = {}
    turns: Counter[str] = Counter()
    duplicate = unknown = 0
    for row in rows:
        places = reference.places.get(row.key, ())
        if not places:
            unknown += 1
            continue
        place = places[turns[row.key] % len(places)]
        turns[row.key] += 1
        if place in taken:
            duplicate += 1
            if taken[place].preference is not None or row.preference is None:
                continue
        taken[place] = row
    return Placed(list(taken.values()), list(taken), duplicate, unknown)


def by_position(rows: Sequence[Annotation], reference: Reference) -> Placed:
    """Each row with the question of its number in the file, as the reference has it."""
    kept = list(rows[: len(reference)])
    return Placed(kept, list(range(len(kept))), unknown=len(rows) - len(kept))


def with_lengths(
    placed: Placed, reference: Reference
) -> tuple[list[tuple[Annotation, float, float]], list[int]]:
    """((row, baseline's length, model's length), ...) and the questions' indices.

    A file that leaves out the baseline's answers has them in the reference.
    """
    rows, index = [], []
    for row, place in zip(placed.rows, placed.index, strict=True):
        if row.length_2 is not None:
            first = reference.lengths[place] if row.length_1 is None else row.length_1
            rows.append((row, float(first), float(row.length_2)))
            index.append(place)
    return rows, index


Pairs = list[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""(own row, baseline's row) of every answer."""


def pair_outputs(
    outputs: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]]
) -> tuple[Pairs, dict[str, dict[str, int]]]:
    """The pairs and the counts of `judging.Annotated`.

    An instruction that the baseline repeats is matched in the order of rows. Raises: TacosError for a row that is none.
    """
    answers: dict[str, list[Mapping[str, Any]]] = {}
    for row in baseline:
        answers.setdefault(normal(row["instruction"]), []).append(row)
    pairs: Pairs = []
    used, paired = Counter[tuple[str, str]](), Counter[str]()
    duplicate, unknown, same, reasoned = (Counter[str]() for _ in range(4))
    for row in outputs:
        if not isinstance(row.get("instruction"), str) or not isinstance(row.get("output"), str | None):
            raise TacosError(
                f"an outputs row needs `instruction` and `output` as text; found {str(row)[:80]}"
            )
        key, model = normal(row["instruction"]), str(row.get("generator") or "model")
        turn = used[model, key]
        paired[model] += 0
        if key not in answers:
            unknown[model] += 1
        elif turn >= len(answers[key]):
            duplicate[model] += 1
        else:
            used[model, key] += 1
            paired[model] += 1
            same[model] += row["output"] == answers[key][turn]["output"]
            reasoned[model] += row.get("reasoned") == 1
            pairs.append((row, answers[key][turn]))
    missing = {model: len(baseline) - count for model, count in paired.items()}
    counts: dict[str, Mapping[str, int]] = {"duplicate": duplicate, "unknown": unknown, "missing": missing}
    counts |= {"same": same, "reasoned": reasoned}
    return pairs, {name: {model: n for model, n in by.items() if n} for name, by in counts.items()}
