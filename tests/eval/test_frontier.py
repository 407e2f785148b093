"""Who stands on the frontier, what costs are counted in, categories as a web."""

from __future__ import annotations

from dataclasses import replace

from eval.report.frontier import frontier, frontier_plot
from eval.report.radar import category_radar
from eval.results import ArmMeasure
from eval.summary import by_category
from tacos.usage import Usage
from tests.eval.fixtures import ARMS, interval, make_results


def test_the_frontier_is_what_no_other_arm_dominates() -> None:
    assert frontier([(0, 0.3), (1, 0.5), (2, 0.4), (3, 0.6)]) == {0, 1, 3}
    assert frontier([(0, 2.0), (1, 1.5), (2, 1.8)], lower_is_better=True) == {0, 1}
    assert frontier([(1, 0.5), (1, 0.4)]) == {0}  # as cheap and better
    assert frontier([(1, 0.5), (1, 0.5)]) == {0, 1}  # equals


def test_money_counts_where_any_was_paid_else_flops_else_seconds() -> None:
    def label(arms: tuple[object, ...]) -> str:
        plot = frontier_plot(make_results(arms=arms))  # type: ignore[arg-type]
        assert plot is not None
        return str(plot.figure.axes[0].get_xlabel()).split(" of ")[0]

    free = tuple(replace(arm, usage=replace_cost(arm.usage)) for arm in ARMS)
    assert label(ARMS) == "US dollars" and label(free) == "FLOPs"
    assert label(tuple(replace(arm, usage=Usage(seconds=1)) for arm in ARMS)) == "seconds"
    unpriced = replace(ARMS[0], usage=Usage(calls=9, unpriced_calls=9, seconds=2.0))
    assert label((unpriced, *ARMS[1:])) == "seconds"  # it cost money, and nobody knows how much


def replace_cost(usage: Usage) -> Usage:
    return usage.model_copy(update={"cost_usd": 0.0})


def test_two_arms_have_no_frontier_and_an_untrained_one_has_no_place() -> None:
    few = tuple(arm for arm in ARMS if arm.name in ("tacos", "random", "zero-shot"))
    assert frontier_plot(make_results(arms=few)) is None


def test_a_category_is_the_mean_over_its_questions_and_seeds() -> None:
    seeds = [{"a": 1.0, "b": 3.0, "c": 5.0}, {"a": 2.0, "c": 7.0}]
    assert by_category([*seeds, None], {"a": "math", "b": "math", "c": "code"}) == {"math": 2.0, "code": 6.0}


def test_a_web_has_three_to_twelve_corners() -> None:
    results = make_results()
    measure = results.measures[0]

    def categories(n: int) -> dict[str, float]:
        return {f"skill {i}": i / n for i in range(n)}

    def drawn(n: int) -> object:
        of = {measure.name: ArmMeasure(interval=interval(0.5, 0.1, 9), categories=categories(n))}
        arms = [arm.model_copy(update={"measures": of}) for arm in results.summary]
        return category_radar(results.model_copy(update={"summary": arms}), measure)

    assert drawn(2) is None and drawn(13) is None and drawn(3) and drawn(12)
    assert category_radar(results, measure) is None
