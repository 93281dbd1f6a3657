"""How values are distributed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.plotting.canvas import COLOURS, canvas, say_no_data


def histogram(
    values: npt.ArrayLike, *, bins: int, title: str, xlabel: str, log: bool = False
) -> bytes:
    """A PNG with the counts of `values` in `bins` bins of equal width, and their median.

    Values that are NaN or infinite are left out, and their number is said below the axis.

    Args:
        values: any shape.
        bins: >= 1.
        title: above the figure.
        xlabel: what the values are, with the unit.
        log: a logarithmic axis of counts, for a long tail of rare values.

    Raises:
        ValueError: if bins < 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}, but must be >= 1")
    given = np.asarray(values, dtype=np.float64).ravel()
    finite = given[np.isfinite(given)]
    notes = [f"median {np.median(finite):.4g} (dashed)"] if len(finite) else []
    if len(finite) < len(given):
        notes.append(f"{len(given) - len(finite)} not finite, left out")
    with canvas(6.0, 3.4) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        # Below the axis, where the note can hide neither a bar nor the title.
        axes.set_xlabel("\n".join([xlabel, ", ".join(notes)]).rstrip())
        axes.set_ylabel("count (log scale)" if log else "count")
        if not len(finite):
            say_no_data(axes)
            return drawing.png()
        axes.grid(visible=False, axis="x")
        axes.hist(
            finite, bins=bins, log=log, color=COLOURS[0], edgecolor="white", linewidth=0.5, zorder=2
        )
        axes.axvline(
            float(np.median(finite)), color=COLOURS[1], linewidth=1.3, linestyle="--", zorder=3
        )
        if log:
            axes.yaxis.set_major_formatter("{x:g}")
        return drawing.png()
