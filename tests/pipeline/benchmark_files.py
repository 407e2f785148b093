"""Small stand-ins for upstream's benchmark files, and a judge that can be foretold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tacos.assets import Assets
from tacos.store.files import write_json, write_jsonl, write_text

SINGLE = {
    "single-v1": "Rate 1. Q: {question} A: {answer}",
    "single-math-v1": "Rate 1 by {ref_answer_1}. Q: {question} A: {answer}",
    "single-v1-multi-turn": "Rate 2. Q: {question_1} A: {answer_1} Q: {question_2} A: {answer_2}",
    "single-math-v1-multi-turn": (
        "Rate 2 by {ref_answer_1}, {ref_answer_2}. Q: {question_1} A: {answer_1} Q: {question_2} A: {answer_2}"
    ),
}
RELEASED = (
    "alpaca_1k_opencs_wo_contrastive_score",
    "alpaca_1k_opencs_wo_open_tag_cluster",
    "fastchat_lima_1k",
    "filtered_alpaca_1k_opencs",
    "filtered_evol_instruct_1k_opencs",
    "refined_alpaca_1k_opencs",
)
SKILLS = ("poem", "code", "law", "tax", "chess", "bread", "war", "moon", "tree", "dance", "river", "coin")
CATEGORIES = ("writing", "math", "stem")
PAIR = {
    "pair-v2": "Pair 1. Q: {question} A: {answer_a} Assistant B's: {answer_b}",
    "pair-math-v1": "Pair 1 by {ref_answer_1}. Q: {question} A: {answer_a} Assistant B's: {answer_b}",
    "pair-v2-multi-turn": (
        "Pair 2. Q: {question_1} {question_2} A: {answer_a_1} {answer_a_2} Assistant B's: {answer_b_1} {answer_b_2}"
    ),
    "pair-math-v1-multi-turn": (
        "Pair 2 by {ref_answer_1}, {ref_answer_2}. Q: {question_1} {question_2} "
        "A: {answer_a_1} {answer_a_2} Assistant B's: {answer_b_1} {answer_b_2}"
    ),
}
UNREAD = "topic 2"
"""Second turns about this are not rated."""


def write_assets(folder: Path) -> Assets:
    """Three questions of MT-Bench, six of AlpacaEval, three of the set vicuna and two of every other one."""
    questions = [
        {
            "question_id": 81 + i,
            "category": name,
            "turns": [f"Tell me of topic {i}.", f"More of topic {i}, shorter."],
        }
        for i, name in enumerate(CATEGORIES)
    ]
    prompts = [
        {"name": name, "system_prompt": "Judge.", "prompt_template": body, "output_format": form}
        for form, kind in (("[[rating]]", SINGLE), ("[[A]]", PAIR))
        for name, body in kind.items()
    ]
    reference = {"question_id": 82, "model_id": "gpt-4", "choices": [{"index": 0, "turns": ["4", "5"]}]}
    for name, rows in {"question": questions, "judge_prompts": prompts}.items():
        write_jsonl(folder / f"mt_bench/{name}.jsonl", rows)
    write_jsonl(folder / "mt_bench/reference_answer_gpt-4.jsonl", [reference])
    for name, key, count in (("vicuna", "text", 3), ("koala", "prompt", 2)):
        rows = [{"question_id": i, key: f"{name} asks about topic {i}"} for i in range(count)]
        write_jsonl(folder / f"test_sets/{name}.jsonl", rows)
    for name, key in (("wizardlm", "Instruction"), ("sinstruct", "instruction"), ("lima", "conversations")):
        asked = [f"{name} asks about topic {i}" for i in range(2)]
        rows = [{key: [text] if key == "conversations" else text} for text in asked]
        write_jsonl(folder / f"test_sets/{name}.jsonl", rows)
    for name in ("pandalm170", "coachlm150"):
        rows = [
            {"instruction": f"{name} asks about topic {i}", "input": "", "output": "So."} for i in range(2)
        ]
        write_json(folder / f"test_sets/{name}.json", rows)
    _write_alpaca_eval(folder / "alpaca_eval")
    return Assets(folder, folder / "cache")


def write_every_asset(folder: Path) -> Assets:
    """`write_assets`, with the released training sets that the paper configs name."""
    assets = write_assets(folder)
    for name in RELEASED:
        talks = [
            [{"from": "human", "value": f"{name} {i}"}, {"from": "gpt", "value": "word " * (i + 2)}]
            for i in range(6)
        ]
        rows = [{"id": f"{name}-{i}", "conversations": talk} for i, talk in enumerate(talks)]
        write_json(folder / f"tacos_data/{name}.json", rows)
    return assets


def _write_alpaca_eval(folder: Path) -> None:
    outputs = [
        {"dataset": "d", "instruction": f"Say {i}", "output": "word " * (i + 2), "generator": "gpt4"}
        for i in range(6)
    ]
    write_json(folder / "gpt4_1106_preview_outputs.json", outputs)
    difficulty = "".join(f"{i},{i / 3 - 1}\n" for i in range(6))
    write_text(folder / "instruction_difficulty.csv", "index,instruction_difficulty\n" + difficulty)
    gamed = "".join(f"{0.3 + 0.05 * (i % 8)},{(i - 10) / 7},{(i % 6) / 3 - 1}\n" for i in range(20))
    write_text(folder / "df_gamed.csv", "preference,std_delta_len,instruction_difficulty\n" + gamed)


def any_reply(content: str) -> str:
    """What each prompt of a whole run asks for: tags, scores, a rating, a better text, a verdict; the same for the same
    words."""
    number, *others = hashlib.sha256(content.encode()).digest()
    if '"explanation"' in content:
        skills = {n % 12 for n in others[:3]}
        return json.dumps(
            [{"tag": f"{SKILLS[n]} writing", "explanation": "asks for it"} for n in sorted(skills)]
        )
    if "<refined>" in content:
        return "Too short.\n<refined>\nA better text.\n</refined>"
    if '"score": <' in content:
        return json.dumps({"feedback": "so", "score": 1 + number % 5})
    if "Assistant B's" in content:  # MT-Bench's own prompts: pairs, then ratings
        return f"Well. [[{'ABC'[number % 3]}]]"
    if "[[rating]]" in content or "<|The Start of Assistant" in content:
        return f"Well. [[{1 + number % 10}]]"
    if "0 for both" in content:
        return json.dumps({"feedback": "so", "score_1": number % 2, "score_2": 1 - number % 2})
    return verdict(content)


def verdict(content: str) -> str:
    """A rating, a letter or two scores, whichever is asked for; the same for the same words."""
    number = hashlib.sha256(content.encode()).digest()[0]
    if content.startswith("Rate 2") and UNREAD in content:
        return "I would rather not say."
    if content.startswith("Rate"):
        return f"Well. [[{1 + number % 10}]]"
    if "score_1" in content:
        return json.dumps({"feedback": "so", "score_1": 1 + number % 3, "score_2": 1 + number // 8 % 3})
    return "AB"[number % 2]


def tiny_experiment(folder: Path, endpoint: str, **changed: Any) -> dict[str, Any]:
    """Two trained arms and the base as it is, examined by all public benchmarks and no question of the pool's.

    folder: with `pool.jsonl`.
    """
    tiny = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 2, "block": 64}
    step = {"budget": "loss_tokens", "steps": 1, "loss_tokens_per_step": 200}
    short = {"generate": {"max_new_tokens": 6, "temperature": 1.0}}
    settings = {
        "name": "small",
        "pool": {"source": str(folder / "pool.jsonl")},
        "budget": 10,
        "baseline": "random",
        "controls": [],
        "arms": {name: {"method": name} for name in ("longest", "random", "zero-shot")},
        "llms": {"judge": {"model": "m", "endpoint": endpoint, "concurrency": 2}},
        "base": {"tiny": tiny},
        "train": {"lr": 0.05, "max_length": 64, **step},
        "benchmarks": {
            "mt_bench": short,
            "alpaca_eval": {**short, "top_logprobs": None},
            "five_sets": {**short, "sets": ["vicuna", "koala"], "against": ["random", "zero-shot"]},
        },
        "tracking": {"mode": "disabled"},
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
    }
    return settings | changed
