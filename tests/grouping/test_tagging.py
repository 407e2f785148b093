"""Taggers: keyphrases from KeyBERT, and an LLM's replies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacos.grouping import tagging
from tacos.grouping.tagging import KeyphraseTagger, LLMTagger, TaggingSettings, tag_request
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.models.embedder import Embedder
from tacos.selection import Tags
from tacos.store.tables import read_tags, write_tags
from tacos.types import Pool, make_sample

PROMPTS = [
    "Write a poem about the ocean.",
    "Write a short poem about the ocean at night.",
    "Solve the equation 3x + 2 = 11.",
    "Solve this equation for y: 2y = 8.",
    "123 + 456?",
]


def pool_of(prompts: list[str]) -> Pool:
    return Pool.from_samples(make_sample(p, "ok", id=f"s{i}") for i, p in enumerate(prompts))


def test_keyphrases_come_from_the_prompt_and_must_be_frequent(minilm: Embedder) -> None:
    tags = KeyphraseTagger(TaggingSettings(min_df=2, top_n=2), minilm).tag(pool_of(PROMPTS))
    assert set(tags.rows[0]) <= {"poem", "ocean", "poem ocean", "write"}
    assert "equation" in {t for row in tags.rows[2:4] for t in row}
    assert tags.rows[4] == () and tags.errors == {4: "no keyphrase"}
    assert all(len(row) <= 2 for row in tags.rows)


def test_chunks_change_nothing(minilm: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = KeyphraseTagger(TaggingSettings(min_df=1), minilm)
    whole = tagger.tag(pool_of(PROMPTS))
    monkeypatch.setattr(tagging, "CHUNK", 2)
    assert tagger.tag(pool_of(PROMPTS)).rows == whole.rows


def test_one_prompt_and_prompts_without_words(minilm: Embedder) -> None:
    tagger = KeyphraseTagger(TaggingSettings(min_df=1), minilm)
    assert tagger.tag(pool_of(PROMPTS[:1])).rows[0]
    assert tagger.tag(pool_of(["1 + 1", "???"])).rows == ((), ())


def test_the_llm_sees_input_or_not() -> None:
    sample = make_sample("Translate this.", "ok", input="Bonjour")
    both, alone = (
        tag_request(sample, TaggingSettings(text=f)).messages[0].content for f in ("prompt", "instruction")
    )
    assert "Bonjour" in both and "Bonjour" not in alone
    assert "Translate this." in alone


def test_an_unreadable_reply_is_no_tags_and_counted() -> None:
    model = ScriptedLLM(lambda r: "no idea" if "ocean" in r.messages[0].content else '[{"tag": "maths"}]')
    tags = LLMTagger(TaggingSettings(), model).tag(pool_of(PROMPTS[1:3]))
    assert tags.rows == ((), ("maths",))
    assert list(tags.errors) == [0] and "unreadable" in tags.errors[0]


def test_tags_survive_the_file(tmp_path: Path) -> None:
    tags = Tags((("a", "b"), ()), {1: "why"})
    write_tags(tmp_path, pool_of(PROMPTS[:2]), tags)
    assert read_tags(tmp_path) == tags
