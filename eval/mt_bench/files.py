"""FastChat's judgments, as read: ratings of single answers, and pairs judged in both orders.

One JSON object on each line (https://github.com/lm-sys/FastChat, fastchat/llm_judge):

    single     {"question_id": 81, "model": "m", "judge": ["gpt-4", "single-v1"], "user_prompt": "...",
                "judgment": "... [[7]]", "score": 7, "turn": 1, "tstamp": 1.7e9}
    pair       the same with model_1, model_2 and, for each of the two games, g1_winner ("model_1",
                "model_2", "tie" or "error"), g1_user_prompt, g1_judgment, g2_...

A line that cannot be used is a `Problem` with its line number and reason, and the rest is read. FastChat
marks an unread rating by -1 and a call that failed by the reply "$ERROR$"; both are written so that its
scripts can read our files (`write.py`), with our reason beside them under "error". Stored numbers are taken as they
stand from 1 to 10, and so is a 0 that the judge did write (GPT-4 now and then does, and published averages
hold it); any other is no score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeGuard, TypeVar

from eval.verdicts import HIGH, LOW, Choice, Parser, Preference, Rating, read_choice, read_rating
from tacos.data.published import published_rows
from tacos.errors import TacosError
from tacos.llm.base import CUT
from tacos.types import Record

T = TypeVar("T")

ReadBy = Literal["stored", "last", "fastchat"]
"""Where a verdict comes from: the number or winner that stands in the file, or the reply read anew."""
Winner = Literal["model_1", "model_2", "tie"]

UNREAD = -1
_GAME_ERROR = re.compile(r"game ([12]): (.*?)(?=; game [12]: |\Z)", re.DOTALL)
WINNERS: tuple[dict[Choice, Winner], ...] = (
    {"A": "model_1", "B": "model_2", "tie": "tie"},
    {"A": "model_2", "B": "model_1", "tie": "tie"},
)
"""Who a choice names in game 1 and in game 2, where model_2 is shown first."""


class Problem(Record):
    """A line, or an answer, that was left out or could not be read, and why."""

    where: str
    """The file with its line, or the model and question."""
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def told(problems: Iterable[Problem]) -> list[str]:
    """A line per reason: where it stands first, and how often after that."""
    places: dict[str, list[str]] = {}
    for problem in problems:
        places.setdefault(problem.reason, []).append(problem.where)
    more = {
        reason: f" and {len(where) - 1:,} more" if len(where) > 1 else "" for reason, where in places.items()
    }
    return [f"{where[0]}{more[reason]}: {reason}" for reason, where in places.items()]


class SingleJudgment(Record):
    """One rating of one turn."""

    question_id: str
    turn: int
    model: str
    judge: str
    prompt: str
    """The name of the judge prompt."""
    user_prompt: str
    judgment: str
    """The judge's reply, verbatim."""
    score: float | None
    error: str | None = None
    """Why there is no score."""
    finish_reason: str | None = None
    """Why the reply ended, where the server said ("length": it was cut off)."""
    tstamp: float = 0.0
    where: str = ""


class GameJudgment(Record):
    """One order of a pair."""

    winner: Winner | None
    user_prompt: str
    judgment: str
    error: str | None = None
    finish_reason: str | None = None
    """As in `SingleJudgment`."""


class PairJudgment(Record):
    """One turn of two models, judged in both orders; model_2 is shown first in game 2."""

    question_id: str
    turn: int
    model_1: str
    model_2: str
    judge: str
    prompt: str
    games: tuple[GameJudgment, GameJudgment]
    tstamp: float = 0.0
    where: str = ""


class Contents(NamedTuple, Generic[T]):
    """What a file holds, and the lines that were left out."""

    rows: list[T]
    problems: list[Problem]


class _BadLineError(ValueError):
    """A line that cannot be used, and why."""


def read_single(path: Path, read_by: ReadBy = "stored") -> Contents[SingleJudgment]:
    """Single judgments. Raises: PoolError when the file cannot be read at all."""
    return _read(path, lambda value, where: _single(value, where, read_by))


def read_pairs(path: Path, read_by: ReadBy = "stored") -> Contents[PairJudgment]:
    """Pair judgments. Raises: PoolError when the file cannot be read at all."""
    return _read(path, lambda value, where: _pair(value, where, read_by))


def _read(path: Path, parse: Callable[[dict[str, Any], str], T]) -> Contents[T]:
    rows: list[T] = []
    problems: list[Problem] = []
    if not path.is_file():
        raise TacosError(f"no file {path}: give the path of a JSONL file in FastChat's format")
    for row in published_rows(path):
        where = f"{path} line {row.line}"
        try:
            if row.error is not None:
                raise _BadLineError(f"no JSON, cut off? ({row.error})")
            if not isinstance(row.value, dict):
                raise _BadLineError(f"holds {type(row.value).__name__}, expected an object")
            rows.append(parse(row.value, where))
        except _BadLineError as error:
            problems.append(Problem(where=where, reason=str(error)))
    return Contents(rows, problems)


