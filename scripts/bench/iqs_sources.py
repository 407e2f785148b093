"""CaR's light scorer on preferences of other sources than the experts it learns from, beside "the longer wins".

    python -m scripts.bench.iqs_sources ASSETS --pairs score_train.csv [term_weight=15 length_weight=0]

    reviews             GPT-4's two-order reviews of answers to the Koala and Vicuna questions, the lenient rule
    MT-Bench pairs      GPT-4 in both orders, each turn
    MT-Bench ratings    two models' ratings of one turn, where they differ
    AlpacaEval          three models against GPT-4's answers, the more likely preference

Undecided rows are left out. `name=value` sets a field of `LightSettings`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eval.pairwise.reviews import read_reviews
from tacos.config import override, parse
from tacos.data.rows import read_rows
from tacos.scoring.iqs.light import LightScorer, LightSettings
from tacos.scoring.iqs.measure import PairReport, measure_scorer
from tacos.scoring.iqs.pairs import QualityPair, QualityPairs, read_pairs

RATED = ("llama2-13b", "mistral-7b-refined")
PAIRED = "mt_bench_pair_vs_alpaca-52k.jsonl"
Sided = tuple[str, str, str, float]
"""Prompt, answer 1, answer 2, and by how much answer 1 is better."""


def reviews(assets: Path, name: str) -> Iterator[Sided]:
    file = read_reviews(assets / f"judgments/pairwise_reviews_{name}_gpt4.json")
    for review in file.reviews:
        lead = {"win": 1.0, "lose": -1.0}.get(review.judged().result, 0.0)
        yield review.question, review.answer_a, review.answer_b, lead


def alpaca_eval(path: Path) -> Iterator[Sided]:
    for row in json.loads(path.read_text(encoding="utf-8")):
        preference = 1.5 if row["preference"] is None else float(row["preference"])
        yield row["instruction"], row["output_1"], row["output_2"], 1.5 - preference


def questions(assets: Path) -> dict[int, list[str]]:
    rows = (row.value for row in read_rows(assets / "mt_bench/question.jsonl"))
    return {row["question_id"]: row["turns"] for row in rows}


def answer(shown: str, who: str) -> str:
    """One assistant's last answer in the text that MT-Bench's judge was shown."""
    alone = re.search(
        rf"\[The Start of {who}'s Answer\]\n(.*?)\n\[The End of {who}'s Answer\]", shown, re.DOTALL
    )
    if alone:
        return alone.group(1)
    talk = re.search(
        rf"Start of {who}'s Conversation with User\|>(.*?)<\|The End of {who}'s", shown, re.DOTALL
    )
    assert talk is not None, shown[:200]
    return talk.group(1).rpartition(f"### {who}:\n")[2].strip()


def mt_bench_pairs(assets: Path) -> Iterator[Sided]:
    asked = questions(assets)
    for row in (row.value for row in read_rows(assets / "judgments" / PAIRED)):
        points = {"model_1": 1.0, "model_2": -1.0}
        lead = sum(points.get(row[f"g{game}_winner"], 0.0) for game in (1, 2))
        shown = row["g1_user_prompt"]
        prompt = "\n\n".join(asked[row["question_id"]][: row["turn"]])
        yield prompt, answer(shown, "Assistant A"), answer(shown, "Assistant B"), lead


def mt_bench_ratings(assets: Path) -> Iterator[Sided]:
    asked = questions(assets)
    first, second = (_rated(assets / f"judgments/mt_bench_single_{model}.jsonl") for model in RATED)
    for slot in sorted(first.keys() & second.keys()):
        (a, x), (b, y) = first[slot], second[slot]
        yield "\n\n".join(asked[slot[0]][: slot[1]]), a, b, x - y


def _rated(path: Path) -> dict[tuple[int, int], tuple[str, float]]:
    """Answer and rating by question and turn."""
    rows: list[Any] = [row.value for row in read_rows(path)]
    read = [row for row in rows if row["score"] is not None and row["score"] >= 0]
    who = {1: "Assistant", 2: "Assistant A"}
    return {
        (r["question_id"], r["turn"]): (answer(r["user_prompt"], who[r["turn"]]), float(r["score"]))
        for r in read
    }


def decided(name: str, rows: Iterator[Sided]) -> QualityPairs:
    """Rows with a winner and two answers."""
    pairs = [
        QualityPair(prompt=prompt, better=a if lead > 0 else b, worse=b if lead > 0 else a)
        for prompt, a, b, lead in rows
        if lead and a.strip() and b.strip()
    ]
    return QualityPairs(source=name, pairs=pairs)


def sources(assets: Path) -> list[QualityPairs]:
    found = [decided(f"reviews, {name}", reviews(assets, name)) for name in ("koala", "vicuna")]
    found.append(decided("MT-Bench pairs", mt_bench_pairs(assets)))
    found.append(decided("MT-Bench ratings", mt_bench_ratings(assets)))
    files = sorted((assets / "alpaca_eval/annotations").glob("*.json"))
    return found + [decided(f"AlpacaEval, {file.stem}", alpaca_eval(file)) for file in files]


def line(name: str, report: PairReport) -> str:
    close = report.length_matched
    shares = (report.pair_accuracy, report.baselines.longer_wins, close.pair_accuracy, close.longer_wins)
    shown = [f"{100 * share:.1f}%" if share is not None else "-" for share in shares]
    return f"| {name} | {report.n} | {shown[0]} | {shown[1]} | {close.n} | {shown[2]} | {shown[3]} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("assets", type=Path)
    parser.add_argument("--pairs", type=Path, required=True, help="expert pairs to fit the light scorer on")
    parser.add_argument("settings", nargs="*", help="fields of LightSettings, as name=value")
    args = parser.parse_intermixed_args()
    scorer = LightScorer(parse(LightSettings, override({}, args.settings))).fit(read_pairs(args.pairs))
    print("| source | pairs | scorer | the longer wins | length-matched | scorer | the longer wins |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for pairs in sources(args.assets):
        print(line(pairs.source, measure_scorer(scorer, pairs)), flush=True)


if __name__ == "__main__":
    main()
