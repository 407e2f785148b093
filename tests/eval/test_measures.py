"""Measures as data: what a run and an arm get of each kind, and a benchmark that is nobody's name."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from eval import faulty_answers
from eval.benchmarks import BENCHMARKS, benchmarks
from eval.interval import Interval
from eval.measures import Finished, Measure, Measured, NamedValue, RunValues, slugs
from eval.report.arms import main_table, ordered_arms
from eval.report.claims import claim, compared
from eval.report.experiment import console_table, write_report
from eval.report.gains import gains_table
from eval.report.text import headline
from eval.results import ArmMeasure, ArmSummary, Results, load_results
from eval.stats import clustered_difference, crossed_difference, crossed_mean, mean_interval
from eval.summary import arm_measure, corrected, run_measure
from tacos.errors import ConfigError, TacosError
from tacos.store.files import write_jsonl
from tacos.types import Answer
from tests.eval import toy_benchmark
from tests.eval.fixtures import ARMS, interval, make_results
from tests.eval.test_collect import run_trained


def measure(**changed: object) -> Measure:
    given: dict[str, object] = {"name": "m", "title": "m", "heading": "model", "unit": "share"}
    return Measure.model_validate(given | changed)


def test_a_run_has_its_mean_its_levels_and_what_was_not_read() -> None:
    levels = (
        NamedValue(name="win", value=2.0),
        NamedValue(name="tie", value=1.0),
        NamedValue(name="lose", value=0.0),
    )
    reading = RunValues(
        {"m": {"a": 2.0, "b": 2.0, "c": 1.0, "d": 0.0}}, {"m": 3}, {"m": {"longer_wins": 0.5}}
    )
    found = run_measure(measure(levels=levels), reading)
    assert found is not None and (found.value, found.unread) == (1.25, 3)
    assert found.interval == mean_interval([2, 2, 1, 0], (0.0, 1.0))
    assert found.counts == {"win": 2, "tie": 1, "lose": 1} and found.beside == {"longer_wins": 0.5}


def test_nothing_read_is_no_value_and_not_examined_is_no_measure() -> None:
    unread = run_measure(measure(), RunValues({"m": {}}, {"m": 2}))
    assert unread is not None and (unread.value, unread.interval, unread.unread) == (None, None, 2)
    assert run_measure(measure(), RunValues({})) is None
    assert arm_measure(measure(), [None, None]) is None
    assert arm_measure(measure(), [{}, {"a": 1.0}]) == ArmMeasure(interval=None)


def test_questions_are_those_that_every_seed_has() -> None:
    """b is unread for the second seed; the order is the first seed's."""
    own: list[Measured | None] = [{"a": 1.0, "b": 1.0, "c": 0.0}, {"c": 1.0, "a": 1.0}]
    found = arm_measure(measure(), own)
    assert found is not None and found.gain is None
    assert found.interval == crossed_mean([[1, 0], [1, 1]], scale=(0.0, 1.0))