def _single(value: dict[str, Any], where: str, read_by: ReadBy) -> SingleJudgment:
    if "g1_winner" in value:
        raise _BadLineError("a pair judgment among single ones; score that file with --pair-judgments")
    judge, prompt = _judge(value)
    text = _text(value, "judgment", required=read_by != "stored")
    finish = _finish_reason(value, "finish_reason")
    rating = _stored_rating(value, text) if read_by == "stored" else _read_anew(text, finish, read_by)
    return SingleJudgment(
        question_id=_id(value),
        turn=_turn(value),
        model=_name(value, "model"),
        judge=judge,
        prompt=prompt,
        user_prompt=_text(value, "user_prompt"),
        judgment=text,
        score=rating.score,
        error=rating.error,
        finish_reason=finish,
        tstamp=_seconds(value),
        where=where,
    )


def _read_anew(text: str, finish: str | None, parser: Parser) -> Rating:
    return Rating(error="cut off at the token limit") if finish in CUT else read_rating(text, parser)


def _finish_reason(value: dict[str, Any], key: str) -> str | None:
    found = value.get(key)
    return found if isinstance(found, str) and found else None


def _stored_rating(value: dict[str, Any], text: str) -> Rating:
    if "score" not in value:
        raise _BadLineError("no score")
    score = value["score"]
    if not _is_number(score):
        return Rating(error=f"a stored score that is not a number, {str(score)[:40]!r}")
    if score == UNREAD:
        return Rating(error=_stored_error(value) or read_rating(text).error or "stored as unread (-1)")
    if LOW <= score <= HIGH or (score == 0 and read_rating(text, "fastchat").score == 0):
        return Rating(score=float(score))
    return Rating(error=f"a stored score of {score:g}, off the scale {LOW} to {HIGH}")


def _stored_error(value: dict[str, Any], game: int | None = None) -> str | None:
    """Our own reason, where we wrote the file; of one game of a pair."""
    why = value.get("error")
    if not isinstance(why, str) or not why:
        return None
    parts = dict(_GAME_ERROR.findall(why)) if game else {}
    return parts.get(str(game)) if parts else why


def _pair(value: dict[str, Any], where: str, read_by: ReadBy) -> PairJudgment:
    if "model" in value and "g1_winner" not in value:
        raise _BadLineError("a single judgment among pairs; score that file with --judgments")
    judge, prompt = _judge(value)
    return PairJudgment(
        question_id=_id(value),
        turn=_turn(value),
        model_1=_name(value, "model_1"),
        model_2=_name(value, "model_2"),
        judge=judge,
        prompt=prompt,
        games=(_game(value, 1, read_by), _game(value, 2, read_by)),
        tstamp=_seconds(value),
        where=where,
    )


def _game(value: dict[str, Any], number: int, read_by: ReadBy) -> GameJudgment:
    text = _text(value, f"g{number}_judgment", required=read_by != "stored")
    prompt = _text(value, f"g{number}_user_prompt")
    finish = _finish_reason(value, f"g{number}_finish_reason")
    if read_by != "stored":
        cut = Preference(error="cut off at the token limit") if finish in CUT else None
        return game(number, cut or read_choice(text, read_by), prompt, text, finish)
    key = f"g{number}_winner"
    if key not in value:
        raise _BadLineError(f"no {key}")
    stored = value[key]
    winner: Winner | None = next((w for w in WINNERS[0].values() if w == stored), None)
    error = None if winner else _stored_error(value, number) or f"stored as {str(stored)[:40]!r}, no winner"
    return GameJudgment(winner=winner, user_prompt=prompt, judgment=text, error=error, finish_reason=finish)


def game(
    number: int, choice: Preference, user_prompt: str, reply: str, finish_reason: str | None = None
) -> GameJudgment:
    """One order with its choice told as a model's name; number: 1 or 2."""
    winner = WINNERS[number - 1][choice.winner] if choice.winner else None
    return GameJudgment(
        winner=winner,
        user_prompt=user_prompt,
        judgment=reply,
        error=choice.error,
        finish_reason=finish_reason,
    )


def _id(value: dict[str, Any]) -> str:
    found = value.get("question_id")
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        raise _BadLineError(f"no question_id (found {found!r})")
    return str(found)


def _turn(value: dict[str, Any]) -> int:
    turn = value.get("turn")
    if isinstance(turn, bool) or not isinstance(turn, int) or turn < 1:
        raise _BadLineError(f"no turn (found {turn!r})")
    return turn


def _text(value: dict[str, Any], key: str, required: bool = False) -> str:
    """An empty text is a text: a judge may answer nothing."""
    found = value.get(key)
    if isinstance(found, str):
        return found
    if found is None and not required:
        return ""
    raise _BadLineError(f"no {key}" if found is None else f"{key} is {type(found).__name__}, no text")


def _name(value: dict[str, Any], key: str) -> str:
    found = _text(value, key, required=True)
    if not found.strip():
        raise _BadLineError(f"{key} is empty")
    return found


def _judge(value: dict[str, Any]) -> tuple[str, str]:
    """(model, prompt name) of the judge; "" where the file does not say."""
    judge = value.get("judge")
    parts = judge if isinstance(judge, Sequence) and not isinstance(judge, str) else [judge]
    names = [part if isinstance(part, str) else "" for part in parts]
    model, prompt = [*names, "", ""][:2]
    return model, prompt


def _seconds(value: dict[str, Any]) -> float:
    tstamp = value.get("tstamp")
    return float(tstamp) if _is_number(tstamp) else 0.0


def _is_number(value: Any) -> TypeGuard[int | float]:
    """A number that is worth the name: no NaN, no infinity, no integer of a thousand digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
