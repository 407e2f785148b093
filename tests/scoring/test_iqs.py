"""The light quality scorer: leak-free, measured honestly, kept in a folder, and good on unseen pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tacos.errors import ConfigError, PoolError, TacosError
from tacos.models.embedder import EmbedderSettings
from tacos.ray_cluster import RayActors
from tacos.scoring.features import SURFACE
from tacos.scoring.iqs.base import Vectors
from tacos.scoring.iqs.encoder import label_rows
from tacos.scoring.iqs.folder import load, save
from tacos.scoring.iqs.light import LightScorer, LightSettings, terms
from tacos.scoring.iqs.measure import measure, measure_scorer
from tacos.scoring.iqs.pairs import QualityPair, QualityPairs, read_pairs
from tacos.scoring.iqs.style import STYLE, style
from tacos.scoring.iqs.text import canonical, common_words, foreign, joined, triple
from tacos.scoring.iqs.train import CrossValidation, ScorerTrainSettings, divisions, train
from tacos.scoring.pairwise import bradley_terry
from tests.conftest import LetterEmbedder

SETTINGS = LightSettings(embedder=EmbedderSettings(model="letters"))
SUBJECTS = ("tea", "rain", "chess", "bread", "sleep", "maps", "bees", "salt", "wind", "glass")


def toy_pairs(n: int = 60, seed: int = 0) -> QualityPairs:
    """The better response gives a reason and ends; lengths are alike."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        a, b = rng.choice(SUBJECTS, 2, replace=False)
        made.append(
            QualityPair(
                prompt=f"Tell me fact {i} about {a}.",
                better=f"Most people like {a} because it goes with {b}.",
                worse=f"{a} and {b} and {a}, {b}, that is {a} and",
            )
        )
    return QualityPairs(source="toy", pairs=made)


@pytest.fixture(scope="module")
def scorer() -> LightScorer:
    return LightScorer(SETTINGS, LetterEmbedder()).fit(toy_pairs())


def escaped(text: str) -> str:
    """As a JSON string shows it."""
    return json.dumps(text)[1:-1]


def dressed(text: str) -> str:
    """Typeset quotes and dashes, blank lines, invisible characters."""
    swapped = (
        text.replace("'", "\u2019").replace(' "', " \u201c").replace('"', "\u201d").replace(" - ", " \u2014 ")
    )
    return "\n " + swapped.replace("\n", "\n\n \n").replace(" ", " \u00a0") + "\ufeff\r\n"


TEXT = 'He said "it\'s hot" - twice.\n1. Tea\n2. Rain, because of wind'


@pytest.mark.parametrize(
    "change",
    [
        escaped,
        dressed,
        lambda t: escaped(escaped(t)),
        lambda t: escaped(dressed(t)),
        lambda t: dressed(escaped(t)),
    ],
)
def test_storage_marks_move_no_score(scorer: LightScorer, change) -> None:
    assert change(TEXT) != TEXT
    plain = scorer.score(["Name two things."], [TEXT])
    assert scorer.score(["Name two things."], [change(TEXT)])[0] == plain[0]
    assert scorer.score([change("Name two things.")], [TEXT])[0] == plain[0]


PRINTED = st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\n\t\\\"'")
"""JSON's escapes for backspace and form feed stay, so that \\beta and \\frac do."""


@given(st.text(alphabet=PRINTED))
@hypothesis_settings(deadline=None, max_examples=200)
def test_canonical_text_stays_and_escapes_are_undone(text: str) -> None:
    clean = canonical(text)
    assert canonical(clean) == clean
    assert canonical(escaped(text)) == clean
    assert canonical(text.replace("\n", "\n\n")) == clean
    assert canonical(text.replace('"', "\u201d").replace("'", "\u2019")) == clean


def test_the_encoder_reads_instruction_input_and_response() -> None:
    assert triple("Spell it.\n\ntea", "t,\\ne") == "Instruction: Spell it. Input: tea Response: t,\ne"
    assert triple("Spell it.", "x") == "Instruction: Spell it. Input:  Response: x"
    assert triple("Spell it:\n1. tea", "x") == "Instruction: Spell it:\n1. tea Input:  Response: x"
    prompt = joined("Spell it.\n\nThen stop.", "tea\n\nmilk")
    assert prompt == "Spell it.\nThen stop.\n\ntea\nmilk"
    assert triple(prompt, "x") == "Instruction: Spell it.\nThen stop. Input: tea\nmilk Response: x"
    assert joined("Spell tea.", " \n") == "Spell tea."


