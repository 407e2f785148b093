"""Measures: what a benchmark tells of an arm, as data.

A benchmark reads the finished folders of one arm with one seed and gives a value per question, or one value for
the run where there is none per question:

    {"exact_match": {"q1": 1.0, "q2": 0.0}, "heldout_loss": 2.31}

A question whose value cannot be read is absent and counted under `unread`; it is never 0. Statistics
(`eval.summary`), tables, sentences, plots and Weights & Biases go through the measures that are there. What they
need to know of one, its words among it, stands in its `Measure`; none of them knows a benchmark by name.

To add a benchmark, write a module with a `BENCHMARK` and add its line to `eval/benchmarks.py`. The whole of one:

    def read(finished: Finished) -> RunValues:
        rows = read_jsonl(finished.folders["answer"] / "answers.jsonl")
        return RunValues({"words": {r["question_id"]: float(len(r["turns"][-1].split())) for r in rows}})

    WORDS = Measure(name="words", title="words", heading="answers", unit="count", better="lower", difference=True)
    BENCHMARK = Benchmark("words", stage="answer", measures=(WORDS,), read=read)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tacos.errors import TacosError, nearest
from tacos.types import Record, Truth

if TYPE_CHECKING:
    from eval.interval import Interval

Unit = Literal["share", "percent", "score", "nats", "count"]
"""share: 0-1, written as per cent; percent: 0-100, as some benchmarks publish it."""
ROUNDING = 1e-6
"""By which a value may be past the ends of its scale."""
Better = Literal["higher", "lower"]
Items = Literal["questions", "rows", "runs"]


class Wording(Record):
    """How a sentence ends, by what the interval allows; {arm} and {baseline} stand for their names."""

    better: str = "{arm} does better than {baseline}"
    worse: str = "{arm} does worse than {baseline}"
    unclear: str = "no difference can be claimed"
    """Follows "the interval covers zero, so ..."."""
    doubt: str = "{which} figures are in doubt"
    """What puts other figures of arms in doubt whose mean is above `doubt_above`; {which} is "46% of tacos's and 9%
    of random's"."""


PREFERENCE = Wording(
    better="the judge prefers {arm}",
    worse="the judge prefers {baseline}",
    unclear="no preference of the judge can be claimed",
)
"""Of a measure by which a judge compares an arm's answers with the baseline's."""


class NamedValue(Record):
    """A name for one of the few values that a question can have, such as "win" for 2."""

    name: str
    value: float


