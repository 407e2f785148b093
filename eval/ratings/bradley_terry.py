"""Bradley-Terry ratings: one strength per model out of many pairwise comparisons.

Bradley & Terry, "Rank Analysis of Incomplete Block Designs" (1952): model i beats model j with probability
sigmoid(r_i - r_j). The ratings are a logistic regression without intercept: a game is a row of +1 for
its first model and -1 for its second, labelled by who won, and a tie is half a win for each.

    A against B, 10 questions: 6 won, 2 tied, 2 lost  ->  A has 7 of 10, so r_A - r_B = ln(7/3) = 0.847

A rating is in log-odds against the anchor, whose rating is 0; `elo` is the same on chess's scale, 400 / ln 10
to a unit, the anchor at 1000. Games on one question are no independent observations, so the error of a difference is
the sandwich over questions (Huber 1967; Cameron & Miller 2015):

    S_q = sum of (won - p) (e_i - e_j) over the games i : j of question q
    H = sum of p (1 - p) (e_i - e_j) (e_i - e_j)' over all games
    a question's part in r_i - r_j is c' H^-1 S_q with c = e_i - e_j; the squares of these parts are the variance

Every pair of models is a `Contrast`, and its p-value is corrected for all pairs by Holm.

Where a model never loses, its rating has no upper end (Ford 1957: ratings exist where every model can be
reached from every other along wins). The small `ridge` keeps ratings finite; a model that only the ridge
holds is listed as `unbounded`, and its rating says no more than "above" or "below". Its intervals are those with half
a game added to each side of every pair that met (Haldane 1956), the games of a question counted as one. Groups of
models that never met cannot be compared at all and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from eval.interval import Interval
from eval.spread import OPEN, SAME, MeanSpread, interval_of, p_value_of
from eval.stats import Difference, against, holm
from tacos.errors import TacosError, nearest
from tacos.types import Record

ELO = 400 / math.log(10)
ELO_ANCHOR = 1000.0
RIDGE = 0.01
"""Half of this times the sum of squared ratings is added to the loss: at 7 of 10 won it takes 0.2% off the
rating, at 70 of 100 0.02%."""
TOLERANCE = 1e-8


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


class Contrast(Record):
    """Two models, the stronger first: the difference of their ratings, in log-odds."""

    first: str
    second: str
    difference: Interval
    p_value: float
    p_holm: float
    """Corrected for all pairs of models."""


class Ratings(Record):
    """All models, the strongest first."""

    report: ClassVar[str] = "eval.ratings.report:RATINGS"

    anchor: str
    ratings: list[Strength]
    questions: int
    games: int
    ridge: float
    contrasts: list[Contrast]
    """Every pair of models, the first of them the strongest and the second."""
    unbounded: list[str] = Field(default_factory=list)
    """Models that only the ridge keeps finite: nobody beat them, or they beat nobody, along any chain."""


def bradley_terry(games: Sequence[Game], anchor: str | None = None, ridge: float = RIDGE) -> Ratings:
    """Ratings of every model in `games` with 95% intervals over questions.

    anchor: the model whose rating is 0; the first by name unless given.
    Raises: TacosError for no games, a model against itself, an unknown anchor, groups of models that never
    met, or, where the ridge is 0, a model that never loses or never wins.
    """
    models = sorted({name for game in games for name in (game.model_1, game.model_2)})
    anchor = anchor or (models[0] if models else "")
    _check(games, models, anchor)
    pairs, wins = _wins(games, models)
    total = wins.sum(axis=0)
    _refuse_strangers(models, pairs)
    unbounded = _outside(models, _components(models, pairs, total, "strong"))
    if unbounded and not ridge:
        raise TacosError(
            f"no finite rating for {', '.join(unbounded)}: always above or below the rest; use a ridge above 0"
        )
    ratings = _fit(pairs, total, len(models), ridge)
    fitted = _Fitted(
        models,
        ratings,
        _influence(pairs, wins, ratings, ridge),
        unbounded,
        _bounded(pairs, wins, len(models)),
    )
    return _ratings(games, fitted, anchor, ridge)


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
    design = _design(pairs[there], models)
    labels = np.repeat([1, 0], len(there))
    fit = LogisticRegression(
        C=1 / ridge if ridge else np.inf, fit_intercept=False, tol=TOLERANCE, max_iter=1000
    )
    weights = np.tile(total[there] / 2, 2)  # each win stands twice, so it weighs half
    fit.fit(np.vstack([design, -design]), labels, sample_weight=weights)
    return fit.coef_[0] - fit.coef_[0].mean()


class _Bounded(NamedTuple):
    """The fit with half a game added to each side of every pair: (models,) ratings, (models, models) covariance."""

    ratings: np.ndarray
    covariance: np.ndarray


class _Fitted(NamedTuple):
    """influence: (questions, models), what each question adds to the error of a rating."""

    models: Sequence[str]
    ratings: np.ndarray
    influence: np.ndarray
    unbounded: list[str]
    bounded: _Bounded

    def difference(self, i: int, j: int) -> Difference:
        """r_i - r_j."""
        gap, n = float(self.ratings[i] - self.ratings[j]), len(self.influence)
        parts = n * (self.influence[:, i] - self.influence[:, j])
        free = {self.models[i], self.models[j]} & {*self.unbounded}
        if i != j and (
            free or np.abs(parts).max() <= SAME
        ):  # nothing varied, which is not to say that nothing could
            centre, covariance = (
                float(self.bounded.ratings[i] - self.bounded.ratings[j]),
                self.bounded.covariance,
            )
            variance = float(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
            spread = MeanSpread(centre, variance, float("inf"), n, n)  # the model's own variance
            found = interval_of(spread, OPEN)
            ends = {"mean": gap, "low": min(found.low, gap), "high": max(found.high, gap)}
            return Difference(interval=found.model_copy(update=ends), p_value=p_value_of(spread, 0.0))
        return against([gap + parts], 0.0)


def _information(pairs: np.ndarray, games: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """(models, models). games: (n_pairs,) how many each pair's direction counts for."""
    chance = _chance(pairs, ratings)
    design = _design(pairs, len(ratings))
    return np.asarray(design.T @ (design * (games * chance * (1 - chance))[:, None]))


