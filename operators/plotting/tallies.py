"""How many of each, as bars beside their names."""

from __future__ import annotations

from collections.abc import Mapping

from operators.plotting.canvas import COLOURS, canvas, say_no_data


def tallies(counts: Mapping[str, int], *, title: str, xlabel: str) -> bytes:
    """A PNG with one horizontal bar for each name, first on top, with its count behind it.

    Args:
        counts: name -> count; names may be long.
        title: above the figure.
        xlabel: what is counted.
    """
    from matplotlib.ticker import MaxNLocator

    with canvas(6.4, 1.1 + 0.28 * max(2, len(counts))) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.grid(visible=False, axis="y")
        if not counts:
            say_no_data(axes)
            return drawing.png()
        bars = axes.barh(
            range(len(counts)), list(counts.values()), height=0.72, color=COLOURS[0], zorder=2
        )
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts.values()], padding=3,
                       fontsize=7.5)  # fmt: skip
        axes.set_yticks(range(len(counts)), labels=list(counts))
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(len(counts) - 0.4, -0.6)
        axes.margins(x=0.12)
        return drawing.png()
