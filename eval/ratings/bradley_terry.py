"""Bradley-Terry ratings: one strength per model out of many pairwise comparisons.

Bradley & Terry, "Rank Analysis of Incomplete Block Designs" (1952): model i beats model j with probability
sigmoid(r_i - r_j). The ratings are a logistic regression without intercept: a game is a row of +1 for
its first model and -1 for its second, labelled by who won, and a tie is half a win for each.

    A against B, 10 questions: 6 won, 2 tied, 2 lost  ->  A has 7 of 10, so r_A - r_B = ln(7/3) = 0.847

A rating is in log-odds against the anchor, whose rating is 0; `elo` is the same on chess's scale, 400 / ln 10
to a unit, the anchor at 1000. Intervals resample questions, all games of a question together, since
games on one question are no independent observations.

Where a model never loses, its rating has no upper end (Ford 1957: ratings exist where every model can be
reached from every other along wins). The small `ridge` keeps ratings finite; a model that only the ridge
holds is listed as `unbounded`, and its rating says no more than "above" or "below". Groups of models that
never met cannot be compared at all and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from eval.results import Interval
from eval.spread import LEVEL
from tacos.errors import TacosError, nearest
from tacos.types import Record

ELO = 400 / math.log(10)
ELO_ANCHOR = 1000.0
RIDGE = 0.01
"""Half of this times the sum of squared ratings is added to the loss: at 7 of 10 won it takes 0.2% off the
rating, at 70 of 100 0.02%."""
TOLERANCE = 1e-8
RESAMPLES = 2000


class Game(Record):
    """Two models on one question; `result` is the first model's. An unparsed comparison is no game."""

    question_id: str
    model_1: str
    model_2: str
    result: Literal["win", "tie", "lose"]


class Strength(Record):
    """One model's strength."""

    model: str
    rating: Interval
    """Log-odds against the anchor; `n` is the number of questions the model was compared on."""
    elo: float
    games: int


class Ratings(Record):
    """All models, the strongest first."""

    report: ClassVar[str] = "eval.ratings.report:RATINGS"

    anchor: str
    ratings: list[Strength]
    questions: int
    games: int
    ridge: float
    lead: Interval | None = None
    """The strongest's rating minus the second's."""
    unbounded: list[str] = Field(default_factory=list)
    """Models that only the ridge keeps finite: nobody beat them, or they beat nobody, along any chain."""
    left_out: int = 0
    """Resamples that join no scale: a model meets nobody or, where the ridge is 0, never loses or wins."""


