"""Tokens against vocabulary size, and languages before and after a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from operators.plotting.canvas import COLOURS, MUTED, canvas, say_no_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# More lines than that cannot be told apart by colour, nor named beside the axes.
_NAMED_LINES = 7
_NAMED_ENDS = 3


def size_laws(
    tokens: Mapping[str, Mapping[int, float]],
    chosen: Mapping[str, tuple[int, float]],
    *,
    target: float,
    title: str,
) -> bytes:
    """A PNG with a line for each language, both axes logarithmic, and the size chosen for it.

    Args:
        tokens: language -> vocabulary size -> tokens.
        chosen: language -> the size chosen and the tokens expected there.
        target: the common number of tokens, drawn across.
        title: above the figure.
    """
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    with canvas(6.4, 4.2) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_xlabel("vocabulary size, ids")
        axes.set_ylabel("tokens of the same text")
        if not tokens:
            say_no_data(axes)
            return drawing.png()
        few = len(tokens) <= _NAMED_LINES
        for index, (name, counts) in enumerate(tokens.items()):
            sizes = sorted(counts)
            colour = COLOURS[index % len(COLOURS)] if few else MUTED
            axes.plot(
                sizes,
                [counts[size] for size in sizes],
                color=colour,
                linewidth=1.4 if few else 0.7,
                alpha=1.0 if few else 0.6,
                marker="o",
                markersize=2.5,
                label=name if few else None,
            )
        axes.axhline(target, color=COLOURS[1], linewidth=1.2, linestyle="--", zorder=1)
        axes.scatter(
            [size for size, _ in chosen.values()],
            [expected for _, expected in chosen.values()],
            color="none",
            edgecolor=COLOURS[0],
            linewidth=1.2,
            s=26,
            zorder=3,
            label="size chosen",
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_formatter(NullFormatter())
        _readable_ticks(axes.xaxis, [size for counts in tokens.values() for size in counts]
                        + [size for size, _ in chosen.values()])  # fmt: skip
        _readable_ticks(axes.yaxis, [n for counts in tokens.values() for n in counts.values()])
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
        axes.annotate(
            f"target {target:,.0f}",
            (0.0, target),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            color=COLOURS[1],
            fontsize=7.5,
        )
        return drawing.png()


def before_and_after(
    before: Mapping[str, float],
    after: Mapping[str, float],
    *,
    labels: tuple[str, str],
    title: str,
    ylabel: str,
) -> bytes:
    """A PNG with a dot for each name on the left and on the right, and a line between.

    The highest and lowest of each side are named: three of each where there is room.
    Both mappings have the same names.
    """
    from matplotlib.ticker import StrMethodFormatter

    with canvas(5.4, 4.6) as drawing:
        axes = drawing.axes
        axes.set_title(title)
        axes.set_ylabel(ylabel)
        axes.grid(visible=False, axis="x")
        if not before:
            say_no_data(axes)
            return drawing.png()
        for name, value in before.items():
            axes.plot((0, 1), (value, after[name]), color=MUTED, linewidth=0.6, alpha=0.6)
        axes.set_ylim(0, max(*before.values(), *after.values()) * 1.05)
        for place, values in enumerate((before, after)):
            heights = np.array(list(values.values()))
            axes.scatter(
                np.full(len(heights), place), heights, s=14, color=COLOURS[place], zorder=3
            )
            middle = float(np.median(heights))
            axes.plot(
                (place - 0.07, place + 0.07), (middle, middle), color="black", linewidth=1.6,
                zorder=4,
            )  # fmt: skip
            ranked = sorted(values, key=lambda name: (values[name], name))
            shown = dict.fromkeys([*ranked[:_NAMED_ENDS], *ranked[-_NAMED_ENDS:]])
            _name_dots(axes, {name: values[name] for name in shown}, place)
        axes.set_xticks((0, 1), labels=labels)
        axes.set_xlim(-0.45, 1.45)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        return drawing.png()


def _name_dots(axes: Axes, values: Mapping[str, float], place: int) -> None:
    """Names of the extremes beside their dots, moved apart where they would lie on each other."""
    low, high = axes.get_ylim()
    apart = (high - low) * 0.035
    ranked = sorted(values, key=lambda name: (values[name], name))
    room = values[ranked[-1]] - values[ranked[0]] > 2 * _NAMED_ENDS * apart
    ends = _NAMED_ENDS if room else 1
    last = -np.inf
    for name in dict.fromkeys([*ranked[:ends], *ranked[-ends:]]):
        last = max(values[name], last + apart)
        axes.annotate(
            name,
            (place, values[name]),
            xytext=(place + (0.1 if place else -0.1), last),
            ha="left" if place else "right",
            va="center",
            fontsize=7,
        )


def _readable_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Ticks at a few digits times powers of ten within the values: decades alone may be none."""
    low, high = min(values), max(values)
    steps = [
        digit * 10.0**power
        for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for digit in (1, 1.5, 2, 3, 5, 7)
    ]
    ticks = [step for step in steps if low * 0.99 <= step <= high * 1.01]
    if ticks:
        axis.set_ticks(ticks)
