"""Quality against cost, with the front of what nothing else beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from operators.evaluation.pareto import pareto_front
from operators.plotting.canvas import COLOURS, MUTED, canvas, say_no_data
from operators.plotting.narrow import (
    NARROW_INCHES,
    names_below,
    narrow_name,
    narrow_title,
)

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One result: what it cost and how good it is, with the ends of its interval."""

    name: str
    cost: float
    quality: float
    low: float
    high: float


def pareto_panels(
    panels: Mapping[str, Sequence[ParetoPoint]],
    *,
    title: str,
    ylabel: str,
    better: Literal["lower", "higher"],
    narrow: bool = False,
) -> bytes:
    """A PNG with a panel for each cost, one below the other, and a stepped line along its front.

    Args:
        panels: cost, with its unit -> its points. A name keeps its colour in all panels.
        title: above the page.
        ylabel: what the quality is, with its unit.
        better: which way it is better.
    """
    from matplotlib.ticker import EngFormatter, MaxNLocator

    names = list(dict.fromkeys(point.name for points in panels.values() for point in points))
    width, height = 6.0, 0.5 + 3.0 * max(1, len(panels))
    if narrow:
        width, height = NARROW_INCHES, height + 0.22 * len(names)
    with canvas(width, height) as drawing:
        drawing.title(narrow_title(title) if narrow else title)
        axes_of = drawing.grid(max(1, len(panels)), 1)
        if not panels:
            say_no_data(axes_of[0])
        marks = {}
        for axes, (cost, points) in zip(axes_of, panels.items(), strict=False):
            axes.set_xlabel(cost)
            quality = f"{ylabel}; {'down' if better == 'lower' else 'up'} is better"
            axes.set_ylabel(narrow_name(quality) if narrow else quality)
            costs, qualities = [p.cost for p in points], [p.quality for p in points]
            front = pareto_front(costs, qualities, better=better)
            axes.plot(
                [costs[index] for index in front],
                [qualities[index] for index in front],
                drawstyle="steps-post", color=MUTED, linewidth=1.1, linestyle=":", zorder=1,
            )  # fmt: skip
            for point in points:
                index = names.index(point.name)
                colour = COLOURS[index % len(COLOURS)]
                axes.plot([point.cost] * 2, [point.low, point.high], "-", color=colour, zorder=2)
                (marks[point.name],) = axes.plot(
                    [point.cost], [point.quality], _MARKERS[index % len(_MARKERS)],
                    color=colour, markersize=6, linestyle="", zorder=3,
                )  # fmt: skip
            axes.margins(x=0.08)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        if marks and narrow:
            names_below(axes_of[0], marks)
        elif marks:
            axes_of[0].legend(
                list(marks.values()), list(marks), loc="upper left", bbox_to_anchor=(1.01, 1.0)
            )
        return drawing.png()
