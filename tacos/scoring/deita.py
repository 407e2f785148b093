"""Deita: complexity times quality, by two models that were trained to rate (arXiv 2312.15685).

    c, q     sum over r = 1..6 of r * softmax(logits of "1".."6" as the next token)_r, of each turn
    score    sum over turns of c * q;   two turns with c = 2, q = 3 and c = 4, q = 5: 26

c sees a turn's instruction alone, q its instruction and response; earlier turns are not shown. The two scorers are
LLaMA-13B models, by name `hkust-nlp/deita-complexity-scorer` and `hkust-nlp/deita-quality-scorer`, which rate to the
letter of the prompts they were trained on. Those are upstream's and are read from its file (`prompts`). Either model
may be left out, and the other alone is the score.

Quirks of the released code: its sum favours conversations of many turns (`turns: mean` is the mean, as MIG's authors
load it). Where a rating token is missing it says 3.0 in silence; here that row is missing, and so is one that the model
cannot hold. The filter by likeness (cosine at most 0.9 to all accepted rows) is an allocator.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import model_validator

from tacos.cost import Cost
from tacos.errors import ConfigError, first_line
from tacos.models.expected import text_tokens
from tacos.models.local import LocalModel
from tacos.part import Setup, scorer
from tacos.prompts import read_own
from tacos.scoring.local_scorer import LocalScorer, read, turns
from tacos.scoring.rating_tokens import rated, softmax
from tacos.selection import Scores
from tacos.stage import Job, Stage
from tacos.store.kept import Kept
from tacos.types import Pool

HIGHEST = 6
UPSTREAM = "asset:prompts/deita_llama_scorer.py"
FIELDS = {"complexity": ("instruction",), "quality": ("instruction", "output")}
"""What a template has places for."""


@scorer(
    "deita",
    summary="complexity times quality, by two trained models",
    paper="arXiv 2312.15685",
    needs="two local models",
    cost=Cost(passes=2, note="passes for each turn"),
)
class Deita(LocalScorer):
    """Which two models."""

    complexity: str | None = "hkust-nlp/deita-complexity-scorer"
    """Hub id or folder; None leaves complexity out."""
    quality: str | None = "hkust-nlp/deita-quality-scorer"
    """Hub id or folder; None leaves quality out."""
    prompts: str | None = None
    """A file with `complexity_template` and `quality_template`: upstream's `llama_scorer.py`, or YAML of your own."""
    turns: Literal["sum", "mean"] = "sum"
    """How the turns of a conversation are put together."""

    @model_validator(mode="after")
    def _one_at_least(self) -> Deita:
        if self.complexity is None and self.quality is None:
            raise ValueError("complexity and quality are both null: name a model for one of them")
        return self

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        """Raises: ConfigError without the prompts of a model."""
        models = {"complexity": self.complexity, "quality": self.quality}
        texts = templates(self.prompts, [name for name, model in models.items() if model])
        return {
            name: self.reading(
                setup,
                name,
                models[name],
                {"text": text},
                partial(_ratings, text, self.batch_tokens),
                partial(_tokens, name, text),
            )
            for name, text in texts.items()
        }

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {"turns": self.turns}

    def score(self, pool: Pool, job: Job) -> Scores:
        """(n_samples,): 1 to 36 a turn, or 1 to 6 by one model alone."""
        found = [read(job, name) for name in ("complexity", "quality") if name in job.inputs]
        values = np.full(len(pool), np.nan)
        errors: dict[int, str] = {}
        for row, kept in enumerate(zip(*found, strict=True)):
            if why := next((each.error for each in kept if each.error), None):
                errors[row] = why
                continue
            products = np.prod([each.values for each in kept], axis=0)  # (n_turns,)
            values[row] = products.sum() if self.turns == "sum" else products.mean()
        return Scores(values, errors)


def _ratings(template: str, budget: int, lm: LocalModel, rows: Pool, what: str) -> Iterator[tuple[int, Kept]]:
    asked = [[_filled(template, turn) for turn in _turns(sample)] for sample in rows]
    return rated(lm, asked, HIGHEST, lambda logits: [expectation(logits)], budget, what)


def _tokens(name: str, template: str, pool: Pool) -> float:
    """Likely tokens of all ratings, each row taken for one turn."""
    shown = [pool.prompts, pool.responses] if "output" in FIELDS[name] else [pool.prompts]
    return len(pool) * float(text_tokens([template]).sum()) + sum(float(text_tokens(t).sum()) for t in shown)


def templates(path: str | None, names: Sequence[str]) -> dict[str, str]:
    """Name -> its template, with places in braces. Raises: ConfigError where the file cannot be read, or lacks one."""
    if path is None:
        raise ConfigError(
            "deita's scorers rate by the prompts that they were trained on: set score.prompts to upstream's file, "
            f"score.prompts={UPSTREAM}; without these models an LLM can rate in their place, under Deita's filter: "
            "score={by: rating, llm: NAME}"
        )
    text = read_own(path)
    try:
        found = _assigned(text) if path.endswith(".py") else yaml.safe_load(text)
    except (SyntaxError, yaml.YAMLError) as error:
        kind = "Python" if path.endswith(".py") else "YAML"
        raise ConfigError(f"score.prompts: {path} is not valid {kind}: {first_line(error)}") from error
    said = found if isinstance(found, dict) else {}
    made: dict[str, str] = {}
    for name in names:
        places, template = [f"{{{field}}}" for field in FIELDS[name]], said.get(f"{name}_template")
        if not isinstance(template, str) or any(place not in template for place in places):
            raise ConfigError(
                f"score.prompts: {path} has no {name}_template with {' and '.join(places)} in it"
            )
        made[name] = template
    return made


def _assigned(source: str) -> dict[str, Any]:
    """What a Python file assigns to names, as far as it is written out; nothing of it is run."""
    found: dict[str, Any] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    return found


def _filled(template: str, turn: Mapping[str, str]) -> str:
    """Text in braces that is no place stays as it is."""
    return re.sub(r"\{(instruction|output)\}", lambda place: turn[place[1]], template)


def _turns(sample: Any) -> list[dict[str, str]]:
    """The instruction and the response of each turn."""
    found = []
    for before, answer in turns(sample):
        said = [message.content for message in before if message.role == "user"]
        found.append({"instruction": said[-1] if said else "", "output": answer})
    return found


def expectation(logits: np.ndarray) -> float:
    """(6,) -> 1 to 6."""
    return float(softmax(logits) @ np.arange(1, len(logits) + 1))
