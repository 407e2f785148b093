"""LESS: rows whose gradient lowers the loss of the query rows (arXiv 2402.04333).

    warm-up      LoRA (r 128, alpha 512, dropout 0.1, on q k v o) on a random 5% of the pool, 4 epochs
    G_t(x)       Adam's step by the gradient of x's mean loss after epoch t, projected to 8,192 numbers, unit length
    G_t(q)       the gradient itself of a query row, projected, unit length
    value(q, x)  sum over epochs t of (mean learning rate of t / sum of these) * <G_t(q), G_t(x)>
    score(x)     max over tasks of the mean over a task's query rows          (max over subtasks in the paper)

Worked example, two epochs of equal rate, products 0.2 and 0.4: 0.3; three query rows of a task 0.3, 0.1, 0.2: 0.2.

Quirks of the released code (princeton-nlp/LESS): Adam's step is m' / sqrt(v' + eps), eps inside of the root, and is not
corrected for the first steps; rows are laid out in the tulu format, whose newline after each end token counts in the
loss, too. Not kept: gradients are cut to 16 bits there before they are projected.

The warm-up follows the run's `train` recipe beside what is named above; `train` here changes more of it, such as
`train: {lora: {target: all-linear}}` for a base without these four layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from tacos.config import merged
from tacos.cost import Cost
from tacos.models.batches import Supervised
from tacos.models.embedder import unit_rows
from tacos.models.epochs import epoch, learning_rate, read_moments
from tacos.models.gradients import Projection, projected, trained_weights
from tacos.models.local import LocalModel
from tacos.models.source import Source
from tacos.part import Setup, scorer
from tacos.scoring.local_scorer import LocalScorer
from tacos.scoring.states import cut_tokens, laid_out, vectors_of
from tacos.scoring.targeted import TargetedScorer, products
from tacos.selection import Pick, Scores
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Pool

LORA = {"r": 128, "alpha": 512, "dropout": 0.1, "target": ["q_proj", "k_proj", "v_proj", "o_proj"]}
WARMUP: dict[str, Any] = {
    "mode": "lora",
    "lora": LORA,
    "lr": 2e-5,
    "scheduler": "linear",
    "warmup": 0.03,
    "weight_decay": 0.0,
    "budget": "samples",
    "batch_size": 32,
    "validation": 0.0,
    "patience": None,
    "wrap": "none",
    "keep_epochs": True,
}
OWN = {"epochs": "epochs", "template": "template", "max_length": "max_tokens"}
"""Settings of a training -> those of this scorer, by which gradients are read, too."""


@scorer(
    "less",
    summary="how far a row's gradient lowers the loss of query rows",
    paper="arXiv 2402.04333",
    needs="query rows, a warm-up training",
    cost=Cost(gradients=4, trainings=1),
)
class Less(LocalScorer, TargetedScorer):
    """The warm-up, and what is compared of the gradients."""

    within = "mean"

    share: float = Field(0.05, gt=0, le=1)
    """Of the pool, drawn at random for the warm-up."""
    epochs: int = Field(4, ge=1)
    dim: int = Field(8192, ge=8)
    """Numbers that a gradient is projected to."""
    template: str = "tulu"
    """Chat template of warm-up and gradients, or `auto`, the tokenizer's own."""
    max_tokens: int = Field(2048, ge=8)
    train: dict[str, Any] = Field(default_factory=dict)
    """More settings of the warm-up's training."""

    @field_validator("train")
    @classmethod
    def _not_said_twice(cls, train: dict[str, Any]) -> dict[str, Any]:
        if said := next((name for name in OWN if name in train), None):
            raise ValueError(f"{said} is score.{OWN[said]} here, for warm-up and gradients alike: set that")
        return train

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        """Raises: ConfigError without query rows, a base, or where the run does not train."""
        queries, base = self.queries_stage(setup), self.read_model(setup, None)
        own = {name: getattr(self, field) for name, field in OWN.items()}
        changed = merged({**WARMUP, **own}, self.train)
        warmup = setup.trained(self._drawn(setup), self._warm, f"score.by={self.by}", **changed)
        made = {"queries": queries, "warmup": warmup}
        for number in range(1, self.epochs + 1):
            source = Source(base, warmup, epoch(number), self.template, setup.embedder.device)
            made[f"rows {number}"] = self._gradients(setup.pool, source, adam=True)
            made[f"asked {number}"] = self._gradients(queries, source, adam=False)
        return made

    def _warm(self, pool: Pool) -> int:
        """Rows of the warm-up."""
        return max(1, int(self.share * len(pool)))

    def _drawn(self, setup: Setup) -> Stage:
        """The rows of the warm-up, as the released code draws them."""

        def work(job: Job) -> Outcome:
            pool = job.pool()
            n = self._warm(pool)
            rows = np.random.RandomState(setup.seed).permutation(len(pool))[:n]
            tables.write_selection(job.out, pool, [Pick(index=int(row), reason="warm-up") for row in rows])
            return Outcome(rows_in=len(pool), rows_out=n)

        return Stage("warmup", work, {"share": self.share, "seed": setup.seed}, {"pool": setup.pool})

    def _gradients(self, rows: Stage, source: Source, adam: bool) -> Stage:
        """`vectors.npy`, (n, dim) float16, of unit length."""
        asked = {"dim": self.dim, "max_tokens": self.max_tokens, "adam": adam}

        closing = self.template == "tulu"
        work = partial(_projected, self.dim, self.max_tokens, self.batch_tokens, closing, adam)
        tokens = partial(cut_tokens, limit=self.max_tokens) if adam else None
        return self.over(rows, "gradients", source, asked, work, vectors=True, tokens=tokens, backward=True)

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), -1 to 1."""
        queries = Pool.read(job.inputs["queries"] / tables.POOL)
        rates = [learning_rate(job.inputs["warmup"] / epoch(number)) for number in range(1, self.epochs + 1)]
        values = np.zeros((len(queries), len(pool)), dtype=np.float32)
        for number, rate in enumerate(rates, start=1):
            rows, errors = vectors_of(job, f"rows {number}")
            asked, lost = vectors_of(job, f"asked {number}")
            if number == 1:  # what cannot be laid out is the same in every epoch
                self.check_read(len(queries), lost, "query rows")
                self.check_read(len(pool), errors, "rows")
            values += rate / sum(rates) * products(np.asarray(asked, dtype=np.float32), rows)
        return self.scores(self.targets(queries, values, lost), errors)


def _projected(
    dim: int, limit: int, budget: int, closing: bool, adam: bool, lm: LocalModel, pool: Pool, what: str
) -> Iterator[tuple[int, np.ndarray | str]]:
    """closing: whether rows are laid out with a newline after each end token. adam: as its step, or the gradient."""
    places, given = [], []
    limit = min(limit, lm.context or limit)
    for place, laid in enumerate(laid_out(lm, pool, limit)):
        if isinstance(laid, str):
            yield place, laid
        elif not any(laid.mask[1:]):
            yield place, f"no token of a response that counts is within {limit} tokens"
        else:
            places.append(place)
            given.append(closed(lm, laid, limit) if closing else laid)
    moments = read_moments(lm) if adam else None
    size = sum(weight.numel() for _, weight in trained_weights(lm))
    projection = Projection(size, dim, lm.device)
    for place, vector in projected(lm, given, projection, moments, budget, what):
        yield places[place], unit_rows(vector[None])[0].astype(np.float16)


def closed(lm: LocalModel, row: Supervised, limit: int) -> Supervised:
    """With a newline at the end, and each that follows a turn that counts among the tokens that count.

    limit: tokens of a row. A tokenizer that knows no newline leaves the row as it is.
    """
    newline = lm.tokenizer("\n", add_special_tokens=False)["input_ids"][-1:]
    ids = [*row.ids, *newline][:limit]
    mask = [*row.mask, *[0] * len(newline)][:limit]
    for i in range(1, len(ids)):
        mask[i] |= int(row.mask[i - 1] and ids[i : i + 1] == newline)
    return Supervised(ids, mask)
