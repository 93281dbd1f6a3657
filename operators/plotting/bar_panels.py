"""Several measures of the same few things, a panel a measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from operators.plotting.canvas import COLOURS, canvas, say_no_data

_COLUMNS = 3


def bar_panels(names: Sequence[str], panels: Mapping[str, Sequence[float]], *, title: str) -> bytes:
    """A PNG page with a panel for each measure, and in it a horizontal bar for each name.

    A value that is NaN or infinite has no bar, and is written out.

    Args:
        names: first on top; each keeps its colour in all panels.
        panels: measure, with its unit -> values in the order of `names`.
        title: above the page.

    Raises:
        ValueError: if a panel has more or fewer values than there are names.
    """
    for measure, values in panels.items():
        if len(values) != len(names):
            raise ValueError(f"{measure!r} has {len(values)} values for {len(names)} names")
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    columns = min(_COLUMNS, max(1, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    longest = max((len(name) for name in names), default=0)
    width = 2.5 * columns + 0.075 * longest + 0.4
    with canvas(width, rows * (0.75 + 0.24 * max(2, len(names))) + 0.3) as drawing:
        drawing.title(title)
        axes_of = drawing.grid(rows, columns)
        if not panels or not names:
            say_no_data(axes_of[0])
        for number, axes in enumerate(axes_of):
            if number >= len(panels):
                axes.set_visible(bool(not panels and not number))
                continue
            measure, values = list(panels.items())[number]
            axes.set_title(measure, fontsize=8.5, fontweight="normal")
            axes.grid(visible=False, axis="y")
            shown = [value if math.isfinite(value) else 0.0 for value in values]
            colours = [COLOURS[index % len(COLOURS)] for index in range(len(names))]
            bars = axes.barh(range(len(names)), shown, height=0.72, color=colours, zorder=2)
            axes.bar_label(bars, labels=[_written(value) for value in values], padding=3,
                           fontsize=7)  # fmt: skip
            first = number % columns == 0
            axes.set_yticks(range(len(names)), labels=list(names) if first else [""] * len(names))
            axes.tick_params(axis="y", length=0)
            axes.tick_params(axis="x", labelsize=7)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.margins(x=0.22)
        return drawing.png()


def _written(value: float) -> str:
    if not math.isfinite(value):
        return "none" if math.isnan(value) else "infinite"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