class Measure(Record):
    """One figure of an arm: what it is, how it is written, and what may be said of it."""

    name: str
    """Its key in results.json and its plot's file: letters, digits, underscore."""
    metric: str = ""
    """Its name in W&B, "mt_bench/average", which `tacos eval` uses too; `name` where empty."""
    title: str
    """Heads its column: "winning score"."""
    phrase: str = ""
    """What a sentence calls it, "the judge's winning score"; the title where empty."""
    counted: str = ""
    """What is counted, for an axis: "questions answered exactly"."""
    note: str = ""
    """What a reader of its plot has to know."""
    heading: str
    """Stands over its columns and those of its neighbours with the same one; {baseline} is replaced."""
    about: Literal["selection", "model"] = "model"
    """What it judges: the rows that were taken, or the model that was trained on them."""
    unit: Unit
    better: Better = "higher"
    scale: tuple[float | None, float | None] = (None, None)
    """Its ends, where it has any."""
    items: Items = "questions"
    """What a value belongs to: questions, which are the same for every arm and seed; rows of the pool, of which
    every selection has its own; or a whole run."""
    clustered: bool = False
    """Whether questions are "CLUSTER/QUESTION", such as those of a group's subtasks, and intervals draw clusters."""
    neutral: float | None = None
    """The value of an arm that is as good as the baseline, for a measure that compares with it by itself."""
    difference: bool = False
    """Whether its difference from the baseline is shown, paired by question and seed, or by row."""
    levels: tuple[NamedValue, ...] = ()
    """All values that a question can have, the best first; they are counted and drawn as stacked bars."""
    brief: bool = True
    """Whether it stands in the terminal's table."""
    per_set: bool = False
    """Whether it is shown for each of several question sets too; each question then has a value or is unread."""
    of_set: str = ""
    """The question set, of a measure that is another one's for that set: for tables and plots, not for sentences."""
    doubt_above: float | None = None
    """An arm whose mean is above this is not to be judged by its other figures, and the verdict says so."""
    asked: str | None = ""
    """The question set whose answers stand behind it, as `tacos view` names it: "" for the run's own; None where no
    answer can be looked at."""
    reasons: str = ""
    """Where it says why values could not be read: "reviews.jsonl of its judge folder"."""
    wording: Wording = Wording()

    @property
    def tracked(self) -> str:
        """Its name in W&B."""
        return self.metric or self.name

    @property
    def said(self) -> str:
        """Its name in a sentence."""
        return self.phrase or self.title

    def clusters(self, questions: Iterable[str]) -> list[str] | None:
        """What each question is drawn with; None where it is drawn by itself."""
        return [question.partition("/")[0] for question in questions] if self.clustered else None

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Of what a value can be."""
        return {"share": (0.0, 1.0), "percent": (0.0, 100.0)}.get(self.unit, self.scale)

    @property
    def difference_ends(self) -> tuple[float | None, float | None]:
        """Of what a difference of two values can be."""
        low, high = self.ends
        return (low - high, high - low) if low is not None and high is not None else (None, None)

    @property
    def compared(self) -> bool:
        """Whether it says anything of an arm against the baseline."""
        return self.difference or self.neutral is not None


Measured = Mapping[str, float] | float
"""Of one run: question or row id -> value, or one value for the run."""
Values = Mapping[str, Measured]
"""By measure; one that the run was not examined by is absent, one of which nothing could be read is empty."""


@dataclass(frozen=True)
class Finished:
    """What is on disk of one arm with one seed.

    folders: stage -> its folder, of the stages that this arm has ("select", "refine", "train", "answer", "judge", and
        those of public benchmarks, as "mt_bench").
    metrics: stage -> the numbers in its done record.
    truth: row id -> what is known of it; None for a pool of which nothing is known.
    """

    folders: Mapping[str, Path]
    metrics: Mapping[str, Mapping[str, Any]]
    truth: Mapping[str, Truth] | None = None


@dataclass(frozen=True)
class RunValues:
    """What a benchmark read of one run.

    unread: measure -> questions whose value could not be read.
    beside: measure -> figures that help to judge it, such as how often the longer answer won.
    categories: question id -> its category, where the benchmark has some.
    """

    values: Values
    unread: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Interval | float | None]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """stage: the one whose folder the values come from; an arm without it has none."""

    name: str
    stage: str
    measures: tuple[Measure, ...]
    read: Callable[[Finished], RunValues]

    def values_of(self, finished: Finished, questions: Container[str] | None = None) -> RunValues:
        """What it reads of one run. questions: ids of the run's own; None where they are not known.

        Raises: TacosError for what is no value of its measures.
        """
        try:
            found = self.read(finished)
        except Exception as error:
            error.add_note(f"in the benchmark {self.name}")
            raise
        if not isinstance(found, RunValues):
            raise TacosError(f"benchmark {self.name}: read gave {type(found).__name__}, not RunValues")
        measures = {measure.name: measure for measure in self.measures}
        for name, values in found.values.items():
            if name not in measures:
                raise TacosError(
                    f"benchmark {self.name}: read gave {name!r}, which none of its measures is called: "
                    f"{nearest(name, measures)}"
                )
            own = questions if measures[name].items == "questions" and measures[name].asked == "" else None
            for id_, value in values.items() if isinstance(values, Mapping) else [("", values)]:
                where = f"benchmark {self.name}: {name}"
                if not isinstance(id_, str) or (id_ and own is not None and id_ not in own):
                    raise TacosError(f"{where}: {id_!r} is no id of a question of this run")
                _check_value(f"{where}: the value{f' of {id_}' if id_ else ''}", value, measures[name])
        return found


def _check_value(said: str, value: object, measure: Measure) -> None:
    if not isinstance(value, Real) or not isfinite(value):
        raise TacosError(
            f"{said} is {value!r}: a number, and one that cannot be read is left out and counted under `unread`"
        )
    if measure.unit == "percent":
        return  # what a question adds to a fitted rate may be past its ends
    (low, high), number = measure.ends, float(value)
    if low is not None and number < low - ROUNDING:
        raise TacosError(f"{said} is {value}, and its scale begins at {low:g}")
    if high is not None and number > high + ROUNDING:
        raise TacosError(f"{said} is {value}, and its scale ends at {high:g}")


def slugs(names: Sequence[str]) -> list[str]:
    """Names of arms in letters, digits and underscores, told apart by a number where that makes two equal."""
    found: list[str] = []
    for name in names:
        slug = own = re.sub(r"\W", "_", name, flags=re.ASCII)
        number = len(found)
        while slug in found:
            number += 1
            slug = f"{own}_{number}"
        found.append(slug)
    return found