def bradley_terry(
    games: Sequence[Game],
    anchor: str | None = None,
    ridge: float = RIDGE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ratings:
    """Ratings of every model in `games` with 95% intervals over questions.

    anchor: the model whose rating is 0; the first by name unless given.
    resamples: each is one fit of 1-2 ms (10 models, 3,600 games: 3.8 s in all on one core).
    Raises: TacosError for no games, a model against itself, an unknown anchor, groups of models that never
    met, or, where the ridge is 0, a model that never loses or never wins.
    """
    models = sorted({name for game in games for name in (game.model_1, game.model_2)})
    anchor = anchor or (models[0] if models else "")
    _check(games, models, anchor)
    pairs, wins = _wins(games, models)
    total = wins.sum(axis=0)
    _refuse_strangers(models, pairs)
    core = _components(models, pairs, total, "strong")
    unbounded = _outside(models, core)
    if unbounded and not ridge:
        raise TacosError(
            f"no finite rating for {', '.join(unbounded)}: always above or below the rest; use a ridge above 0"
        )
    fitted = _fit(pairs, total, len(models), ridge)
    draws = _bootstrap(pairs, wins, models, ridge, seed, resamples)
    return _ratings(games, models, anchor, fitted, draws, ridge, unbounded, resamples - len(draws))


def _check(games: Sequence[Game], models: Sequence[str], anchor: str) -> None:
    if not games:
        raise TacosError("no games to rate models by; give parsed comparisons")
    alone = next((game for game in games if game.model_1 == game.model_2), None)
    if alone:
        raise TacosError(f"question {alone.question_id!r} compares {alone.model_1!r} with itself")
    if anchor not in models:
        raise TacosError(f"no games of the anchor {anchor!r}: {nearest(anchor, models)}")


def _wins(games: Sequence[Game], models: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (n_pairs, 2) of winner and loser, and wins (questions, n_pairs): how often, per question."""
    place = {name: i for i, name in enumerate(models)}
    questions = {id_: i for i, id_ in enumerate(dict.fromkeys(game.question_id for game in games))}
    rows: list[tuple[int, int, int, float]] = []
    for game in games:
        row, first, second = questions[game.question_id], place[game.model_1], place[game.model_2]
        share = {"win": 1.0, "tie": 0.5, "lose": 0.0}[game.result]
        rows += [(row, first, second, share), (row, second, first, 1 - share)]
    met = sorted({(winner, loser) for _, winner, loser, _ in rows})
    column = {pair: i for i, pair in enumerate(met)}
    wins = np.zeros((len(questions), len(met)))
    for row, winner, loser, share in rows:
        wins[row, column[winner, loser]] += share
    return np.array(met), wins


def _components(
    models: Sequence[str], pairs: np.ndarray, total: np.ndarray, connection: Literal["weak", "strong"]
) -> np.ndarray:
    """(models,) number of the group each model is in, along games (weak) or wins both ways (strong)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    there = total > 0
    edges = coo_array((total[there], pairs[there].T), shape=(len(models), len(models)))
    return np.asarray(connected_components(edges.tocsr(), connection=connection)[1])


def _refuse_strangers(models: Sequence[str], pairs: np.ndarray) -> None:
    group = _components(models, pairs, np.ones(len(pairs)), "weak")
    if group.max() > 0:
        parts = [[m for m, g in zip(models, group, strict=True) if g == k] for k in range(group.max() + 1)]
        listed = "; ".join(", ".join(part) for part in parts)
        raise TacosError(
            f"{len(parts)} groups of models never met, so their ratings have no common scale: {listed}; "
            "rate them apart, or compare a model of each"
        )


def _outside(models: Sequence[str], group: np.ndarray) -> list[str]:
    """Models outside the largest group that is connected by wins both ways."""
    largest = np.bincount(group).argmax()
    return [model for model, number in zip(models, group, strict=True) if number != largest]


def _fit(pairs: np.ndarray, total: np.ndarray, models: int, ridge: float) -> np.ndarray:
    """(models,) ratings that sum to 0. Each pair's wins enter as label 1, and turned round as label 0."""
    from sklearn.linear_model import LogisticRegression

    there = np.flatnonzero(total)
    design = np.zeros((len(there), models))
    design[np.arange(len(there)), pairs[there, 0]] = 1.0
    design[np.arange(len(there)), pairs[there, 1]] = -1.0
    labels = np.repeat([1, 0], len(there))
    fit = LogisticRegression(
        C=1 / ridge if ridge else np.inf, fit_intercept=False, tol=TOLERANCE, max_iter=1000
    )
    weights = np.tile(total[there] / 2, 2)  # each win stands twice, so it weighs half
    fit.fit(np.vstack([design, -design]), labels, sample_weight=weights)
    return fit.coef_[0] - fit.coef_[0].mean()


def _bootstrap(
    pairs: np.ndarray, wins: np.ndarray, models: Sequence[str], ridge: float, seed: int, resamples: int
) -> np.ndarray:
    """(resamples, models) ratings with questions drawn anew; without a ridge, only those that exist.

    A resample in which a model meets nobody says nothing of it, and the ridge would put it in the middle.
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(wins), np.full(len(wins), 1 / len(wins)), size=resamples)
    totals = counts @ wins
    connection: Literal["weak", "strong"] = "weak" if ridge else "strong"
    whole = [total for total in totals if not _components(models, pairs, total, connection).any()]
    return np.array([_fit(pairs, total, len(models), ridge) for total in whole]).reshape(-1, len(models))


def _ratings(
    games: Sequence[Game],
    models: Sequence[str],
    anchor: str,
    fitted: np.ndarray,
    draws: np.ndarray,
    ridge: float,
    unbounded: list[str],
    left_out: int,
) -> Ratings:
    zero = models.index(anchor)
    fitted, draws = fitted - fitted[zero], draws - draws[:, [zero]]
    if not len(draws):
        raise TacosError(
            "no resample of the questions joins all models; there are too few games to rate them"
        )
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
    rated = []
    for i, model in enumerate(models):
        own = [game for game in games if model in (game.model_1, game.model_2)]
        interval = Interval(
            mean=float(fitted[i]), low=float(low[i]), high=float(high[i]), n=len({g.question_id for g in own})
        )
        elo = ELO_ANCHOR + ELO * interval.mean
        rated.append(Strength(model=model, rating=interval, elo=elo, games=len(own)))
    first, second = np.argsort(-fitted)[:2]
    ends = np.percentile(draws[:, first] - draws[:, second], [tail, 100 - tail])
    questions = len({game.question_id for game in games})
    gap = Interval(
        mean=float(fitted[first] - fitted[second]), low=float(ends[0]), high=float(ends[1]), n=questions
    )
    return Ratings(
        anchor=anchor,
        lead=gap,
        ratings=sorted(rated, key=lambda rating: -rating.rating.mean),
        questions=len({game.question_id for game in games}),
        games=len(games),
        ridge=ridge,
        unbounded=unbounded,
        left_out=left_out,
    )
