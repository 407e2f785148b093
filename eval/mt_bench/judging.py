"""MT-Bench's judge: any language model, asked with FastChat's prompts, one rating or one choice per turn.

The prompts are those of `mt_bench_prompts`, filled as FastChat fills them: the stored prompts of published
judgments come out byte for byte. Temperature 0 and at most 2,048 tokens. A model of 80 questions costs 160
calls; two models cost 160 turns in 2 orders, 320 calls. Replies are kept verbatim, and each row carries its
judge's name and prompt. Through a client with a cache (`tacos.llm.client`) a stopped run goes on where it was.

    question 81, turn 1, reply "Well told. Rating: [[7]]"
    -> {"question_id": 81, "judge": ["gpt-4", "single-v1"], "judgment": "Well ...", "score": 7, "turn": 1, ...}

A call that failed, or a verdict that cannot be read (the token limit cut it off, say), is a row without a score and
with its reason. A question without an answer, or without the reference that its prompt needs, is no row but a
`Problem`: nothing was judged. So is FastChat's mark of an answer that failed, "$ERROR$". An empty answer is judged as
it stands.

Where we differ: a verdict that cannot be read is asked for again, with a reminder (`reask: 0` does not), and of
its replies the last is kept; verdicts are read by `eval.verdicts`' own reader unless `parser="fastchat"`; and the
system prompt goes out as the system message, whichever the judge (FastChat folds it into the question for Claude).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import Field

from eval.mt_bench.files import GameJudgment, PairJudgment, Problem, SingleJudgment, game
from eval.mt_bench.prompts import JudgePrompt, Kind, fill, pick
from eval.mt_bench.score import NEED_REFERENCE
from eval.verdicts import FAILED, Parser, Preference, read_choice, read_rating
from tacos.llm.base import LLM, Completion, Request, Sampling
from tacos.llm.parse import ParseError
from tacos.llm.reading import Read, ask_replies, said
from tacos.types import Answer, Message, Question, Record

T = TypeVar("T")
Clock = Callable[[], float]
Answers = Mapping[str, Answer]
"""Question id -> answer."""


class MTBenchJudgeSettings(Record):
    """How the judge is asked and read; all of it changes the answer."""

    sampling: Sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=2048)
    parser: Parser = "last"
    reask: int = Field(1, ge=0, le=5)
    """Times an unreadable verdict is asked for again, each a call that is paid; FastChat asks once: 0."""


class SingleRun(NamedTuple):
    """What was judged, and what could not be."""

    rows: list[SingleJudgment]
    problems: list[Problem]


class PairRun(NamedTuple):
    """What was judged, and what could not be."""

    rows: list[PairJudgment]
    problems: list[Problem]


class _Match(NamedTuple):
    """One turn to be judged: the prompt and what to fill in."""

    question: Question
    turn: int
    prompt: JudgePrompt
    fields: dict[str, str]
    """What the prompt shows beside the answers."""


def judge_single(
    llm: LLM,
    answers: Answers,
    questions: Sequence[Question],
    references: Answers,
    prompts: Mapping[str, JudgePrompt],
    settings: MTBenchJudgeSettings | None = None,
    clock: Clock = time.time,
) -> SingleRun:
    """Rate every turn of one model's answers; a row per turn, in the order of the questions.

    references: good answers to the questions of `NEED_REFERENCE`'s categories.

    Raises: ConfigError when a prompt is missing; LLMError when the endpoint fails as a whole.
    """
    settings = settings or MTBenchJudgeSettings()
    matches, problems = _matches("single", questions, [answers], references, prompts)
    texts = [fill(match.prompt, {**match.fields, **_shown(answers, match, "answer")}) for match in matches]
    requests = [_request(m.prompt, text, settings) for m, text in zip(matches, texts, strict=True)]
    heard = ask_replies(llm, len(requests), requests.__getitem__, _rated(settings.parser), settings.reask)
    judged = zip(matches, texts, heard, strict=True)
    rows = [_single(answers, match, llm.model, text, read, clock()) for match, text, read in judged]
    return SingleRun(rows, problems)


def judge_pairs(
    llm: LLM,
    answers_1: Answers,
    answers_2: Answers,
    questions: Sequence[Question],
    references: Answers,
    prompts: Mapping[str, JudgePrompt],
    settings: MTBenchJudgeSettings | None = None,
    clock: Clock = time.time,
) -> PairRun:
    """Compare every turn of two models' answers in both orders; a row per turn.

    Raises: ConfigError when a prompt is missing; LLMError when the endpoint fails as a whole.
    """
    settings = settings or MTBenchJudgeSettings()
    matches, problems = _matches("pair", questions, [answers_1, answers_2], references, prompts)
    games = [
        _shown_pair(m, a, b) for m in matches for a, b in ((answers_1, answers_2), (answers_2, answers_1))
    ]
    requests = [_request(prompt, text, settings) for prompt, text in games]
    heard = ask_replies(llm, len(requests), requests.__getitem__, _preferred(settings.parser), settings.reask)
    played = [
        _game(1 + i % 2, text, read) for i, ((_, text), read) in enumerate(zip(games, heard, strict=True))
    ]
    both = zip(matches, played[::2], played[1::2], strict=True)
    rows = [_pair(answers_1, answers_2, m, llm.model, (one, two), clock()) for m, one, two in both]
    return PairRun(rows, problems)


def _matches(
    kind: Kind,
    questions: Sequence[Question],
    sides: Sequence[Answers],
    references: Answers,
    prompts: Mapping[str, JudgePrompt],
) -> tuple[list[_Match], list[Problem]]:
    matches: list[_Match] = []
    asked = {question.id for question in questions}
    problems = [
        Problem(
            where=f"{answer.model} question {id_}", reason="an answer to a question that is not in the set"
        )
        for answers in sides
        for id_, answer in answers.items()
        if id_ not in asked
    ]
    for question in questions:
        for turn in range(1, len(question.turns) + 1):
            reason = _unjudgeable(question, turn, sides, references)
            if reason:
                where = f"question {question.id} turn {turn}"
                problems.append(Problem(where=where, reason=reason))
                continue
            prompt = pick(prompts, kind, question.category, turn)
            matches.append(_Match(question, turn, prompt, _asked(question, turn, references)))
    return matches, problems


def _unjudgeable(question: Question, turn: int, sides: Sequence[Answers], references: Answers) -> str | None:
    if turn > 2:
        return "MT-Bench's prompts show two turns at most"
    for number, answers in enumerate(sides, 1):
        if question.id not in answers or len(answers[question.id].turns) < turn:
            return f"model {number} of {len(sides)} gave no answer"
        if any(said.strip() == FAILED for said in answers[question.id].turns[:turn]):
            return f"model {number} of {len(sides)} failed to answer ({FAILED})"
    given = references[question.id].turns if question.id in references else ()
    if question.category in NEED_REFERENCE and len(given) < turn:
        return f"no reference answer, which {question.category} needs"
    return None


def _asked(question: Question, turn: int, references: Answers) -> dict[str, str]:
    """The question's part of a prompt, and the reference's where the category has one."""
    fields = {"question": question.turns[0]} if turn == 1 else _numbered("question", question.turns)
    if question.category in NEED_REFERENCE:
        fields |= _numbered("ref_answer", references[question.id].turns)
    return fields


def _shown(answers: Answers, match: _Match, name: str) -> dict[str, str]:
    """An answer's part of a prompt: `name` for the first turn, `name_1` and `name_2` for the second."""
    turns = answers[match.question.id].turns
    return {name: turns[0]} if match.turn == 1 else _numbered(name, turns)


