"""FastChat's judgments, as written: one JSON object on each line, in the form that `files.py` reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.mt_bench.files import UNREAD, PairJudgment, SingleJudgment
from tacos.answering.answers import fastchat_id
from tacos.llm.base import CUT
from tacos.store.files import write_jsonl


def write_single(path: Path, rows: Iterable[SingleJudgment]) -> None:
    write_jsonl(path, (single_row(row) for row in rows))


def write_pairs(path: Path, rows: Iterable[PairJudgment]) -> None:
    write_jsonl(path, (pair_row(row) for row in rows))


def single_row(row: SingleJudgment) -> dict[str, Any]:
    """As FastChat writes it; "error" only where there is one, "finish_reason" only of a reply that was cut off."""
    return {
        "question_id": fastchat_id(row.question_id),
        "model": row.model,
        "judge": [row.judge, row.prompt],
        "user_prompt": row.user_prompt,
        "judgment": row.judgment,
        "score": UNREAD if row.score is None else _plain(row.score),
        "turn": row.turn,
        "tstamp": row.tstamp,
        **({"error": row.error} if row.error else {}),
        **({"finish_reason": row.finish_reason} if row.finish_reason in CUT else {}),
    }


def pair_row(row: PairJudgment) -> dict[str, Any]:
    """As FastChat writes it; "error" only where a game has one, "g1_finish_reason" only of a reply that was cut off."""
    first, second = row.games
    errors = [f"game {i}: {game.error}" for i, game in enumerate(row.games, 1) if game.error]
    return {
        "question_id": fastchat_id(row.question_id),
        "model_1": row.model_1,
        "model_2": row.model_2,
        "g1_winner": first.winner or "error",
        "g2_winner": second.winner or "error",
        "judge": [row.judge, row.prompt],
        "g1_user_prompt": first.user_prompt,
        "g1_judgment": first.judgment,
        "g2_user_prompt": second.user_prompt,
        "g2_judgment": second.judgment,
        "turn": row.turn,
        "tstamp": row.tstamp,
        **({"error": "; ".join(errors)} if errors else {}),
        **{
            f"g{i}_finish_reason": game.finish_reason
            for i, game in enumerate(row.games, 1)
            if game.finish_reason in CUT
        },
    }


def _plain(score: float) -> float | int:
    return int(score) if score == int(score) else score
