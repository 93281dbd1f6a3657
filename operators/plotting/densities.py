"""How values are distributed, beside how they should be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from operators.plotting.canvas import COLOURS, canvas, say_no_data


def histogram_with_density(
    values: npt.ArrayLike,
    density: Callable[[float], float],
    *,
    bins: int,
    title: str,
    xlabel: str,
    label: str,
) -> bytes:
    """A PNG with the distribution of `values` in [0, 1] and the curve of a density.

    Args:
        values: any shape, finite.
        density: what the curve shows at a value.
        bins: of equal width between 0 and 1.
        title: above the figure.
        xlabel: what the values are.
        label: what the curve is.
    """
    given = np.asarray(values, dtype=np.float64).ravel()
    with canvas(6.0, 3.4) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.set_ylabel("density")
        axes.set_xlim(0, 1)
        if not len(given):
            say_no_data(axes)
            return drawing.png()
        axes.grid(visible=False, axis="x")
        axes.hist(
            given, bins=bins, range=(0, 1), density=True, color=COLOURS[0], edgecolor="white",
            linewidth=0.5, zorder=2, label=f"these {len(given)}",
        )  # fmt: skip
        points = np.linspace(0, 1, 201)
        axes.plot(
            points, [density(float(x)) for x in points], color=COLOURS[1], linewidth=1.6, zorder=3,
            label=label,
        )  # fmt: skip
        axes.legend(loc="upper right")
        return drawing.png()