def _shown_pair(match: _Match, first: Answers, second: Answers) -> tuple[JudgePrompt, str]:
    """The prompt of one game and its text, with `first` as answer A."""
    shown = {**match.fields, **_shown(first, match, "answer_a"), **_shown(second, match, "answer_b")}
    return match.prompt, fill(match.prompt, shown)


def _numbered(name: str, turns: Sequence[str]) -> dict[str, str]:
    return {f"{name}_{number}": text for number, text in enumerate(turns, 1)}


def _request(prompt: JudgePrompt, text: str, settings: MTBenchJudgeSettings) -> Request:
    system = (Message(role="system", content=prompt.system_prompt),) if prompt.system_prompt else ()
    return Request(messages=(*system, Message(role="user", content=text)), sampling=settings.sampling)


class _Heard(NamedTuple, Generic[T]):
    """A reply, whole, and what it says."""

    reply: Completion
    verdict: T


def _rated(parser: Parser) -> Callable[[Completion, Request], _Heard[float]]:
    def rate(reply: Completion, request: Request) -> _Heard[float]:
        rating = read_rating(said(reply, request), parser)
        if rating.score is None:
            raise ParseError(rating.error or "unread", reply.text or "")
        return _Heard(reply, rating.score)

    return rate


def _preferred(parser: Parser) -> Callable[[Completion, Request], _Heard[Preference]]:
    def prefer(reply: Completion, request: Request) -> _Heard[Preference]:
        preference = read_choice(said(reply, request), parser)
        if preference.winner is None:
            raise ParseError(preference.error or "unread", reply.text or "")
        return _Heard(reply, preference)

    return prefer


def _single(
    answers: Answers, match: _Match, judge: str, text: str, read: Read[_Heard[float]], now: float
) -> SingleJudgment:
    reply = _reply(read)
    return SingleJudgment(
        question_id=match.question.id,
        turn=match.turn,
        model=answers[match.question.id].model,
        judge=judge,
        prompt=match.prompt.name,
        user_prompt=text,
        judgment=_judgment(reply),
        score=None if read.value is None else read.value.verdict,
        error=_why(read),
        finish_reason=reply.finish_reason if reply else None,
        tstamp=now,
    )


def _pair(
    answers_1: Answers,
    answers_2: Answers,
    match: _Match,
    judge: str,
    games: tuple[GameJudgment, GameJudgment],
    now: float,
) -> PairJudgment:
    return PairJudgment(
        question_id=match.question.id,
        turn=match.turn,
        model_1=answers_1[match.question.id].model,
        model_2=answers_2[match.question.id].model,
        judge=judge,
        prompt=match.prompt.name,
        games=games,
        tstamp=now,
    )


def _game(number: int, text: str, read: Read[_Heard[Preference]]) -> GameJudgment:
    choice = Preference(error=_why(read)) if read.value is None else read.value.verdict
    reply = _reply(read)
    return game(number, choice, text, _judgment(reply), reply.finish_reason if reply else None)


def _reply(read: Read[_Heard[Any]]) -> Completion | None:
    return read.reply if read.value is None else read.value.reply


def _judgment(reply: Completion | None) -> str:
    """The reply, verbatim; FastChat's mark where there is none."""
    return FAILED if reply is None or reply.text is None else reply.text


def _why(read: Read[_Heard[Any]]) -> str | None:
    """Why there is no verdict."""
    if read.value is not None:
        return None
    return read.reason or f"the call failed: {read.error or 'no reason given'}"
