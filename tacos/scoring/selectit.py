"""SelectIT: how sure a model is when it rates a sample, by tokens, prompts and models (arXiv 2402.16705).

    p          probabilities of "1".."5" as the next token, divided by their sum
    p'         p in the paper; in the released code the softmax of p, a second one, which flattens
    token      s = argmax rating * sum_j (max p' - p'_j) / 4, for one rating prompt
    sentence   mean(s) / (1 + alpha * sd(s)) over five rating prompts, sd with ddof 0, alpha = 0.2
    model      weighted mean of the sentence scores of several models, weights by size (7, 13 and 70 in the paper)

Dividing probabilities over the whole vocabulary by their sum is the softmax over the five logits, which is what is
computed here. With p = (0, 0, 0, 0, 1) the paper has s = 5 * 4 / 4 = 5; the released p' is (0.149, ..., 0.405) and
s = 5 * 4 * 0.256 / 4 = 1.28.

Quirks of the released code: at the token level one prompt is drawn, unseeded, for all rows; here it is the first. It
rates the first turn of a conversation alone; here all prompts and all responses are shown, each joined. Its weights of
the model level do not sum to 1 (7/20, 13/20, 70/90); the order is the same. A row on which the model fails is left out
in silence, and all after it move up; here it is missing. It keeps the top 20%; here the budget says how many.

Rating prompts are ours, five of them, a line each; `prompts: FILE` takes yours (the authors' file has this form), and
its first five lines rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from tacos.cost import Cost
from tacos.errors import ConfigError
from tacos.models.expected import pair_tokens, text_tokens
from tacos.models.local import LocalModel
from tacos.part import Setup, scorer
from tacos.prompts import load, packaged, read_own
from tacos.scoring.local_scorer import LocalScorer, read
from tacos.scoring.rating_tokens import rated, softmax
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store.kept import Kept
from tacos.types import Pool

HIGHEST = 5
PROMPTS = 5


@scorer(
    "selectit",
    summary="how sure a model is of its rating, over prompts and models",
    paper="arXiv 2402.16705",
    needs="a local model",
    cost=Cost(passes=5, note="passes of each model; 1 at level token"),
)
class SelectIt(LocalScorer):
    """Which models, and at which level."""

    model: str | None = None
    """Hub id or folder; None is the base of the run."""
    models: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Model level: hub id or folder -> weight, in place of `model`."""
    level: Literal["token", "sentence"] = "sentence"
    """One rating prompt, or five."""
    prompts: str = "selectit"
    """The packaged rating prompts, or a file with one a line."""
    variant: Literal["paper", "released"] = "released"
    """Whether p' is p, or its softmax."""
    alpha: float = Field(0.2, ge=0)
    """How much disagreement between prompts costs."""

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        lines = self.lines()
        work = partial(_ratings, lines, self.batch_tokens)

        def tokens(pool: Pool) -> float:
            return len(lines) * pair_tokens(pool) + len(pool) * float(text_tokens(lines).sum())

        return {
            f"ratings {number}": self.reading(setup, "ratings", model, {"prompts": lines}, work, tokens)
            for number, model in enumerate(self.models or [self.model], start=1)
        }

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"alpha": self.alpha, "variant": self.variant, "weights": self.weights}

    @property
    def weights(self) -> list[float]:
        """Of each model, with the sum 1."""
        given = list(self.models.values()) or [1.0]
        return [weight / sum(given) for weight in given]

    def lines(self) -> list[str]:
        """The rating prompts. Raises: ConfigError where the file has too few."""
        text = load(self.prompts).template if self.prompts in packaged() else read_own(self.prompts)
        found = [line.strip() for line in text.splitlines() if line.strip()]
        wanted = PROMPTS if self.level == "sentence" else 1
        if len(found) < wanted:
            raise ConfigError(
                f"score.prompts: {self.prompts} has {len(found)} rating prompts, one a line; "
                f"score.level={self.level} rates by {wanted}"
            )
        return found[:wanted]

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,), 0 to 1.28 as released, to 5 as in the paper."""
        values = np.zeros(len(pool))
        errors: dict[int, str] = {}
        for number, weight in enumerate(self.weights, start=1):
            found = read(job, f"ratings {number}")
            errors |= {row: kept.error for row, kept in enumerate(found) if kept.error}
            part = [np.nan if kept.error else self._sentence(kept.values) for kept in found]
            values += weight * np.array(part)
        return Scores(values, errors)

    def _sentence(self, values: Sequence[float]) -> float:
        """values: p of each prompt, one after the other."""
        scores = [token_score(p, self.variant) for p in np.reshape(values, (-1, HIGHEST))]
        return sentence_score(scores, self.alpha)


def _ratings(
    lines: Sequence[str], budget: int, lm: LocalModel, rows: Pool, what: str
) -> Iterator[tuple[int, Kept]]:
    texts = zip(rows.prompts, rows.responses, strict=True)
    asked = [[rating_text(line, *pair) for line in lines if pair[1].strip()] for pair in texts]
    return rated(lm, asked, HIGHEST, softmax, budget, what)


def rating_text(prompt: str, asked: str, said: str) -> str:
    """As the released code lays it out."""
    return f"{prompt}\n\nInstruction:{asked}\nResponse:{said}\nThe answer is: \n"


def token_score(p: np.ndarray, variant: Literal["paper", "released"]) -> float:
    """p: (5,) with the sum 1."""
    sure = softmax(p) if variant == "released" else p
    best = int(np.argmax(sure))
    return float((best + 1) * (sure[best] - sure).sum() / (len(sure) - 1))


def sentence_score(scores: Sequence[float], alpha: float) -> float:
    """Token scores, one a prompt -> their mean, less for those that disagree."""
    return float(np.mean(scores) / (1 + alpha * np.std(scores)))