def _influence(pairs: np.ndarray, wins: np.ndarray, ratings: np.ndarray, ridge: float) -> np.ndarray:
    scores = (wins * (1 - _chance(pairs, ratings))) @ _design(pairs, len(ratings))
    information = _information(pairs, wins.sum(axis=0), ratings) + ridge * np.eye(len(ratings))
    parts = scores @ np.linalg.pinv(information)
    return np.asarray(parts - parts.mean(axis=0))  # what the ridge holds is no chance


def _bounded(pairs: np.ndarray, wins: np.ndarray, models: int) -> _Bounded:
    place = {(int(a), int(b)): i for i, (a, b) in enumerate(pairs)}
    turned = [place[int(b), int(a)] for a, b in pairs]
    played = (wins + wins[:, turned]).sum(axis=0)
    asked = ((wins + wins[:, turned]) > 0).sum(axis=0)
    shares = wins.sum(axis=0) * asked / played + 0.5  # a question of several games is one
    ratings = _fit(pairs, shares, models, 0.0)
    return _Bounded(ratings, np.linalg.pinv(_information(pairs, shares, ratings)))


def _chance(pairs: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """(n_pairs,) how likely the first of a pair is to win."""
    return np.asarray(1 / (1 + np.exp(ratings[pairs[:, 1]] - ratings[pairs[:, 0]])))


def _design(pairs: np.ndarray, models: int) -> np.ndarray:
    """(n_pairs, models): +1 for the first of a pair, -1 for the second."""
    return np.asarray(np.eye(models)[pairs[:, 0]] - np.eye(models)[pairs[:, 1]])


def _ratings(games: Sequence[Game], fitted: _Fitted, anchor: str, ridge: float) -> Ratings:
    models, order = fitted.models, np.argsort(-fitted.ratings, kind="stable").tolist()
    rated = []
    for i in order:
        own = [game for game in games if models[i] in (game.model_1, game.model_2)]
        asked = len({game.question_id for game in own})
        found = fitted.difference(i, models.index(anchor)).interval.model_copy(update={"n": asked})
        elo = ELO_ANCHOR + ELO * found.mean
        rated.append(Strength(model=models[i], rating=found, elo=elo, games=len(own)))
    pairs = list(combinations(order, 2))
    differences = [fitted.difference(i, j) for i, j in pairs]
    corrected = holm([difference.p_value for difference in differences])
    contrasts = [
        Contrast(
            first=models[i], second=models[j], difference=found.interval, p_value=found.p_value, p_holm=p_holm
        )
        for (i, j), found, p_holm in zip(pairs, differences, corrected, strict=True)
    ]
    return Ratings(
        anchor=anchor,
        ratings=rated,
        contrasts=contrasts,
        questions=len(fitted.influence),
        games=len(games),
        ridge=ridge,
        unbounded=fitted.unbounded,
    )
