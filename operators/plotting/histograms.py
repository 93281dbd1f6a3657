"""How values are distributed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from operators.plotting.canvas import COLOURS, canvas, say_no_data


def histogram(
    values: npt.ArrayLike,
    *,
    bins: int,
    title: str,
    xlabel: str,
    log: bool = False,
    weights: npt.ArrayLike | None = None,
) -> bytes:
    """A PNG with the counts of `values` in `bins` bins of equal width, and their median.

    Values that are NaN or infinite are left out, and their number is said below the axis.

    Args:
        values: any shape.
        bins: >= 1.
        title: above the figure.
        xlabel: what the values are, with the unit.
        log: a logarithmic axis of counts, for a long tail of rare values.
        weights: how often there is each value; default once.

    Raises:
        ValueError: if bins < 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}, but must be >= 1")
    given = np.asarray(values, dtype=np.float64).ravel()
    finite = given[np.isfinite(given)]
    weighted = None if weights is None else np.asarray(weights).ravel()[np.isfinite(given)]
    median = _median(finite, weighted)
    notes = [f"median {median:.4g} (dashed)"] if len(finite) else []
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
            finite,
            bins=bins,
            weights=weighted,
            log=log,
            color=COLOURS[0],
            edgecolor="white",
            linewidth=0.5,
            zorder=2,
        )
        axes.axvline(median, color=COLOURS[1], linewidth=1.3, linestyle="--", zorder=3)
        if log:
            axes.yaxis.set_major_formatter("{x:g}")
        return drawing.png()


def _median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64] | None) -> float:
    """The median; with weights the smallest value that half of the weight does not lie above."""
    if not len(values):
        return float("nan")
    if weights is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])
