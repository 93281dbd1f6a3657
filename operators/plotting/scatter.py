"""Points in two dimensions, of two groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators.plotting.canvas import COLOURS, canvas, say_no_data

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def scatter_groups(
    points: npt.ArrayLike,
    groups: Sequence[str],
    kinds: Sequence[int],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
) -> bytes:
    """A PNG with a point a row: its colour is its group, its mark its kind.

    Args:
        points: [n, 2].
        groups: label of each point; colours go by their order of appearance.
        kinds: number of each point, from 0; eight marks, then the same again.
        title: above the figure.
        xlabel, ylabel: what is on the axes.

    Raises:
        ValueError: if the lengths differ.
    """
    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not len(places) == len(groups) == len(kinds):
        raise ValueError(f"{len(places)} points, {len(groups)} groups and {len(kinds)} kinds")
    with canvas(6.4, 4.4) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        if not len(places):
            say_no_data(axes)
            return drawing.png()
        for colour, group in enumerate(dict.fromkeys(groups)):
            for kind in sorted(set(kinds)):
                rows = [k for k in range(len(places)) if groups[k] == group and kinds[k] == kind]
                if rows:
                    axes.scatter(
                        places[rows, 0], places[rows, 1], s=22, alpha=0.65, linewidths=0,
                        color=COLOURS[colour % len(COLOURS)],
                        marker=_MARKERS[kind % len(_MARKERS)],
                        label=f"{group}, sense {kind} ({len(rows)})",
                    )  # fmt: skip
        # Beside the axes: inside, a legend lies on the very points it names.
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
        return drawing.png()
