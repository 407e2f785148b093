"""Every step of tag normalization, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from tacos.errors import PoolError
from tacos.grouping.normalize import (
    NormalizationSettings,
    association_mapping,
    normalize,
    rule_mapping,
    semantic_mapping,
)
from tacos.grouping.tagging import Tags


def no_embedding(texts: list[str]) -> np.ndarray:
    raise AssertionError("nothing is to be embedded here")


def settings(**changes: object) -> NormalizationSettings:
    return NormalizationSettings.model_validate({"order": ("frequency",), "min_count": 2} | changes)


def test_frequency_drops_rare_tags_and_the_samples_left_with_none() -> None:
    tags = Tags((("poem", "code"), ("code",), ("haiku",)))
    result = normalize(tags, settings(), no_embedding)
    assert result.tags.rows == (("code",), ("code",), ())
    assert result.distinct == {"raw": 3, "frequency": 1}
    assert result.samples == {"raw": 3, "frequency": 2}


def test_a_tag_counts_once_in_a_sample() -> None:
    result = normalize(Tags((("code", "code"), ("poem",), ("poem",))), settings(), no_embedding)
    assert result.tags.rows == ((), ("poem",), ("poem",))


def test_rules_before_frequency_pool_the_counts_of_variants() -> None:
    tags = Tags((("Write Code",), ("write-codes",), ("poem",)))
    rules_first = normalize(tags, settings(order=("rules", "frequency")), no_embedding)
    with pytest.raises(PoolError, match="no tag is left"):
        normalize(tags, settings(order=("frequency", "rules")), no_embedding)
    assert rules_first.tags.rows == (("write code",), ("write code",), ())


@pytest.mark.parametrize(
    ("tag", "by_word", "by_phrase"),
    [
        ("Email-Writing", "email write", "email writ"),
        ("Writing Emails", "write email", "writing email"),
        ("  C++ / Python_code ", "c++ python code", "c++ python cod"),
        ("C", "c", "c"),
        ("C#", "c#", "c#"),
        ("C/C++", "c c++", "c c++"),
        (".NET Core", ".net core", ".net cor"),
        ("A+ grades, not a+b", "a+ grade not a b", "a+ grades not a b"),
        ("#poem...net", "poem net", "poem net"),
        ("मैला / मेला", "मैला मेला", "मैला मेला"),
        ("???", None, None),
    ],
)
def test_rules_lower_fold_and_stem(tag: str, by_word: str | None, by_phrase: str | None) -> None:
    assert rule_mapping([tag]).get(tag) == by_word
    assert rule_mapping([tag], "phrase").get(tag) == by_phrase


def test_association_merges_a_tag_into_the_one_it_implies() -> None:
    # "flask" always comes with "python" (4 of 4); "python" comes with "flask" in 4 of 6.
    rows = [("flask", "python")] * 4 + [("python",)] * 2 + [("poem",)]
    mapping = association_mapping(Tags(tuple(rows)), support=4, confidence=0.99)
    assert mapping == {"flask": "python", "python": "python", "poem": "poem"}


def test_association_needs_support_and_confidence() -> None:
    tags = Tags(tuple([("flask", "python")] * 4 + [("flask",)]))
    assert association_mapping(tags, support=5, confidence=0.5)["flask"] == "flask"
    assert association_mapping(tags, support=4, confidence=0.9)["flask"] == "flask"  # 4 of 5
    assert association_mapping(tags, support=4, confidence=0.8)["python"] == "flask"


def test_association_follows_chains_and_merges_equals_into_the_first_by_name() -> None:
    rows = [("a", "b", "c")] * 3 + [("b", "c")] * 2 + [("c",)]
    assert set(association_mapping(Tags(tuple(rows)), 3, 0.99).values()) == {"c"}
    both = association_mapping(Tags((("x", "y"),) * 3), 3, 0.99)
    assert both == {"x": "x", "y": "x"}


def test_semantic_keeps_the_frequent_name() -> None:
    vectors = {"email": [1, 0], "mail": [0.98, 0.199], "poem": [0, 1]}
    counts = Tags((("mail",), ("email",), ("email",), ("poem",))).counts()
    mapping = semantic_mapping(counts, 0.95, lambda names: np.array([vectors[n] for n in names], np.float32))
    assert mapping == {"email": "email", "mail": "email", "poem": "poem"}


def test_untagged_samples_can_stay_in_a_group_of_their_own() -> None:
    result = normalize(Tags((("code",), ("code",), ())), settings(untagged="group"), no_embedding)
    assert result.tags.rows[2] == ("untagged",)


def test_a_step_may_stand_only_once() -> None:
    with pytest.raises(ValidationError, match="twice"):
        NormalizationSettings(order=("rules", "rules"))


def test_no_tags_at_all_say_so_and_blame_no_setting_of_the_normalization() -> None:
    nothing = Tags(((), ()), dict.fromkeys(range(2), "no keyphrase"))
    said = r"none of 2 prompts has a tag.*: no keyphrase\. .*group\.tagging\.min_df.*group\.tagging\.llm"
    with pytest.raises(PoolError, match=said):
        normalize(nothing, NormalizationSettings(), no_embedding)
    grouped = normalize(nothing, NormalizationSettings(untagged="group"), no_embedding)
    assert grouped.tags.rows == (("untagged",),) * 2


def test_a_count_above_every_tag_is_named_with_what_would_do() -> None:
    with pytest.raises(
        PoolError, match=r"commonest of 2, 'code', stands in 2 samples; set .*min_count \(now 3\)"
    ):
        normalize(Tags((("code",), ("code", "poem"))), settings(min_count=3), no_embedding)


def test_a_sample_that_loses_its_tags_has_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    tags = Tags((("code",), ("code",), ("poem", "haiku"), (), ("?",)), {3: "no keyphrase"})
    result = normalize(tags, settings(order=("rules", "frequency")), no_embedding)
    assert result.tags.errors == {
        2: "no tag of it (poem, haiku) stands in group.normalization.min_count=2 samples",
        3: "no keyphrase",
        4: "no tag of it (?) is left by the rules step of the normalization",
    }
    assert "3 of 5 samples (60%) have no tag and stand in no group: 1 had none, 2 lost theirs" in caplog.text
    assert normalize(tags, settings(untagged="group"), no_embedding).tags.errors == {3: "no keyphrase"}


@pytest.mark.parametrize(
    ("tagged", "min_count", "support"),
    [(50, 1, 3), (500, 5, 10), (2_000, 20, 40), (5_000, 20, 40), (52_002, 20, 40)],
)
def test_counts_shrink_with_the_pool_down_from_the_papers(tagged: int, min_count: int, support: int) -> None:
    scaled = NormalizationSettings().for_pool(tagged)
    assert (scaled.min_count, scaled.support) == (min_count, support)
    given = NormalizationSettings(min_count=7, support=9).for_pool(tagged)
    assert (given.min_count, given.support) == (7, 9)


def test_a_support_above_the_tagged_rows_gives_no_rule() -> None:
    rows = (("flask", "python"),) * 10
    assert association_mapping(Tags(rows), support=40, confidence=0.9) == {
        "flask": "flask",
        "python": "python",
    }
    assert association_mapping(Tags(rows), support=10, confidence=0.9) == {
        "flask": "flask",
        "python": "flask",
    }