def test_style_shares_the_comparators_features_and_is_finite() -> None:
    assert STYLE[: len(SURFACE)] == SURFACE
    assert len(set(STYLE)) == len(STYLE)
    for prompt, response in (("", ""), ("a", "..."), ("a b", TEXT), ("a", "- x\n- y"), ("a", "1.\n")):
        row = style(prompt, response)
        assert len(row) == len(STYLE) and np.isfinite(row).all()
    told = dict(zip(STYLE, style("Why?", "Tea is hot because it is boiled."), strict=True))
    assert (
        told["explain"] == pytest.approx(np.log(2))
        and told["finished"] == 1
        and told["lines"] == pytest.approx(np.log(2))
    )


def test_terms_have_no_case_and_no_numbers() -> None:
    assert terms("Tea: 10", 2) == ["<s>", "tea", ":", "0", "</s>", "<s> tea", "tea :", ": 0", "0 </s>"]
    assert terms("Tea", 0) == []


def test_bradley_terry_by_hand() -> None:
    w = bradley_terry(np.array([[1.0, 0.0]]), 1.0)
    assert w[0] == pytest.approx(2 / (1 + np.exp(w[0])), abs=1e-3) and w[1] == 0  # w / C = sum of 1 - p


def test_it_learns_ranks_unseen_pairs_and_is_repeatable(scorer: LightScorer) -> None:
    unseen = toy_pairs(30, seed=1)
    report = measure_scorer(scorer, unseen)
    assert report.pair_accuracy == 1.0 and report.seen == 0
    again = LightScorer(SETTINGS, LetterEmbedder()).fit(toy_pairs())
    assert (again.score(unseen.prompts, unseen.worse) == scorer.score(unseen.prompts, unseen.worse)).all()


def test_a_longer_text_gains_by_its_words_on_top_of_what_pairs_taught() -> None:
    pairs = toy_pairs()
    taught = [
        LightScorer(LightSettings(floor_slope=0, length_weight=weight)).fit(pairs) for weight in (0.0, 2.0)
    ]
    plain, weighted = (scorer.score(["p", "p"], ["One two.", "One two three. Four."]) for scorer in taught)
    np.testing.assert_allclose(weighted - plain, 2.0 * np.log([3, 5]), atol=1e-8)


def test_a_polite_opener_is_a_word_like_any_other() -> None:
    listed = "{} are two:\n- tea\n- milk"
    assert style("Name two.", listed.format("Here")) == style("Name two.", listed.format("Blue"))


def test_an_empty_side_has_no_score(scorer: LightScorer) -> None:
    scores = scorer.score(["a", "", "a"], ["", "b", "b c"])
    assert np.isnan(scores).tolist() == [True, True, False]
    assert len(scorer.score([], [])) == 0


def test_embeddings_at_hand_are_used(scorer: LightScorer) -> None:
    prompts, responses = ["Tell of tea.", "Tell of rain."], ["Tea is hot.", "Rain is wet."]
    embedder = LetterEmbedder()
    vectors = Vectors(embedder(prompts), embedder(responses))
    calls = len(scorer.embedder.calls)  # type: ignore[attr-defined]
    given = scorer.score(prompts, responses, vectors)
    assert len(scorer.embedder.calls) == calls  # type: ignore[attr-defined]
    assert (given == scorer.score(prompts, responses)).all()
    with pytest.raises(ValueError, match="3 prompts"):
        scorer.score([*prompts, "x"], responses)


def test_a_floor_catches_what_pairs_do_not_hold(minilm) -> None:
    pairs = toy_pairs()
    with_floor = LightScorer(LightSettings(), minilm).fit(pairs)
    without = LightScorer(LightSettings(floor_slope=0), minilm).fit(pairs)
    prompt, good = "Tell me fact 3 about tea.", "Most people like tea because it goes with bread."
    for bad in (" ".join([good] * 4), "Most voters fear inflation because it goes with debt."):
        gaps = [m.score([prompt], [good])[0] - m.score([prompt], [bad])[0] for m in (with_floor, without)]
        assert gaps[0] > max(0, gaps[1])