def test_a_difference_is_paired_by_question_and_seed() -> None:
    own: list[Measured | None] = [{"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 1.0}]
    base: list[Measured | None] = [{"b": 0.0, "a": 1.0}, {"a": 0.0, "b": 1.0, "c": 1.0}]
    found = arm_measure(measure(difference=True), own, base)
    assert found is not None and found.gain is not None
    pairs = crossed_difference([[1, 1], [0, 1]], [[1, 0], [0, 1]], scale=(-1.0, 1.0))
    assert (found.gain, found.p_value) == (pairs.interval, pairs.p_value)
    assert found.gain.mean == 0.25
    assert (arm_measure(measure(), own, base) or found).gain is None  # where none is to be shown


def test_rows_are_clustered_and_runs_have_one_value() -> None:
    own: list[Measured | None] = [{"x": 1.0, "y": 0.0}, {"x": 1.0}]
    rows = arm_measure(measure(items="rows", difference=True), own, [{"z": 0.0}])
    assert rows is not None and rows.interval is not None and rows.interval.mean == pytest.approx(2 / 3)
    sides = ([{"x": 1.0, "y": 0.0}, {"x": 1.0}], [{"z": 0.0}])
    assert rows.gain == clustered_difference(*sides, (-1.0, 1.0)).interval
    runs = measure(items="runs")
    assert arm_measure(runs, [1.0, 2.0]) == ArmMeasure(interval=mean_interval([1.0, 2.0]), seed_sd=0.5**0.5)
    assert arm_measure(runs, [1.0, None]) == ArmMeasure(interval=None)
    assert run_measure(runs, RunValues({"m": 1.5})).value == 1.5  # type: ignore[union-attr]


def summary(value: Interval | None, gain: Interval | None = None) -> ArmSummary:
    return ArmSummary(arm="a", method="a", seeds=[0], measures={"m": ArmMeasure(interval=value, gain=gain)})


def test_a_measure_says_by_what_it_compares() -> None:
    high, low = interval(1.2, 0.1, 9), interval(-0.2, 0.1, 9)
    found = compared(measure(difference=True, better="lower"), summary(high, low))
    assert found is not None and (found.claim, found.neutral, found.interval) == ("better", 0.0, low)
    found = compared(measure(neutral=1.0, unit="score"), summary(high))
    assert found is not None and (found.claim, found.neutral, found.form(1.2)) == ("better", 1.0, "1.20")
    assert compared(measure(), summary(high)) is None  # compares nothing
    assert compared(measure(difference=True), summary(high)) is None  # has no difference


def with_measure(added: Measure, values: dict[str, tuple[Interval, Interval | None]]) -> Results:
    """The made-up experiment with one measure, which no module of the project knows."""
    results = make_results(arms=tuple(a for a in ARMS if a.name in values))
    arms = []
    for arm in results.summary:
        value, gain = values[arm.arm]
        found = {added.name: ArmMeasure(interval=value, gain=gain)}
        arms.append(arm.model_copy(update={"measures": found}))
    runs = [r.model_copy(update={"measures": {}}) for r in results.runs]
    return results.model_copy(update={"measures": [added], "summary": arms, "runs": runs})


def test_a_report_of_a_measure_that_nobody_knows(tmp_path: Path) -> None:
    toxic = measure(
        name="toxic",
        title="toxicity",
        counted="toxic answers",
        better="lower",
        difference=True,
        heading="safety",
    )
    values = {
        "tacos": (interval(0.1, 0.02, 40), interval(-0.2, 0.05, 40)),
        "random": (interval(0.3, 0.02, 40), None),
        "car": (interval(0.2, 0.02, 40), interval(-0.1, 0.2, 40)),
    }
    results = with_measure(toxic, values)
    said = headline(results)
    assert said.verdict == "tacos is better than random on toxicity."
    assert (
        "After training, toxicity is 10.0% against 30.0% for random (difference -20.0 points, 95% interval"
        " [-25.0, -15.0]) over 3 seeds: tacos does better than random." in said.paragraph
    )
    assert "no difference can be claimed for: car (-10.0)" in said.others
    assert [arm.summary.arm for arm in ordered_arms(results)] == ["tacos", "car", "random"]
    assert [c.group for c in main_table(results).columns if c.label == "toxicity"] == ["safety"]
    assert [c.group for c in gains_table(results).columns[1:]] == ["toxicity, points"] * 2
    written = write_report(results, tmp_path)
    assert "toxic" in written.plots and "toxic answers, %" in written.html.read_text()
    assert load_results(written.results) == results


def test_adding_a_benchmark_is_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BENCHMARKS, "characters", "tests.eval.toy_benchmark")
    results = run_trained(tmp_path)
    assert [m.name for m in results.measures] == [
        "heldout_loss",
        "winning_score",
        "faulty_answers",
        "characters",
    ]
    arms = {arm.arm: arm for arm in results.summary}
    own, base = (arms[name].interval("characters") for name in ("longest", "random"))
    gain = arms["longest"].gain("characters")
    assert own and base and gain and own.n == 3 and gain.mean == pytest.approx(own.mean - base.mean)
    report = (tmp_path / "runs" / "small" / "report.md").read_text()
    assert "| characters |" in report and "The length of the answers is" in report
    assert (tmp_path / "runs" / "small" / "plots" / "characters.png").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "read gave NoneType, not RunValues"),
        (RunValues({"charcters": {"a": 1.0}}), "read gave 'charcters', .*: did you mean 'characters'"),
        (RunValues({"characters": {"a": float("nan")}}), "characters: the value of a is nan: a number"),
        (RunValues({"characters": {"a": "1"}}), "characters: the value of a is '1'"),  # type: ignore[dict-item]
        (
            RunValues({"characters": {"nosuch": 1.0}}),
            "characters: 'nosuch' is no id of a question of this run",
        ),
        (
            RunValues({"characters": {"a": -2.0}}),
            "characters: the value of a is -2.0, and its scale begins at 0",
        ),
        (RunValues({"characters": {3: 1.0}}), "characters: 3 is no id of a question"),  # type: ignore[dict-item]
        (RunValues({"characters": float("inf")}), "characters: the value is inf"),
    ],
)
def test_what_is_no_value_of_a_benchmarks_measures_is_refused(given: RunValues, said: str) -> None:
    broken = replace(toy_benchmark.BENCHMARK, read=lambda finished: given)
    with pytest.raises(TacosError, match=f"benchmark characters: {said}"):
        broken.values_of(Finished({}, {}), {"a"})


