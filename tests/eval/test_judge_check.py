"""Judges held against labels: rates by hand, biased judges found out, bad rows counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.judge_check.check import LongerJudge, ScoreJudge, judge_check
from eval.judge_check.labelled_pairs import (
    LabelledPair,
    LabelledPairs,
    read_labelled_pairs,
)
from tacos.answering.judge import Comparison, LLMJudge, ReferenceJudge
from tacos.data.expert_pairs import read_expert_pairs
from tacos.errors import TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tests.eval.judges import Orders, labelled, pair


def test_the_worked_example():
    judge = Orders((8, 5), (8, 5), None, (5, 8), (8, 5), (5, 8))
    report = judge_check(judge, labelled(pair(1, 1), pair(2, 2), pair(3, 2)))
    assert (report.all.n, report.all.accuracy.mean, report.all.ties, report.all.unparsed) == (2, 0.75, 1, 1)
    assert (report.all.swap_consistency.mean, report.all.first_position.mean) == (0.5, 3 / 5)
    assert report.all.longer_wins.mean == 0.0 and report.errors == {"refused": 1}
    assert report.label_longer.mean == 2 / 3 and report.longer_baseline.accuracy.mean == pytest.approx(2 / 3)
    assert (report.as_json()["accuracy"], report.as_json()["n"]) == (0.75, 2)
    json.dumps(report.as_json(), allow_nan=False)


def test_a_judge_that_takes_the_first_is_right_half_the_time_and_found_out():
    report = judge_check(Orders(*[(9, 1)] * 4), labelled(pair(1, 1), pair(2, 2)))
    assert report.all.accuracy.mean == 0.5 and report.all.ties == 2
    assert (report.all.swap_consistency.mean, report.all.first_position.mean) == (0.0, 1.0)
    assert report.all.longer_wins is None


def test_length_matched_is_within_a_fifth_of_the_longer():
    assert pair(1, 1, "x" * 80, "x" * 100).matched and not pair(1, 1, "x" * 79, "x" * 100).matched
    assert pair(1, 1, "", "").matched and not pair(1, 1, "", "x").matched
    pairs = labelled(pair(1, 1, "x" * 10, "y" * 9), pair(2, 2, "x", "y" * 9), pair(3, 2, "xxxx", "yyyy"))
    report = judge_check(LongerJudge(), pairs)
    assert (report.all.n, report.length_matched.n) == (3, 2)
    assert report.all.accuracy.mean == pytest.approx(2.5 / 3)
    assert report.length_matched.accuracy.mean == 0.75 == report.longer_baseline_matched.accuracy.mean


def test_a_tied_label_is_in_no_accuracy():
    report = judge_check(LongerJudge(), labelled(pair(1, 2), pair(2, None)))
    assert (report.pairs, report.tied_labels, report.all.n, report.all.accuracy.mean) == (2, 1, 1, 1.0)
    with pytest.raises(TacosError, match="labels no pair"):
        judge_check(LongerJudge(), labelled(pair(1, None)))


def test_a_judge_that_reads_nothing_has_no_accuracy():
    report = judge_check(ReferenceJudge(), labelled(pair(1, 1)))
    assert report.all.accuracy is None and report.all.unparsed == 1 and report.all.swap_consistency is None
    assert report.errors == {"no reference to compare with": 2}
    with_reference = pair(1, 2).model_copy(update={"reference": "much longer"})
    assert judge_check(ReferenceJudge(), labelled(with_reference)).all.accuracy.mean == 1.0


def test_an_llm_judge_that_refuses_is_unparsed_and_the_rest_goes_on():
    def reply(request):
        prompt = request.messages[-1].content
        if "q2" in prompt:
            return "I'd rather not."
        grades = (9, 2) if prompt.index("zebra") < prompt.index("giraffes") else (2, 9)
        return json.dumps({"score_1": grades[0], "score_2": grades[1]})

    llm = ScriptedLLM(reply)
    pairs = labelled(*(pair(n, label, "zebra", "giraffes") for n, label in ((1, 1), (2, 1), (3, 2))))
    report = judge_check(LLMJudge(llm), pairs)
    assert (report.all.n, report.all.accuracy.mean, report.all.unparsed) == (2, 0.5, 1)
    assert report.all.swap_consistency.mean == 1.0 and report.judge == "LLM judge (scripted)"
    assert llm.calls == 6 + 2  # both refusals are asked again


def test_a_learned_scorer_scores_each_output_once():
    asked = []

    def score(pairs):
        asked.extend(pairs)
        return [
            None if answer == "?" else float("nan") if answer == "!" else len(answer) for _, answer in pairs
        ]

    judge = ScoreJudge("scorer", score)
    report = judge_check(judge, labelled(pair(1, 2), pair(2, 2, "?"), pair(3, 2, "!")))
    assert (report.all.n, report.all.accuracy.mean, report.all.unparsed) == (1, 1.0, 2)
    assert len(asked) == 6
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        ScoreJudge("short", lambda pairs: []).judge([Comparison(question="q", answer_1="a", answer_2="b")])


ROW = {"instruction": "q", "output_1": "a", "output_2": "b"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


@pytest.mark.parametrize(
    ("label", "meant"),
    [(1, 1), (2, 2), (2.0, 2), ("1", 1), (1.5, None), (0, None), ("tie", None), ("output_2", 2)],
)
def test_labels(tmp_path, label, meant):
    rows = [ROW | {"label": label}, ROW | {"output_1": "c", "label": 2}]
    read = read_labelled_pairs(write(tmp_path / "p.jsonl", *rows))
    assert [p.label for p in read.pairs] == [meant, 2]


def test_bad_rows_have_their_line_and_reason(tmp_path):
    bad_labels = [3, -1, None, True, "A", float("nan"), [1], {"a": 1}]
    rows = [ROW | {"label": 1}, *(ROW | {"label": label} for label in bad_labels), ROW, [ROW], {"label": 1}]
    read = read_labelled_pairs(write(tmp_path / "p.jsonl", *rows, '{"instruction": "torn'))
    assert len(read.pairs) == 1 and [b.line for b in read.bad] == list(range(2, 14))
    reasons = [b.reason for b in read.bad]
    assert all("label" in reason for reason in reasons[:9])
    assert "found list" in reasons[9] and "instruction, output_1, output_2" in reasons[10]
    assert "cut off" in reasons[11]
    assert judge_check(LongerJudge(), read).bad == 12


def test_duplicates_are_counted_and_the_first_stands(tmp_path):
    rows = [
        ROW | {"id": 1, "label": 1},
        ROW | {"id": 2, "label": 2},
        ROW | {"id": 1, "output_1": "c", "label": 2},
    ]
    read = read_labelled_pairs(write(tmp_path / "p.jsonl", *rows, ROW | {"input": "more", "label": 2}))
    assert read.duplicate == 2 and [(p.id, p.label) for p in read.pairs] == [("1", 1), ("line-4", 2)]
    assert read.pairs[1].instruction == "q\n\nmore"


def test_labels_that_count_from_zero_are_refused(tmp_path):
    path = write(tmp_path / "p.jsonl", ROW | {"label": 0}, ROW | {"output_1": "c", "label": "1"})
    with pytest.raises(TacosError, match=r"p\.jsonl: labels are 0 and 1 only"):
        read_labelled_pairs(path)
    with pytest.raises(TacosError, match=r"no labelled pair; line 1: no text under instruction"):
        read_labelled_pairs(write(path, {"label": 1}))
    with pytest.raises(TacosError, match=r"absent\.jsonl"):
        read_labelled_pairs(tmp_path / "absent.jsonl")


def read(path: Path, *rows: object) -> LabelledPairs:
    return read_labelled_pairs(write(path / "p.jsonl", *rows))


def test_llmbars_input_is_the_instruction(tmp_path):
    rows = [{"input": "Say hi.", "output_1": "hi", "output_2": "no", "label": 1}]
    rows += [{"input": "Add.", "output_1": "3", "output_2": "4", "label": label} for label in (2, 0)]
    file = write(tmp_path / "dataset.json", json.dumps(rows, indent=2))
    found = read_labelled_pairs(file)
    assert (found.form, [(p.instruction, p.label) for p in found.pairs]) == (
        "LLMBar",
        [("Say hi.", 1), ("Add.", 2)],
    )
    assert [b.reason for b in found.bad] == ["label '0', expected one of 1, 2"]


def test_auto_j_counts_outputs_from_zero(tmp_path):
    texts = {"scenario": "planning", "response 1": "a", "response 2": "b"}
    found = read(tmp_path, *(texts | {"prompt": f"q{label}", "label": label} for label in (0, 1, 2, 3)))
    assert (found.form, [p.label for p in found.pairs]) == ("Auto-J", [1, 2, None])
    assert [(b.line, b.reason) for b in found.bad] == [(4, "label '3', expected one of 0, 1, 2")]
    zero_and_one = read(tmp_path, *(texts | {"prompt": f"q{label}", "label": label} for label in (0, 1)))
    assert [p.label for p in zero_and_one.pairs] == [1, 2]  # they may be 0 and 1 alone here


def test_pandalm_has_three_annotators(tmp_path):
    def row(idx: int, *labels: int | None) -> dict[str, object]:
        people = {f"annotator{n}": label for n, label in enumerate(labels, start=1)}
        given = float("nan") if idx else "this"
        return {
            "idx": idx,
            "instruction": "q",
            "input": given,
            "response1": f"{idx}",
            "response2": "b",
        } | people

    found = read(
        tmp_path, row(0, 1, 2, 1), row(1, 0, 0, 2), row(2, 0, 1, 2), row(3, 2, None, None), row(4, 1, 7, 1)
    )
    assert (found.form, [p.label for p in found.pairs]) == ("PandaLM", [1, None, None, 2])
    assert [p.undecided for p in found.pairs] == [False, False, True, False]
    assert (found.pairs[0].instruction, found.pairs[1].instruction) == ("q\n\nthis", "q")
    assert found.pairs[3].annotators == (2, None, None) and found.pairs[3].id == "3"
    assert [b.reason for b in found.bad] == ["label '7', expected one of 0, 1, 2"]


def test_our_own_rows_may_have_several_annotators(tmp_path):
    votes = [[1, "2", 1.0], [0, "tie", 1], [1, 2], [2, None], "12", [], [None], [1, 3], [1, 1]]
    rows = [ROW | {"output_1": str(n), "annotators": vote} for n, vote in enumerate(votes)]
    found = read(tmp_path, *rows[:-1], rows[-1] | {"label": 1}, rows[-1] | {"output_1": "x", "label": 2})
    assert [p.annotators for p in found.pairs] == [(1, 2, 1), (0, 0, 1), (1, 2), (2, None), (1, 1)]
    assert [p.label for p in found.pairs] == [1, None, None, 2, 1]
    reasons = [b.reason for b in found.bad]
    assert reasons[0] == "annotators '12', expected a list of labels" and "label '3'" in reasons[3]
    assert reasons[1:3] == ["no label of any annotator"] * 2
    assert reasons[4] == "label '2' is not that of most annotators: leave it out, or correct it"
    with pytest.raises(TacosError, match="labels are 0 and 1 only"):
        read(tmp_path, ROW | {"annotators": [0, 1, 1]})


def test_a_row_without_its_instruction_is_never_taken_for_llmbars(tmp_path):
    lacking = {"input": "Add.", "output_1": "3", "output_2": "4", "label": 1}
    found = read(tmp_path, lacking, *(lacking | {"instruction": f"q{n}"} for n in (1, 2)))
    assert (found.form, [p.instruction for p in found.pairs]) == ("own", ["q1\n\nAdd.", "q2\n\nAdd."])
    assert [b.reason for b in found.bad] == ["no text under instruction"]


def test_longer_wins_on_the_released_expert_pairs(shared):
    """206 of 243 pairs that differ: 84.8% (83.3% with the 11 identical pairs as halves)."""
    expert = read_expert_pairs(shared / "data/expert_pairs/valid.csv")
    pairs = [
        LabelledPair(
            id=pair.id,
            instruction=pair.prompt,
            output_1=pair.revised,
            output_2=pair.original,
            label=None if pair.identical else 1,
        )
        for pair in expert.pairs
    ]
    report = judge_check(LongerJudge(), LabelledPairs(source="valid", pairs=pairs))
    assert (report.pairs, report.tied_labels, report.all.n) == (254, 11, 243)
    assert report.all.accuracy.mean == pytest.approx(206 / 243)
    assert report.all.accuracy.low < 0.83 and report.all.gain.mean == 0
    assert report.longer_baseline == report.all.model_copy(update={"gain": None})
    assert (report.length_matched.n, report.length_matched.accuracy.mean) == (64, 44 / 64)