def test_points_ties_and_the_matched_subset() -> None:
    rows = [("aaaa", "bbbb"), ("aaaa", "a"), ("aaaa\\n", "aaaa"), ("a", "aaaaaaaa"), ("aaa", "b")]
    pairs = QualityPairs(source="f", pairs=[QualityPair(prompt="p", better=b, worse=w) for b, w in rows])
    report = measure(pairs, np.array([1, 1, 1, 0, np.nan]), np.array([0, 1, 1, 1, 0]))
    assert (report.n, report.ties, report.identical, report.unscored) == (4, 2, 1, 1)
    assert report.pair_accuracy == (1 + 0.5 + 0.5 + 0) / 4
    assert report.baselines.longer_wins == (0.5 + 1 + 0.5 + 0) / 4
    assert report.gain == 0 and report.gain_ci == (-1, 1)  # one prompt is one item, which has no spread
    assert (report.length_matched.n, report.length_matched.pair_accuracy) == (2, 0.75)
    assert (report.distinct.n, report.distinct.length_matched.n, report.same_prompt.n) == (3, 1, 4)


def test_a_side_is_read_below_its_own_prompt(scorer: LightScorer, tmp_path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("src,score\nInstruction: Tea? Response: x,0\nInstruction: Say why. Response: x,1\n")
    pairs = read_pairs(path)
    (pair,) = pairs.pairs
    assert (pair.prompt, pair.worse_prompt) == ("Say why.", "Tea?")
    better, worse = scorer.read_pairs(pairs)
    assert (better.style == style("Say why.", "x")).all() and (worse.style == style("Tea?", "x")).all()
    given = [scorer.score([prompt], ["x"])[0] for prompt in ("Say why.", "Tea?")]
    report = measure_scorer(scorer, pairs)
    assert report.pair_accuracy == (0.5 if given[0] == given[1] else float(given[0] > given[1]))
    assert (report.identical, report.same_prompt.n) == (0, 0)
    assert label_rows(pairs) == [
        ("Instruction: Say why. Input:  Response: x", 1.0),
        ("Instruction: Tea? Input:  Response: x", 0.0),
    ]


def test_pairs_in_every_form(tmp_path) -> None:
    rows = [
        {"instruction": "i", "input": "x", "pos": "a", "neg": "b"},
        {"prompt": "i", "chosen": "a", "rejected": "b"},
        {"instruction": "i", "revised": "a", "original": "b"},
        {"instruction": "i", "output_1": "b", "output_2": "a", "label": 2},
        {"instruction": "i", "output_1": "b", "output_2": "a", "label": "tie"},
        {"instruction": "i", "pos": "a", "neg": " \\n"},
        {"instruction": "i", "pos": "a"},
        {"instruction": "i", "output_1": "b", "output_2": "a", "label": 3},
        [1],
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{torn")
    read = read_pairs(path)
    assert {(p.better, p.worse) for p in read.pairs} == {("a", "b")} and len(read.pairs) == 4
    assert read.pairs[0].prompt == "i\n\nx" and read.ties == 1
    assert [b.line for b in read.bad] == [6, 7, 8, 9, 10]
    assert "empty worse side" in read.bad[0].reason and "neg or rejected" in read.bad[1].reason


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv"])
def test_a_file_without_a_pair_says_what_is_expected(tmp_path, name: str) -> None:
    (tmp_path / name).write_text('{"question": "a"}\n')
    with pytest.raises(PoolError, match=r"src, pos, neg|lacks the columns"):
        read_pairs(tmp_path / name)


def test_labels_counted_from_zero_are_refused(tmp_path) -> None:
    rows = [{"instruction": "i", "output_1": "b", "output_2": "a", "label": label} for label in (0, 1)]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(PoolError, match="0 and 1 only"):
        read_pairs(tmp_path / "f.jsonl")


def test_a_language_is_told_by_the_common_words_of_the_pairs() -> None:
    reply = (
        "It is hot and it goes with the bread that we like, because most of the people in the town have it."
    )
    common = common_words([reply] * 3 + ["tea and salt and the bees"])
    assert common[:2] == ["the", "it"] and len(common) <= 100
    spanish = "El pan de la casa es bueno, porque la gente del pueblo lo hace con agua y sal de mar y harina."
    assert foreign([reply, spanish, "\u8336\u662f\u70ed\u7684\uff0c" * 5, "Bueno."], common) == 2


def test_a_saved_scorer_scores_the_same(scorer: LightScorer, tmp_path) -> None:
    pairs = toy_pairs()
    card = save(scorer, tmp_path / "m", pairs, 1, {"x": 1})
    opened, read = load(tmp_path / "m", LetterEmbedder())
    assert read == card
    assert (opened.score(pairs.prompts, pairs.better) == scorer.score(pairs.prompts, pairs.better)).all()
    assert measure_scorer(opened, pairs, frozenset(read.pairs)).seen == len(pairs.pairs)
    assert save(scorer, tmp_path / "other", toy_pairs(3), 2, {}).fingerprint == card.fingerprint
    elsewhere = {"ray": RayActors().model_dump(), "workers": 2, "device": "cuda"}
    edit(
        tmp_path / "m" / "card.json",
        settings={**card.settings, "embedder": card.settings["embedder"] | elsewhere},
    )
    load(tmp_path / "m", LetterEmbedder())  # where it embeds is no part of its name


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda f: (f / "card.json").unlink(), "is not a quality scorer"),
        (lambda f: (f / "card.json").write_text("{"), "damaged"),
        (lambda f: (f / "card.json").write_text("[]"), "not the card"),
        (lambda f: edit(f / "card.json", version=99), "of version 99"),
        (lambda f: edit(f / "card.json", kind="heavy"), "damaged"),
        (lambda f: (f / "terms.json").write_text("[]"), "is damaged"),
        (lambda f: (f / "weights.npz").unlink(), "is damaged"),
    ],
)
def test_a_broken_folder_is_one_clear_error(scorer: LightScorer, tmp_path, break_, message: str) -> None:
    save(scorer, tmp_path / "m", toy_pairs(3), 1, {})
    break_(tmp_path / "m")
    with pytest.raises(TacosError, match=message):
        load(tmp_path / "m")


