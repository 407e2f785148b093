"""The plots of what the models learned and what was selected; `draw` makes every plot a run has data for.

Plots about the pool's groups, tags and money are in `plots_pool.py`, the common look in `plot_style.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from matplotlib.axes import Axes

from eval.report import format as fmt
from eval.report import plots_pool as plots_pool
from eval.report import style as look
from eval.report.style import Plot, arm_colours, name_rows, new_figure, styled
from eval.report.tables import Arm, ordered_arms
from eval.results import ArmRun, Audit, Interval, Results

MAX_KINDS = 8
VOTES = (("win", "#3b78b8"), ("tie", "#b9bdc6"), ("lose", "#dd8440"))


def draw(results: Results) -> Iterator[Plot]:
    """Every plot this run has data for, in the order of the report."""
    makers = (exact_match, votes, defects, plots_pool.skills, plots_pool.lengths, plots_pool.cost)
    with styled():
        for make in makers:
            if plot := make(results):
                yield plot
        yield from plots_pool.tags(results)


def _whisker(axis: Axes, row: float, interval: Interval, colour: str) -> None:
    axis.plot(
        [interval.low * 100, interval.high * 100], [row, row], color=colour, lw=2.2, solid_capstyle="round"
    )
    axis.plot(interval.mean * 100, row, "o", color=colour, ms=7, mec=look.SURFACE, mew=1)


def exact_match(results: Results) -> Plot | None:
    """Dots with whiskers beside the paired difference from the baseline."""
    arms = [arm for arm in ordered_arms(results) if arm.summary.exact_match]
    if not arms:
        return None
    gains = any(arm.summary.exact_match_gain and arm.trained for arm in arms)
    options = {"sharey": True, "width_ratios": (1.25, 1)} if gains else {}
    figure, axes = new_figure(1, 2 if gains else 1, 0.85 + 0.34 * len(arms), **options)
    colours = arm_colours(results)
    for row, arm in enumerate(arms):
        _exact_row(axes[0], row, arm, colours[arm.summary.arm])
        gain = arm.summary.exact_match_gain
        if gain and arm.trained:  # an untrained model is so far off that it would flatten the rest
            _whisker(axes[1], row, gain, colours[arm.summary.arm])
    name_rows(axes[0], [look.literal(a.summary.arm) for a in arms])
    axes[0].set_title("Exact match")
    axes[0].set_xlabel("questions answered exactly, %")
    axes[0].set_xlim(left=0)
    _baseline_mark(axes[0], results)
    if gains:
        axes[1].axvline(0, color=look.BASELINE_COLOUR, lw=1, ls=(0, (4, 3)))
        axes[1].set_title(f"Difference from {look.literal(results.baseline)}")
        axes[1].set_xlabel("percentage points")
        axes[1].spines["left"].set_visible(False)
    for axis in axes:
        axis.grid(axis="x")
    seeds = max(len(a.summary.seeds) for a in arms)
    faint = (
        "; faint points are single seeds"
        if seeds > 1
        else "; there is one seed, so they cover questions only"
    )
    caption = (
        f"Dots are means, whiskers 95% intervals{faint}. A difference whose whisker touches zero is no claim."
    )
    return Plot("exact_match", "model", "Exact match per arm", caption, figure)


def _exact_row(axis: Axes, row: int, arm: Arm, colour: str) -> None:
    interval = arm.summary.exact_match
    assert interval is not None
    _whisker(axis, row, interval, colour)
    seeds = [run.exact_match.mean * 100 for run in arm.runs if run.exact_match]
    if len(seeds) > 1:
        axis.plot(seeds, [row + 0.24] * len(seeds), "o", color=colour, ms=4, mew=0, alpha=0.45)


def _baseline_mark(axis: Axes, results: Results) -> None:
    base = next((s.exact_match for s in results.summary if s.arm == results.baseline), None)
    if base:
        axis.axvline(base.mean * 100, color=look.BASELINE_COLOUR, lw=1, ls=(0, (4, 3)), zorder=0.5)


def votes(results: Results) -> Plot | None:
    """Wins, ties and losses against the baseline, as shares of all pairs with a verdict that could be read."""
    arms = [arm for arm in ordered_arms(results) if any(_decided(run) for run in arm.runs)]
    if not arms:
        return None
    figure, (axis,) = new_figure(1, 1, 0.95 + 0.34 * len(arms))
    for row, arm in enumerate(arms):
        judged = [run.pairwise for run in arm.runs if run.pairwise]
        _stack(axis, row, [(sum(getattr(p, name) for p in judged), colour) for name, colour in VOTES])
        if interval := arm.summary.winning_score:
            text = f"{fmt.score(interval.mean)} {fmt.bracket(interval, fmt.score)}"
            axis.text(102, row, text, va="center", fontsize=8.5, color=look.INK)
    name_rows(axis, [look.literal(a.summary.arm) for a in arms])
    axis.set_xlim(0, 100)
    axis.set_xlabel("share of judged pairs, %")
    axis.axvline(50, color=look.INK, lw=0.8, ls=(0, (2, 3)))
    axis.text(102, -0.62, "winning score", fontsize=8.5, color=look.MUTED, va="bottom")
    handles = [axis.barh(0, 0, color=colour, label=name) for name, colour in VOTES]
    axis.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, handlelength=1, borderpad=0
    )
    base = look.literal(results.baseline)
    caption = (
        f"Pairs against {base}, each judged in both orders, over all seeds. The winning score is"
        " (win - lose) / n + 1: 1 is a draw, 2 wins everything."
    )
    return Plot("win_tie_lose", "model", f"Win, tie and lose against {results.baseline}", caption, figure)


def _decided(run: ArmRun) -> bool:
    return run.pairwise is not None and run.pairwise.winning_score is not None


def _stack(axis: Axes, row: int, parts: Iterable[tuple[int, str]]) -> None:
    """One bar of shares, with each count written where it fits."""
    parts = list(parts)
    total, left = sum(n for n, _ in parts) or 1, 0.0
    for number, colour in parts:
        share = 100 * number / total
        axis.barh(row, share, left=left, height=0.66, color=colour, ec=look.SURFACE, lw=1)
        if share >= 5:
            ink = "#1d1f24" if colour == VOTES[1][1] else "#ffffff"
            axis.text(
                left + share / 2, row, fmt.count(number), ha="center", va="center", fontsize=8.5, color=ink
            )
        left += share


def defects(results: Results) -> Plot | None:
    """Shares of each kind of defect, the pool on top."""
    found = [(arm.summary.arm, _kinds([run.audit for run in arm.runs])) for arm in ordered_arms(results)]
    bars = [("pool", _kinds([results.pool_audit])), *found]
    present = [(name, shares) for name, shares in bars if shares is not None]
    if len(present) < 2:
        return None
    totals: Counter[str] = Counter()
    for _, shares in present:
        totals.update(shares)
    kinds = [kind for kind, _ in totals.most_common(MAX_KINDS if len(totals) <= MAX_KINDS else MAX_KINDS - 1)]
    figure, (axis,) = new_figure(1, 1, 1.35 + 0.34 * len(present))
    for row, (_, shares) in enumerate(present):
        _defect_row(axis, row, shares, kinds)
    name_rows(axis, [look.literal(name) for name, _ in present])
    axis.set_xlim(0, max(sum(shares.values()) for _, shares in present) * 1.12 or 1)
    axis.set_xlabel("rows with a defect, %")
    axis.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=4, handlelength=1, columnspacing=1.4)
    caption = (
        "Known defects by kind, as a share of all rows, over all seeds. Selectors never see these labels."
    )
    return Plot("defects", "selection", "Defects per arm, beside the pool", caption, figure)


def _kinds(audits: list[Audit]) -> dict[str, float] | None:
    """Defect kind -> percent of rows, over all audits; None where defects are not known."""
    told = [audit for audit in audits if audit.defects is not None and audit.rows]
    counts: Counter[str] = Counter()
    for audit in told:
        counts.update(audit.defects or {})
    rows = sum(audit.rows for audit in told)
    return {kind: 100 * n / rows for kind, n in counts.items()} if told else None


def _defect_row(axis: Axes, row: int, shares: dict[str, float], kinds: list[str]) -> None:
    rest = sum(share for kind, share in shares.items() if kind not in kinds)
    parts = [(kind, shares.get(kind, 0.0), look.KIND_COLOURS[i]) for i, kind in enumerate(kinds)]
    left = 0.0
    for kind, share, colour in [*parts, *([("other", rest, look.REST_COLOUR)] if rest else [])]:
        label = look.literal(kind) if row == 0 else None
        axis.barh(row, share, left=left, height=0.66, color=colour, ec=look.SURFACE, lw=0.8, label=label)
        left += share
    axis.text(left, row, f"  {left:.1f}%", va="center", fontsize=8.5)