def test_an_error_of_a_benchmark_names_it() -> None:
    broken = replace(toy_benchmark.BENCHMARK, read=lambda finished: RunValues({"characters": {"a": 1 / 0}}))
    with pytest.raises(ZeroDivisionError) as caught:
        broken.values_of(Finished({}, {}))
    assert caught.value.__notes__ == ["in the benchmark characters"]


def test_a_stage_that_no_arm_has_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BENCHMARKS, "characters", "tests.eval.toy_benchmark")
    broken = replace(toy_benchmark.BENCHMARK, stage="anwser")
    monkeypatch.setattr(toy_benchmark, "BENCHMARK", broken)
    with pytest.raises(ConfigError, match="characters: no arm has a stage 'anwser': did you mean 'answer'"):
        run_trained(tmp_path)
    assert not (tmp_path / "artifacts" / "train").exists()


def test_measures_have_names_of_their_own() -> None:
    names = [measure.name for benchmark in benchmarks() for measure in benchmark.measures]
    assert len(names) == len(set(names))
    assert [benchmark.name for benchmark in benchmarks()] == [
        n for n in BENCHMARKS if n not in ("five_sets", "mt_bench_pairs")
    ]


def test_faulty_answers_are_a_measure_of_every_arm(tmp_path: Path) -> None:
    turns = {"a": ("Fine.", ""), "b": ("no " * 30,), "c": ("Fine.",)}
    rows = [Answer(question_id=id_, model="m", turns=texts).model_dump() for id_, texts in turns.items()]
    write_jsonl(tmp_path / "answers.jsonl", rows)
    found = faulty_answers.read(Finished({"answer": tmp_path}, {}))
    assert found.values == {"faulty_answers": {"a": 0.5, "b": 1.0, "c": 0.0}}
    assert found.beside["faulty_answers"] == {"empty": 1, "failed": 0, "repeated": 1, "cut": 0, "reasoned": 0}


@pytest.mark.parametrize(("share", "said"), [(0.05, False), (0.46, True)])
def test_a_broken_arm_stands_in_the_verdict(share: float, said: bool) -> None:
    results = make_results()
    broken = results.summary[1]
    measures = {**broken.measures, "faulty_answers": ArmMeasure(interval=interval(share, 0.01, 40))}
    summary = [
        broken.model_copy(update={"measures": measures}) if arm is broken else arm for arm in results.summary
    ]
    changed = results.model_copy(
        update={"measures": [*results.measures, faulty_answers.FAULTY], "summary": summary}
    )
    doubt = f"Read with care: 46% of {broken.arm}'s answers are empty, one piece over and over, or cut off."
    assert (doubt in headline(changed).verdict) is said
    assert doubt not in headline(results).verdict
    stream = io.StringIO()
    Console(file=stream, width=80).print(console_table(changed))
    text = stream.getvalue()
    assert all(arm.arm in text for arm in summary) and "faulty" not in text  # names have the room


def test_verdicts_are_corrected_for_all_comparisons_but_the_one_chosen() -> None:
    told = measure(difference=True)
    p_values = {"focus": 0.03, "a": 0.01, "b": 0.04, "c": 0.5}
    summary = [
        ArmSummary(arm=arm, method="m", seeds=[0], measures={"m": ArmMeasure(interval=None, p_value=p)})
        for arm, p in p_values.items()
    ]
    found = corrected(summary, [told], ("focus", "m"))
    assert [arm.measures["m"].p_holm for arm in found] == pytest.approx([0.03, 0.03, 0.08, 0.5])
    gain = interval(0.3, 0.1, 50)
    arm = ArmSummary(
        arm="b",
        method="m",
        seeds=[0],
        measures={"m": ArmMeasure(interval=gain, gain=gain, p_value=0.04, p_holm=0.08)},
    )
    said = compared(told, arm)
    assert said is not None and (said.claim, said.word) == ("unclear", "none after correction")


def test_few_questions_say_so_and_rounding_is_no_claim() -> None:
    few = ArmSummary(
        arm="a", method="m", seeds=[0], measures={"m": ArmMeasure(interval=None, gain=interval(0.5, 0.6, 4))}
    )
    said = compared(measure(difference=True), few)
    assert said is not None and said.word == "too few to say"
    assert claim(Interval(mean=1.2, low=1 + 1e-12, high=1.5, n=90), 1.0) == "unclear"
    assert claim(Interval(mean=1.2, low=1.001, high=1.5, n=90), 1.0) == "better"


def test_names_of_arms_stay_apart_as_slugs() -> None:
    assert slugs(["a-b", "c", "a_b"]) == ["a_b", "c", "a_b_3"]
    assert len(set(slugs(["a_b_3", "a-b", "a_b"]))) == 3  # the number is taken
