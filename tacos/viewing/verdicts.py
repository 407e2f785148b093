"""What one arm answered to each question set of a run, and what was said of it, as its stages left it.

    ""            answer               answers.jsonl, matches.jsonl;  judge   reviews.jsonl, in both orders
    mt_bench      answer_mt_bench      answers.jsonl;  mt_bench   judgments.jsonl;
                                       mt_bench_pairs-ARM   pair_judgments.jsonl
    alpaca_eval   answer_alpaca_eval   outputs.json;   alpaca_eval   annotations.json
    vicuna, ...   answer_vicuna, ...   answers.jsonl;  five_sets-ARM   reviews_vicuna.json, ...

A file that is not there leaves its part out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from eval.pairwise.reviews import read_reviews
from eval.pairwise.sets_benchmark import reviews_file
from tacos.answering.judge import Verdict
from tacos.store.files import read_json, read_jsonl
from tacos.types import Question, Record

ANSWER = "answer"
OWN = ""
"""The run's own test questions."""
Steps = Mapping[str, Path]
"""Step -> folder of its stage, of one arm with one seed."""


class VerdictLine(Record):
    """One thing that a judge said of an answer."""

    label: str
    """Where: "shown first", "turn 2", "beside random, turn 1"."""
    text: str
    """What, told from the arm's side: "8 : 2", "7", "preferred"."""
    words: str | None = None
    """The judge's own, where they were kept."""


class ArmAnswer(Record):
    """What one arm answered to one question."""

    arm: str
    seed: int
    turns: list[str]
    exact_match: bool | None = None
    """None where answers cannot be checked."""
    result: str | None = None
    """win, tie or lose against what it is compared with, or unparsed; None where nothing was compared."""
    value: float | None = None
    """Mean rating; None where nothing was rated."""
    verdicts: list[VerdictLine] = Field(default_factory=list)
    flipped: bool = False
    """Whether two orders of the same answers prefer different sides."""


Said = Mapping[str, Any]
"""Fields of an `ArmAnswer`."""


def sets_of(steps: Steps) -> list[str]:
    """Names of the question sets that were answered."""
    names = [name for name in steps if name.startswith(ANSWER)]
    return [OWN if name == ANSWER else name.removeprefix(f"{ANSWER}_") for name in names]


def answers_of(
    name: str, arm: str, seed: int, steps: Steps, questions: Mapping[str, Question]
) -> dict[str, ArmAnswer]:
    """Question id -> answer. name: of the question set; questions: by id, without the set's name before it."""
    folder = steps.get(f"{ANSWER}_{name}" if name else ANSWER)
    if folder is None:
        return {}
    if name == "alpaca_eval":
        said, told = _alpaca_eval(folder, steps, questions)
    else:
        said, told = _turns(folder), _told(name, folder, steps)
    return {
        id_: ArmAnswer(arm=arm, seed=seed, turns=turns, **told.get(id_, {})) for id_, turns in said.items()
    }


def _turns(folder: Path) -> dict[str, list[str]]:
    """FastChat's form, or the run's own."""
    found = {}
    for row in lines(folder / "answers.jsonl"):
        choices = row.get("choices")
        found[str(row["question_id"])] = choices[0]["turns"] if choices else row["turns"]
    return found


def _told(name: str, folder: Path, steps: Steps) -> dict[str, Said]:
    if name == OWN:
        return _own(folder, steps.get("judge"))
    if name == "mt_bench":
        return _mt_bench(folder, steps)
    found: dict[str, Said] = {}
    for step, judged in steps.items():
        path = judged / reviews_file(name)
        if step.startswith("five_sets") and path.is_file():
            beside = f"beside {step.partition('-')[2]}, "
            for review in read_reviews(path).reviews:
                result = review.judged().result
                own = _orders(review.order_1, review.order_2, result, beside)
                found.setdefault(str(review.question_id), own)
    return found


def _own(folder: Path, judge: Path | None) -> dict[str, Said]:
    found: dict[str, dict[str, Any]] = {
        row["question_id"]: {"exact_match": row["exact_match"]} for row in lines(folder / "matches.jsonl")
    }
    for row in lines(judge / "reviews.jsonl") if judge else ():
        orders = [Verdict.model_validate(row[order]) for order in ("order_1", "order_2")]
        found.setdefault(row["question_id"], {}).update(_orders(orders[0], orders[1], row["result"]))
    return dict(found)


