"""Names beside the points of a scatter, where they hide no other name and no point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from eval.report import style as look

POINT = 6.0
"""Diameter of a point, in points of type."""
NEAR = 5.0
"""Points of type between a point and a name that needs no line."""
REACHES = (NEAR, 12.0, 20.0, 30.0, 42.0, 56.0, 72.0, 90.0, 110.0, 135.0, 165.0)
MANY = 5
"""Points that are hidden rather than a name."""
DIRECTIONS = (0, 180, 45, 135, 315, 225, 90, 270, 22, 158, 338, 202, 67, 113, 293, 247)
"""Degrees from the right, the ones that read best first."""


@dataclass
class Space:
    """What is free in a drawing. frame: where names may stand; unit: pixels per point of type; dots: points;
    names: those placed so far."""

    frame: Bbox
    unit: float
    dots: Sequence[Bbox]
    names: list[Bbox] = field(default_factory=list)

    def place(self, point: np.ndarray, width: float, height: float, side: int) -> tuple[Bbox, float]:
        """The nearest box of this size beside `point` that overlaps least, and how far away it is; takes it."""
        boxes = [
            (reach, self._box(point, width, height, reach, degrees))
            for reach in REACHES
            for degrees in (side, *DIRECTIONS)
        ]
        inside = [(self._hidden(box), reach, box) for reach, box in boxes if self._holds(box)]
        none = (0, 0.0, Bbox.from_bounds(point[0], point[1], width, height))
        _, reach, found = min(inside, key=lambda place: place[:2], default=none)
        self.names.append(found)
        return found, reach

    def _box(self, point: np.ndarray, width: float, height: float, reach: float, degrees: int) -> Bbox:
        across, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        distance = (reach + POINT / 2) * self.unit
        x = point[0] + across * distance + (across - 1) * width / 2
        y = point[1] + up * distance + (up - 1) * height / 2
        return Bbox.from_bounds(x, y, width, height)

    def _holds(self, box: Bbox) -> bool:
        frame = self.frame
        return box.x0 >= frame.x0 and box.y0 >= frame.y0 and box.x1 <= frame.x1 and box.y1 <= frame.y1

    def _hidden(self, box: Bbox) -> int:
        """A name on a name cannot be read at all, which a name on some points can."""
        return sum(map(box.overlaps, self.dots)) + MANY * sum(map(box.overlaps, self.names))


def place_labels(
    axis: Axes, points: Sequence[tuple[float, float]], names: Mapping[int, str], sides: Mapping[int, int]
) -> None:
    """Names near their points, on no other name and no point; from afar with a line.

    names: number of a point -> its name, the most important first; sides: the direction to try first, in
    degrees. Where nothing within reach is free, the place that hides the fewest is taken.
    """
    figure = axis.get_figure()
    assert isinstance(figure, Figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # lays the axes out, so that places in pixels are final
    renderer = canvas.get_renderer()
    pixels = np.asarray(axis.transData.transform(points))
    unit = figure.dpi / 72
    half = (POINT / 2 + 1) * unit
    dots = [Bbox.from_bounds(x - half, y - half, 2 * half, 2 * half) for x, y in pixels]
    space = Space(axis.get_window_extent(renderer), unit, dots)
    for number, name in names.items():
        text = axis.annotate(name, points[number], fontsize=8, ha="left", va="bottom", annotation_clip=False)
        size = text.get_window_extent(renderer)
        text.remove()
        box, reach = space.place(pixels[number], size.width + 2 * unit, size.height, sides[number])
        offset = ((box.x0 + unit - pixels[number][0]) / unit, (box.y0 - pixels[number][1]) / unit)
        line = {"arrowstyle": "-", "color": look.MUTED, "lw": 0.6, "shrinkA": 1, "shrinkB": POINT / 2}
        axis.annotate(
            name,
            points[number],
            offset,
            textcoords="offset points",
            fontsize=8,
            ha="left",
            va="bottom",
            color=look.INK,
            arrowprops=line if reach > NEAR else None,
        )
