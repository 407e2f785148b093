"""Faulty answers: the share of a model's replies that are empty, one piece over and over, or cut off.

A model that answers like that is broken, or was asked in the wrong way, and what a judge makes of it says little about
its training data; a report's verdict says so from 5% on.
"""

from __future__ import annotations

from eval.measures import Benchmark, Finished, Measure, RunValues, Wording
from tacos.answering.faults import WORTH_SAYING, AnswerFaults, faults_in
from tacos.store.files import read_jsonl
from tacos.types import Answer

FAULTY = Measure(
    name="faulty_answers",
    title="faulty answers",
    counted="answers that are empty, repeated or cut off",
    heading="model",
    unit="share",
    better="lower",
    scale=(0.0, 1.0),
    doubt_above=WORTH_SAYING,
    brief=False,  # a terminal has no room for it; the verdict names the arms above the limit
    wording=Wording(doubt="{which} answers are empty, one piece over and over, or cut off"),
)


def read(finished: Finished) -> RunValues:
    """The share of a question's turns that are faulty; beside it how many are, by what is wrong with them."""
    rows = read_jsonl(finished.folders["answer"] / "answers.jsonl")
    answers = [Answer.model_validate(row) for row in rows]
    faults = {answer.question_id: faults_in([answer]) for answer in answers}
    total = sum(faults.values(), AnswerFaults())
    beside = {
        name: float(getattr(total, name)) for name in ("empty", "failed", "repeated", "cut", "reasoned")
    }
    shares = {id_: found.share for id_, found in faults.items()}
    return RunValues({FAULTY.name: shares} if shares else {}, beside={FAULTY.name: beside})


BENCHMARK = Benchmark("faulty_answers", stage="answer", measures=(FAULTY,), read=read)
