"""What judging a benchmark will ask, for `tacos plan` and batch files: the very requests, heard by a model that says
nothing.

    MT-Bench      80 questions x 2 turns              160 calls for each arm
    in pairs      the same x 2 orders                 320 for each arm and each that it is compared with
    AlpacaEval    805 instructions                    805
    five sets     1,030 questions x 2 orders        2,060 for each arm and each that it is compared with

Before there are answers they are taken to be half as long as they may be. Verdicts that cannot be read, and answers
that equal the baseline's, are not foreseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from eval.alpaca_eval.annotator import Preferring
from eval.alpaca_eval.files import read_outputs
from eval.alpaca_eval.judging import annotate
from eval.mt_bench.judging import MTBenchJudgeSettings, judge_pairs, judge_single
from eval.pairwise.five_sets import OutputFile, OutputRow
from eval.pairwise.five_sets import read_outputs as read_set_outputs
from eval.pairwise.judging import review
from tacos.answering.candidate import GenerateSettings
from tacos.answering.given import read_given
from tacos.answering.judge import LLMJudge, LLMJudgeSettings
from tacos.errors import TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import LLM, Request
from tacos.pipeline.evaluate import MTBench
from tacos.types import Answer, Question

RATING_TOKENS = 200
"""Of a reply with an explanation and a rating."""
CHARACTERS_PER_TOKEN = 4


def heard(work: Callable[[LLM], object]) -> list[Request]:
    """The requests that some work makes first; none is answered."""
    silent = ScriptedLLM(lambda request: TacosError("not asked"))
    work(silent)
    return silent.requests


def expected_answer(how: GenerateSettings) -> str:
    """As long as an answer will probably be."""
    return "x" * (CHARACTERS_PER_TOKEN * how.max_new_tokens // 2)


def mt_bench_calls(
    bench: MTBench, asked: MTBenchJudgeSettings, how: GenerateSettings, answers: Path | None
) -> list[Request]:
    """answers: the folder of the answers, None where they are not there yet."""
    own = mt_bench_answers(bench, how, answers)
    return heard(lambda llm: judge_single(llm, own, bench.questions, bench.references, bench.prompts, asked))


def mt_bench_pair_calls(
    bench: MTBench, asked: MTBenchJudgeSettings, how: GenerateSettings, done: Mapping[str, Path]
) -> list[Request]:
    """done: the folders of "answers" and "opponent", as far as they are there."""
    one, two = (mt_bench_answers(bench, how, done.get(side)) for side in ("answers", "opponent"))
    files = (bench.questions, bench.references, bench.prompts)
    return heard(lambda llm: judge_pairs(llm, one, two, *files, asked))


def mt_bench_answers(bench: MTBench, how: GenerateSettings, answers: Path | None) -> dict[str, Answer]:
    """Those in a folder, or such as will probably be there."""
    if answers is not None:
        (own,) = read_given([answers / "answers.jsonl"]).models.values()
        return own
    text = expected_answer(how)
    return {q.id: Answer(question_id=q.id, model="", turns=(text,) * len(q.turns)) for q in bench.questions}


def alpaca_eval_calls(
    baseline: Sequence[Mapping[str, str]], way: Preferring, how: GenerateSettings, answers: Path | None
) -> list[Request]:
    """baseline: GPT-4's outputs."""
    text = expected_answer(how)
    outputs: Sequence[Mapping[str, object]] = [
        {"instruction": row["instruction"], "output": text} for row in baseline
    ]
    if answers is not None:
        outputs = read_outputs(answers / "outputs.json", missing_ok=True)
    return heard(lambda llm: annotate(llm, outputs, baseline, way))


def set_calls(
    sets: Mapping[str, Sequence[Question]],
    asked: LLMJudgeSettings,
    how: GenerateSettings,
    done: Mapping[str, Path],
) -> Iterable[Request]:
    """sets: name -> its questions. done: folders of the answers, as the inputs of the stage are named."""
    for name, questions in sets.items():
        first, second = (
            read_set_outputs(done[side] / "answers.jsonl") if side in done else _expected(questions, how, end)
            for side, end in ((f"answers_{name}", ""), (f"opponent_{name}", "."))
        )
        yield from _both_orders(name, questions, asked, first, second)


def _both_orders(
    name: str, questions: Sequence[Question], asked: LLMJudgeSettings, first: OutputFile, second: OutputFile
) -> list[Request]:
    return heard(lambda llm: review(LLMJudge(llm, asked), name, questions, first, second))


def _expected(questions: Sequence[Question], how: GenerateSettings, end: str) -> OutputFile:
    """end: what tells one side's answers from the other's."""
    text = expected_answer(how) + end
    rows = [
        OutputRow(line=line, question_id=q.id, question=q.turns[0], output=text)
        for line, q in enumerate(questions, 1)
    ]
    return OutputFile(source="", model="", rows=rows)
