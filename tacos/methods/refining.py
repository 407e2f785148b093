"""Refinement: an LLM rewrites what was selected, the response first, then the instruction.

    refine: {llm: scorer}                                        both steps
    refine: {llm: scorer, instruction: null}                     the response alone

The "refined" rows of TACOS's table I (arXiv 2507.03673): gpt-4o criticises and rewrites, at temperature 0.7, top_p 0.8
and 512 tokens [released code]. The instruction is rewritten beside the new response, its separate input stays as it is.

    instruction "Name a fruit."    response "Apple"     ->  "Name one fruit and its colour."   "An apple, which is red."

A reply that cannot be read, or was cut off, keeps the original, and so does a sample of several turns; both are
counted, and the row says which. Every row carries its original under `refinement`.

Differences: the wording of our prompts. The rewritten text stands between two marks (`begin`, `end`), so that what
the model says beside it is never training text.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tacos.config import merged, parse
from tacos.errors import ConfigError
from tacos.llm.asking import Asking
from tacos.llm.base import Request, Sampling
from tacos.llm.estimate import Asked
from tacos.llm.parse import ParseError
from tacos.llm.reading import Read, ask
from tacos.llm.settings import LLMSettings
from tacos.part import Setup
from tacos.prompts import load
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl, write_jsonl
from tacos.types import Pool, Record, Sample

log = logging.getLogger(__name__)
FIELDS = ("prompt", "instruction", "input", "response")
"""What a refining prompt is filled with; `prompt` is instruction and input."""
EXPECTED_CRITIQUE = 100
"""Tokens, beside a text as long as the one it replaces."""
SEVERAL_TURNS = "more than one round of conversation"


class Rewriting(Asking):
    """One step: how the rewritten text is asked for, and what stands around it in the reply."""

    what: ClassVar[str]
    """`response` or `instruction`."""

    sampling: Sampling = Sampling(temperature=0.7, top_p=0.8, max_tokens=512)
    begin: str = "<refined>"
    """The mark before the rewritten text."""
    end: str = "</refined>"
    """The mark after it."""

    def _filled(self, values: dict[str, str]) -> str:
        """Texts go in as they are: what is defused elsewhere would come back as training text."""
        return load(self.prompt).substitute(values) if self.is_packaged else super()._filled(values)

    def read(self, reply: str) -> str:
        """The text between the last two marks. Raises: ParseError."""
        _, begun, rest = reply.rpartition(self.begin)
        text, ended, _ = rest.partition(self.end)
        if not begun or not ended or not text.strip():
            raise ParseError(f"no text between {self.begin} and {self.end}", reply)
        return text.strip()

    def rewritten(self, sample: Sample, text: str) -> Sample:
        """The sample with the new text in place of the old one."""
        raise NotImplementedError


class RewriteResponse(Rewriting):
    """The first step."""

    what = "response"
    prompt: str = "refine_response"

    def rewritten(self, sample: Sample, text: str) -> Sample:
        return _said(sample, {"assistant": text})


class RewriteInstruction(Rewriting):
    """The second step, which sees the new response."""

    what = "instruction"
    prompt: str = "refine_instruction"

    def rewritten(self, sample: Sample, text: str) -> Sample:
        return _said(sample, {"user": text + sample.prompt.removeprefix(sample.instruction)})


def _said(sample: Sample, texts: Mapping[str, str]) -> Sample:
    messages = tuple(m.model_copy(update={"content": texts.get(m.role, m.content)}) for m in sample.messages)
    return sample.model_copy(update={"messages": messages})


class Refine(Record):
    """Who rewrites, and how; a step that is null is left out."""

    llm: str = "refiner"
    """Which of the configured `llms` rewrites, where a step names none of its own."""
    response: RewriteResponse | None = RewriteResponse()
    instruction: RewriteInstruction | None = RewriteInstruction()

    @property
    def steps(self) -> list[Rewriting]:
        """In the order they are taken, each with its LLM."""
        named = [step for step in (self.response, self.instruction) if step is not None]
        return [step.model_copy(update={"llm": step.llm or self.llm}) for step in named]

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        """ "response and instruction rewritten by LLM gpt-4o"."""
        by = " and ".join(dict.fromkeys(step.asks(llms) for step in self.steps))
        return f"{' and '.join(step.what for step in self.steps)} rewritten by {by}"

    def build(self, setup: Setup, selection: Stage) -> Stage:
        """The last step over a selection, with all that it rests on; `selection.jsonl` in its folder.

        Raises: ConfigError for an LLM that is not configured, or a prompt that cannot be filled.
        """
        for step in self.steps:
            selection = _stage(setup, step, selection)
        return selection


def read_refine(given: Any, preset: Refine | None, where: str) -> Refine | None:
    """What an arm says of `refine` over what its method has; null leaves it out.

    Raises: ConfigError for an unknown setting, or no step at all.
    """
    if given is None or isinstance(given, Refine):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is {given!r}: name who rewrites, as in {where}: {{llm: scorer}}")
    base = (preset or Refine()).model_dump(mode="json")
    made = parse(Refine, merged(base, given), where)
    if not made.steps:
        raise ConfigError(f"{where} leaves out both steps: leave out {where} itself")
    return made


def _stage(setup: Setup, step: Rewriting, selection: Stage) -> Stage:
    assert step.llm is not None
    name, where = step.llm, f"refine.{step.what}"
    llm = setup.llm(name, f"{where}.llm")
    step.check(FIELDS, where)

    def work(job: Job) -> Outcome:
        rows = list(read_jsonl(job.inputs["selection"] / tables.SELECTION))
        samples = [tables.selected_sample(row) for row in rows]
        single = [i for i, sample in enumerate(samples) if _one_round(sample)]
        replies = ask(
            job.tools.llm(name),
            len(single),
            lambda i: _request(step, samples[single[i]]),
            step.read,
            step.reask,
        )
        found = dict(zip(single, replies, strict=True))
        written = [_row(step, row, samples[i], found.get(i)) for i, row in enumerate(rows)]
        write_jsonl(job.out / tables.SELECTION, written)
        kept = Counter(reason for row in written if (reason := row["refinement"][step.what]))
        _tell(step, len(rows), kept)
        return Outcome(
            rows_in=len(rows),
            rows_out=len(rows),
            rows_failed=kept.total(),
            metrics={"kept": dict(kept.most_common())},
        )

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        chosen = _chosen(pool, setup.budget, done.get("selection"))
        single = [sample for sample in chosen if _one_round(sample)]
        texts = [getattr(sample, step.what) for sample in single]
        tokens = round(sum(map(len, texts)) / 4 / max(1, len(texts))) + EXPECTED_CRITIQUE
        return Asked(llm, (_request(step, sample) for sample in single), tokens, llm=name)

    identity = {**step.asked(llm), "begin": step.begin, "end": step.end}
    return Stage(
        f"refine_{step.what}", work, identity, {"pool": setup.pool, "selection": selection}, estimate=estimate
    )


def _request(step: Rewriting, sample: Sample) -> Request:
    return step.request(
        prompt=sample.prompt, instruction=sample.instruction, input=sample.input, response=sample.response
    )


def _one_round(sample: Sample) -> bool:
    return [m.role for m in sample.messages if m.role != "system"] == ["user", "assistant"]


def _row(step: Rewriting, row: dict[str, Any], sample: Sample, reply: Read[str] | None) -> dict[str, Any]:
    """The row as it is trained on; `refinement` says per step why a text was kept (null where it was rewritten)."""
    reason = SEVERAL_TURNS if reply is None else reply.reason or reply.error
    text = reply.value if reply else None
    now = sample if text is None else step.rewritten(sample, text)
    messages = [message.model_dump() for message in now.messages]
    before = row.get("refinement") or {"original": row["messages"]}
    return {**row, "messages": messages, "refinement": {**before, step.what: reason}}


def _chosen(pool: Pool, budget: int | None, selection: Path | None) -> Sequence[Sample]:
    """The selection; before there is one, rows spread evenly over the pool, as many as the budget."""
    if selection is not None:
        return tables.read_selection(selection)
    size = min(len(pool), budget or len(pool))
    return list(pool.take([i * len(pool) // size for i in range(size)])) if size else []


def _tell(step: Rewriting, rows: int, kept: Counter[str]) -> None:
    if kept:
        first, count = kept.most_common(1)[0]
        log.warning(
            "%d of %d samples keep their %s as it was; most often (%d): %s",
            kept.total(),
            rows,
            step.what,
            count,
            first,
        )
