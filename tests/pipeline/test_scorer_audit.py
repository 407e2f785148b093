"""Audits of scorers on a small pool: what is asked, what comes out, and the warning that each bad scorer gets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.report.score_report import ScoreReport
from eval.report.scorer_audit import measures_table
from eval.report.scores import figures_of, report_of, write_score_report
from eval.scorer_audit import ScorerAudit, warnings
from tacos.artifacts import ArtifactStore
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tacos.pipeline.audit_settings import audit_settings
from tacos.pipeline.audit_stages import AuditStages
from tacos.pipeline.scorer_audit import audit_scorer, plan_audit
from tacos.pipeline.scorer_card import pool_of
from tests.pipeline.helpers import scripted_tools

ROWS = 160
WORDS = [
    "river",
    "stone",
    "lamp",
    "garden",
    "letter",
    "window",
    "market",
    "thunder",
    "silver",
    "basket",
    "copper",
    "meadow",
]


@pytest.fixture(autouse=True)
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Answers of 10 to 24 words with numbers in them, and pairs whose better side is the longer one."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(ROWS):
        said = " ".join(str(word) for word in rng.choice(WORDS, size=int(rng.integers(8, 20))))
        rows.append(
            {"instruction": f"Describe {WORDS[i % 12]} number {i}", "output": f"In {1900 + i}, {said} 42."}
        )
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [
        {
            "instruction": f"Name {i}",
            "chosen": f"river {'stone lamp ' * (1 + i % 3)}{i}",
            "rejected": f"no {i}",
        }
        for i in range(12)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return tmp_path / "pool.jsonl"


def told(request: Request) -> list[str]:
    """The answers that a request shows, in order."""
    return re.findall(r"<response(?:_\d)?>\n(.*?)\n</response", request.messages[-1].content, re.DOTALL)


def comparing(score: Callable[[str, int], float]) -> ScriptedLLM:
    """score: of an answer, and its place in the call."""

    def reply(request: Request) -> str:
        first, second = told(request)
        return json.dumps({"feedback": "ok", "score_1": score(first, 0), "score_2": score(second, 1)})

    return ScriptedLLM(reply)


def rating(score: Callable[[str], float | str]) -> ScriptedLLM:
    return ScriptedLLM(lambda request: json.dumps({"feedback": "ok", "score": score(told(request)[0])}))


def stages_of(scorer: str, second: str | None = None, pairs: bool = True, **score: Any) -> AuditStages:
    llms = {"judge": {"backend": "scripted", "model": "scripted"}}
    data = {"pool": {"source": "pool.jsonl"}, "score": score, "llms": llms, "train": None}
    return AuditStages(audit_settings(data, scorer, second, ROWS, "pairs.jsonl" if pairs else None))


def audited(scorer: str, model: ScriptedLLM | None = None, **asked: Any) -> ScorerAudit:
    stages = stages_of(scorer, **asked)
    answers = model or ScriptedLLM(lambda request: "nobody is asked")
    tools = scripted_tools(
        Path("replies.sqlite"), answers, max_failed_share=1.0
    )  # however many are unreadable
    return audit_scorer(stages, ArtifactStore(Path("artifacts")), tools)


def quality(answer: str) -> float:
    """More words are better, up to 50."""
    return min(50, len(answer.split()))


def test_length_does_not_change_and_loves_padding() -> None:
    found = audited("length", second="random")
    assert found.card.n == ROWS and found.card.unread and found.card.unread.mean == 0
    assert found.retest.interval is None and "deterministic" in (found.retest.missing or "")
    assert (
        found.swap_consistency.missing and found.card.first_position.missing and found.card.split_half.missing
    )
    cut, swapped, errors = found.worsened
    assert (
        cut.tau
        and cut.tau.mean == -1
        and cut.n == 16
        and all(g.falls and g.falls.mean == 1 for g in cut.grades[1:])
    )
    assert errors.tau and errors.tau.mean == 0 and swapped.n == 16
    assert found.padded and found.padded.grades[-1].rises and found.padded.grades[-1].rises.mean == 1
    assert found.pairs and found.pairs.pair_accuracy == 1 and found.pairs.baselines.longer_wins == 1
    assert found.agreement.interval and found.agreement.interval.n == ROWS and found.second == "random"
    assert [sentence.split(":")[0] for sentence in warnings(found)] == [
        "Mostly length",
        "Padding raises the score",
    ]


def test_random_is_drawn_anew_and_gets_no_warning() -> None:
    found = audited("random", pairs=False)
    assert found.retest.interval and abs(found.retest.interval.mean) < 0.3
    assert found.retest_difference.interval and found.retest_difference.interval.mean == pytest.approx(
        1 / 3, abs=0.1
    )
    assert (
        found.pairs is None
        and "--pairs" in (found.pairs_missing or "")
        and "--second" in (found.agreement.missing or "")
    )
    assert warnings(found) == []


def test_pool_quality_is_fitted_on_another_draw() -> None:
    found = audited("pool_quality")
    assert found.retest.interval and found.retest.interval.mean > 0.3
    assert found.card.unread and found.card.unread.mean == 0 and len(found.altered) == 4
    assert found.card.cost.calls == 0 and found.card.cost.seconds > 0


def test_scores_of_a_file_are_taken_as_they_are() -> None:
    from tacos.types import Pool

    stages = stages_of("random")
    store = ArtifactStore(Path("artifacts"))
    audit_scorer(stages, store, scripted_tools(Path("r.sqlite"), ScriptedLLM(lambda request: "")))
    pool = Pool.read(store.folder(stages.sample) / "pool.parquet")
    rows = [{"id": id_, "value": None if i % 2 else float(i)} for i, id_ in enumerate(pool.ids)]
    Path("scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = audited("file", path="scores.jsonl")
    assert found.card.unread and found.card.unread.mean == 0.5
    assert found.altered == [] and found.pairs is None
    assert "file" in (found.altered_missing or "") and "file" in (found.pairs_missing or "")


def test_a_comparing_model_is_asked_in_both_orders_and_anew() -> None:
    model = comparing(lambda answer, place: quality(answer))
    found = audited("comparative", model, llm="judge", readout={"by": "mean"})
    assert found.swap_consistency.mean == 1 and found.swapped == "12 given pairs"
    assert found.card.first_position.mean == 0.5 and found.retest.mean == pytest.approx(1)
    halves = found.card.split_half.interval
    assert halves and halves.mean == pytest.approx(1) and halves.n > ROWS / 2
    assert found.pairs and found.pairs.n == 12 and found.pairs.pair_accuracy == 1
    assert found.card.cost.calls == 0.5 and found.card.cost.usd > 0
    repeats = {request.repeat for request in model.requests}
    assert repeats == {0, 100}


def test_without_pairs_rows_of_the_sample_are_shown_in_both_orders() -> None:
    found = audited("comparative", comparing(lambda a, p: quality(a)), pairs=False, llm="judge")
    assert found.swapped == "80 pairs of sampled rows" and found.swap_consistency.mean == 1


def test_what_is_planned_is_what_is_asked_and_nothing_is_paid_twice() -> None:
    model = comparing(lambda answer, place: quality(answer))
    tools, store = scripted_tools(Path("replies.sqlite"), model), ArtifactStore(Path("artifacts"))
    chosen: dict[str, Any] = {"llm": "judge", "readout": {"by": "mean"}}
    planned = plan_audit(stages_of("comparative", **chosen), store, tools)
    assert model.calls == 0
    bill = {stage.arms[0]: stage.estimate.calls for stage in planned if stage.estimate.calls}
    assert (bill["scored"], bill["scored again"], bill["both orders"]) == (80, 80, 24)
    steps = [bill[f"altered, step {step}"] for step in (1, 2, 3)]
    assert 32 <= steps[0] <= 64 and steps[2] <= 48  # 64 and 48 altered rows, some of which meet
    first = audit_scorer(stages_of("comparative", **chosen), store, tools)
    assert model.calls == sum(bill.values())
    again = audit_scorer(stages_of("comparative", **chosen), ArtifactStore(Path("artifacts")), tools)
    other = audit_scorer(stages_of("comparative", **chosen), ArtifactStore(Path("elsewhere")), tools)
    assert model.calls == sum(bill.values()) and again == first
    assert other.model_dump(exclude={"card": {"cost"}}) == first.model_dump(exclude={"card": {"cost"}})


def short_first(answer: str) -> float:
    return max(1, 60 - len(answer.split()))


@pytest.mark.parametrize(
    ("scorer", "model", "warning"),
    [
        ("rating", rating(lambda answer: 50), "Constant"),
        ("rating", rating(short_first), "Inverted"),
        ("rating", rating(lambda answer: "none" if len(answer) % 10 else 7), "Mostly missing"),
        ("rating", rating(lambda answer: min(100, len(answer.split()))), "Padding raises"),
        ("rating", rating(lambda answer: min(100, len(answer.split()))), "Mostly length"),
        ("comparative", comparing(lambda answer, place: quality(answer) + 40 * (place == 0)), "One position"),
    ],
)
def test_a_bad_scorer_is_warned_of(scorer: str, model: ScriptedLLM, warning: str) -> None:
    found = audited(scorer, model, llm="judge", pairs=False)
    said = warnings(found)
    assert any(sentence.startswith(warning) for sentence in said), said
    report: ScoreReport[ScorerAudit] = report_of(found)
    assert warning in report.headline(found)


def test_a_scorer_that_was_not_shown_to_notice_anything_is_not_cleared() -> None:
    found = audited("random")
    report: ScoreReport[ScorerAudit] = report_of(found)
    assert "answers made worse (truncate, swap and errors) was not shown" in report.headline(found)
    assert "No measure speaks against it" not in report.headline(found)
    short: ScoreReport[ScorerAudit] = report_of(cut := audited("length"))
    assert "truncate" not in short.headline(cut)


def test_a_scorer_that_prefers_the_worse_side_is_inverted() -> None:
    found = audited("rating", rating(short_first), llm="judge")
    assert found.pairs and found.pairs.pair_accuracy == 0
    assert sum(sentence.startswith("Inverted") for sentence in warnings(found)) == 2  # cuts, and pairs


def test_the_report_has_tables_a_plot_and_figures(tmp_path: Path) -> None:
    found = audited("length")
    written = write_score_report(tmp_path / "out", "Scorer audit", [found])
    page = written.html.read_text()
    assert "test-retest" in page and "deterministic" in page and set(written.plots) == {"altered"}
    assert json.loads(written.scores.read_text())["scores"][0]["warnings"] == warnings(found)
    (figures,) = figures_of([found]).values()
    assert figures["scorer/truncate_tau"] == -1 and figures["scorer/padding_raises"] == 1
    assert figures["scorer/retest"] is None


def test_versions_of_one_answer_never_share_a_pool() -> None:
    """They would be each other's neighbours, and a model that is fitted on its pool would see that."""
    stages, store = stages_of("length"), ArtifactStore(Path("artifacts"))
    audit_scorer(stages, store, scripted_tools(Path("r.sqlite"), ScriptedLLM(lambda request: "")))
    sample = pool_of(stages.scored, store)
    for step in stages.altered:
        altered = pool_of(step, store)
        changed = sum(a != b for a, b in zip(sample.responses, altered.responses, strict=True))
        assert altered.ids == sample.ids and changed in (64, 48)
    for side, stage in zip(("better", "worse"), stages.paired, strict=True):
        beside = pool_of(stage, store)
        assert beside.ids[:ROWS] == sample.ids
        assert {id_.split("~")[1] for id_ in beside.ids[ROWS:]} == {side}


def test_what_the_mixed_model_says_stands_on_the_card() -> None:
    found = audited("comparative", comparing(lambda a, p: quality(a)), pairs=False, llm="judge")
    table = measures_table(found)
    (line,) = [row for row in table.rows if row.cells[0].text == "reliability"]
    assert found.card.told_apart is False and "guessed" in line.cells[-1].text
