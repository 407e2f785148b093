"""Answers of a model to evaluation questions: what is asked, in which order, with which seed.

Turns are asked one after the other, and a later one sees the model's own earlier replies. A question with the
turns "One?" and "Two?" becomes two requests:

    turn 1   user "One?"
    turn 2   user "One?"   assistant <reply 1>   user "Two?"

Each has its own seed (of the run's seed, question id and turn), and the temperature of its category. Questions go
in blocks, the longest of a temperature first, and a block is asked all its turns before the next: little is
padded, and a run that is killed loses one block (`answer_file.py` keeps the rest). Every model is asked in the
template it was trained with unless `GenerateSettings.template` says otherwise. A reasoning block that a reply begins
with is no part of the answer (`strip_reasoning`): judges see what a user sees, and so does the next turn.

FastChat asks MT-Bench in the same way, one question after the other from one unseeded generator; here a reply does
not depend on the questions asked before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tacos.answering.candidate import Candidate
from tacos.errors import TacosError
from tacos.llm.base import CUT, Request
from tacos.llm.client import complete
from tacos.llm.reasoning import Spoken, answered
from tacos.progress import track
from tacos.store.fingerprint import fingerprint
from tacos.text import whole_characters
from tacos.types import Answer, Message, Question


@dataclass(frozen=True, slots=True)
class Replied:
    """What became of one question. index: its place among those asked. finish_reasons, reasoned: as in `Answer`.
    error: why its turns are not all there."""

    index: int
    turns: tuple[str, ...]
    finish_reasons: tuple[str | None, ...] = ()
    reasoned: int = 0
    error: str | None = None

    def answer(self, question_id: str, model: str) -> Answer:
        return Answer(
            question_id=question_id,
            model=model,
            turns=self.turns,
            finish_reasons=self.finish_reasons if CUT & {*self.finish_reasons} else (),
            reasoned=self.reasoned,
        )


def generate(
    candidate: Candidate, questions: Sequence[Question], model_name: str, seed: int = 0
) -> list[Answer]:
    """One answer per question, in their order.

    Raises: TacosError when nothing can be asked, or a question has no answer.
    """
    replied = sorted(answer(candidate, questions, seed), key=lambda reply: reply.index)
    if failed := [reply for reply in replied if reply.error is not None]:
        first = failed[0]
        raise TacosError(
            f"{model_name} gave no answer to {len(failed)} of {len(questions)} questions, the first "
            f"{questions[first.index].id} ({first.error}); run again when the cause is gone"
        )
    return [reply.answer(question.id, model_name) for question, reply in zip(questions, replied, strict=True)]


def answer(candidate: Candidate, questions: Sequence[Question], seed: int = 0) -> Iterator[Replied]:
    """What becomes of every question, block by block as they are finished, so not in their order.

    Raises: TacosError when nothing can be asked at all.
    """
    settings, size = candidate.settings, candidate.block

    def place(i: int) -> tuple[float, int]:
        return settings.temperature_of(questions[i].category), -sum(map(len, questions[i].turns))

    order = sorted(range(len(questions)), key=place)
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    for block in track(blocks, "answering") if candidate.quiet else blocks:
        yield from _ask_block(candidate, questions, block, seed)


def _ask_block(
    candidate: Candidate, questions: Sequence[Question], block: Sequence[int], seed: int
) -> list[Replied]:
    """block: places of questions. One without a reply is not asked its later turns."""
    replies: dict[int, list[str]] = {i: [] for i in block}
    ends: dict[int, list[str | None]] = {i: [] for i in block}
    reasoned, errors = Counter[int](), dict[int, str]()
    for turn in range(max(len(questions[i].turns) for i in block)):
        asked = [i for i in block if len(questions[i].turns) > turn and i not in errors]
        if not asked:
            break
        requests = [_request(candidate, questions[i], replies[i], seed) for i in asked]
        for i, completion in zip(asked, complete(candidate.llm, requests), strict=True):
            if completion.text is None:
                errors[i] = f"turn {turn + 1}: {completion.error or 'no reply'}"
            else:
                said = _said(candidate, completion.text)
                replies[i].append(said.text.strip())
                ends[i].append(completion.finish_reason)
                reasoned[i] += said.reasoned
    return [Replied(i, tuple(replies[i]), tuple(ends[i]), reasoned[i], errors.get(i)) for i in block]


def _said(candidate: Candidate, reply: str) -> Spoken:
    """The answer in a reply: without the reasoning it begins with, unless the settings keep that."""
    whole = whole_characters(reply)
    return answered(whole) if candidate.settings.strip_reasoning else Spoken(whole)


def requests_behind(
    candidate: Candidate, question: Question, turns: Sequence[str], seed: int
) -> list[Request]:
    """The requests that a finished answer came from."""
    return [_request(candidate, question, turns[:turn], seed) for turn in range(len(turns))]


def _request(candidate: Candidate, question: Question, replies: Sequence[str], seed: int) -> Request:
    messages = conversation(question, replies)
    return candidate.request(messages, question.category, row_seed(seed, question.id, len(replies)))


def row_seed(seed: int, question_id: str, turn: int) -> int:
    """The seed of one reply, whichever questions are asked beside it."""
    return int(fingerprint([seed, question_id, turn]), 16)


def conversation(question: Question, replies: Sequence[str]) -> list[Message]:
    """The turns so far, ending with the one to be answered."""
    messages = []
    for said, reply in zip(question.turns, replies, strict=False):
        messages += [Message(role="user", content=said), Message(role="assistant", content=reply)]
    return [*messages, Message(role="user", content=question.turns[len(replies)])]
