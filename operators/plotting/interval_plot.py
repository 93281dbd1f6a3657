"""Estimates with their intervals, one below the other (a forest plot)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from operators.plotting.canvas import COLOURS, MUTED, canvas, say_no_data
from operators.plotting.narrow import NARROW_INCHES, narrow_name, narrow_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def intervals(
    names: Sequence[str],
    centers: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    title: str,
    xlabel: str,
    zero_line: bool = True,
    good: Literal["below", "above"] = "below",
    narrow: bool = False,
) -> bytes:
    """A PNG with one row for each name, first on top: a point and its interval.

    With a zero line, the colour tells the sides apart: blue on the good side of 0, vermilion on the
    other, and grey where the interval holds 0, its ends included. A row that is exactly 0 with no
    width is the baseline of the comparison: an open diamond, named as such.

    Args:
        names: labels of the rows.
        centers, lows, highs: of the intervals; a point may lie outside of its interval, as the
            observed value can in a bootstrap.
        title: above the figure.
        xlabel: what is on the axis, with the unit.
        zero_line: whether 0 means "no difference". Without it, the axis need not show 0.
        good: the side of 0 that is the better one.
        narrow: for a phone, with each name above its row.

    Raises:
        ValueError: if the lengths differ, or a low is above its high.
    """
    if not len(names) == len(centers) == len(lows) == len(highs):
        raise ValueError(
            f"{len(names)} names have {len(centers)} centers, {len(lows)} lows, {len(highs)} highs"
        )
    for name, low, high in zip(names, lows, highs, strict=True):
        if low > high:
            raise ValueError(f"the interval of {name!r} runs from {low} down to {high}")
    of_row = max((narrow_name(name).count("\n") + 1 for name in names), default=1)
    row_inches = 0.24 + 0.18 * of_row if narrow else 0.36
    width = NARROW_INCHES if narrow else 6.4
    with canvas(width, 1.1 + row_inches * max(2, len(names))) as drawing:
        axes = drawing.axes
        axes.set_title(narrow_title(title) if narrow else title)
        axes.set_xlabel(narrow_name(xlabel) if narrow else xlabel)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        labels = list(names)
        for row, (center, low, high) in enumerate(zip(centers, lows, highs, strict=True)):
            is_baseline = zero_line and center == low == high == 0
            if is_baseline:
                if "baseline" not in labels[row]:
                    labels[row] = f"{labels[row]} (baseline)"
                axes.plot(
                    [0], [row], "D", markersize=6, color=MUTED, markerfacecolor="white", zorder=3
                )
                continue
            colour = _colour(low, high, good) if zero_line else COLOURS[0]
            axes.plot([low, high], [row, row], "-", linewidth=2.2, color=colour, zorder=2)
            axes.plot([low, high], [row, row], "|", markersize=7, color=colour, zorder=2)
            axes.plot([center], [row], "o", markersize=6, color=colour, zorder=3)
        if names:
            axes.margins(x=0.06)
            if narrow:
                _names_above(axes, labels)
            else:
                axes.set_yticks(range(len(names)), labels=labels)
                axes.tick_params(axis="y", length=0)
                axes.set_ylim(len(names) - 0.4, -0.6)
            if zero_line:
                axes.axvline(0, color="#4D4D4D", linewidth=1.0, zorder=1)
        else:
            say_no_data(axes)
        return drawing.png()


def _names_above(axes: Axes, labels: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_yticks([])
    axes.set_ylim(len(labels) - 0.7, -0.9)
    for row, label in enumerate(labels):
        axes.text(
            0, row - 0.2, narrow_name(label), transform=axes.get_yaxis_transform(), va="bottom",
            # The line at 0 must not run through the letters.
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5},
        )  # fmt: skip


def _colour(low: float, high: float, good: str) -> str:
    if low <= 0 <= high:
        return MUTED
    return COLOURS[0] if (high < 0) == (good == "below") else COLOURS[1]
