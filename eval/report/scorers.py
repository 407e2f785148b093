"""Scorers' short cards in reports: a line after a run, a table beside the arms, figures for Weights & Biases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.report import format as fmt

if TYPE_CHECKING:
    from eval.scorer_card import ScorerCard, ScoringCost


def card_line(card: ScorerCard) -> str:
    """ "length on 240 rows: 0.0% unread, length correlation 1.00 [1.00, 1.00]"; what is not known is left out."""
    said = [f"{fmt.percent(card.unread.mean)} unread"] if card.unread else []
    said += ["all scores are the same"] if card.constant else []
    if found := card.length.interval:
        said.append(f"length correlation {fmt.score(found.mean)} {fmt.bracket(found, fmt.score)}".rstrip())
    if found := card.first_position.interval:
        said.append(
            f"first position {fmt.percent(found.mean)} {fmt.bracket(found, fmt.percent_number)}".rstrip()
        )
    if found := card.split_half.interval:
        said.append(f"split halves {fmt.score(found.mean)} {fmt.bracket(found, fmt.score)}".rstrip())
    if card.reliability is not None:
        guessed = "" if card.told_apart else " (guessed: no row was scored twice)"
        said.append(f"reliability of one score {fmt.score(card.reliability)}{guessed}")
    said.append(cost_words(card.cost))
    return f"{card.scorer} on {card.n:,} rows: {', '.join(said)}"


def cost_words(cost: ScoringCost) -> str:
    """What a sample costs: "0.5 calls, 420 tokens, $0.0003 and 0.012 s a sample"."""
    said = []
    if cost.calls:
        price = "price unknown" if cost.unpriced and not cost.usd else fmt.money(cost.usd)
        said += [f"{cost.calls:.3g} calls", f"{cost.tokens:,.0f} tokens", price]
    if cost.forward_tokens:
        said.append(f"{cost.forward_tokens:,.0f} tokens read here")
    return f"{fmt.listing([*said, fmt.duration(cost.seconds)])} a sample"
