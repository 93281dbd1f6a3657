"""The one look of all figures, and how a figure becomes bytes.

Figures are built with Matplotlib's objects, not `pyplot`: no window, no global list of figures, no
leak from one call to the next. The style starts from Matplotlib's defaults, not from what a user's
`matplotlibrc` says, so a figure looks the same on every machine.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which all common kinds of colour blindness can tell apart; without
# yellow, which is too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINE_STYLES = ("-", "--", "-.", ":")
MUTED = "#8A8A8A"

_DOTS_PER_INCH = 150
_STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 9.0,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4D4D4D",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "xtick.color": "#4D4D4D",
    "ytick.color": "#4D4D4D",
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    # Names of arms and files are shown as they are: a "$" in one starts no formula.
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
}


class Canvas:
    """An empty figure; `axes`, or a `grid` of them, to draw in; `png()` ends it."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(self._figure)
        self._axes: Axes | None = None

    @property
    def axes(self) -> Axes:
        """The one pair of axes of the figure."""
        if self._axes is None:
            self._axes = self._figure.add_subplot()
        return self._axes

    def grid(self, rows: int, columns: int) -> list[Axes]:
        """Axes in rows and columns, row by row, instead of the one."""
        return list(self._figure.subplots(rows, columns, squeeze=False).ravel())

    def title(self, text: str) -> None:
        """A title above all axes of a grid."""
        self._figure.suptitle(text, x=0.01, ha="left", fontsize=10.5, fontweight="bold")

    def png(self) -> bytes:
        """The figure as PNG, nothing clipped, without a mention of the version that drew it."""
        stream = io.BytesIO()
        self._figure.savefig(
            stream, format="png", bbox_inches="tight", pad_inches=0.12, metadata={"Software": None}
        )
        return stream.getvalue()


@contextmanager
def canvas(width: float, height: float) -> Iterator[Canvas]:
    """Axes in the house style, `width` x `height` inches; draw and call `png()` inside."""
    import matplotlib as mpl

    # The backend is left alone: changing it would load pyplot.
    defaults = {
        name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")
    }
    with mpl.rc_context(defaults | _STYLE):
        yield Canvas(width, height)


def say_no_data(axes: Axes) -> None:
    """Write "no data" into empty axes: a report shows the gap instead of failing over it."""
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_xticks([])
    axes.set_yticks([])