def edit(path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_training_refuses_what_would_mislead(tmp_path) -> None:
    pairs, settings = toy_pairs(), ScorerTrainSettings(light=LightSettings(floor_slope=0))
    with pytest.raises(TacosError, match="60 pairs stand in"):
        train("light", pairs, pairs, settings, tmp_path / "m")
    with pytest.raises(TacosError, match="needs 20"):
        train("light", toy_pairs(5), None, settings, tmp_path / "m")
    with pytest.raises(ConfigError, match="--valid"):
        train("encoder", pairs, None, settings, tmp_path / "m")
    (tmp_path / "file").write_text("x")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(TacosError, match="--out"):
            train("light", pairs, None, settings, taken)


def test_training_reports_validation_and_cross_validation(tmp_path) -> None:
    settings = ScorerTrainSettings(
        light=LightSettings(floor_slope=0), cross_validation=CrossValidation(folds=3)
    )
    card = train("light", toy_pairs(), toy_pairs(20, seed=3), settings, tmp_path / "m")
    assert card.metrics["valid"]["pair_accuracy"] == 1.0 and card.metrics["valid"]["n"] == 20
    crossed = card.metrics["cross_validation"]
    assert crossed["n"] == 80 and crossed["divisions"] == 2
    assert crossed["pair_accuracy"] == {"mean": 1.0, "sd": 0.0, "error": 0.0}
    assert (
        train("light", toy_pairs(), None, settings, tmp_path / "m").kind == "light"
    )  # a scorer may be replaced


def test_pairs_of_one_prompt_stay_in_one_fold() -> None:
    pairs = QualityPairs(
        source="f", pairs=[QualityPair(prompt=f"P{i // 3}", better="a", worse="b") for i in range(30)]
    )
    tested = []
    for rows, test in divisions(pairs, 4, seed=0):
        assert not {i // 3 for i in rows.tolist()} & {i // 3 for i in test.tolist()}
        tested += test.tolist()
    assert sorted(tested) == list(range(30))
    with pytest.raises(TacosError, match="10 prompts"):
        list(divisions(pairs, 11, seed=0))


def test_expert_pairs(shared) -> None:
    """Without embeddings, to be quick; 75 pairs are length-matched, so that figure may be 5 points off."""
    folder = shared / "data/expert_pairs"
    scorer = LightScorer(LightSettings(floor_slope=0)).fit(read_pairs(folder / "score_train.csv"))
    report = measure_scorer(scorer, read_pairs(folder / "score_valid.csv"))
    assert (report.n, report.identical, report.same_prompt.n) == (254, 5, 178)
    assert report.pair_accuracy is not None and report.pair_accuracy > 0.85
    assert report.length_matched.pair_accuracy is not None and report.length_matched.pair_accuracy > 0.7
    assert report.same_prompt.pair_accuracy is not None and report.same_prompt.pair_accuracy > 0.85
    assert report.baselines.longer_wins == pytest.approx(0.833, abs=2e-3)
