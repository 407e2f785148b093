"""How surprised a model is by an answer, after what was asked and alone: what IFD, Superfiltering and perplexity read.

    alpaca    "Below is an instruction ...\\n\\n### Response:" + answer     alone: "### Response:" + answer
    none      "{instruction}\\n{input}\\n" + answer                        alone: answer, its first token unscored
    chat      the model's chat template, the end token counted too       alone: after an empty question

Prompt and answer are tokenised as one text, with the tokens that the tokenizer puts in front, and the answer begins
after as many tokens as the prompt has alone, as in the released code. A conversation of several turns is scored turn by
turn, each after all before it, and counts every token once.

A row over `max_tokens`, or over what the model can hold, is skipped, or cut: its answer then ends at the same number of
scored tokens in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from tacos.errors import TacosError, first_line
from tacos.models.batches import Supervised, token_losses
from tacos.models.chat import encode
from tacos.models.expected import text_tokens
from tacos.models.local import LocalModel
from tacos.models.wrapping import ALONE, WITH_INPUT
from tacos.part import Setup
from tacos.premises import check_ratios
from tacos.scoring.local_scorer import LocalScorer, by_owner, turns
from tacos.selection import Scores
from tacos.stage import Stage
from tacos.store.kept import Kept
from tacos.types import Message, Pool, Sample

Template = Literal["alpaca", "none", "chat"]
Overflow = Literal["skip", "cut"]
Pairs = list[tuple[Supervised, Supervised]]
"""Each turn as the model reads it: after what was asked, and alone."""
OPENS = "### Response:"


class Layout(NamedTuple):
    """How a row is laid out, and how long it may be."""

    template: Template
    max_tokens: int
    overflow: Overflow


class AnswerScorer(LocalScorer):
    """Reads the losses of each row's answer, in a stage that scorers share which read the same.

    alone: whether those of the answer alone are read, too.
    """

    alone: ClassVar[bool] = True

    model: str | None = None
    """Hub id or folder; None is the base of the run."""
    template: Template = "none"
    """`none`, `alpaca`, or the model's own `chat` template."""
    max_tokens: int = Field(1024, ge=8)
    """Longest row, prompt and answer together."""
    overflow: Overflow = "cut"
    """What is done with a longer row."""

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        layout = Layout(self.template, self.max_tokens, self.overflow)
        work = partial(_losses, layout, self.batch_tokens, self.alone)

        def tokens(pool: Pool) -> float:
            answers = text_tokens(pool.responses)
            whole = np.minimum(text_tokens(pool.prompts) + answers, self.max_tokens)
            return float(whole.sum() + self.alone * np.minimum(answers, self.max_tokens).sum())

        asked = {**layout._asdict(), "alone": self.alone}
        return {"losses": self.reading(setup, "losses", self.model, asked, work, tokens)}


def _losses(
    layout: Layout, budget: int, alone: bool, lm: LocalModel, rows: Pool, what: str
) -> Iterator[tuple[int, Kept]]:
    return answer_losses(lm, rows, layout, budget, what, alone)


def answer_losses(
    lm: LocalModel, pool: Pool, layout: Layout, budget: int, what: str, alone: bool = True
) -> Iterator[tuple[int, Kept]]:
    """(row, Kept((mean loss of the answer after what was asked, mean loss alone))), in nats per token.

    alone: whether the second is asked for.
    """
    limit = min(layout.max_tokens, lm.context or layout.max_tokens)
    layout = layout._replace(max_tokens=limit)
    rows: list[Supervised] = []
    owners: list[int] = []
    for place, sample in enumerate(pool):
        try:
            pairs = laid_out(lm.tokenizer, sample, layout)
        except TacosError as error:
            yield place, Kept(error=first_line(error))
            continue
        read = [side for side in zip(*pairs, strict=True)][: 1 + alone]
        if why := unscorable(read):
            yield place, Kept(error=why)
            continue
        rows += [row for side in read for row in side]
        owners += [place] * (len(pairs) * len(read))
    for place, losses in by_owner(token_losses(lm, rows, budget, what), owners):
        sides = np.array_split(np.arange(len(losses)), 1 + alone)
        means = tuple(_mean([losses[i] for i in side]) for side in sides)
        finite = bool(np.isfinite(means).all())
        yield place, Kept(means) if finite else Kept(error="the model gave no number for the loss")


