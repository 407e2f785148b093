"""The parts as stages: what each reads, what it writes, and what makes its answer.

    load       pool.parquet  dropped.jsonl  [truth.jsonl questions.jsonl corpus.jsonl]
    base       model/
    embed      vectors.npy
    tag        tags.parquet
    normalize  tags.parquet  vocabulary.json  vectors.npy (of the tags left, in alphabetical order)
    cluster    groups.jsonl
    compare    scores.parquet  pairs.parquet
    select     selection.jsonl

A method (`tacos.methods`) strings these together; two methods that share a part share its stage.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tacos.allocation.base import Allocator
from tacos.errors import ConfigError, nearest
from tacos.grouping.cluster import (
    ClusteringSettings,
    cluster_tags,
    read_groups,
    signature_reduction,
    write_groups,
)
from tacos.grouping.normalize import NormalizationSettings, normalize
from tacos.grouping.tagging import KeyphraseTagger, LLMTagger, TaggingSettings, Tags, tag_request
from tacos.llm.base import LLMSettings
from tacos.llm.estimate import Asked
from tacos.models.embedder import EmbedderSettings
from tacos.prompts import load
from tacos.scoring.comparative import (
    ComparativeSettings,
    Comparator,
    LLMComparator,
    Pair,
    PairScores,
    compare_request,
    make_pairs,
    read_out,
)
from tacos.scoring.learned import LearnedComparator, LearnedSettings, fit_on_pool
from tacos.stage import Job, Outcome, Stage
from tacos.store.files import read_jsonl, write_json, write_jsonl
from tacos.types import Groups, Pick, Pool, Scores, Selected
from train.tiny import TinySettings, build_tiny

log = logging.getLogger(__name__)

EXPECTED_TAG_REPLY = 150
"""Tokens; a handful of tags with a sentence each."""
EXPECTED_PAIR_REPLY = 120
"""Tokens; short feedback and two scores."""
EXPECTED_GROUPS = 2
"""Clusters a sample stands in, as long as there are none to count."""


@dataclass(frozen=True)
class Bench:
    """What a method builds on: the pool, the budget, the seed, and the models at hand.

    budget: rows to select; None for methods that take everything.
    """

    pool: Stage
    budget: int | None
    seed: int
    embedder: EmbedderSettings
    llms: Mapping[str, LLMSettings]

    def llm(self, name: str, where: str) -> LLMSettings:
        """Raises: ConfigError when `llms.<name>` is not configured."""
        if name not in self.llms:
            raise ConfigError(
                f"{where} asks for the LLM {name!r}, which is not configured: add llms.{name}.model and "
                f"llms.{name}.endpoint, or use the embedded part ({nearest(name, self.llms)})"
            )
        return self.llms[name]


def embed(
    bench: Bench, text: Literal["prompt", "instruction", "response", "pair"], max_tokens: int | None = None
) -> Stage:
    """Unit vectors of one text of every sample, (n_samples, dim) float32; see `Embedder`."""

    def work(job: Job) -> Outcome:
        pool = job.pool()
        texts = {
            "prompt": lambda: pool.prompts,
            "instruction": lambda: pool.instructions,
            "response": lambda: pool.responses,
            "pair": lambda: [f"{p}\n{r}" for p, r in zip(pool.prompts, pool.responses, strict=True)],
        }[text]()
        np.save(job.out / "vectors.npy", job.tools.embedder()(texts, max_tokens))
        return Outcome(rows_in=len(pool), rows_out=len(pool))

    identity = bench.embedder.identity() | ({"max_tokens": max_tokens} if max_tokens else {})
    return Stage("embed", work, {"text": text, "embedder": identity}, {"pool": bench.pool})


def tiny_base(pool: Stage, settings: TinySettings) -> Stage:
    """The tiny model built on the spot, `model/`; the same stage for an experiment and for a method."""

    def work(job: Job) -> Outcome:
        texts = corpus_of(job.inputs["pool"], job.pool())
        device = "cpu" if job.tools.device == "auto" else job.tools.device
        metrics = build_tiny(texts, settings, job.out / "model", device)
        return Outcome(rows_in=len(texts), rows_out=1, metrics=metrics)

    return Stage("base", work, settings.model_dump(), {"pool": pool})


def corpus_of(folder: Path, pool: Pool) -> list[str]:
    """Text to pretrain a tiny base model on: the builtin pool's own, else the pool's texts in plain form."""
    path = folder / "corpus.jsonl"
    if path.exists():
        return [row["text"] for row in read_jsonl(path)]
    return [
        re.sub(r"\n{3,}", "\n\n", f"{p}\n\n{r}") for p, r in zip(pool.prompts, pool.responses, strict=True)
    ]


def vectors(folder: Path) -> np.ndarray:
    return np.asarray(np.load(folder / "vectors.npy", mmap_mode="r"))


class Remembered:
    """An embedder that embeds no text twice, for the many small calls over one vocabulary."""

    def __init__(self, embed: Callable[[list[str]], np.ndarray]):
        self.embed = embed
        self.known: dict[str, np.ndarray] = {}

    def __call__(self, texts: list[str]) -> np.ndarray:
        """(n_texts, dim) float32; (0, 0) for no text."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= dict(zip(new, self.embed(new), strict=True))
        return np.stack([self.known[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def tag(bench: Bench, settings: TaggingSettings) -> Stage:
    """Tags per sample, from an LLM or from keyphrases."""
    if settings.by == "llm":
        return _tag_by_llm(bench, settings)
    inputs = {
        "pool": bench.pool,
        "vectors": embed(bench, "prompt" if settings.fields == "both" else "instruction"),
    }

    def work(job: Job) -> Outcome:
        pool = job.pool()
        tagger = KeyphraseTagger(settings, job.tools.embedder())
        return _write_tags(job, pool, tagger.tag(pool, vectors(job.inputs["vectors"])))

    keep = {"by", "fields", "top_n", "max_words", "min_df"}
    return Stage("tag", work, settings.model_dump(include=keep), inputs)


def _tag_by_llm(bench: Bench, settings: TaggingSettings) -> Stage:
    llm = bench.llm(settings.llm, "tagging.by=llm")

    def work(job: Job) -> Outcome:
        pool = job.pool()
        return _write_tags(job, pool, LLMTagger(settings, job.tools.llm(settings.llm)).tag(pool))

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        return Asked(llm, (tag_request(sample, settings) for sample in pool), EXPECTED_TAG_REPLY)

    identity = settings.model_dump(include={"by", "fields", "sampling", "reask"})
    identity |= {"llm": llm.identity(), "prompt": load("tag").template}
    return Stage("tag", work, identity, {"pool": bench.pool}, estimate=estimate)


def _write_tags(job: Job, pool: Pool, tags: Tags) -> Outcome:
    tags.write(str(job.out / "tags.parquet"), pool.ids)
    distinct = len(tags.counts())
    return Outcome(
        rows_in=len(pool),
        rows_out=tags.tagged(),
        rows_failed=len(tags.errors),
        metrics={"distinct_tags": distinct},
    )


def normalized(bench: Bench, tags: Stage, settings: NormalizationSettings) -> Stage:
    """Tags after normalisation, and how many tags and tagged samples each step left."""

    def work(job: Job) -> Outcome:
        raw = Tags.read(str(job.inputs["tags"] / "tags.parquet"))
        embedded = Remembered(lambda texts: job.tools.embedder()(texts))
        result = normalize(raw, settings, embedded)
        result.tags.write(str(job.out / "tags.parquet"), job.pool().ids)
        np.save(job.out / "vectors.npy", embedded(sorted(result.tags.counts())))
        write_json(
            job.out / "vocabulary.json",
            {
                "distinct_tags": result.distinct,
                "tagged_samples": result.samples,
                "top_before": dict(raw.counts().most_common(40)),
                "top_after": dict(result.tags.counts().most_common(40)),
            },
        )
        counts = {"distinct_tags": result.distinct, "tagged_samples": result.samples}
        return Outcome(rows_in=len(raw.rows), rows_out=result.tags.tagged(), metrics=counts)

    identity = {**settings.model_dump(), "embedder": bench.embedder.identity()}
    return Stage("normalize", work, identity, {"pool": bench.pool, "tags": tags})


def clustered(bench: Bench, tags: Stage, settings: ClusteringSettings, reduce: bool) -> Stage:
    """Samples in the clusters that their tags fall in."""

    def work(job: Job) -> Outcome:
        pool, loaded = job.pool(), Tags.read(str(job.inputs["tags"] / "tags.parquet"))
        names = sorted(loaded.counts())
        if not names:
            raise ConfigError(
                "no tag is left after normalisation: lower settings.normalization.min_count (20 suits 50,000 rows)"
            )
        groups = cluster_tags(loaded, names, vectors(job.inputs["tags"]), settings, bench.seed)
        if reduce:
            groups = signature_reduction(groups, pool.responses)
        write_groups(groups, job.out / "groups.jsonl")
        if 2 * len(groups.covered) < len(pool):
            log.warning(
                "only %d of %d samples keep a tag and can be selected; lower normalization.min_count, or set "
                "normalization.untagged=group",
                len(groups.covered),
                len(pool),
            )
        sizes = [len(m) for m in groups.members]
        metrics = {"groups": len(groups), "memberships": sum(sizes), "smallest": min(sizes, default=0)}
        return Outcome(rows_in=len(pool), rows_out=len(groups.covered), metrics=metrics)

    identity = {**settings.model_dump(), "reduce": reduce, "seed": bench.seed}
    return Stage("cluster", work, identity, {"pool": bench.pool, "tags": tags})


def quality(bench: Bench, settings: LearnedSettings) -> Stage:
    """The pool-fitted quality of every sample, (n_samples,) log-odds."""
    inputs = {
        "pool": bench.pool,
        "prompts": embed(bench, "prompt"),
        "responses": embed(bench, "response", settings.response_tokens),
    }

    def work(job: Job) -> Outcome:
        pool = job.pool()
        q, accuracy = fit_on_pool(
            pool,
            vectors(job.inputs["prompts"]),
            vectors(job.inputs["responses"]),
            job.tools.embedder(),
            settings,
            bench.seed,
        )
        np.save(job.out / "quality.npy", q)
        return Outcome(rows_in=len(pool), rows_out=len(pool), metrics=accuracy)

    return Stage("quality", work, {**settings.model_dump(), "seed": bench.seed}, inputs)


def compared(bench: Bench, groups: Stage, settings: ComparativeSettings, learned: LearnedSettings) -> Stage:
    """Comparative scores inside groups."""
    inputs = {"pool": bench.pool, "groups": groups}
    identity: dict[str, Any] = settings.model_dump(include={"by", "pairing", "rounds", "odd", "low"}) | {
        "seed": bench.seed
    }
    estimate = None
    if settings.by == "llm":
        llm = bench.llm(settings.llm, "scoring.by=llm")
        identity |= settings.model_dump(include={"sampling", "reask"})
        identity |= {"llm": llm.identity(), "prompt": load("compare").template}
        estimate = _pair_estimate(settings, llm, bench.seed)
    else:
        inputs["quality"] = quality(bench, learned)

    def work(job: Job) -> Outcome:
        pool, members = job.pool(), read_groups(job.inputs["groups"] / "groups.jsonl")
        pairs = make_pairs(members, settings, bench.seed)
        comparator: Comparator
        if settings.by == "llm":
            comparator = LLMComparator(settings, job.tools.llm(settings.llm))
        else:
            comparator = LearnedComparator(np.load(job.inputs["quality"] / "quality.npy"))
        answers = comparator.compare(pool, pairs)
        _write_pairs(job.out / "pairs.parquet", pool, pairs, answers)
        scores = read_out(len(pool), members, pairs, answers)
        write_scores(job.out / "scores.parquet", pool, scores)
        return Outcome(
            rows_in=len(pool),
            rows_out=int((~np.isnan(scores.values)).sum()),
            rows_failed=sum(a.error is not None for a in answers),
            metrics={"pairs": len(pairs)},
        )

    return Stage("compare", work, identity, inputs, estimate=estimate)


def _pair_estimate(settings: ComparativeSettings, llm: LLMSettings, seed: int) -> Any:
    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        """Exact pairs where the groups are known; before that every sample is taken to stand in
        `EXPECTED_GROUPS` of them, and to be of average length."""
        known = "groups" in done
        groups = read_groups(done["groups"] / "groups.jsonl") if known else Groups.one(len(pool))
        requests = (
            compare_request(pool[p.first], pool[p.second], settings)
            for p in make_pairs(groups, settings, seed)
        )
        return Asked(llm, requests, EXPECTED_PAIR_REPLY, 1 if known else EXPECTED_GROUPS)

    return estimate


def _write_pairs(path: Path, pool: Pool, pairs: Sequence[Pair], answers: Sequence[PairScores]) -> None:
    """Every comparison with its answer, for whoever wants to trace a score."""
    ids = pool.ids
    columns = {
        "group": [p.group for p in pairs],
        "round": [p.round for p in pairs],
        "first": [ids[p.first] for p in pairs],
        "second": [ids[p.second] for p in pairs],
        "score_first": pa.array([a.first for a in answers], pa.float64()),
        "score_second": pa.array(
            [a.second if p.counts_second else None for p, a in zip(pairs, answers, strict=True)], pa.float64()
        ),
        "error": pa.array([a.error for a in answers], pa.string()),
    }
    pq.write_table(pa.table(columns), path)


def write_scores(path: Path, pool: Pool, scores: Scores) -> None:
    """One row per sample: mean score or the reason there is none, and its score in each of its groups."""
    rows = list(scores.rows(pool))
    table = {
        "id": [r.sample_id for r in rows],
        "value": pa.array([r.value for r in rows], pa.float64()),
        "error": pa.array([r.error for r in rows], pa.string()),
    }
    pq.write_table(pa.table(table), path)
    if scores.within is not None:
        payload = [[None if np.isnan(v) else float(v) for v in values] for values in scores.within]
        (path.parent / "within.json").write_text(json.dumps(payload))


def read_scores(folder: Path) -> Scores:
    table = pq.read_table(folder / "scores.parquet")
    values = table.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
    errors = {i: e for i, e in enumerate(table.column("error").to_pylist()) if e}
    path = folder / "within.json"
    within = None
    if path.exists():
        within = tuple(np.array(v, dtype=np.float64) for v in json.loads(path.read_text()))
    return Scores(values, errors, within)


def select(
    bench: Bench,
    method: str,
    allocator: Allocator,
    identity: Mapping[str, Any],
    groups: Stage | None = None,
    scores: Stage | None = None,
) -> Stage:
    """The selection: ranked rows with their messages, `selection.jsonl`.

    identity: what of the allocator changes the answer. Without groups the pool is one group;
    without scores every score is missing.
    """
    inputs = {"pool": bench.pool}
    inputs |= {
        name: stage for name, stage in {"groups": groups, "scores": scores}.items() if stage is not None
    }

    def work(job: Job) -> Outcome:
        pool = job.pool()
        members = read_groups(job.inputs["groups"] / "groups.jsonl") if groups else Groups.one(len(pool))
        known = read_scores(job.inputs["scores"]) if scores else Scores(np.full(len(pool), np.nan))
        budget = len(pool) if bench.budget is None else bench.budget
        picks = allocator.allocate(members, known, budget)
        write_jsonl(job.out / "selection.jsonl", selection_rows(pool, members, known, picks))
        return Outcome(rows_in=len(pool), rows_out=len(picks), metrics={"groups": len(members)})

    settings = {"method": method, "budget": bench.budget, "allocation": dict(identity)}
    return Stage("select", work, settings, inputs)


def selection_rows(pool: Pool, groups: Groups, scores: Scores, picks: Sequence[Pick]) -> list[dict[str, Any]]:
    """`{"id", "messages", "selection": {"rank", "score", "group", "reason"}}` per pick, ranked from 1."""
    number = {label: g for g, label in enumerate(groups.labels)}
    chosen = pool.take([pick.index for pick in picks])
    rows = []
    for rank, (pick, sample) in enumerate(zip(picks, chosen, strict=True), start=1):
        value = _score_of(pick, groups, scores, number)
        selected = Selected(sample_id=sample.id, rank=rank, score=value, group=pick.group, reason=pick.reason)
        row = sample.model_dump(include={"id", "messages"})
        rows.append(row | {"selection": selected.model_dump(exclude={"sample_id"})})
    return rows


def _score_of(pick: Pick, groups: Groups, scores: Scores, number: Mapping[str, int]) -> float | None:
    """The score that decided: inside the pick's group where scores hold there only, else the sample's own."""
    value = scores.values[pick.index]
    if scores.within is not None and pick.reason == "best of its group":
        g = number[pick.group]
        place = int(np.searchsorted(groups.members[g], pick.index))
        value = scores.within[g][place]
    return None if np.isnan(value) else round(float(value), 4)
