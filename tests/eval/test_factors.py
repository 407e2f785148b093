"""Effects of factors: the worked example by hand, and what is no design."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from eval.factors import Factors, contrasts, effects
from eval.measures import Measure
from eval.results import Effect
from eval.stats import mean_interval

FOUR = {
    "tagging": {"on": ("tacos", "no-comparison"), "off": ("no-tags", "neither")},
    "comparison": {"on": ("tacos", "no-tags"), "off": ("no-comparison", "neither")},
}
EXACT = Measure(name="exact", title="exact match", heading="test", unit="share", difference=True)


def answered(right: int) -> dict[str, float]:
    return {f"q{i}": float(i < right) for i in range(10)}


def found(measure: Measure, values: dict[str, Any], factors: Any = FOUR) -> dict[tuple[str, str], Effect]:
    return {(effect.factor, effect.how): effect for effect in effects(factors, measure, values)}


def means(made: dict[tuple[str, str], Effect]) -> dict[str, float]:
    return {factor: effect.interval.mean for (factor, _), effect in made.items() if effect.interval}


def test_main_effects_and_interaction_of_the_worked_example() -> None:
    rights = {"tacos": 8, "no-tags": 6, "no-comparison": 5, "neither": 4}
    made = found(EXACT, {arm: [answered(n)] for arm, n in rights.items()})
    assert means(made) == pytest.approx({"tagging": 0.15, "comparison": 0.25, "tagging x comparison": 0.1})
    assert [how for _, how in made] == ["on over off", "on over off", "interaction"]


def test_an_effect_is_paired_by_question_and_seed() -> None:
    """Questions of very unlike difficulty, and the same gain on each: nothing is left to be unsure of."""
    rng = np.random.default_rng(0)
    base = [{f"q{i}": float(v) for i, v in enumerate(rng.normal(0, 5, 40))} for _ in range(3)]
    values = {
        arm: [{q: v + gain for q, v in seed.items()} for seed in base]
        for arm, gain in {"tacos": 3.0, "no-tags": 2.0, "no-comparison": 1.0, "neither": 0.0}.items()
    }
    interval = found(EXACT, values)["tagging", "on over off"].interval
    assert interval and (interval.low, interval.high) == pytest.approx((1.0, 1.0)) and interval.n == 40


def test_a_question_that_one_arm_lacks_is_in_no_effect() -> None:
    values = {arm: [answered(5)] for arm in ("tacos", "no-tags", "no-comparison", "neither")}
    values["neither"] = [{q: v for q, v in answered(5).items() if q != "q9"}]
    interval = found(EXACT, values)["comparison", "on over off"].interval
    assert interval and interval.n == 9


def test_three_levels_are_compared_with_the_last() -> None:
    factors = {"n1": {"500": ("a",), "1000": ("b",), "2000": ("c",)}}
    values = {arm: [answered(n)] for arm, n in {"a": 2, "b": 5, "c": 6}.items()}
    made = found(EXACT, values, factors)
    assert list(made) == [("n1", "500 over 2000"), ("n1", "1000 over 2000")]
    assert [effect.interval.mean for effect in made.values() if effect.interval] == pytest.approx(
        [-0.4, -0.1]
    )


def test_an_interaction_of_two_factors_among_three_is_a_mean_over_the_third() -> None:
    arms = [f"{a}{b}{c}" for a in "01" for b in "01" for c in "01"]
    factors = {
        name: {level: tuple(arm for arm in arms if arm[place] == level) for level in "10"}
        for place, name in enumerate("abc")
    }
    weights = {what: w for what, how, w in contrasts(factors) if how == "interaction"}["a x b"]
    value = {arm: 2.0 * int(arm[0]) * int(arm[1]) + 5.0 * int(arm[2]) for arm in arms}
    assert sum(w * value[arm] for arm, w in weights.items()) == pytest.approx(2.0)


def test_a_measure_of_runs_varies_over_seeds_and_one_of_rows_has_no_effect() -> None:
    loss = Measure(name="loss", title="loss", heading="test", unit="nats", items="runs")
    values: dict[str, Any] = {
        "tacos": [1.0, 2.0],
        "no-tags": [2.0, 4.0],
        "no-comparison": [1.0, 2.0],
        "neither": [2.0, 4.0],
    }
    interval = found(loss, values)["tagging", "on over off"].interval
    assert interval and interval == mean_interval([-1.0, -2.0])
    rows = EXACT.model_copy(update={"items": "rows"})
    assert not any(e.interval for e in effects(FOUR, rows, {arm: [answered(5)] for arm in values}))


def test_an_arm_without_a_value_leaves_its_effects_empty() -> None:
    values: dict[str, Any] = {arm: [answered(5)] for arm in ("tacos", "no-tags", "no-comparison")}
    assert not any(effect.interval for effect in effects(FOUR, EXACT, values))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"tagging": {"on": ["a"]}}, "tagging has 1 level"),
        ({"x": {"on": ["a"], "off": ["b"]}, "y": {"on": ["a"], "off": ["b"]}}, "x=on, y=off has no arm"),
        ({"x": {"on": ["a"], "off": ["b"]}, "y": {"on": ["a"], "off": ["c"]}}, "x has no level of c"),
        ({"x": {"on": ["a", "b"], "off": ["c"]}}, "x=on has a and b: a design has one arm"),
        ({"x": {"on": ["a"], "off": ["a"]}}, "x has a twice: an arm has one level"),
        ({"x": {"on": ["a", "a"], "off": ["b"]}}, "x has a twice: an arm has one level"),
    ],
)
def test_what_is_no_design_is_refused(said: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TypeAdapter(Factors).validate_python(said)


def test_levels_that_yaml_reads_as_truth_values_and_numbers_have_names() -> None:
    read: Any = TypeAdapter(Factors).validate_python({"x": {True: ["a"], False: ["b"]}})
    assert list(read["x"]) == ["on", "off"]
    numbered: Any = TypeAdapter(Factors).validate_python({"n": {500: ["a"], 900: ["b"]}})
    assert list(numbered["n"]) == ["500", "900"]