def _mean(losses: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(losses).mean(dtype=np.float64))


def unscorable(sides: Sequence[Sequence[Supervised]]) -> str | None:
    """Why the turns of a row have no mean loss."""
    if all(any(sum(row.mask[1:]) for row in side) for side in sides):
        return None
    return "the response has no token that can be scored"


def laid_out(tokenizer: Any, sample: Sample, layout: Layout) -> Pairs:
    """Raises: TacosError for a row that cannot be scored, with the reason."""
    said = turns(sample)
    if not said:
        raise TacosError("the response is empty")
    made = [_turn(tokenizer, before, answer, sample.input, layout.template) for before, answer in said]
    if all(len(asked.ids) <= layout.max_tokens for asked, _ in made):
        return made
    if layout.overflow == "skip":
        raise TacosError(f"over {layout.max_tokens:,} tokens")
    made = [_cut(asked, alone, layout.max_tokens) for asked, alone in made]
    if not any(sum(asked.mask[1:]) for asked, _ in made):
        raise TacosError(f"no token of the response is among the first {layout.max_tokens:,}")
    return made


def _turn(
    tokenizer: Any, before: Sequence[Message], answer: str, input: str, template: Template
) -> tuple[Supervised, Supervised]:
    if template == "chat":
        context = [message.model_copy(update={"weight": 0}) for message in before]
        return _chat(tokenizer, context, answer), _chat(tokenizer, [Message(role="user", content="")], answer)
    asked = prompt_text("\n\n".join(message.content for message in before), input, template)
    return joined(tokenizer, asked, answer), joined(tokenizer, OPENS if template == "alpaca" else "", answer)


def _chat(tokenizer: Any, before: Sequence[Message], answer: str) -> Supervised:
    encoded = encode(tokenizer, [*before, Message(role="assistant", content=answer)], max_length=2**31)
    return Supervised(encoded.ids, encoded.mask)


def prompt_text(text: str, input: str, template: Template) -> str:
    """What stands before the answer. input: what the text ends with, if that is a context of its own."""
    given = input if input and text.endswith(input) else ""
    asked = text.removesuffix(given).rstrip() if given else text
    if template == "none":
        return f"{asked}\n{given}\n" if given else f"{asked}\n"
    context = f"### Input:\n{given}\n\n" if given else ""
    return f"{WITH_INPUT if given else ALONE}\n\n### Instruction:\n{asked}\n\n{context}{OPENS}"


def joined(tokenizer: Any, before: str, answer: str) -> Supervised:
    """The text as one; the answer is what comes after as many tokens as `before` has."""
    ids = tokenizer(before + answer)["input_ids"]
    start = len(tokenizer(before)["input_ids"]) if before else 0
    return Supervised(ids, [int(place >= start) for place in range(len(ids))])


def _cut(asked: Supervised, alone: Supervised, limit: int) -> tuple[Supervised, Supervised]:
    """Both end after the same number of scored tokens, where the first is over the limit."""
    if len(asked.ids) <= limit:
        return asked, alone
    asked = Supervised(asked.ids[:limit], asked.mask[:limit])
    scored = np.flatnonzero(alone.mask[1:]) + 1
    kept = sum(asked.mask[1:])
    end = int(scored[:kept][-1]) + 1 if kept and len(scored) else 0
    return asked, Supervised(alone.ids[:end], alone.mask[:end])


def ratio_scores(
    name: str,
    found: Sequence[Kept],
    ratio: Callable[[float, float], float],
    too_high: Callable[[float], bool],
    why: str,
) -> Scores:
    """ratio: of the two mean losses, NaN where there is none. too_high: whether a row is dropped, for `why`."""
    values = np.array([np.nan if row.error else ratio(*row.values) for row in found], dtype=np.float64)
    errors = {i: row.error for i, row in enumerate(found) if row.error}
    for row in np.flatnonzero(np.isnan(values)).tolist():
        errors.setdefault(row, "the response alone has no loss to compare with")
    check_ratios(name, values[~np.isnan(values)])
    for row in np.flatnonzero([too_high(value) for value in values]).tolist():
        values[row], errors[row] = np.nan, why
    return Scores(values, errors)
