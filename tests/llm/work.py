"""The three kinds of LLM work on a few dozen rows, for every way of reaching a model, and what to ask of it.

A model that has learned the replies by heart (`tiny_llama.taught`) writes tags and grades that can be read, none of
them sensible; the pool is small enough for a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tacos.answering.judge import Comparison, LLMJudge, LLMJudgeSettings, Verdict, judge_request
from tacos.grouping.tagging import LLMTagger, TaggingSettings, tag_request
from tacos.llm.base import LLM, Sampling
from tacos.scoring.comparative import Comparative
from tacos.scoring.comparators import LLMComparator
from tacos.selection import Groups, Scores, Tags
from tacos.types import Message, Pool, make_sample
from tacos.usage import Ledger
from tests.scoring.compared import comparative_scores, compare_request

ROWS = 24
SHORT = Sampling(temperature=0.6, max_tokens=64)
TAGGING = TaggingSettings(sampling=SHORT)
COMPARING = Comparative(sampling=SHORT)
JUDGING = LLMJudgeSettings(sampling=SHORT)
CALLS = ROWS + ROWS // 2 + ROWS


def pool() -> Pool:
    return Pool.from_samples(make_sample(f"Add {i} and {i}.", f"{2 * i}", id=f"s{i}") for i in range(ROWS))


def comparisons() -> list[Comparison]:
    return [Comparison(question=f"Add {i} and 1.", answer_1=f"{i + 1}", answer_2="5") for i in range(ROWS)]


@dataclass(frozen=True)
class Done:
    tags: Tags
    scores: Scores
    verdicts: list[Verdict]


def work(llm: LLM) -> Done:
    """Tag, score and judge through the stages' own code."""
    tags = LLMTagger(TAGGING, llm).tag(pool())
    comparator = LLMComparator(COMPARING.call_prompt, llm)
    scores = comparative_scores(pool(), Groups.one(ROWS), comparator, COMPARING, seed=0)
    return Done(tags, scores, LLMJudge(llm, JUDGING).judge(comparisons()))


def check(done: Done, ledger: Ledger, structured: bool) -> None:
    """Every row is read, or says why not; most are read, and all tags where the schema is enforced."""
    tags, scores, verdicts = done.tags, done.scores, done.verdicts
    assert (len(tags.rows), len(scores.values), len(verdicts)) == (ROWS, ROWS, ROWS)
    assert all(bool(row) != (i in tags.errors) for i, row in enumerate(tags.rows))
    assert all((value == value) != (i in scores.errors) for i, value in enumerate(scores.values))
    assert all(verdict.parsed != bool(verdict.error) for verdict in verdicts)
    read = (tags.tagged(), ROWS - len(scores.errors), sum(v.parsed for v in verdicts))
    assert min(read) >= ROWS // 2, (read, tags.errors, scores.errors, verdicts)
    if structured:
        assert not any("JSON" in why for why in tags.errors.values()), tags.errors
    asked = ledger.total.calls + ledger.total.cached_calls  # more than once where a reply could not be read
    assert CALLS <= asked <= 2 * CALLS and ledger.total.failed_calls == 0, ledger.total


def lessons(seed: int = 0) -> Iterator[tuple[tuple[Message, ...], str]]:
    """(conversation, reply) without end, of the three kinds in turn."""
    rng, samples, pairs = Random(seed), list(pool()), comparisons()
    tags = ["sums", "maths", "adding", "numbers"]
    while True:
        one, two = rng.sample(samples, 2)
        tag, why = rng.choice(tags), rng.choice(tags)
        yield tag_request(one, TAGGING).messages, f'{{"tags": [{{"tag": "{tag}", "explanation": "{why}"}}]}}'
        yield compare_request(one, two, settings=COMPARING).messages, _grades(rng, why, 100)
        yield judge_request(rng.choice(pairs), JUDGING).messages, _grades(rng, why, 10)


def _grades(rng: Random, why: str, top: int) -> str:
    first, second = rng.randint(1, top), rng.randint(1, top)
    return f'{{"feedback": "{why}", "score_1": {first}, "score_2": {second}}}'
