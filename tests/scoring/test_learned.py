"""The pool-fitted quality model: what it sees, and what it must not see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.read import read_pool
from tacos.models.embedder import Embedder
from tacos.scoring.calls import Calls
from tacos.scoring.comparators import LearnedComparator
from tacos.scoring.corrupt import CORRUPTIONS, Donors
from tacos.scoring.features import NAMES, SURFACE, Corpus, features, surface, tidy
from tacos.scoring.learned import LearnedSettings, QualityModel, fit_on_pool
from tacos.types import Pool, make_sample


def test_pairwise_fit_finds_the_feature_that_decides() -> None:
    rng = np.random.default_rng(0)
    better, worse = rng.normal(size=(2, 300, 3))
    better[:, 1] += 2.0
    model = QualityModel().fit(better, worse)
    low, high = np.zeros((1, 3)), np.array([[0.0, 1.5, 0.0]])
    assert model.score(high)[0] > model.score(low)[0] + 1
    assert np.mean(model.score(better) > model.score(worse)) > 0.85


def test_scores_are_ranks_on_the_papers_scale(pool) -> None:  # type: ignore[no-untyped-def]
    comparator = LearnedComparator(np.array([0.3, -2.0, 5.0]))
    answer = comparator.compare(pool, Calls.of([[1, 2], [0, 1]]))
    assert answer.scores.tolist() == [[1.0, 100.0], [50.5, 1.0]]


@pytest.mark.parametrize(
    ("raw", "plain"),
    [("a\\nb", "a b"), ("“x”\u00a0 y", '"x" y'), ("line\n\n\n next", "line next"), ("caf\\u00e9", "café")],
)
def test_escapes_quotes_and_blank_lines_carry_nothing(raw: str, plain: str) -> None:
    assert tidy(raw) == plain


def test_features_have_their_names_and_ignore_blank_lines(minilm: Embedder) -> None:
    prompts = [f"What is {i} plus {i}?" for i in range(12)]
    replies = [f"The sum is {2 * i}." for i in range(12)]
    p, r = minilm(prompts), minilm(replies)
    corpus = Corpus(replies, p, r)
    rows = np.arange(12)
    x = features(prompts, replies, p, r, corpus, rows, in_corpus=True)
    spaced = [reply.replace(" ", "\n\n") for reply in replies]
    assert x.shape == (12, len(NAMES))
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, features(prompts, spaced, p, r, corpus, rows, in_corpus=True))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_are_seeded_and_take_any_text(kind: str) -> None:
    donors = Donors(["One two.", "Three four five."], lambda row: np.array([1]), [])
    for text in ("", "word", "A longer sentence of some words, with an end."):
        made = [CORRUPTIONS[kind](text, 0, donors, np.random.default_rng(4)) for _ in range(2)]
        assert made[0] == made[1]


def donors(*responses: str) -> Donors:
    return Donors(list(responses), lambda row: np.array([0]), [])


@pytest.mark.parametrize("kind", ["truncate", "repeat", "shuffle", "keep_words"])
@pytest.mark.parametrize(
    "text",
    [
        "长城是古代中国修建的军事防御工程，它横跨多个省份。",
        "ラーメンは日本でよく食べられる料理です。",
        "ข้าวเป็นธัญพืชชนิดหนึ่งที่คนไทยกินทุกวัน",
        "गंगा भारत की एक नदी है और बहुत लंबी है।",
        "서울은 한국의 수도이며 큰 도시입니다.",
    ],
)
def test_corruptions_change_texts_of_every_script(kind: str, text: str) -> None:
    made = CORRUPTIONS[kind](text, 0, donors(text), np.random.default_rng(1))
    assert made and made != text
    assert (" " in made) == (" " in text) or kind == "keep_words"
    if kind == "truncate":
        assert text.startswith(made) and len(made) < 0.85 * len(text)


def test_features_of_chinese_read_like_those_of_english() -> None:
    whole = dict(zip(SURFACE, surface("什么是长城？", "长城很长。它是墙。它是墙。"), strict=True))
    cut = dict(zip(SURFACE, surface("什么是长城？", "长城很"), strict=True))
    assert whole["log_words"] == pytest.approx(np.log1p(10)) and cut["log_words"] == pytest.approx(
        np.log1p(3)
    )
    assert (whole["ends_finished"], cut["ends_finished"]) == (1, 0)
    assert whole["starts_upper"] == 1
    assert whole["repeated_sentences"] == pytest.approx(1 / 3)
    assert whole["prompt_words_used"] == pytest.approx(3 / 5)  # 是长城 of 什么是长城


def test_a_pool_of_single_words_is_named_with_its_share(
    minilm: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    made = [make_sample(f"Is {i} even?", "Yes" if i % 2 else f"No, {i} is not.") for i in range(24)]
    pool = Pool.from_samples(made)
    fit_on_pool(pool, minilm(pool.prompts), minilm(pool.responses), minilm, LearnedSettings(fit_rows=20), 0)
    assert "12 of 24 responses (50%) are a single word" in caplog.text


def thai(rng: np.random.Generator) -> str:
    """Words of Thai without a mark, as they are written."""
    nouns = [
        "ภูเขา",
        "แม่น้ำ",
        "ทะเล",
        "ป่าไม้",
        "เมือง",
        "ตลาด",
        "โรงเรียน",
        "อาหาร",
        "ดนตรี",
        "วัฒนธรรม",
        "ฤดูกาล",
        "สะพาน",
        "เกษตรกร",
        "ผลไม้",
    ]
    verbs = ["เป็น", "อยู่ใน", "สร้าง", "เปลี่ยน", "ทำให้", "ช่วย", "แสดง", "เติบโต", "ปลูก", "เดินทาง", "เรียนรู้"]
    return "".join(rng.choice(nouns) + rng.choice(verbs) for _ in range(12))


def test_a_loop_in_a_script_without_spaces_says_less_that_is_new() -> None:
    whole = thai(np.random.default_rng(0))
    loop = whole[:40] + whole[40:55] * 8
    told = {text: dict(zip(SURFACE, surface("", text), strict=True)) for text in (whole, loop)}
    for name in ("distinct_words", "distinct_bigrams"):
        assert told[whole][name] > 0.8 and told[loop][name] < 0.6
    assert told[whole]["punctuation"] == 0  # vowel signs and tone marks are none


@pytest.mark.slow
def test_loops_are_found_where_nothing_ends_a_sentence(minilm: Embedder) -> None:
    rng, made = np.random.default_rng(0), []
    loops = np.arange(100) % 5 < 2
    for i, loop in enumerate(loops):
        text = thai(rng)
        text = text[: len(text) // 2] + text[:15] * 10 if loop else text
        made.append(make_sample(f"อธิบายเกี่ยวกับ {thai(rng)[:12]}", text, id=str(i)))
    pool = Pool.from_samples(made)
    q, _ = fit_on_pool(pool, minilm(pool.prompts), minilm(pool.responses, 64), minilm, LearnedSettings(), 0)
    assert loops[np.argsort(-q)[:25]].mean() < 0.1


def test_a_pool_without_sentence_marks_is_named_with_its_share(
    minilm: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    made = [make_sample(f"Tell {i}", thai(rng) if i % 3 == 0 else f"It is fact {i}.") for i in range(24)]
    pool = Pool.from_samples(made)
    fit_on_pool(pool, minilm(pool.prompts), minilm(pool.responses), minilm, LearnedSettings(fit_rows=20), 0)
    assert "8 of 24 responses (33%) are long and hold no mark that ends a sentence" in caplog.text
    assert "single word" not in caplog.text


@pytest.mark.slow
def test_it_ranks_clean_rows_above_defective_ones(minilm: Embedder) -> None:
    made = build(BuiltinSettings(size=600, seed=3, test_size=0, corpus_size=0))
    pool = made.pool
    defect = np.array([t.defect is not None for t in made.truth])
    q, accuracy = fit_on_pool(
        pool, minilm(pool.prompts), minilm(pool.responses), minilm, LearnedSettings(fit_rows=250), 0
    )
    best = np.argsort(-q)[:100]
    assert defect[best].mean() < 0.75 * defect.mean()
    assert accuracy["pair_accuracy"] > 0.7


CLAUSES = (
    "这一点在日常生活中很常见",
    "许多学者对此有深入的研究",
    "它不仅影响经济也影响文化",
    "现代技术让它变得更加容易",
    "最后可以通过练习来加深理解",
    "从长远来看这会带来很大的好处",
)


@pytest.mark.slow
def test_it_ranks_whole_chinese_rows_above_cut_ones(minilm: Embedder) -> None:
    rng = np.random.default_rng(0)
    rows, cut = [], np.arange(90) % 3 == 0
    for i in range(90):
        told = "，".join(rng.permutation(CLAUSES)[: rng.integers(2, 6)].tolist())
        reply = f"关于第{i}座山，{told}。"
        rows.append(
            make_sample(f"请介绍第{i}座山。", reply[: int(0.4 * len(reply))] if cut[i] else reply, id=str(i))
        )
    pool = Pool.from_samples(rows)
    q, _ = fit_on_pool(
        pool, minilm(pool.prompts), minilm(pool.responses), minilm, LearnedSettings(fit_rows=90), 0
    )
    assert cut[np.argsort(-q)[:20]].mean() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zh_defect120", "en_defect100"])
def test_the_reported_pools_of_cut_answers(minilm: Embedder, shared: Path, name: str) -> None:
    path = shared / "cases" / "data" / "zh_defects" / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip("no cases in the shared folder")
    pool = read_pool(str(path)).pool
    bad = np.array([id_.startswith("BAD-") for id_ in pool.ids])
    q, _ = fit_on_pool(pool, minilm(pool.prompts), minilm(pool.responses, 64), minilm, LearnedSettings(), 0)
    assert bad.mean() > 0.3 and bad[np.argsort(-q)[:20]].mean() < 0.1
