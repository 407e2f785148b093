"""Preferences of other sources than the experts: texts are read back, undecided rows are no pairs."""

from __future__ import annotations

from scripts.bench.iqs_sources import answer, decided, sources


def test_an_answer_is_read_back_from_what_the_judge_was_shown() -> None:
    alone = "[The Start of Assistant B's Answer]\nTea,\n\nplease.\n[The End of Assistant B's Answer]"
    assert answer(f"[User Question]\nWhat?\n\n{alone}", "Assistant B") == "Tea,\n\nplease."
    turns = (
        "### User:\nWhat?\n\n### Assistant A:\nTea.\n\n### User:\nWhy?\n\n### Assistant A:\nIt is hot.\n\n"
    )
    talk = (
        f"Start of Assistant A's Conversation with User|>\n\n{turns}<|The End of Assistant A's Conversation"
    )
    assert answer(talk, "Assistant A") == "It is hot."


def test_only_rows_with_a_winner_and_two_answers_are_pairs() -> None:
    rows = [("p", "a", "b", 1.0), ("p", "a", "b", -0.2), ("p", "a", "b", 0.0), ("p", "a", " ", 1.0)]
    pairs = decided("toy", iter(rows))
    assert [(pair.better, pair.worse) for pair in pairs.pairs] == [("a", "b"), ("b", "a")]


def test_the_sources_at_hand(shared) -> None:
    assert {pairs.source: len(pairs.pairs) for pairs in sources(shared / "assets")} == {
        "reviews, koala": 144,
        "reviews, vicuna": 65,
        "MT-Bench pairs": 111,
        "MT-Bench ratings": 124,
        "AlpacaEval, FuseChat-Gemma-2-9B-Instruct": 800,
        "AlpacaEval, alpaca-7b": 802,
        "AlpacaEval, claude-2": 804,
    }
