"""Power laws: points on logarithmic axes and the lines fitted through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from operators.plotting.canvas import COLOURS, canvas, say_no_data

_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was measured at several scales, and the line through it.

    Attributes:
        scales, values: > 0, equally many.
        line: the fitted values at the scales; empty where there is no line.
    """

    scales: Sequence[float]
    values: Sequence[float]
    line: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.values) or len(self.line) not in (0, len(self.scales)):
            raise ValueError(
                f"{len(self.scales)} scales have {len(self.values)} values and a line of "
                f"{len(self.line)}"
            )


def power_laws(panels: Mapping[str, Mapping[str, Fitted]], *, title: str, xlabel: str) -> bytes:
    """A PNG with a panel for each measure, and in it points and a line for each name.

    Args:
        panels: measure -> name, such as "text, 0.61" -> what was measured. The legend of a panel is
            its own, for names that say the exponent.
        title: above the figure.
        xlabel: what the scales are.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    columns = max(1, len(panels))
    with canvas(3.4 * columns, 3.6) as drawing:
        drawing.title(title)
        axes_of = drawing.grid(1, columns)
        if not panels:
            say_no_data(axes_of[0])
        for axes, (measure, series) in zip(axes_of, panels.items(), strict=False):
            axes.set_title(measure, fontsize=9, fontweight="normal")
            axes.set_xlabel(xlabel)
            if not any(len(fitted.scales) for fitted in series.values()):
                say_no_data(axes)
                continue
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            scales = sorted({scale for fitted in series.values() for scale in fitted.scales})
            axes.xaxis.set_major_locator(FixedLocator(scales[:: 1 + len(scales) // _MOST_TICKS]))
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=_MOST_TICKS))
            for axis in (axes.xaxis, axes.yaxis):
                # Matplotlib writes powers as formulas, which the house style does not read.
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.set_minor_formatter(NullFormatter())
            for index, (name, fitted) in enumerate(series.items()):
                colour = COLOURS[index % len(COLOURS)]
                axes.plot(
                    fitted.scales, fitted.values, color=colour, linestyle="", marker="o",
                    markersize=4, label=name,
                )  # fmt: skip
                if len(fitted.line):
                    axes.plot(fitted.scales, fitted.line, color=colour, linewidth=1.3)
            # Below the panel: inside, a legend lies on the points it names.
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
        return drawing.png()
