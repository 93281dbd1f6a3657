"""An alignment of two texts at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from operators.plotting.canvas import COLOURS, canvas, say_no_data

BeadRow = tuple[Sequence[int], Sequence[int], float]


def bead_plot(beads: Sequence[BeadRow], *, title: str, xlabel: str, ylabel: str) -> bytes:
    """A PNG with a dot for each bead at the middle of its sentences, coloured by its score.

    Of beads with an empty side there is a red mark at the axis of the side that they have: where
    many are, a piece of one text is missing in the other.

    Args:
        beads: positions in the first text and in the second, and a score (lower is better). Colours
            end at the 2 % and the 98 % quantile, so that one odd bead does not use them up.
        title: above the figure.
        xlabel, ylabel: what the two texts are.
    """
    with canvas(5.2, 4.8) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        both = [(np.mean(x), np.mean(y), score) for x, y, score in beads if len(x) and len(y)]
        only_x = [i for x, y, _ in beads if not len(y) for i in x]
        only_y = [j for x, y, _ in beads if not len(x) for j in y]
        if not beads:
            say_no_data(axes)
            return drawing.png()
        if both:
            x, y, scores = np.array(both, np.float64).T
            low, high = np.quantile(scores, [0.02, 0.98])
            dots = axes.scatter(
                x, y, c=scores, s=max(1.5, min(14.0, 3000 / len(both))), cmap="cividis_r",
                vmin=low, vmax=max(high, low + 1e-9), linewidths=0, zorder=3,
            )  # fmt: skip
            axes.figure.colorbar(dots, ax=axes, label="score (lower is better)")
        style: dict[str, Any] = {
            "color": COLOURS[1],
            "linestyle": "none",
            "markersize": 5.0,
            "clip_on": False,
        }
        across, up = axes.get_xaxis_transform(), axes.get_yaxis_transform()
        if only_x:
            axes.plot(only_x, [0.0] * len(only_x), marker="|", transform=across, **style)
        if only_y:
            axes.plot([0.0] * len(only_y), only_y, marker="_", transform=up, **style)
        last = [max((max(side, default=0) for side in sides), default=0) for sides in
                ([b[0] for b in beads], [b[1] for b in beads])]  # fmt: skip
        axes.set_xlim(-0.02 * last[0] - 0.5, last[0] + 0.5)
        axes.set_ylim(-0.02 * last[1] - 0.5, last[1] + 0.5)
        return drawing.png()
