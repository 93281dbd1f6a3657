"""One value for each language."""

from __future__ import annotations

import math
from collections.abc import Mapping

from operators.plotting.canvas import COLOURS, canvas, say_no_data

_LABELLED_BARS = 16
_SLANTED_NAMES = 24


def bars_by_language(
    values: Mapping[str, float],
    *,
    title: str,
    ylabel: str,
    reference_line: float | None = None,
) -> bytes:
    """A PNG with one bar for each language, in the order of the mapping.

    Up to 16 bars carry their values. A value that is NaN or infinite has no bar, and its language
    is still named, so that a gap is seen as one.

    Args:
        values: language -> value.
        title: above the figure.
        ylabel: what the values are, with the unit.
        reference_line: drawn across and labelled, such as 1 for premiums.
    """
    width = min(16.0, max(4.5, 1.4 + 0.42 * len(values)))
    with canvas(width, 3.6) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_ylabel(ylabel)
        axes.grid(visible=False, axis="x")
        shown = {
            position: value
            for position, value in enumerate(values.values())
            if math.isfinite(value)
        }
        if values:
            bars = axes.bar(
                list(shown), list(shown.values()), width=0.72, color=COLOURS[0], zorder=2
            )
            if len(values) <= _LABELLED_BARS:
                axes.bar_label(bars, fmt="{:.3g}", padding=2, fontsize=7.5)
            flat = all(len(name) <= 4 for name in values)
            slant = 40 if len(values) <= _SLANTED_NAMES else 90
            axes.set_xticks(
                range(len(values)),
                labels=list(values),
                rotation=0 if flat else slant,
                ha="center" if flat else "right",
                va="top" if flat or slant < 90 else "center",
                rotation_mode="anchor",
            )
            axes.tick_params(axis="x", length=0)
            axes.set_xlim(-0.6, len(values) - 0.4)
            axes.margins(y=0.1)
            if any(value < 0 for value in shown.values()):
                axes.axhline(0, color="#4D4D4D", linewidth=0.8, zorder=3)
        else:
            say_no_data(axes)
        if reference_line is not None and values:
            axes.axhline(reference_line, color=COLOURS[1], linewidth=1.2, linestyle="--", zorder=3)
            axes.annotate(
                f"{reference_line:g}",
                (1.0, reference_line),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=COLOURS[1],
            )
        return drawing.png()
