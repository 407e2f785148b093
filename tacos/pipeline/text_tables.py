"""Tables of texts that people open: what was selected and why, answers beside each other, what a judge said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tacos.artifacts import ArtifactStore
from tacos.pipeline.pool import questions_of
from tacos.stage import Stage
from tacos.store import tables
from tacos.store.files import read_json, read_jsonl

Rows = list[dict[str, Any]]
JUDGMENTS: Mapping[str, tuple[str, ...]] = {
    "judgments.jsonl": ("question_id", "turn", "score", "judgment", "error"),
    "pair_judgments.jsonl": (
        "question_id",
        "turn",
        "model_1",
        "model_2",
        "g1_winner",
        "g2_winner",
        "g1_judgment",
        "g2_judgment",
    ),
    "annotations.json": ("instruction", "output_1", "output_2", "preference"),
}
"""What a judging stage writes, in the benchmarks' own forms -> the columns that are shown."""
REVIEWS = (
    "question_id",
    "text",
    "prompt",
    "instruction",
    "Answer1",
    "Answer2",
    "scores",
    "scores_reverse",
    "review",
)


def selection_rows(folder: Path) -> list[dict[str, Any]]:
    """The selected rows of a stage as a table that people read: texts, then score, group, rank, reason."""
    found = []
    for row in read_jsonl(folder / tables.SELECTION):
        turns = row["messages"]
        found.append(
            {
                "id": row["id"],
                "prompt": "\n\n".join(turn["content"] for turn in turns[:-1]),
                "response": turns[-1]["content"],
                "source": row.get("source"),
                **{
                    name: (row.get("selection") or {}).get(name)
                    for name in ("rank", "score", "group", "reason")
                },
            }
        )
    return found


def answer_rows(judge: Stage, store: ArtifactStore) -> list[dict[str, Any]]:
    """Both answers to every question beside each other, with what the judge said in either order."""
    own, other = (
        {
            row["question_id"]: row["turns"][-1]
            for row in read_jsonl(store.folder(judge.inputs[name]) / "answers.jsonl")
        }
        for name in ("answers", "opponent")
    )
    reviews = {row["question_id"]: row for row in read_jsonl(store.folder(judge) / "reviews.jsonl")}
    return [
        {
            "id": question.id,
            "category": question.category,
            "question": "\n\n".join(question.turns),
            "reference": question.reference,
            "answer": own.get(question.id),
            "baseline_answer": other.get(question.id),
            "result": reviews[question.id]["result"],
            **_verdicts(reviews[question.id]),
        }
        for question in questions_of(store.folder(judge.inputs["pool"]))
        if question.id in reviews
    ]


def _verdicts(review: dict[str, Any]) -> dict[str, Any]:
    """Of the arm's answer first, whichever was shown first."""
    first, second = review["order_1"], review["order_2"]
    return {
        "shown_first": _scores(first["score_1"], first["score_2"]),
        "shown_second": _scores(second["score_2"], second["score_1"]),
        "said_when_first": first.get("raw") or first.get("error"),
        "said_when_second": second.get("raw") or second.get("error"),
    }


def _scores(own: float | None, other: float | None) -> str | None:
    return None if own is None or other is None else f"{own:g} : {other:g}"


def judgment_tables(folder: Path) -> dict[str, Rows]:
    """File without its ending -> its rows; of a stage that judges a public benchmark, else none."""
    found: dict[str, Rows] = {}
    for name, columns in JUDGMENTS.items():
        if (path := folder / name).is_file():
            rows = read_jsonl(path) if path.suffix == ".jsonl" else read_json(path)
            found[path.stem] = _columns(rows, columns)
    for path in sorted(folder.glob("reviews_*.json")):
        rows = read_json(path)["data"]
        found[path.stem] = _columns(rows, [name for name in REVIEWS if rows and name in rows[0]])
    return found


def _columns(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> Rows:
    """The same columns of every row, None where it lacks one."""
    shown = list(columns)
    return [{name: row.get(name) for name in shown} for row in rows]
