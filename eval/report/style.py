"""How every plot looks: one colour per arm, quiet axes, and inks that an HTML page can swap.

A figure is drawn once. As PNG it stands on white, for Weights & Biases and Markdown. As SVG its text,
lines and background become CSS variables of the page, so the same drawing is right in light and dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.results import Results

INK, MUTED, LINE, SURFACE = "#1d2129", "#5c6370", "#d9dce2", "#fefefe"
"""Stand-ins in the SVG for the page's --ink, --muted, --line and --surface."""
WIDTH = 6.2
"""Inches. About 600 CSS pixels, so 9 pt text stays readable when a column or a phone shrinks it."""
LONGEST = 32
"""Letters of a name beside a row: longer ones would leave no room to draw in."""
BASELINE_COLOUR = "#8a9099"
# Okabe and Ito's colours, told apart with any colour vision; yellow and black vanish on one background.
ARM_COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#56b4e9", "#a6761d", "#7b6fd0")
# Paul Tol's muted scheme without its darkest colour, which vanishes on a dark page.
KIND_COLOURS = ("#cc6677", "#88ccee", "#ddcc77", "#44aa99", "#aa4499", "#999933", "#6f7fd6", "#d9a0b0")
REST_COLOUR = "#a9adb5"

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": SURFACE,
    "axes.facecolor": "none",
    "savefig.facecolor": SURFACE,
    "svg.fonttype": "none",
    "svg.hashsalt": "tacos",
}


@dataclass(frozen=True)
class Plot:
    """A finished figure with its words. name: of its file; group: the report section it stands in."""

    name: str
    group: str
    title: str
    caption: str
    figure: Figure


def arm_colours(results: Results) -> dict[str, str]:
    """Grey for the baseline, then one colour per arm in configured order; the same in every plot."""
    rivals = [s.arm for s in results.summary if s.arm != results.baseline]
    colours = {arm: ARM_COLOURS[i % len(ARM_COLOURS)] for i, arm in enumerate(rivals)}
    return {results.baseline: BASELINE_COLOUR, **colours}


def model_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each of the first models, in the order of the tables; the others have none."""
    return dict(zip(names, ARM_COLOURS, strict=False))


def new_figure(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the common width with its axes in reading order; height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """One labelled row per name as it is, the first on top."""
    axis.set_yticks(range(len(names)), [short_name(name, LONGEST) for name in names])
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.spines["left"].set_visible(False)


def abridge(text: str, limit: int) -> str:
    """Shortened in the middle: names of runs often differ at their ends alone."""
    half = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[: limit - 1 - half]}…{text[-half:]}"


def literal(text: str) -> str:
    """Names come from users and models; a `$` in one must not start mathematics."""
    return text.replace("$", r"\$")


def short_name(name: str, limit: int) -> str:
    """A name as text of a figure, abridged to `limit` letters."""
    return literal(abridge(name, limit))


def styled(**changes: Any) -> AbstractContextManager[None]:
    """A block in which figures are drawn and saved in the common look."""
    rules: Any = {**STYLE, **changes}
    return matplotlib.rc_context(rules)


def save_png(plot: Plot, folder: Path) -> Path:
    """A picture on white, 150 dots per inch."""
    path = folder / f"{plot.name}.png"
    with styled():
        plot.figure.savefig(path, format="png", dpi=150)
    plot.figure.set_layout_engine("none")  # the places are found; finding them again doubles the time
    return path


def svg(plot: Plot) -> str:
    """An <svg> element for a page: no fixed size, no metadata, ids of its own, colours from the page."""
    stream = io.StringIO()
    with styled(**{"svg.hashsalt": plot.name}):
        plot.figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{plot.name}-', text)
    text = text.replace("url(#", f"url(#{plot.name}-").replace('href="#', f'href="#{plot.name}-')
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (LINE, "line"), (SURFACE, "surface")):
        text = text.replace(colour, f"var(--{variable})")
    return text.replace("<svg", f'<svg role="img" aria-labelledby="{plot.name}-caption"', 1)