def _orders(first: Verdict, second: Verdict, result: str, beside: str = "") -> dict[str, Any]:
    """first: the arm's answer was shown first. beside: whose the other is, where it could be several."""
    pairs = [(first, first.score_1, first.score_2), (second, second.score_2, second.score_1)]
    made, signs = [], set()
    for label, (order, own, other) in zip(("shown first", "second"), pairs, strict=True):
        text = "not read"
        if own is not None and other is not None:
            signs.add((own > other) - (own < other))
            text = f"{own:g} : {other:g}"
        made.append(VerdictLine(label=f"{beside}{label}", text=text, words=order.raw or order.error))
    return {"verdicts": made, "flipped": signs == {-1, 1}, "result": result}


def _mt_bench(folder: Path, steps: Steps) -> dict[str, Said]:
    judged = steps.get("mt_bench")
    found = _rated(lines(judged / "judgments.jsonl")) if judged else {}
    label = next((str(row.get("model_id")) for row in lines(folder / "answers.jsonl")), "")
    for step, path in steps.items():
        opponent = step.partition("-")[2]
        for row in lines(path / "pair_judgments.jsonl") if step.startswith("mt_bench_pairs") else ():
            own = found.setdefault(str(row["question_id"]), {"verdicts": [], "flipped": False})
            own["verdicts"].append(_paired(row, label, opponent))
            own["flipped"] |= {row["g1_winner"], row["g2_winner"]} == {"model_1", "model_2"}
    return dict(found)


def _rated(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Question id -> its ratings by turn, and their mean."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["turn"]):
        own = found.setdefault(str(row["question_id"]), {"verdicts": [], "flipped": False, "known": []})
        score = row["score"] if row["score"] is not None and row["score"] >= 0 else None
        own["known"] += [] if score is None else [score]
        text = "not read" if score is None else f"{score:g}"
        own["verdicts"].append(VerdictLine(label=f"turn {row['turn']}", text=text, words=row.get("judgment")))
    for own in found.values():
        known = own.pop("known")
        own["value"] = sum(known) / len(known) if known else None
    return found


def _paired(row: Mapping[str, Any], label: str, opponent: str) -> VerdictLine:
    ours = "model_1" if row["model_1"] == label else "model_2"
    said = [
        {ours: "won", "tie": "tied", "error": "not read"}.get(row[game], "lost")
        for game in ("g1_winner", "g2_winner")
    ]
    words = "\n\n".join(str(row.get(f"{game}_judgment", "")) for game in ("g1", "g2"))
    return VerdictLine(label=f"beside {opponent}, turn {row['turn']}", text=" and ".join(said), words=words)


def _alpaca_eval(
    folder: Path, steps: Steps, questions: Mapping[str, Question]
) -> tuple[dict[str, list[str]], dict[str, Said]]:
    """Joined by the instruction; an answer that failed, whose output is null, is left out."""
    ids = {question.turns[0]: id_ for id_, question in questions.items()}
    outputs = folder / "outputs.json"
    rows = read_json(outputs) if outputs.is_file() else []
    said = {
        ids[row["instruction"]]: [row["output"]]
        for row in rows
        if row["instruction"] in ids and row["output"] is not None
    }
    judged = steps.get("alpaca_eval")
    path = judged / "annotations.json" if judged else None
    told: dict[str, Said] = {}
    for row in read_json(path) if path and path.is_file() else ():
        if row["instruction"] in ids:
            told[ids[row["instruction"]]] = _preferred(row)
    return said, told


def _preferred(row: Mapping[str, Any]) -> Said:
    """preference: 1 for the baseline's output, 2 for the model's, 1.5 for neither, or between them."""
    preference, words = row.get("preference"), row.get("raw_completion")
    text = words.get("text") if isinstance(words, Mapping) else words
    if preference is None:
        return {
            "result": "unparsed",
            "verdicts": [VerdictLine(label="preference", text="not read", words=text)],
        }
    share = float(preference) - 1.0
    result = "win" if share > 0.5 else "lose" if share < 0.5 else "tie"
    verdict = VerdictLine(
        label=f"preferred to {row.get('generator_1', 'the baseline')}", text=f"{share:.0%}", words=text
    )
    return {"result": result, "verdicts": [verdict]}


def lines(path: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(path)) if path.is_file() else []
