"""Several values over training steps, a panel a value, with bands over repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from operators.plotting.canvas import COLOURS, LINE_STYLES, MUTED, canvas, say_no_data
from operators.plotting.narrow import (
    NARROW_INCHES,
    names_below,
    narrow_name,
    narrow_title,
)

_COLUMNS = 2
_MARKED_POINTS = 25


@dataclass(frozen=True, slots=True)
class Band:
    """A line and what lies around it.

    Attributes:
        steps: finite.
        centers: of the line; a NaN leaves a gap.
        lows, highs: ends of the band at each step.
    """

    steps: Sequence[float]
    centers: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.steps) == len(self.centers) == len(self.lows) == len(self.highs):
            raise ValueError(
                f"{len(self.steps)} steps have {len(self.centers)} centers, {len(self.lows)} lows "
                f"and {len(self.highs)} highs"
            )


def curve_panels(
    panels: Mapping[str, Mapping[str, Band]],
    *,
    title: str,
    xlabel: str,
    levels: Mapping[str, float] | None = None,
    narrow: bool = False,
) -> bytes:
    """A PNG page with a panel for each value, and in it a line with its band for each name.

    Args:
        panels: value, with its unit -> name -> its curve. A name keeps its colour in all panels.
        title: above the page.
        xlabel: what the steps are.
        levels: value -> height of a dotted line across its panel.
        narrow: for a phone, with one panel below the other and the names below them.
    """
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    columns = 1 if narrow else min(_COLUMNS, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    width, height = 3.9 * columns + 1.0, 3.2 * rows + 0.3
    if narrow:
        width, height = NARROW_INCHES, 2.7 * rows + 0.6 + 0.22 * len(names)
    with canvas(width, height) as drawing:
        drawing.title(narrow_title(title) if narrow else title)
        axes_of = drawing.grid(rows, columns)
        if not panels:
            say_no_data(axes_of[0])
        lines = {}
        for number, axes in enumerate(axes_of):
            if number >= len(panels):
                axes.set_visible(bool(not panels and not number))
                continue
            value, curves = list(panels.items())[number]
            heading = narrow_name(value) if narrow else value
            axes.set_title(heading, fontsize=9, fontweight="normal")
            axes.set_xlabel(xlabel)
            for name, band in curves.items():
                index = names.index(name)
                colour = COLOURS[index % len(COLOURS)]
                axes.fill_between(
                    band.steps, band.lows, band.highs, color=colour, alpha=0.18, linewidth=0
                )
                (lines[name],) = axes.plot(
                    band.steps,
                    band.centers,
                    color=colour,
                    linestyle=LINE_STYLES[index // len(COLOURS) % len(LINE_STYLES)],
                    linewidth=1.5,
                    marker="o" if len(band.steps) <= _MARKED_POINTS else "",
                    markersize=2.6,
                )
            if levels is not None and value in levels:
                axes.axhline(levels[value], color=MUTED, linewidth=1.1, linestyle=":", zorder=1)
            if any(len(band.steps) for band in curves.values()):
                axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            else:
                say_no_data(axes)
        shown = {name: lines[name] for name in names if name in lines}
        if shown and narrow:
            names_below(axes_of[0], shown)
        elif shown:
            # Beside the panels: inside, a legend lies on the very curves it names.
            axes_of[columns - 1].legend(
                list(shown.values()), list(shown), loc="upper left", bbox_to_anchor=(1.02, 1.0)
            )
        return drawing.png()
